"""Schedules in Python: each function against its formula, its defaults, its refusals, and schedules as values."""

import copy
import inspect
import math
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shrew_ema
from rules import RULES, Rule
from shrew_ema import ConfigError, Schedule, schedules
from support import run_python

HELPERS = ["half_life_of", "decay_of", "lag", "noise", "scaled"]
MAKERS = [name for name in schedules.__all__ if name not in {"Schedule", *HELPERS}]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_follows_its_formula(rule: Rule) -> None:
    for t in [*range(1, 60), 1000, 99_999]:
        assert rule.schedule.decay(t) == pytest.approx(rule.decay(t), rel=1e-12, abs=1e-15)
        assert rule.schedule.alpha(t) == pytest.approx(1 - rule.decay(t), rel=1e-11, abs=2e-15)


def test_every_function_has_a_rule_here() -> None:
    assert {name.split()[0] for name in RULES} == set(MAKERS)


@pytest.mark.parametrize("name", MAKERS)
def test_the_defaults_that_are_shown_are_those_that_hold(name: str) -> None:
    function = getattr(schedules, name)
    parameters = inspect.signature(function).parameters
    needed = {"half_life": 10.0, "sigma_rel": 0.1, "gamma": 1.0, "inner": schedules.constant(), "every": 3}
    needed |= {"steps": 7, "decay": 0.9}
    given = {key: needed[key] for key, one in parameters.items() if one.default is inspect.Parameter.empty}
    shown = {key: one.default for key, one in parameters.items() if one.default is not inspect.Parameter.empty}
    assert function(**given) == function(**given, **shown)
    positional = [given[key] if key in given else shown[key] for key in parameters]
    assert function(*positional) == function(**given)


def refused(make: Callable[..., object], *given: object, **named: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        make(*given, **named)
    assert str(caught.value) == f"{caught.value.argument} must be {caught.value.valid}, got {caught.value.value}"
    return caught.value


@pytest.mark.parametrize("name", [*MAKERS, *HELPERS])
def test_every_argument_is_refused_by_its_name(name: str) -> None:
    function = getattr(schedules, name)
    parameters = inspect.signature(function).parameters
    good: dict[str, Any] = {"half_life": 10.0, "sigma_rel": 0.1, "gamma": 1.0, "inner": schedules.constant()}
    good |= {"every": 3, "steps": 7, "decay": 0.9, "kappa": 2.0}
    given = {key: good[key] for key, one in parameters.items() if one.default is inspect.Parameter.empty}
    for argument, parameter in parameters.items():
        wrong: list[object] = ["1", b"1", 1j, [1], {}, len, math.nan, np.array([0.5])]
        wrong += [None] if argument != "first" else []
        wrong += [True, False] if not isinstance(parameter.default, bool) else [0, 1, 0.0]
        counts = {"delay", "copies", "every", "first", "steps", "start_step", "update_after_step", "update_every"}
        counts |= {"start_at", "interval", "update_interval"} if name != "half_life" else set()
        wrong += [1.0, -1, 2**64, 10**400] if argument in counts else []
        for value in wrong:
            error = refused(function, **given | {argument: value})
            assert error.argument == argument
            text = repr(value)
            # A long value is cut, so that the message can be read.
            assert error.value == (text if len(text) <= 80 else text[:80] + "...") or isinstance(value, float)


# Which function, its arguments, and which of them is refused.
BOUNDS: list[tuple[str, dict[str, Any], str]] = [
    ("constant", {"decay": 1.5}, "decay"),
    ("constant", {"decay": -5e-324}, "decay"),
    ("ratio", {"decay": 0.5, "min_decay": 0.6}, "min_decay"),
    ("ratio", {"width": 0.5}, "width"),
    ("inverse_power", {"power": 0.0}, "power"),
    ("inverse_power", {"inv_gamma": math.inf}, "inv_gamma"),
    ("exponential", {"tau": -1.0}, "tau"),
    ("annealing", {"momentum": 2.0}, "momentum"),
    ("annealing", {"gamma": 0.0}, "gamma"),
    ("half_life", {"half_life": 0.0}, "half_life"),
    ("half_life", {"half_life": 1.0, "interval": math.inf}, "interval"),
    ("edm", {"half_life": math.inf, "rampup_ratio": math.inf}, "rampup_ratio"),
    ("edm", {"batch": 0.0}, "batch"),
    ("cosine", {"steps": 0}, "steps"),
    ("swa", {"every": 0}, "every"),
    ("power", {"sigma_rel": 0.2887}, "sigma_rel"),
    ("power", {"sigma_rel": 0.0}, "sigma_rel"),
    ("power_gamma", {"gamma": -0.5}, "gamma"),
    ("uncompensated", {"inner": schedules.constant(), "every": 3, "first": 4}, "first"),
    ("uncompensated", {"inner": schedules.constant(), "every": 3, "first": 0}, "first"),
    ("timm", {"min_decay": 1.0}, "min_decay"),
    ("timm", {"warmup_gamma": 0.0}, "warmup_gamma"),
    ("timm", {"warmup_power": 0.0}, "warmup_power"),
    ("diffusers", {"min_decay": 1.0}, "min_decay"),
    ("diffusers", {"inv_gamma": 0.0}, "inv_gamma"),
    ("k_diffusion", {"min_value": 0.5, "max_value": 0.25}, "min_value"),
    ("k_diffusion", {"max_value": 1.25}, "max_value"),
    ("ema_pytorch", {"beta": 2.0}, "beta"),
    ("ema_pytorch", {"min_value": 2.0}, "min_value"),
    ("ema_pytorch", {"update_every": 0}, "update_every"),
    ("ignite", {"momentum": -1.0}, "momentum"),
    ("ignite", {"interval": 0}, "interval"),
    ("composer", {"update_interval": 0}, "update_interval"),
    ("composer", {"half_life": 0.0}, "half_life"),
    ("keras", {"ema_momentum": 2.0}, "ema_momentum"),
    ("tensorflow_addons", {"average_decay": 2.0}, "average_decay"),
    ("d2go", {"decay_warm_up_factor": math.inf}, "decay_warm_up_factor"),
    ("half_life_of", {"decay": 1.0}, "decay"),
    ("lag", {"decay": 1.0}, "decay"),
    ("noise", {"decay": 1.0}, "decay"),
    ("scaled", {"decay": 1.0, "kappa": 2.0}, "decay"),
    ("scaled", {"decay": 0.9, "kappa": 0.0}, "kappa"),
    ("decay_of", {"half_life": 0.0}, "half_life"),
]


@pytest.mark.parametrize(
    ("name", "arguments", "argument"),
    BOUNDS,
    ids=[f"{name} {argument} {i}" for i, (name, _, argument) in enumerate(BOUNDS)],
)
def test_what_is_out_of_bounds_is_refused_by_name(name: str, arguments: dict[str, Any], argument: str) -> None:
    error = refused(getattr(schedules, name), **arguments)
    assert (error.argument, error.value) == (argument, repr(arguments[argument]))


@pytest.mark.parametrize(
    "t", [0, -1, True, 1.0, "1", None, 2**64, np.float64(1)], ids=lambda t: f"{type(t).__name__} {t}"
)
def test_updates_are_numbered_from_1(t: Any) -> None:  # noqa: ANN401 - everything that is not such a number
    for read in (schedules.swa().decay, schedules.swa().alpha):
        assert refused(read, t).argument == "t"


def test_numbers_of_every_kind_are_numbers() -> None:
    numbers: list[Any] = [Fraction(1, 2), np.float32(0.5), np.float64(0.5)]
    assert {schedules.constant(number) for number in numbers} == {schedules.constant(0.5)}
    integers: list[Any] = [3, np.uint8(3), np.int64(3)]
    assert {schedules.swa(integer) for integer in integers} == {schedules.swa(3)}
    assert {schedules.half_life(integer) for integer in integers} == {schedules.half_life(3.0)}
    assert {schedules.swa().decay(integer) for integer in integers} == {0.75}
    assert schedules.swa(2**64 - 1).decay(2**64 - 1) == 0.5


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_is_printed_makes_the_schedule_again(rule: Rule) -> None:
    again = eval(repr(rule.schedule), {"schedules": schedules})
    assert again == rule.schedule
    assert repr(again) == repr(rule.schedule)
    assert hash(again) == hash(rule.schedule)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_schedules_are_pickled_and_copied(rule: Rule) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(rule.schedule, protocol)) == rule.schedule
    for twin in (copy.copy(rule.schedule), copy.deepcopy(rule.schedule)):
        assert (twin, repr(twin)) == (rule.schedule, repr(rule.schedule))


def test_another_process_understands_a_pickle() -> None:
    schedule = schedules.uncompensated(schedules.edm2(), every=2)
    code = "import pickle, sys; print(pickle.loads(bytes.fromhex(sys.argv[1])))"
    assert run_python(code, pickle.dumps(schedule).hex()).strip() == repr(schedule)


def test_schedules_are_equal_when_they_are_one_rule_with_the_same_arguments() -> None:
    distinct = {rule.schedule for rule in RULES.values()}
    assert len(distinct) == len({repr(rule.schedule) for rule in RULES.values()}) == len(RULES)
    assert schedules.constant(0.9) == schedules.constant(0.9) != schedules.constant(0.8)
    assert schedules.constant(-0.0) == schedules.constant(0.0)
    assert hash(schedules.constant(-0.0)) == hash(schedules.constant(0.0))
    # That they give the same numbers is not enough.
    assert schedules.delayed(0.9, copies=0) != schedules.constant(0.9)
    assert schedules.constant(0.9) != 0.9
    # A peer's name is no part of it.
    assert schedules.ultralytics() == schedules.exponential()


def test_a_schedule_never_changes_and_is_made_by_functions_only() -> None:
    schedule = schedules.swa()
    with pytest.raises(AttributeError):
        schedule.every = 2  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Schedule()
    assert isinstance(schedule, Schedule)
    assert schedules.Schedule is Schedule is shrew_ema.Schedule


@given(decay=st.floats(0, 1, exclude_max=True))
def test_the_helpers_are_their_formulas(decay: float) -> None:
    assert schedules.lag(decay) == pytest.approx(decay / (1 - decay), rel=1e-15, abs=0)
    assert schedules.noise(decay) == pytest.approx(math.sqrt((1 - decay) / (1 + decay)), rel=1e-15, abs=0)
    assert schedules.scaled(decay, 3) == pytest.approx(decay**3, rel=1e-15, abs=0)
    if decay > 0:
        expected = math.log(0.5) / (math.log1p(decay - 1) if decay > 0.5 else math.log(decay))
        assert schedules.half_life_of(decay) == pytest.approx(expected, rel=1e-14, abs=0)


@given(half_life=st.floats(1e-2, 1e12))
def test_a_half_life_comes_back(half_life: float) -> None:
    # A decay near 1 keeps about 16 digits less than it has nines.
    lost = 2e-16 * half_life
    assert schedules.half_life_of(schedules.decay_of(half_life)) == pytest.approx(half_life, rel=1e-14 + lost, abs=0)


def test_the_helpers_print_the_known_figures() -> None:
    assert [round(schedules.half_life_of(d)) for d in (0.9, 0.99, 0.999, 0.9999)] == [7, 69, 693, 6931]
    assert schedules.decay_of(1) == 0.5
    assert (schedules.lag(0.75), schedules.noise(0.6), schedules.scaled(0.5, 2)) == (3.0, 0.5, 0.25)
    assert schedules.half_life_of(0) == 0.0
