"""What a save must not do to other saves, and an EMA without parameters to nobody."""

import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shrew_ema import EMA, CheckpointError, NamesError, StateError
from support import unchanged


def averaged(value: float, decay: float | list[float]) -> EMA:
    params = {"w": np.full(8, value, np.float32)}
    ema = EMA(params, decay)
    ema.update()
    return ema


def test_two_savers_of_one_set_leave_one_of_the_two(tmp_path: Path) -> None:
    for _ in range(40):
        barrier = threading.Barrier(2)
        emas = [averaged(value, [0.0, 0.0]) for value in (1.0, 2.0)]

        def save(ema: EMA, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            ema.save(tmp_path / "ema")

        threads = [threading.Thread(target=save, args=(ema,)) for ema in emas]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = EMA.load(tmp_path / "ema")
        assert np.array_equal(found.shadow_values("w", 0), found.shadow_values("w", 1))
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["ema.h0", "ema.h1"]


def test_one_horizon_that_is_saved_over_its_set_is_not_taken_for_all(tmp_path: Path) -> None:
    averaged(1.0, [0.0, 0.0]).save(tmp_path / "ema")
    one = EMA.load(tmp_path / "ema.h0")
    one.save(tmp_path / "ema.h0")
    with pytest.raises(CheckpointError, match="a save of one horizon alone"):
        EMA.load(tmp_path / "ema")


@pytest.mark.parametrize(("value", "fits"), [(65504.0, True), (65519.0, True), (65520.0, False), (7e4, False)])
def test_an_average_that_would_become_infinite_is_not_rounded(value: float, fits: bool, tmp_path: Path) -> None:
    ema = averaged(value, 0.0)
    if fits:
        ema.save(tmp_path / "ema", dtype="float16")
        assert EMA.load(tmp_path / "ema", resume=False).shadow_values("w")[0] == 65504.0
        return
    with pytest.raises(CheckpointError, match='the average of "w": it is too large for float16'):
        ema.save(tmp_path / "ema", dtype="float16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "call", [EMA.update, EMA.update_with_warmup, EMA.apply, EMA.copy_to, lambda ema: ema.applied().__enter__()]
)
def test_without_parameters_a_call_says_to_bind_some(call: Callable[[EMA], object]) -> None:
    # Early averages would be warned of, and here a warning is an error: but not by a call that can't be made.
    ema = pickle.loads(pickle.dumps(EMA({"w": np.zeros(2)}, 0.9)))
    with unchanged(ema), pytest.raises(StateError, match=r"bind\(params\) first"):
        call(ema)


def test_names_are_bound_and_never_places() -> None:
    ema = pickle.loads(pickle.dumps(EMA({"w": np.zeros(2), "v": np.full(2, 100.0)}, 0.5)))
    with unchanged(ema), pytest.raises(NamesError, match='missing "w", "v"; unexpected "0", "1"'):
        ema.bind([np.full(2, 100.0), np.zeros(2)])
