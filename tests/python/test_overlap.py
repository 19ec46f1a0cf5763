"""Overlapping arrays: what shares memory and is not the same is refused, and decided exactly."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from shrew_ema import EMA, LayoutError
from support import Array, address, normal, same_bits, shift, unchanged

MATRIX = np.arange(24.0).reshape(4, 6)
REFUSED: dict[str, tuple[Array, Array]] = {
    "part": (MATRIX, MATRIX[1:]),
    "element": (MATRIX, MATRIX[2, 2:3].reshape(())),
    "transposed": (MATRIX[:, :4], MATRIX[:, :4].T),
    "reversed": (MATRIX, MATRIX[::-1, ::-1]),
    "reshaped": (MATRIX, MATRIX.reshape(6, 4)),
    "another dtype": (MATRIX, MATRIX.view(np.int64)),
    "half of an element": (MATRIX, MATRIX.view(np.float32)[0, :1]),
    "crossing": (MATRIX[1], MATRIX[:, 1]),
    "columns": (MATRIX[:, :4], MATRIX[:, 3:]),
    "every other and every third": (MATRIX.reshape(-1)[::2], MATRIX.reshape(-1)[1::3]),
}


@pytest.mark.parametrize("both", REFUSED.values(), ids=REFUSED)
def test_arrays_that_overlap_are_refused_by_both_names(both: tuple[Array, Array]) -> None:
    with pytest.raises(LayoutError, match='parameters "v" and "w" share memory') as caught:
        EMA({"between": np.ones(1), "v": both[1], "after": np.ones(1), "w": both[0]})
    assert caught.value.name == "v"
    assert caught.value.problem.startswith('and "w" share memory')


@pytest.mark.parametrize("first", REFUSED)
def test_arrays_that_overlap_are_refused_by_load_and_bind(first: str, tmp_path: Path) -> None:
    both = REFUSED[first]
    ema = EMA({"v": both[0].copy(), "w": both[1].copy()}, 0.0)
    ema.update()
    ema.save(tmp_path / "ema")
    container = {"w": both[1], "v": both[0]}
    with pytest.raises(LayoutError, match='parameters "w" and "v" share memory'):
        EMA.load(tmp_path / "ema", container)
    with unchanged(ema), pytest.raises(LayoutError, match='parameters "v" and "w" share memory') as caught:
        ema.bind(container)
    assert caught.value.name == "v"
    # What it was bound to before is still what it averages.
    ema.update()


@pytest.mark.parametrize(
    "array",
    [
        np.broadcast_to(1.0, (3,)),
        np.broadcast_to(np.arange(3.0), (2, 3)),
        sliding_window_view(np.arange(9.0), 3),
        as_strided(np.arange(9.0), (3, 3), (8, 16)),
    ],
)
def test_an_array_that_overlaps_itself_is_refused_by_name(array: Array) -> None:
    with pytest.raises(LayoutError, match='parameter "w" has elements that share memory') as caught:
        EMA({"v": np.ones(1), "w": array})
    assert caught.value.name == "w"
    EMA({"w": array.copy()})


# Cut up a matrix of so many columns without overlap.
CUTS: dict[str, Callable[[Array], list[Array]]] = {
    "columns": lambda matrix: [matrix[:, column] for column in range(matrix.shape[1])],
    "halves": lambda matrix: [matrix[:, : matrix.shape[1] // 2], matrix[:, matrix.shape[1] // 2 :]],
    "halves, backwards": lambda matrix: [matrix[::-1, 3::-1], matrix[:, 4:][:, ::-1]],
    "rows in turn": lambda matrix: [matrix[::2], matrix[1::2][::-1]],
    "rows, transposed": lambda matrix: [matrix[:20].T, matrix[20:]],
    "a checkerboard": lambda matrix: [matrix[i::2, j::2] for i in range(2) for j in range(2)],
    "in steps of four and six": lambda matrix: [matrix.reshape(-1)[::4], matrix.reshape(-1)[1::6]],
    "one row, and columns": lambda matrix: [matrix[0, 4:], matrix[:, :4], matrix[1:, 4:]],
}


@pytest.mark.parametrize("rows", [125, 75_000], ids=["small", "large"])
@pytest.mark.parametrize("cut", CUTS)
def test_arrays_side_by_side_share_nothing(cut: str, rows: int) -> None:
    matrix = normal(np.dtype("f4"), (rows, 8), seed=6)
    parts = CUTS[cut](matrix)
    apart = [part.copy() for part in parts]
    ema, expected = EMA(parts, 0.5), EMA(apart, 0.5)
    for step in range(6):
        for part, copy in zip(parts, apart, strict=True):
            part[...] = copy[...] = copy * np.float32(0.5) + np.float32(step)
        ema.update()
        expected.update()
    training = matrix.copy()
    ema.apply()
    expected.copy_to()
    for part, copy in zip(parts, apart, strict=True):
        assert same_bits(part, copy)
    inside = np.zeros(matrix.shape, np.bool_)
    for part in CUTS[cut](inside):
        part[...] = True
    assert same_bits(matrix[~inside], training[~inside])
    ema.restore()
    assert same_bits(matrix, training)


def test_empty_arrays_share_nothing() -> None:
    memory = np.arange(6.0)
    params = {"w": memory, "none": memory[3:3], "none too": memory[3:3], "flat": memory.reshape(2, 3)[:, :0]}
    ema = EMA(params, 0.5)
    shift(params)
    ema.update()
    assert ema.shadow_values("none").shape == (0,)
    assert ema.shadow_values("flat").shape == (2, 0)


@pytest.mark.filterwarnings("ignore:no parameter is of floats")
def test_what_takes_too_long_to_tell_says_so() -> None:
    memory = np.zeros(13_000_000, np.int8)
    with pytest.raises(LayoutError, match='"0" and "1" may share memory, and are too involved to tell'):
        EMA([memory[::2], memory[1::3]])
    # Columns of one matrix are told apart however long they are.
    EMA([memory[::2], memory[1::2]])


def slices(extent: int) -> st.SearchStrategy[slice]:
    """Slices of an axis, in both directions."""
    return st.builds(
        slice,
        st.integers(-1, extent) | st.none(),
        st.integers(-1, extent) | st.none(),
        st.sampled_from([1, 1, 2, 3, -1, -2]),
    )


@st.composite
def views(draw: st.DrawFn) -> Array:
    """A view of a part of 96 bytes: cut out of a tensor, or of any strides."""
    memory: Array = draw(st.sampled_from([MEMORY, MEMORY.view(np.float16), MEMORY.view(np.int8)]))
    if draw(st.booleans()):
        shape = draw(st.sampled_from([(-1,), (4, -1), (2, 3, -1), (3, 2, 2, -1)]))
        tensor = memory.reshape(shape)
        cut: Array = tensor[tuple(draw(slices(extent)) for extent in tensor.shape)]
        return cut.transpose(draw(st.permutations(range(cut.ndim))))
    axes = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=3))
    size = memory.itemsize
    shape = tuple(extent for extent, _ in axes)
    reach = sum(max(extent - 1, 0) * stride for extent, stride in axes)
    room = max(memory.size - reach, 1)
    first = draw(st.integers(0, room - 1))
    if first + reach >= memory.size:
        return memory[:1]
    return as_strided(memory[first:], shape, [stride * size for _, stride in axes])


MEMORY = np.arange(24, dtype=np.float32)


def overlaps_itself(array: Array) -> bool:
    """Whether some element has the place of another, found by writing to one after the other."""
    room = np.zeros_like(MEMORY).view(np.int8)
    start = address(array) - address(MEMORY)
    twin = as_strided(room[start:].view(np.int8), (*array.shape, array.itemsize), (*array.strides, 1))
    for index in np.ndindex(array.shape):
        twin[index] += 1
    return bool(room.max() > 1)


def one(a: Array, b: Array) -> bool:
    """Whether two views are the same elements in the same order."""
    strides = all(s == t or extent == 1 for s, t, extent in zip(a.strides, b.strides, a.shape, strict=False))
    return a.dtype == b.dtype and a.shape == b.shape and address(a) == address(b) and strides


@pytest.mark.filterwarnings("ignore:no parameter is of floats")
@settings(max_examples=600)
@given(a=views(), b=views())
@example(a=MEMORY[::2], b=MEMORY[1::2])
@example(a=MEMORY, b=MEMORY)
def test_overlap_is_decided_exactly(a: Array, b: Array) -> None:
    shared = a.size > 0 and np.shares_memory(a, b, max_work=-1)
    repeated = overlaps_itself(a) or overlaps_itself(b)
    if repeated or (shared and not one(a, b)):
        with pytest.raises(LayoutError, match="share memory"):
            EMA([a, b])
        return
    ema = EMA([a, b], 0.5)
    tied = address(ema.shadow_values(0)) == address(ema.shadow_values(1))
    # Averages of nothing lie nowhere in particular.
    assert tied == shared or a.size == 0 or b.size == 0
