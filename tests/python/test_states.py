"""Training and Applied: what each call does in each of the two states, and that nothing is ever lost between them."""

import gc
from collections.abc import Callable

import numpy as np
import pytest

from conftest import Train
from shrew_ema import EMA, EMAError, EMAWarning, LayoutError, ShapeError, StateError
from support import Params, bits, read_only, shift, unchanged

Call = Callable[[EMA], object]


def enter(ema: EMA) -> None:
    """Enters and leaves the context."""
    with ema.applied():
        pass


@pytest.fixture
def ema(model: Params, train: Train) -> EMA:
    """An EMA in Training, its averages far enough from the start and from the parameters."""
    ema = EMA(model, 0.5)
    train(ema, model)
    shift(model)
    return ema


def images(params: Params) -> dict[str, bytes]:
    return {name: bits(array) for name, array in params.items()}


def test_training_update_averages(ema: EMA, model: Params) -> None:
    before = images(ema.averages())
    with unchanged(None, model):
        ema.update()
        ema.update_with_warmup()
    assert all(image != before[name] for name, image in images(ema.averages()).items())
    assert (ema.num_updates, ema.is_applied) == (8, False)


def test_training_apply_writes_the_averages(ema: EMA, model: Params) -> None:
    averages = images(ema.averages())
    held = dict(model)
    ema.apply()
    assert ema.is_applied
    assert images(model) == averages
    assert images(ema.averages()) == averages
    assert all(model[name] is held[name] for name in held)
    assert ema.num_updates == 6
    ema.restore()


def test_training_restore_does_nothing(ema: EMA, model: Params) -> None:
    with unchanged(ema, model):
        ema.restore()
        ema.restore()


def test_training_applied_lends_the_averages(ema: EMA, model: Params) -> None:
    averages = images(ema.averages())
    with unchanged(ema, model):
        with unchanged(ema, model):
            context = ema.applied()
        with context as entered:
            assert entered is ema
            assert ema.is_applied
            assert images(model) == averages
            assert images(ema.averages()) == averages


def test_training_copy_to_writes_the_averages_for_good(ema: EMA, model: Params) -> None:
    averages = images(ema.averages())
    ema.copy_to()
    assert not ema.is_applied
    assert images(model) == averages
    ema.restore()
    assert images(model) == averages
    ema.update()
    assert ema.num_updates == 7


@pytest.mark.parametrize(
    ("call", "refuse"),
    [
        ("update", EMA.update),
        ("update_with_warmup", EMA.update_with_warmup),
        ("update", lambda ema: ema.update({name: array + 1 for name, array in ema.averages().items()})),
        ("apply", EMA.apply),
        ("appl", enter),
    ],
)
def test_applied_refuses_what_would_mix_or_lose_values(ema: EMA, model: Params, call: str, refuse: Call) -> None:
    with ema.applied(), unchanged(ema, model):
        with pytest.raises(StateError, match="applied") as caught:
            refuse(ema)
        assert caught.value.call.startswith(call)
        assert caught.value.state in str(caught.value)
        assert "restore" in str(caught.value)


def test_applied_restore_puts_the_training_values_back(ema: EMA, model: Params) -> None:
    with unchanged(ema, model):
        ema.apply()
        ema.restore()
        ema.restore()


def test_applied_copy_to_keeps_the_averages_and_drops_the_training_values(ema: EMA, model: Params) -> None:
    averages = images(ema.averages())
    ema.apply()
    ema.copy_to()
    assert not ema.is_applied
    assert images(model) == averages
    ema.restore()
    assert images(model) == averages
    ema.update()
    assert ema.num_updates == 7


def test_applied_copy_to_ends_on_the_averages_whatever_was_written_since(ema: EMA, model: Params) -> None:
    averages = images(ema.averages())
    ema.apply()
    shift(model)
    model["first"] = model["first"].copy()
    ema.copy_to()
    assert images(model) == averages


def test_applied_copy_to_refuses_arrays_that_cannot_take_the_averages(ema: EMA, model: Params) -> None:
    ema.apply()
    first, model["first"] = model["first"], model["first"][:1]
    with unchanged(ema, model), pytest.raises(ShapeError):
        ema.copy_to()
    model["first"] = first
    assert ema.is_applied
    ema.restore()


def test_a_context_restores_only_what_it_applied_itself(ema: EMA, model: Params) -> None:
    stale, entered = ema.applied(), ema.applied()
    entered.__enter__()
    ema.restore()
    ema.apply()
    with unchanged(ema, model):
        stale.__exit__(None, None, None)
        entered.__exit__(None, None, None)
    assert ema.is_applied
    ema.restore()


def test_applied_the_second_time_backs_up_the_newer_training_values(ema: EMA, model: Params) -> None:
    for _ in range(3):
        shift(model)
        with unchanged(ema, model):
            ema.apply()
            ema.restore()


def test_an_exception_in_the_context_restores_and_goes_on(ema: EMA, model: Params) -> None:
    with unchanged(ema, model), pytest.raises(ZeroDivisionError), ema.applied():
        _ = 1 / 0


def test_calls_inside_of_the_context_may_end_it_early(ema: EMA, model: Params) -> None:
    with unchanged(ema, model), ema.applied():
        ema.restore()
        assert not ema.is_applied
    averages = images(ema.averages())
    with ema.applied():
        ema.copy_to()
    assert images(model) == averages


def test_a_nested_context_is_refused_and_the_outer_one_restores(ema: EMA, model: Params) -> None:
    with unchanged(ema, model), pytest.raises(StateError), ema.applied(), ema.applied():
        pass


def test_restore_writes_into_what_the_container_holds_now(ema: EMA, model: Params) -> None:
    training = images(model)
    averages = images(ema.averages())
    ema.apply()
    old = model["middle"]
    model["middle"] = np.zeros((3, 2), np.float32).T
    ema.restore()
    assert images(model) == training
    assert bits(old) == averages["middle"]


@pytest.mark.parametrize("name", ["first", "middle", "last"])
@pytest.mark.parametrize(
    ("error", "spoil"), [(ShapeError, lambda array: array[None]), (LayoutError, read_only)], ids=["shape", "read-only"]
)
def test_a_restore_that_fails_stays_applied_and_keeps_the_training_values(
    ema: EMA, model: Params, name: str, error: type[EMAError], spoil: Callable[["np.ndarray"], "np.ndarray"]
) -> None:
    training = images(model)
    ema.apply()
    held = model[name]
    model[name] = spoil(held)
    for _ in range(2):
        with unchanged(ema, model), pytest.raises(error):
            ema.restore()
    model[name] = held
    ema.restore()
    assert images(model) == training


def test_a_context_that_can_not_restore_says_so_and_can_be_left_later(ema: EMA, model: Params) -> None:
    training = images(model)
    held = model["last"]
    with pytest.raises(ShapeError), ema.applied():
        model["last"] = np.zeros(1, np.float32)
    assert ema.is_applied
    model["last"] = held
    ema.restore()
    assert images(model) == training


@pytest.mark.parametrize("use", [EMA.apply, enter], ids=["apply", "applied"])
def test_averages_full_of_the_start_are_used_with_one_warning(model: Params, use: Call) -> None:
    ema = EMA(model, 0.9)
    with pytest.warns(EMAWarning, match="the averages are still the initial values") as warned:
        use(ema)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    ema.restore()
    ema.update()
    for again in (use, EMA.apply, enter):
        again(ema)  # a warning would be an error here
        ema.restore()


@pytest.mark.parametrize(("updates", "warns"), [(4, True), (5, False)])
def test_the_warning_ends_at_a_share_of_5_per_cent(model: Params, updates: int, warns: bool) -> None:
    ema = EMA(model, 0.5)
    for _ in range(updates):
        ema.update()
    assert ema.initial_share == pytest.approx(0.5**updates, rel=1e-14, abs=0)
    if warns:
        with pytest.warns(EMAWarning, match="6% of the initial values"):
            enter(ema)
    else:
        enter(ema)


@pytest.mark.parametrize("use", [EMA.apply, enter], ids=["apply", "applied"])
@pytest.mark.filterwarnings("error")
def test_the_warning_comes_before_anything_is_written(model: Params, use: Call) -> None:
    shift(model)
    ema = EMA(model, 0.9)
    shift(model)
    with unchanged(ema, model), pytest.raises(EMAWarning):
        use(ema)
    assert not ema.is_applied


def test_dropping_an_ema_that_is_applied_warns(ema: EMA, model: Params) -> None:
    averages = images(ema.averages())
    held = [EMA(model, 0.0)]
    held[0].update()
    held[0].apply()
    with pytest.warns(EMAWarning, match=r"restore\(\)"):
        held.clear()
    ema.copy_to()
    del ema  # not applied: a warning would be an error
    gc.collect()
    assert images(model) == averages
