"""What goes silently wrong elsewhere and not here: rows of the README's table that no other file has a test for."""

import numpy as np
import pytest

from shrew_ema import EMA, EMAWarning, NamesError, NonFiniteError
from support import F32, Params, same_bits, unchanged


def test_weights_that_stand_still_do_not_drift() -> None:
    params = {"w": np.random.default_rng(1).uniform(0.5, 1.5, 1000).astype(F32)}
    ema = EMA(params, 0.9999)
    # As elsewhere: each factor rounded to 32 bits by itself, so that their sum is not 1.
    d, rest, elsewhere = F32.type(0.9999), F32.type(1 - 0.9999), params["w"].copy()
    for _ in range(80_000):
        elsewhere = elsewhere * d + params["w"] * rest
        ema.update()
    assert np.min(elsewhere / params["w"] - 1) == pytest.approx(-1.66e-4, rel=0.02)
    assert same_bits(ema.shadow_values("w"), params["w"])


def test_half_precision_averages_move_too() -> None:
    params = {"w": np.ones(4, np.float16)}
    ema = EMA(params, 0.9999)
    params["w"][:] = 1.5
    for _ in range(2000):
        ema.update()
    assert ema.shadow_values("w").tolist() == pytest.approx([1.5 - 0.5 * 0.9999**2000] * 4, rel=1e-5)
    # In 16 bits one step is less than half of the spacing, and so is every other.
    one = np.float16(1) + np.float16(1 - 0.9999) * np.float16(0.5)
    assert one == 1


def test_new_names_for_the_same_weights_are_refused(model: Params) -> None:
    ema = EMA(model, 0.5)
    compiled = {f"_orig_mod.{name}": array + 1 for name, array in model.items()}
    with unchanged(ema, model, compiled), pytest.raises(NamesError) as caught:
        ema.update(compiled)
    assert caught.value.missing == tuple(model)
    assert caught.value.unexpected == tuple(compiled)


def test_a_nan_is_reported_and_gone_with_the_next_update() -> None:
    params = {"w": np.zeros(3)}
    ema = EMA(params, 0.5)
    params["w"][:] = [1, np.nan, 1]
    with pytest.raises(NonFiniteError, match='"w"'):
        ema.update()
    assert ema.shadow_values("w").tolist() == [0.5, 0, 0.5]
    params["w"][:] = 1
    ema.update()
    assert ema.shadow_values("w").tolist() == [0.75, 0.5, 0.75]


@pytest.mark.parametrize(("updates", "percent"), [(1000, 90), (10_000, 37)])
def test_what_is_left_of_a_random_start_is_told(updates: int, percent: int) -> None:
    start = np.random.default_rng(2).normal(size=50)
    plain, warmed = {"w": start.copy()}, {"w": start.copy()}
    ema, ema_with_warmup = EMA(plain, 0.9999), EMA(warmed, 0.9999)
    plain["w"][:] = warmed["w"][:] = 0
    for _ in range(updates):
        ema.update()
        ema_with_warmup.update_with_warmup()
    left = ema.shadow_values("w") / start
    assert left == pytest.approx(np.full(50, percent / 100), abs=0.006)
    assert ema.initial_share == pytest.approx(left[0], rel=1e-9)
    with pytest.warns(EMAWarning, match=f"{percent}% of the initial values"), ema.applied():
        pass
    assert ema_with_warmup.initial_share < 1e-15
    with ema_with_warmup.applied():  # a warning would be an error
        assert np.abs(warmed["w"]).max() < 1e-12
