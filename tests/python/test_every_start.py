"""`every` and `start`: averages at some calls only, with all the decays, and a late beginning."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from reference import Reference
from rules import RULES, Rule
from shrew_ema import EMA, ConfigError, NonFiniteError, schedules
from support import BF16, F16, F32, F64, Params, normal, same_bits, unchanged


def training(params: Params, calls: int) -> Iterator[int]:
    """Moves every parameter before each call."""
    for call in range(1, calls + 1):
        for array in params.values():
            array[...] = normal(array.dtype, array.shape, seed=call)
        yield call


def model() -> Params:
    params: Params = {str(dtype): normal(dtype, (3, 5), seed=0) for dtype in (F16, BF16, F32)}
    params["steps"] = np.arange(4)
    return params


@pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")
@pytest.mark.parametrize("start", [0, 1, 4, 100])
@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_schedule_every_interval_and_every_start_agree_with_the_oracle(
    rule: Rule, every: int, start: int
) -> None:
    params = model()
    ema = EMA(params, rule.schedule, every=every, start=start)
    oracle = Reference(params, rule.schedule.alpha, every=every, start=start)
    for call in training(params, 24):
        warmup = call % 3 == 0
        if warmup:
            ema.update_with_warmup()
        else:
            ema.update()
        oracle.update(params, warmup)
        for name in params:
            assert same_bits(ema.shadow_values(name), oracle.shadow(name)), (name, call)
        assert (ema.step, ema.num_updates) == (call, oracle.num_updates)
        assert ema.initial_share == pytest.approx(oracle.initial_share, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("every", [1, 4])
def test_wide_averages_agree_with_the_oracle(every: int, start: int) -> None:
    params = {"w": normal(F64, (3, 5), seed=0), "x": normal(F32, 7, seed=1)}
    alpha = schedules.timm().alpha
    ema = EMA(params, schedules.timm(), shadow_dtype="float64", every=every, start=start)
    oracle = Reference(params, alpha, "float64", every=every, start=start)
    for _ in training(params, 30):
        ema.update()
        oracle.update(params)
        for name in params:
            # Several decays at once come from log1p and expm1, whose last bit Python's own may have otherwise.
            if every == 1:
                assert same_bits(ema.shadow_values(name), oracle.shadow(name))
            np.testing.assert_allclose(ema.shadow_values(name), oracle.shadow(name), rtol=1e-13)


def test_calls_before_the_start_read_nothing_and_the_start_copies() -> None:
    params = {"w": np.zeros(2), "steps": np.array([0])}
    ema = EMA(params, 0.9, start=3)
    first = ema.shadow_values("w")
    for call in (1, 2):
        params["w"][:] = np.nan
        params["steps"][:] = call
        ema.update()
        assert (ema.shadow_values("w").tolist(), ema.shadow_values("steps").tolist()) == ([0, 0], [0])
        assert (ema.step, ema.num_updates, ema.initial_share, ema.skipped) == (call, 0, 1.0, {})
    params["w"][:] = [5, 7]
    params["steps"][:] = 3
    ema.update()
    assert (ema.shadow_values("w").tolist(), ema.shadow_values("steps").tolist()) == ([5, 7], [3])
    assert (ema.step, ema.num_updates, ema.initial_share) == (3, 0, 0.0)
    params["w"][:] = [6, 8]
    ema.update()
    assert ema.shadow_values("w").tolist() == pytest.approx([5.1, 7.1])
    assert (ema.step, ema.num_updates, ema.initial_share) == (4, 1, 0.0)
    assert first.tolist() == [0, 0]


@pytest.mark.filterwarnings("ignore:update_with_warmup averages:shrew_ema.EMAWarning")  # with a rule, on purpose
@pytest.mark.parametrize("warmup", [False, True])
def test_a_late_start_is_an_ema_that_was_made_then(warmup: bool) -> None:
    params = {"w": normal(F32, 9, seed=0)}
    late = EMA(params, schedules.mean_teacher(0.9), every=2, start=5)
    then: EMA | None = None
    for call in training(params, 20):
        for ema in (late, then):
            if ema is not None:
                (ema.update_with_warmup if warmup else ema.update)()
        if call == 5:
            then = EMA(params, schedules.mean_teacher(0.9), every=2)
        if then is not None:
            assert same_bits(late.shadow_values("w"), then.shadow_values("w"))
            assert late.num_updates == then.num_updates


@pytest.mark.parametrize("rule", [0.99, schedules.half_life(50.0), schedules.power(0.1), schedules.torch_ema(0.99)])
def test_an_interval_keeps_the_horizon(rule: Any) -> None:  # noqa: ANN401 - a number or a schedule
    # A parameter that stands still after the start is forgotten as fast, whatever the interval.
    shares = []
    for every in (1, 2, 10, 40):
        ema = EMA([np.zeros(1)], rule, every=every)
        for _ in range(120):
            ema.update()
        shares.append(ema.initial_share)
        assert ema.num_updates == 120 // every
    assert shares == pytest.approx([shares[0]] * 4, rel=1e-12, abs=0)


def test_an_interval_without_compensation_makes_the_horizon_longer() -> None:
    kept, stretched = EMA([np.zeros(1)], 0.9, every=10), EMA([np.zeros(1)], schedules.ignite(0.1, interval=10))
    for _ in range(100):
        kept.update()
        stretched.update()
    assert kept.initial_share == pytest.approx(0.9**100)
    assert stretched.initial_share == pytest.approx(0.9**10)


def test_between_the_beats_nothing_is_read() -> None:
    params = {"w": np.array([1.0])}
    ema = EMA(params, 0.5, every=3)
    for value in (np.nan, np.inf, 9.0):
        params["w"][:] = value
        ema.update()
    assert ema.shadow_values("w").tolist() == [1 + 0.875 * 8]
    assert ema.skipped == {}


def test_a_value_that_is_refused_at_the_start_is_counted() -> None:
    params = {"w": np.array([1.0, 2.0])}
    ema = EMA(params, 0.5, start=1)
    params["w"][:] = [np.nan, 3.0]
    with pytest.raises(NonFiniteError) as caught:
        ema.update()
    assert caught.value.tensors == {"w": 1}
    assert ema.shadow_values("w").tolist() == [1.0, 3.0]
    assert (ema.step, ema.num_updates, ema.skipped) == (1, 0, {"w": 1})


@pytest.mark.parametrize("value", [-1, 2**64, 1.0, "1", None, True, False, 1j, [1]], ids=repr)
@pytest.mark.parametrize("option", ["every", "start"])
def test_options_that_are_no_counts_are_refused(option: str, value: object) -> None:
    params = {"w": np.zeros(2)}
    options: dict[str, Any] = {option: value}
    with unchanged(None, params), pytest.raises(ConfigError) as caught:
        EMA(params, **options)
    assert (caught.value.argument, caught.value.value) == (option, repr(value))


def test_an_interval_of_0_is_refused() -> None:
    with pytest.raises(ConfigError, match="every must be an integer from 1 on, got 0"):
        EMA([np.zeros(2)], every=0)


def test_counts_are_integers_of_every_kind() -> None:
    ema = EMA([np.zeros(2)], 0.5, every=np.int32(2), start=np.uint64(2**63))
    ema.update()
    assert (ema.step, ema.initial_share) == (1, 1.0)
