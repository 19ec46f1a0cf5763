"""Averages of what nobody trains, and arrays that are not the ones that are written: a warning, and no false one."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shrew_ema import EMA, EMAError, EMAWarning, NonFiniteError
from support import BF16, F16, F32, LONG, Params, run_python, unchanged


def still(updates: int, params: Params, decay: float = 0.5, start: int = 0) -> EMA:
    """An EMA that was updated so often, with nobody training the arrays that it has."""
    ema = EMA(params, decay, start=start)
    for _ in range(updates):
        ema.update()
    return ema


def as_copies(ema: EMA, _: Path) -> None:
    ema.copy_to()


def as_applied(ema: EMA, _: Path) -> None:
    with ema.applied():
        pass


def as_file(ema: EMA, folder: Path) -> None:
    ema.save(folder / "ema")


USES = pytest.mark.parametrize("use", [as_applied, as_copies, as_file])


@USES
@pytest.mark.parametrize("dtype", [np.dtype("f8"), F16, BF16, F32], ids=str)
@pytest.mark.parametrize("size", [1, 3000, LONG])
def test_averages_of_what_nobody_trains_are_told_once(
    use: Callable[[EMA, Path], None], dtype: np.dtype[Any], size: int, tmp_path: Path
) -> None:
    params = {"n": np.zeros(3, np.int64), "w": np.full(size, 0.1, dtype), "v": np.ones((3, 2), dtype).T}
    ema = still(12, params)
    params["n"] += 1
    with pytest.warns(EMAWarning, match="after 12 updates every average is its parameter") as warned:
        use(ema, tmp_path)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert np.all(params["w"] == dtype.type(0.1))
    # A second warning would be an error.
    as_applied(ema, tmp_path)
    as_file(ema, tmp_path)


@pytest.mark.filterwarnings("error")
def test_a_warning_of_averages_that_nobody_trains_can_stop_the_call() -> None:
    params: Params = {"w": np.zeros(3)}
    ema = still(12, params)
    with pytest.raises(EMAWarning, match="is its parameter"):
        ema.apply()
    assert not ema.is_applied


@USES
@pytest.mark.parametrize("moved", ["smallest", "first", "middle", "last", "strided"])
def test_one_element_that_moves_is_enough(use: Callable[[EMA, Path], None], moved: str, tmp_path: Path) -> None:
    matrix = np.zeros((5, 1000), np.float32)
    params: Params = {"n": np.zeros(2, np.int64), "w": np.zeros(3001, np.float32), "m": matrix.T, "v": np.zeros(3)}
    ema = still(12, params)
    if moved == "smallest":
        params["w"][5] = 2**-149
    elif moved == "strided":
        matrix[4, 998] = 1
    else:
        params["w"][{"first": 0, "middle": 511, "last": 3000}[moved]] = 1
    # A warning would be an error.
    use(ema, tmp_path)


def test_few_updates_and_plain_copies_may_stand_still(tmp_path: Path) -> None:
    # A warning would be an error.
    as_applied(still(9, {"w": np.ones(3)}), tmp_path)
    as_applied(still(20, {"w": np.ones(3)}, 0.0), tmp_path)
    # What stands still since a file was read may be its averages, which are a model.
    params: Params = {"w": np.ones(3)}
    ema = EMA(params, 0.5)
    for _ in range(20):
        params["w"] += 1
        ema.update()
    ema.copy_to()
    ema.save(tmp_path / "moved")
    as_applied(EMA.load(tmp_path / "moved", params), tmp_path)


def test_the_start_may_be_long_before(tmp_path: Path) -> None:
    params: Params = {"w": np.ones(3)}
    ema = still(40, params, start=30)
    with pytest.warns(EMAWarning, match="after 10 updates"):
        as_applied(ema, tmp_path)


def test_saving_never_fails_for_want_of_a_look_at_the_arrays(tmp_path: Path) -> None:
    params: Params = {"w": np.ones(3)}
    ema = still(12, params)
    del params["w"]
    ema.save(tmp_path / "ema")
    assert EMA.load(tmp_path / "ema").num_updates == 12


def moving(params: Params, updates: int, decay: float = 0.5) -> EMA:
    """An EMA of a model that was trained for so many updates."""
    ema = EMA(params, decay)
    for _ in range(updates):
        for array in params.values():
            array[...] += 1
        ema.update()
    return ema


def test_averages_that_were_written_over_a_trained_model_are_no_news(tmp_path: Path) -> None:
    # A warning would be an error.
    params: Params = {"w": np.zeros(3), "v": np.ones(2)}
    ema = moving(params, 12)
    for name, array in params.items():
        array[...] = ema.shadow_values(name)
    as_file(ema, tmp_path)
    few = moving(params, 8)
    few.copy_to()
    for _ in range(9):
        few.update()
    as_applied(few, tmp_path)


def test_a_trained_model_in_few_bits_has_moved(tmp_path: Path) -> None:
    params: Params = {"w": np.ones(3, BF16)}
    ema = EMA(params, 0.1)
    for step in range(12):
        params["w"][...] = 1 + step / 64
        ema.update()
    # A warning would be an error: in as few bits, the average is the parameter.
    as_applied(ema, tmp_path)


@pytest.mark.parametrize("start", [-0.0, np.nan], ids=str)
def test_what_compares_unlike_itself_has_not_moved(start: float, tmp_path: Path) -> None:
    ema = EMA({"w": np.array([start, 1])}, 0.5, nonfinite="propagate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(12):
            ema.update()
    with pytest.warns(EMAWarning, match="every average is its parameter"):
        as_file(ema, tmp_path)


def test_of_several_horizons_copies_may_stand_still(tmp_path: Path) -> None:
    params: Params = {"w": np.ones(3)}
    ema = EMA(params, [0.0, 0.5])
    for _ in range(12):
        ema.update()
    as_applied(ema, tmp_path)  # a warning would be an error
    with pytest.warns(EMAWarning, match="every average is its parameter"), ema.applied(horizon=1):
        pass


def test_other_arrays_and_other_averages_have_time_to_move(tmp_path: Path) -> None:
    # A warning would be an error.
    params: Params = {"w": np.ones(3)}
    bound, loaded = still(12, params), still(12, params)
    bound.bind({"w": np.ones(3)})
    loaded.load_state_dict(moving({"w": np.zeros(3)}, 20).state_dict())
    for ema in (bound, loaded):
        ema.update()
        as_applied(ema, tmp_path)


@pytest.mark.filterwarnings("ignore:no parameter is of floats")
@pytest.mark.parametrize("entry", [np.ones(3, np.int64), np.zeros(0)], ids=["integers", "empty"])
def test_nothing_is_no_model_at_rest(entry: np.ndarray[Any, Any], tmp_path: Path) -> None:
    # A warning would be an error.
    as_applied(still(12, {"w": entry}), tmp_path)


INTERRUPTED = """
import sys, numpy as np
from shrew_ema import EMA

class Scalar(np.float64):
    stop = None
    def __array__(self, dtype=None, copy=None):
        if Scalar.stop:
            raise Scalar.stop
        return np.ones(())

ema = EMA({"s": Scalar(1)}, 0.5)
for _ in range(12):
    ema.update()
for Scalar.stop in (KeyboardInterrupt, SystemExit, ValueError):
    try:
        ema.save(sys.argv[1])
        print("saved")
    except BaseException as error:
        print(type(error).__name__)
"""


def test_an_interrupt_is_heard_by_a_save_that_looks_at_the_arrays(tmp_path: Path) -> None:
    printed = run_python(INTERRUPTED, str(tmp_path / "ema"))
    assert printed.split() == ["KeyboardInterrupt", "SystemExit", "saved"]


@pytest.mark.parametrize("use", [as_applied, as_copies])
def test_arrays_given_to_update_are_not_the_ones_that_are_written(
    use: Callable[[EMA, Path], None], tmp_path: Path
) -> None:
    params: Params = {"v": np.zeros(2), "w": np.zeros(3), "none": np.zeros(0)}
    ema = EMA(params, 0.0)
    other = {"v": params["v"], "w": np.ones(3), "none": np.zeros(0)}
    ema.update(other)
    with pytest.warns(EMAWarning, match='another tensor than the one held as "w"') as warned:
        use(ema, tmp_path)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    ema.update(other)
    # A second warning would be an error.
    use(ema, tmp_path)


@pytest.mark.parametrize("container", [list, tuple])
def test_arrays_in_another_list_are_not_the_ones_that_are_written(
    container: Callable[[list[Any]], Any], tmp_path: Path
) -> None:
    ema = EMA(container([np.zeros(2), np.zeros(3)]), 0.0)
    other = [np.ones(2), np.ones(3)]
    ema.update(other)
    with pytest.warns(EMAWarning, match='another tensor than the one held as "0"'):
        as_copies(ema, tmp_path)


def test_a_given_array_that_was_refused_in_part_is_another_one_still(tmp_path: Path) -> None:
    params: Params = {"w": np.zeros(3)}
    other: Params = {"w": np.array([1, 2, np.nan])}
    ema = EMA(params, 0.0)
    ema.update()
    with pytest.raises(NonFiniteError):
        ema.update(other)
    with pytest.warns(EMAWarning, match='held as "w"'):
        as_applied(ema, tmp_path)
    again = EMA(params, 0.0)
    again.update({"w": np.ones(3)})
    params["w"][1] = np.nan
    with pytest.raises(NonFiniteError):
        again.update()
    as_applied(again, tmp_path)  # a warning would be an error


def test_other_containers_of_the_same_arrays_are_the_same_model(tmp_path: Path) -> None:
    # A warning would be an error.
    params: dict[str, Any] = {"w": np.zeros(3), "s": np.float64(1)}  # of a scalar, each call makes an array
    ema = EMA(params, 0.0)
    params["s"] = np.zeros(())
    ema.update({"s": params["s"], "w": params["w"][:]})
    as_applied(ema, tmp_path)
    for step in range(3):
        params["w"] = params["w"] + step
        ema.update(params)
        params["w"] = params["w"] + step
    as_applied(ema, tmp_path)
    given = [{"w": np.ones(3), "s": np.float64(1)}]
    ema.update(given[0])
    ema.save(tmp_path / "ema")
    ema.update()
    as_applied(ema, tmp_path)
    for other in ({"w": params["w"], "s": np.float64(1)}, {"s": np.zeros(()), "w": params["w"].copy()}):
        given.append(other)
        ema.update(other)
        ema.bind(params)
        as_applied(ema, tmp_path)
    ema.update(given[0])
    ema.load_state_dict(ema.state_dict())
    as_applied(ema, tmp_path)


@pytest.mark.parametrize("updates", [2, 12])
@pytest.mark.parametrize(
    "other", [np.zeros((6, 4)), np.zeros(24), np.zeros((4, 6), np.float32), np.zeros((4, 6), np.int64)], ids=repr
)
def test_a_look_lets_no_other_array_in(updates: int, other: np.ndarray[Any, Any]) -> None:
    params: Params = {"w": np.zeros((4, 6)), "v": np.ones(2)}
    ema = still(updates, params)
    ema.update({name: array.copy() for name, array in params.items()})
    params["w"] = other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EMAWarning)
        for call in (ema.apply, ema.copy_to, ema.update, ema.apply, ema.update):
            with (
                unchanged(ema, params),
                pytest.raises(EMAError, match=r'parameter "w" (has shape|is float32|is int64)'),
            ):
                call()
