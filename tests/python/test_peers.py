"""What other packages promise in their own tests, and what they do wrong: each a case that must be right here."""

import numpy as np
import pytest

from shrew_ema import EMA, NamesError, ShapeError, StateError
from support import BF16, Params, same_bits, shift, unchanged


def averages_of(decay: float, values: list[float], start: float, warmup: bool = False) -> list[float]:
    """The averages of a scalar parameter, after each update."""
    param = np.array([start], np.float64)
    ema = EMA([param], decay)
    found = []
    for value in values:
        param[0] = value
        if warmup:
            ema.update_with_warmup()
        else:
            ema.update()
        found.append(float(ema.shadow_values(0)[0]))
    return found


def test_d2go() -> None:
    assert averages_of(0.7, [0, 1, 2], start=1) == pytest.approx([0.7, 0.79, 1.153], rel=1e-15, abs=0)


def test_ignite() -> None:
    assert averages_of(0.5, [2, 3, 4, 5], start=1)[-1] == 4.0625


def test_simple_tuner() -> None:
    # Its average copies until the third update, at which the parameter is 2, and then has decay 0.9.
    assert averages_of(0.9, [3], start=2) == pytest.approx([2.1], rel=1e-15, abs=0)
    assert averages_of(0.0, [1, 2], start=0) == [1, 2]


def test_torch_random_walk() -> None:
    # There the first update copies; here the construction does.
    d, walk = 0.999, np.random.default_rng(3).normal(size=10).cumsum()
    expected = sum(p * d ** (9 - i) * (1 if i == 0 else 1 - d) for i, p in enumerate(walk))
    assert averages_of(d, walk[1:].tolist(), start=walk[0])[-1] == pytest.approx(expected, rel=1e-13, abs=0)


def test_torch_ema_and_lit_ema_warm_up() -> None:
    expected = [0.8181818182, 0.9545454545, 0.986013986, 0.995004995, 0.998001998]
    assert averages_of(0.9, [1] * 5, start=0, warmup=True) == pytest.approx(expected, abs=5e-11)


def test_the_warm_up_ends_where_its_decay_meets_the_base() -> None:
    # (1 + t)/(10 + t) passes 0.5 at t = 8, so that from there on both kinds of update are one.
    ramp = [(1 + t) / (10 + t) for t in range(1, 8)] + [0.5] * 4
    left = np.cumprod(ramp)
    assert averages_of(0.5, [1] * 11, start=0, warmup=True) == pytest.approx((1 - left).tolist(), rel=1e-14, abs=0)


@pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")
def test_a_bfloat16_model_does_not_freeze_its_average() -> None:
    # torch's average, itself of 16 bits, stays at exactly 1.0.
    params = {"w": np.ones(4, BF16)}
    ema = EMA(params, 0.999)
    params["w"][:] = 1.5
    for _ in range(2000):
        ema.update()
    expected = 1.5 - 0.5 * 0.999**2000
    assert ema.shadow_values("w").tolist() == pytest.approx([expected] * 4, rel=1e-5)
    ema.copy_to()
    assert np.all(params["w"] == np.array(expected).astype(BF16))


def test_a_single_precision_average_is_not_biased_by_its_decay() -> None:
    # Rounding d and 1-d apart, as others do, gives a stationary average that is off by -1.66e-4 at this decay.
    params = {"w": np.full(3, 0.7, np.float32)}
    ema = EMA(params, 0.9999)
    for _ in range(5000):
        ema.update()
    assert same_bits(ema.shadow_values("w"), params["w"])


def test_fewer_parameters_than_registered_are_not_ignored(model: Params) -> None:
    ema = EMA(list(model.values()))
    with unchanged(ema, model), pytest.raises(NamesError, match='"2"'):
        ema.update(list(model.values())[:2])


def test_a_source_is_not_broadcast() -> None:
    ema = EMA([np.zeros(4)])
    with unchanged(ema), pytest.raises(ShapeError, match=r"\(1,\).*\(4,\)"):
        ema.update([np.ones(1)])


def test_one_nan_is_not_for_ever() -> None:
    params = {"w": np.zeros(2, np.float32)}
    ema = EMA(params, 0.5, nonfinite="skip")
    params["w"][:] = [1, np.nan]
    with pytest.warns(match="skipped"):
        ema.update()
    params["w"][:] = 1
    ema.update()
    assert ema.shadow_values("w").tolist() == [0.75, 0.5]


def test_swapping_twice_does_not_lose_the_training_weights(model: Params) -> None:
    ema = EMA(model, 0.0)
    ema.update()
    shift(model)
    training = {name: array.copy() for name, array in model.items()}
    with ema.applied(), unchanged(ema, model):
        with pytest.raises(StateError):
            ema.apply()
        with pytest.raises(StateError), ema.applied():
            pass
    assert all(same_bits(model[name], training[name]) for name in model)


def test_the_average_is_never_averaged_into_itself(model: Params) -> None:
    ema = EMA(model, 0.0)
    ema.update()
    with ema.applied(), unchanged(ema, model), pytest.raises(StateError):
        ema.update()


def test_swapping_back_keeps_every_bit() -> None:
    # In Keras on TensorFlow about half of the weights come back with another last bit.
    params = {"w": np.random.default_rng(8).normal(size=10_000).astype(np.float32)}
    ema = EMA(params, 0.0)
    ema.update()
    params["w"] *= np.float32(1.1)
    training = params["w"].copy()
    ema.apply()
    ema.restore()
    assert same_bits(params["w"], training)


def test_integers_are_not_truncated_averages() -> None:
    params = {"batches": np.array(10), "w": np.zeros(1)}
    ema = EMA(params, 0.9)
    params["batches"][...] = 11
    ema.update()
    assert ema.shadow_values("batches")[()] == 11


def test_a_parameter_is_known_by_its_name_and_not_by_its_place() -> None:
    params = {"a": np.array([1.0]), "b": np.array([2.0])}
    ema = EMA(params, 0.5)
    ema.update({"b": np.array([4.0]), "a": np.array([3.0])})
    assert (ema.shadow_values("a")[0], ema.shadow_values("b")[0]) == (2.0, 3.0)
