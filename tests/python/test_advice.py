"""Warnings that stop nothing: slow averages, early ones, skipped elements, models without floats."""

import warnings
from typing import Any

import numpy as np
import pytest

from shrew_ema import EMA, EMAWarning, schedules
from support import BF16, F16, F32


@pytest.mark.parametrize("dtype", [F16, BF16, F32], ids=str)
@pytest.mark.parametrize("decay", [0.99991, 0.99999, 1 - 2**-53])
def test_a_single_precision_average_beyond_9999_is_advised_against(dtype: np.dtype[Any], decay: float) -> None:
    with pytest.warns(EMAWarning, match='shadow_dtype="float64"') as warned:
        EMA({"w": np.zeros(2, dtype), "v": np.zeros(2, dtype)}, decay)
    assert len(warned) == 1
    assert str(decay) in str(warned[0].message)
    assert warned[0].filename == __file__


@pytest.mark.parametrize("decay", [0.0, 0.999, 0.9999, 1.0])
def test_a_single_precision_average_up_to_9999_is_fine(decay: float) -> None:
    # A warning would be an error.
    assert EMA({"w": np.zeros(2, np.float32)}, decay).decay == decay


def test_wide_averages_and_copies_have_any_memory() -> None:
    # A warning would be an error.
    assert len(EMA({"w": np.zeros(2), "n": np.zeros(2, np.int64)}, 0.999999)) == 2
    assert len(EMA([np.zeros(2, dtype) for dtype in (F16, BF16, F32)], 0.999999, shadow_dtype="float64")) == 3


def test_one_narrow_average_among_wide_ones_is_enough() -> None:
    with pytest.warns(EMAWarning, match="float32"):
        EMA([np.zeros(2), np.zeros(2, np.float32)], 0.99999)


@pytest.mark.filterwarnings("error")
def test_advice_can_be_made_an_error() -> None:
    with pytest.raises(EMAWarning):
        EMA([np.zeros(2, np.float32)], 0.99999)


def test_skipping_warns_once_in_the_life_of_an_ema() -> None:
    params = {"w": np.zeros(3), "v": np.zeros(3)}
    ema = EMA(params, 0.5, nonfinite="skip")
    ema.update()
    params["v"][1:] = np.nan
    with pytest.warns(EMAWarning, match=r'"v".*skipped') as warned:
        ema.update()
    assert len(warned) == 1
    assert warned[0].filename == __file__
    params["w"][0] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ema.update()
    assert ema.skipped == {"v": 4, "w": 1}
    with pytest.warns(EMAWarning):
        EMA(params, 0.5, nonfinite="skip").update()


def test_a_schedule_is_advised_against_once_it_is_that_slow() -> None:
    params = {"w": np.zeros(2, np.float32)}
    cosine = schedules.cosine(steps=200, decay=0.9)
    first = next(t for t in range(1, 200) if cosine.alpha(t) < 1e-4)
    ema = EMA(params, (0.9, cosine))
    for _ in range(1, first):
        ema.update()
    with pytest.warns(EMAWarning, match='shadow_dtype="float64"') as warned:
        ema.update()
    assert len(warned) == 1
    assert str(cosine.decay(first)) in str(warned[0].message)
    assert warned[0].filename == __file__
    for _ in range(300):
        ema.update()


def test_a_schedule_that_is_slow_from_the_first_update_is_advised_against_at_construction() -> None:
    with pytest.warns(EMAWarning, match="float32"):
        EMA([np.zeros(2, np.float32)], schedules.half_life(1e6))
    with pytest.warns(EMAWarning, match=r"0\.99999"):
        EMA([np.zeros(2, np.float32)], [0.5, 0.99999])


def test_what_counts_is_the_decay_from_one_average_to_the_next() -> None:
    # A warning would be an error.
    ema = EMA([np.zeros(2, np.float32)], 0.99995, every=10)
    for _ in range(30):
        ema.update()
    with pytest.warns(EMAWarning, match=r"0\.99998"):
        EMA([np.zeros(2, np.float32)], 0.99999, every=2)


def test_a_slow_schedule_of_wide_averages_is_fine() -> None:
    ema = EMA([np.zeros(2)], schedules.half_life(1e9))
    ema.update()
    assert ema.decay == schedules.half_life(1e9).decay(1)


def test_a_warm_up_in_the_place_of_a_rule_is_told_once() -> None:
    params = {"w": np.zeros(2)}
    ema = EMA(params, schedules.swa())
    with pytest.warns(EMAWarning, match="goes with update") as warned:
        ema.update_with_warmup()
    assert len(warned) == 1
    ema.update_with_warmup()
    EMA(params, schedules.half_life(1000)).update_with_warmup()


def test_a_model_without_floats_is_told_that_nothing_is_averaged() -> None:
    with pytest.warns(EMAWarning, match="no parameter is of floats") as warned:
        EMA({"w": np.array([1, 2, 3]), "b": np.array(True)})
    assert len(warned) == 1
    assert warned[0].filename == __file__
    # A warning would be an error.
    EMA({"n": np.array([1, 2, 3]), "w": np.zeros(1)})


@pytest.mark.parametrize(("decay", "start"), [(0.5, 9), (1.0, 0)])
def test_averages_before_the_first_one_are_told_from_early_ones(decay: float, start: int) -> None:
    ema = EMA({"w": np.zeros(3)}, decay, start=start)
    ema.update()
    with pytest.warns(EMAWarning, match="^the averages are still the initial values: nothing was averaged since$"):
        ema.copy_to()
