"""What the original design promises: construct, update with and without warm-up, apply, restore, look inside."""

import inspect

import numpy as np
import pytest

from reference import Reference
from shrew_ema import EMA
from support import FLOATS, Array, Params, normal, same_bits


def test_two_updates_with_the_decay_of_the_original_example() -> None:
    params = {"w": np.array([1.0])}
    ema = EMA(params, 0.9)
    for weight, expected in [(2.0, 1.1), (3.0, 1.29)]:
        params["w"][:] = weight
        ema.update()
        assert ema.shadow_values("w")[0] == pytest.approx(expected, rel=1e-15, abs=0)


def test_apply_writes_the_average_and_restore_the_training_value() -> None:
    params = {"w": np.array([1.0])}
    ema = EMA(params, 0.04)
    params["w"][:] = 3.0
    ema.update()
    assert ema.shadow_values("w")[0] == pytest.approx(2.92, rel=1e-15, abs=0)
    ema.apply()
    assert params["w"][0] == ema.shadow_values("w")[0]
    ema.restore()
    assert params["w"][0] == 3.0


@pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")
def test_the_original_example_of_apply_and_restore() -> None:
    weight = np.array([1.0])
    ema = EMA([weight], decay=0.5)
    weight[0] = 3.0
    ema.update()
    assert ema.shadow_values(0).tolist() == [2.0]
    ema.apply()
    assert weight.tolist() == [2.0]
    ema.restore()
    assert weight.tolist() == [3.0]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_new_average_is_the_parameter_itself(dtype: "np.dtype[np.generic]") -> None:
    params = {"w": normal(dtype, (3, 5), seed=3)}
    ema = EMA(params)
    assert same_bits(ema.shadow_values("w").astype(dtype), params["w"])
    assert (ema.num_updates, ema.step, ema.initial_share, ema.is_applied) == (0, 0, 1.0, False)


def test_the_dtype_of_an_average_follows_the_parameter_or_the_argument() -> None:
    params = {str(dtype): np.zeros(2, dtype) for dtype in FLOATS}
    wide = {name: array.dtype.name for name, array in EMA(params, shadow_dtype="float64").averages().items()}
    assert set(wide.values()) == {"float64"}
    auto = {name: array.dtype.name for name, array in EMA(params).averages().items()}
    assert auto == dict.fromkeys(["float16", "bfloat16", "float32"], "float32") | {"float64": "float64"}
    del params["float64"]
    narrow = {name: array.dtype.name for name, array in EMA(params, shadow_dtype="float32").averages().items()}
    assert set(narrow.values()) == {"float32"}


def test_updates_of_both_kinds_are_counted_together() -> None:
    ema = EMA([np.zeros(1)], 0.9)
    ema.update()
    ema.update_with_warmup()
    ema.update()
    assert (ema.num_updates, ema.step) == (3, 3)
    assert ema.decay == 0.9
    assert ema.initial_share == pytest.approx(0.9 * (3 / 12) * 0.9, rel=1e-14, abs=0)


def test_the_defaults_are_as_documented() -> None:
    assert EMA([np.zeros(1)]).decay == 0.999
    options = "shadow_dtype=None, nonfinite='raise', every=1, start=0"
    assert str(inspect.signature(EMA)) == f"(params, decay=0.999, *, {options})"


@pytest.mark.parametrize("decay", [0, 1, 0.0, 1.0, np.float64(0.25), np.float32(0.25), 5e-324, 1 - 2**-53])
def test_every_number_from_0_to_1_is_a_decay(decay: float) -> None:
    assert EMA([np.zeros(1)], decay).decay == float(decay)


def test_a_decay_of_0_copies_and_a_decay_of_1_keeps() -> None:
    for decay, expected in [(0.0, [0.1, -0.0]), (1.0, [7.0, 7.0])]:
        params = {"w": np.array([7.0, 7.0]), "steps": np.array([7])}
        ema = EMA(params, decay)
        params["w"][:] = [0.1, -0.0]
        params["steps"][:] = 8
        ema.update()
        assert same_bits(ema.shadow_values("w"), np.array(expected))
        assert ema.shadow_values("steps").tolist() == [8 if decay == 0 else 7]
        assert ema.num_updates == 1
        assert ema.initial_share == decay


def test_a_decay_of_1_reads_no_values() -> None:
    params = {"w": np.array([1.0])}
    ema = EMA(params, 1.0)
    params["w"][:] = np.nan
    ema.update()
    assert ema.shadow_values("w").tolist() == [1.0]
    assert ema.skipped == {}


def test_the_decay_of_every_tabulated_update_of_the_warm_up(decays: dict[str, list[tuple[int, float]]]) -> None:
    table = dict(decays["seed(0.999)"])
    # Each tabulated update has an element of its own that is 1 at that update and else 0: its average, until then 0,
    # is 1 - d afterwards. In between the averages of elements that had their turn decay, which nobody reads.
    params = {"w": np.zeros(len(table))}
    ema = EMA(params, 0.999)
    places = {t: index for index, t in enumerate(table)}
    for t in range(1, max(table) + 1):
        place = places.get(t)
        if place is None:
            ema.update_with_warmup()
            continue
        share = ema.initial_share
        params["w"][place] = 1.0
        ema.update_with_warmup()
        params["w"][place] = 0.0
        assert 1 - ema.shadow_values("w")[place] == pytest.approx(table[t], rel=1e-15, abs=0)
        assert ema.initial_share / share == pytest.approx(table[t], rel=1e-12, abs=0)
    assert ema.num_updates == 100_000


@pytest.mark.parametrize(
    ("rule", "decay", "warmup"),
    [("decay_0.9", 0.9, False), ("decay_0.999", 0.999, False), ("warmup_0.999", 0.999, True)],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 5e-6)])
def test_the_averages_follow_the_reference_trajectories(
    *, trajectories: dict[str, Array], rule: str, decay: float, warmup: bool, dtype: str, tolerance: float
) -> None:
    rows = trajectories["params"].astype(dtype)
    params = {"w": rows[0].copy()}
    ema = EMA(params, decay)
    for row, expected in zip(rows[1:], trajectories[rule], strict=True):
        params["w"][:] = row
        if warmup:
            ema.update_with_warmup()
        else:
            ema.update()
        np.testing.assert_allclose(ema.shadow_values("w"), expected, rtol=tolerance)


def test_the_trajectories_through_a_wide_average_of_single_parameters(trajectories: dict[str, Array]) -> None:
    # The parameters of the reference are float32 numbers, so nothing is lost on the way into a float64 average.
    rows = trajectories["params"].astype("float32")
    ema = EMA({"w": rows[0].copy()}, 0.999, shadow_dtype="float64")
    for row, expected in zip(rows[1:], trajectories["decay_0.999"], strict=True):
        ema.update({"w": row})
        np.testing.assert_allclose(ema.shadow_values("w"), expected, rtol=1e-13)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.5, 0.9, 0.9999, 1.0])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_constant_parameter_never_moves_its_average(dtype: "np.dtype[np.generic]", decay: float) -> None:
    params = {"w": normal(dtype, 300, seed=4)}
    ema = EMA(params, decay)
    start = ema.shadow_values("w")
    for _ in range(50):
        ema.update()
        ema.update_with_warmup()
    assert same_bits(ema.shadow_values("w"), start)


def test_a_model_of_mixed_tensors_agrees_with_the_oracle_bit_for_bit() -> None:
    params: Params = {str(dtype): normal(dtype, (7, 9), seed=5) for dtype in FLOATS}
    params["int32"] = np.arange(5, dtype="int32")
    ema, oracle = EMA(params, 0.99), Reference(params, 0.99)
    for update in range(12):
        for array in params.values():
            array[...] = normal(array.dtype, array.shape, seed=update)
        if update % 3:
            ema.update()
        else:
            ema.update_with_warmup()
        oracle.update(params, warmup=update % 3 == 0)
        for name in params:
            assert same_bits(ema.shadow_values(name), oracle.shadow(name))
    assert ema.initial_share == pytest.approx(oracle.initial_share, rel=1e-13, abs=0)
