"""What comes out of `shadow_values` and `averages`: uncopied views that nobody can write and that never change."""

import gc
from typing import Any

import numpy as np
import pytest

from shrew_ema import EMA, NamesError
from support import FLOATS, INTEGERS, Array, Params, bits, normal, shift


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS, ids=str)
def test_a_view_is_shaped_contiguous_and_not_a_copy(dtype: np.dtype[Any]) -> None:
    ema = EMA({"w": np.zeros((4, 5), dtype), "v": np.zeros(1)})
    view = ema.shadow_values("w")
    assert type(view) is np.ndarray
    assert view.shape == (4, 5)
    assert view.flags.c_contiguous
    assert view.flags.aligned
    assert not view.flags.owndata
    assert np.shares_memory(view, ema.shadow_values(0))
    assert np.shares_memory(view, ema.averages()["w"])


def chain(view: Array) -> list[Any]:
    """A view and what it is a view of, down to the owner."""
    found: list[Any] = [view]
    while getattr(found[-1], "base", None) is not None:
        found.append(found[-1].base)
    return found


def test_a_view_can_not_be_made_writable() -> None:
    view = EMA([np.ones(5)]).shadow_values(0)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    for array in [view, view.view(), view[1:], view.reshape(5, 1)]:
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)
    assert memoryview(view.data).readonly
    with pytest.raises(ValueError, match="read-only"):
        np.add(view, 1, out=view)
    for owner in chain(view):
        if isinstance(owner, np.ndarray):
            assert not owner.flags.writeable
            with pytest.raises(ValueError, match="WRITEABLE"):
                owner.flags.writeable = True
    assert view.tolist() == [1] * 5


def test_views_are_snapshots() -> None:
    params = {"w": np.zeros(1000, np.float32), "n": np.array([0])}
    ema = EMA(params, 0.5)
    views = []
    for update in range(1, 6):
        views.append((ema.averages(), {name: bits(array) for name, array in ema.averages().items()}))
        params["w"] += 1
        params["n"][:] = update
        ema.update()
    for view, image in views:
        assert {name: bits(array) for name, array in view.items()} == image
    assert [view["n"][0] for view, _ in views] == [0, 1, 2, 3, 4]


def test_a_view_outlives_its_ema() -> None:
    params = {"w": normal(np.dtype("f4"), 100_000, seed=1)}
    ema = EMA(params, 0.5)
    ema.update()
    view = ema.shadow_values("w")
    image = bits(view)
    del ema
    gc.collect()
    # Memory that was given back by mistake would be taken here.
    others = [EMA({"w": np.full(100_000, i, np.float32)}) for i in range(4)]
    assert bits(view) == image
    assert len(others) == 4


def test_a_view_is_of_the_averages_in_either_state(model: Params) -> None:
    ema = EMA(model, 0.0)
    ema.update()
    shift(model)
    image = {name: bits(array) for name, array in ema.averages().items()}
    with ema.applied():
        assert {name: bits(array) for name, array in ema.averages().items()} == image
        assert not any(np.shares_memory(view, model[name]) for name, view in ema.averages().items())
    assert {name: bits(array) for name, array in ema.averages().items()} == image


def test_apply_does_not_tie_the_parameters_to_the_average(model: Params) -> None:
    ema = EMA(model, 0.0)
    ema.update()
    image = {name: bits(array) for name, array in ema.averages().items()}
    with ema.applied():
        shift(model)
    assert {name: bits(array) for name, array in ema.averages().items()} == image


@pytest.mark.parametrize("key", ["nope", "", 3, -1, -3, 10**30, -(10**30)], ids=str)
def test_an_unknown_key_is_refused_by_name(model: Params, key: str | int) -> None:
    ema = EMA(model)
    with pytest.raises(NamesError) as caught:
        ema.shadow_values(key)
    assert str(key) in str(caught.value)
    assert caught.value.unexpected == (str(key),)
    assert caught.value.missing == ()
    with pytest.raises(LookupError):
        ema.shadow_values(key)


@pytest.mark.parametrize("key", [None, 1.0, b"first", ("first",)], ids=str)
def test_a_key_is_a_name_or_an_index(model: Params, key: object) -> None:
    with pytest.raises((TypeError, NamesError)):
        EMA(model).shadow_values(key)  # type: ignore[arg-type]
