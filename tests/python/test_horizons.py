"""Several averages in one pass: each as if it were alone, and swapped in one at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rules import RULES
from shrew_ema import EMA, ConfigError, EMAWarning, NonFiniteError, Schedule, StateError, schedules
from support import BF16, F16, F32, F64, Params, Policy, bits, normal, same_bits, unchanged

DECAYS: list[float | Schedule] = [
    0.9,
    schedules.torch_ema(0.99),
    0.0,
    1.0,
    schedules.swa(every=2),
    schedules.power(0.1),
]


def model() -> Params:
    params: Params = {str(dtype): normal(dtype, (7, 45), seed=0) for dtype in (F16, BF16, F32, F64)}
    params["steps"] = np.arange(4)
    return params


def move(params: Params, seed: int) -> None:
    for array in params.values():
        array[...] = normal(array.dtype, array.shape, seed=seed)


@pytest.mark.filterwarnings("ignore:update_with_warmup averages:shrew_ema.EMAWarning")  # with a rule, on purpose
@pytest.mark.parametrize(("every", "start"), [(1, 0), (3, 0), (1, 2), (2, 3)])
@pytest.mark.parametrize("decays", [DECAYS, tuple(DECAYS)], ids=["list", "tuple"])
def test_several_horizons_are_as_many_single_ones(
    decays: list[float | Schedule] | tuple[float | Schedule, ...], every: int, start: int
) -> None:
    params = model()
    together = EMA(params, decays, every=every, start=start)
    alone = [EMA(params, decay, every=every, start=start) for decay in DECAYS]
    for call in range(1, 13):
        move(params, call)
        for ema in (together, *alone):
            if call % 4 == 0:
                ema.update_with_warmup()
            else:
                ema.update()
        assert together.decays == tuple(ema.decay for ema in alone)
        assert together.initial_shares == tuple(ema.initial_share for ema in alone)
        for horizon, single in enumerate(alone):
            assert (together.step, together.num_updates) == (single.step, single.num_updates)
            for name, average in together.averages(horizon).items():
                assert same_bits(average, single.shadow_values(name)), (horizon, name)
                assert same_bits(together.shadow_values(name, horizon=horizon), average)
    assert (together.decay, together.initial_share) == (0.9, alone[0].initial_share)


def test_all_rules_at_once() -> None:
    params: Params = {"w": normal(F64, 300, seed=0)}
    rules = [rule.schedule for rule in RULES.values()]
    together = EMA(params, rules)
    alone = [EMA(params, rule) for rule in rules]
    for call in range(1, 20):
        move(params, call)
        for ema in (together, *alone):
            ema.update()
    for horizon, single in enumerate(alone):
        assert same_bits(together.shadow_values("w", horizon), single.shadow_values("w"))


@pytest.mark.parametrize("policy", ["raise", "skip", "propagate"])
def test_a_refused_element_counts_once(policy: Policy) -> None:
    params: Params = {"w": np.zeros(4), "v": np.zeros(2, np.float32)}
    ema = EMA(params, [0.9, 0.5, 0.0], nonfinite=policy)
    params["w"][1:3] = [np.nan, np.inf]
    if policy == "raise":
        with pytest.raises(NonFiniteError) as caught:
            ema.update()
        assert caught.value.tensors == {"w": 2}
    elif policy == "skip":
        with pytest.warns(EMAWarning, match="^NaN or infinite elements were left out of the averages, 2 in"):
            ema.update()
    else:
        ema.update()
    assert ema.skipped == ({} if policy == "propagate" else {"w": 2})
    assert all(np.isfinite(ema.shadow_values("w", h)).all() != (policy == "propagate") for h in range(3))


def test_any_horizon_is_applied_and_restored() -> None:
    params = model()
    ema = EMA(params, [0.5, 0.25, 0.0])
    for call in range(1, 9):
        move(params, call)
        ema.update()
    training = {name: array.copy() for name, array in params.items()}
    for horizon in (0, 1, 2):
        expected = {name: average.astype(params[name].dtype) for name, average in ema.averages(horizon).items()}
        with ema.applied(horizon) as entered:
            assert entered is ema
            assert all(same_bits(params[name], expected[name]) for name in params if name != "bfloat16")
        assert all(same_bits(params[name], training[name]) for name in params)
        ema.apply(horizon=horizon)
        assert ema.is_applied
        assert all(same_bits(params[name], expected[name]) for name in params if name != "bfloat16")
        ema.restore()
        assert all(same_bits(params[name], training[name]) for name in params)
    assert not same_bits(ema.shadow_values("float64", 0), ema.shadow_values("float64", 1))


def test_the_horizon_applied_is_the_only_one_to_finish_on() -> None:
    params = {"w": np.zeros(2)}
    ema = EMA(params, [0.0, 0.01])
    params["w"][:] = 1
    ema.update()
    ema.apply(1)
    for horizon in (0, 1):
        with unchanged(ema, params), pytest.raises(StateError, match=r"^apply: "):
            ema.apply(horizon)
        with unchanged(ema, params), pytest.raises(StateError, match=r"^apply: "), ema.applied(horizon):
            pass
    with unchanged(ema, params), pytest.raises(StateError, match=r"^copy_to: .* another horizon is applied"):
        ema.copy_to(0)
    ema.copy_to(1)
    assert not ema.is_applied
    assert params["w"].tolist() == [0.99, 0.99]
    ema.restore()
    assert params["w"].tolist() == [0.99, 0.99]
    ema.copy_to()
    assert params["w"].tolist() == [1, 1]


NO_HORIZON = [2, 2**64, -1, True, 1.0, "1", None]


@pytest.mark.parametrize("horizon", NO_HORIZON, ids=repr)
@pytest.mark.parametrize("applied", [False, True])
def test_a_horizon_that_there_is_not_is_refused(horizon: Any, applied: bool) -> None:  # noqa: ANN401
    params = {"w": np.zeros(2)}
    ema = EMA(params, [0.0, 0.0])
    ema.update()
    if applied:
        ema.apply()
    calls: list[Callable[[Any], object]] = [ema.apply, ema.applied, ema.copy_to, ema.averages]
    calls.append(lambda horizon: ema.shadow_values("w", horizon))
    for call in calls:
        with unchanged(ema, params), pytest.raises(ConfigError) as caught:
            call(horizon)
        assert caught.value.argument == "horizon"
        assert caught.value.value == repr(horizon) or horizon == 2**64
    ema.restore()


def test_a_single_average_says_that_it_is_the_only_one() -> None:
    with pytest.raises(ConfigError, match="horizon must be 0, the only one, got 1"):
        EMA([np.zeros(1)]).shadow_values(0, 1)


@pytest.mark.parametrize("empty", [[], ()])
def test_there_is_at_least_one_horizon(empty: Any) -> None:  # noqa: ANN401
    params = {"w": np.zeros(2)}
    with unchanged(None, params), pytest.raises(ConfigError, match="decay must be at least one"):
        EMA(params, empty)


@pytest.mark.parametrize("nested", [[[0.9]], [0.9, [0.9]], [0.9, None], ["0.9"], [True], (0.9, 2.0)], ids=repr)
def test_every_entry_must_be_a_decay(nested: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError) as caught:
        EMA([np.zeros(2)], nested)
    assert caught.value.argument == "decay"


def test_snapshots_of_each_horizon_stay_as_they_are() -> None:
    params = {"w": np.zeros(1000)}
    ema = EMA(params, [0.5, 0.9])
    before = [ema.shadow_values("w", h) for h in (0, 1)]
    held = [bits(array) for array in before]
    for call in range(1, 4):
        params["w"][:] = call
        ema.update()
    assert [bits(array) for array in before] == held
    assert not any(array.flags.writeable for array in before)
    assert not same_bits(ema.shadow_values("w", 0), ema.shadow_values("w", 1))


def test_each_horizon_is_advised_on_once_when_it_is_put_to_use() -> None:
    ema = EMA([np.zeros(2)], [0.9, 0.0, 0.99])
    ema.update()
    with pytest.warns(EMAWarning, match="averages of horizon 0 still hold 90%") as first:
        ema.apply(0)
    assert len(first) == 1
    ema.restore()
    # A warning would be an error: of horizon 0 it was said, and horizon 1 has forgotten the start.
    for horizon in (0, 1):
        with ema.applied(horizon):
            pass
    with pytest.warns(EMAWarning, match="averages of horizon 2 still hold 99%"):
        ema.copy_to(2)


def test_the_text_of_an_ema_shows_its_horizons() -> None:
    text = repr(EMA([np.zeros(2)], [0.9, 0.5]))
    assert "decays=(0.9, 0.5)" in text
    assert "decay=0.9," in repr(EMA([np.zeros(2)], [0.9]))


@pytest.mark.filterwarnings("ignore:update_with_warmup averages:shrew_ema.EMAWarning")  # with a rule, on purpose
def test_the_decay_is_the_base_of_a_constant_schedule_and_else_the_one_last_used() -> None:
    ema = EMA([np.zeros(1)], (0.75, schedules.torch_ema(0.999), schedules.constant(0.5), schedules.swa()), start=1)
    assert ema.decays == (0.75, 2 / 11, 0.5, 0.5)
    ema.update()
    assert ema.decays == (0.75, 2 / 11, 0.5, 0.5)
    ema.update()
    ema.update()
    assert ema.decays == (0.75, 3 / 12, 0.5, 2 / 3)
    for _ in range(20):
        ema.update()
    assert ema.decays == (0.75, 23 / 32, 0.5, 22 / 23)
    ema.update_with_warmup()
    # Of (1+t)/(10+t) and the schedule's own, the smaller one was used.
    assert ema.decays == pytest.approx((0.75, 24 / 33, 0.5, 24 / 33))
    ema.update()
    assert ema.decays == (0.75, 25 / 34, 0.5, 24 / 25)
    assert ema.decay == 0.75
