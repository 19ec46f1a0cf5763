"""Options that are refused: by name, with the value and with what is valid, before anything is made."""

import numpy as np
import pytest

from shrew_ema import EMA, ConfigError, DTypeError
from support import F64, Params, unchanged

NO_DECAY = [
    *(1.5, -0.1, 2, -1, 1 + 2**-52, -5e-324, float("nan"), float("inf"), -float("inf"), 10**400),
    *(True, False, np.True_, "0.9", b"0.9", None, 0.9j, {0.9}, np.array(0.9), np.array([0.9])),
    *(np.float64("nan"), np.float32(1.5), len),
]


@pytest.mark.parametrize("decay", NO_DECAY, ids=lambda decay: f"{type(decay).__name__} {decay!r:.12}")
def test_a_decay_that_is_no_number_from_0_to_1_is_refused(model: Params, decay: object) -> None:
    with unchanged(None, model), pytest.raises(ConfigError) as caught:
        EMA(model, decay)  # type: ignore[arg-type]
    assert caught.value.argument == "decay"
    assert caught.value.valid.startswith("a number in [0, 1]")
    assert str(caught.value) == f"decay must be {caught.value.valid}, got {caught.value.value}"
    # Nor is it one among several.
    with unchanged(None, model), pytest.raises(ConfigError) as caught_within:
        EMA(model, [0.9, decay])  # type: ignore[list-item]
    assert str(caught_within.value) == str(caught.value)


def test_the_message_shows_the_value() -> None:
    for decay, shown in [(1.5, "1.5"), (-0.25, "-0.25"), (float("nan"), "nan"), (True, "True"), ("0.9", "0.9")]:
        with pytest.raises(ConfigError) as caught:
            EMA([np.zeros(1)], decay)  # type: ignore[arg-type]
        assert shown in caught.value.value.replace("NaN", "nan")


@pytest.mark.parametrize(
    "width", ["float16", "bfloat16", "int32", "nonsense", "", 32, True, ["float32"], 4.0], ids=repr
)
def test_an_unknown_shadow_dtype_is_refused(model: Params, width: object) -> None:
    with unchanged(None, model), pytest.raises(ConfigError) as caught:
        EMA(model, shadow_dtype=width)  # type: ignore[arg-type]
    assert caught.value.argument == "shadow_dtype"
    for fact in ("shadow_dtype", "float32", "float64", str(width)):
        assert fact in str(caught.value)


@pytest.mark.parametrize("policy", ["ignore", "", "Raise", None, 1, True, ["raise"]], ids=repr)
def test_an_unknown_policy_is_refused(model: Params, policy: object) -> None:
    with unchanged(None, model), pytest.raises(ConfigError) as caught:
        EMA(model, nonfinite=policy)  # type: ignore[arg-type]
    assert caught.value.argument == "nonfinite"
    for fact in ("nonfinite", "raise", "skip", "propagate", str(policy)):
        assert fact in str(caught.value)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_an_average_narrower_than_its_parameter_is_refused(model: Params, place: str) -> None:
    model[place] = model[place].astype(F64)
    with unchanged(None, model), pytest.raises(DTypeError) as caught:
        EMA(model, shadow_dtype="float32")
    assert (caught.value.name, caught.value.found) == (place, "float64")
    for fact in (f'"{place}"', "float64", 'shadow_dtype="float32"', caught.value.valid):
        assert fact in str(caught.value)


def test_options_are_refused_before_the_parameters_are_read() -> None:
    with pytest.raises(ConfigError, match="decay"):
        EMA([np.array([np.nan])], 2.0)
