"""Tied weights and overlapping arrays: one memory has one average, and nothing is written in two minds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from conftest import Train
from reference import Reference
from refused import WRITING, check, refusal
from shrew_ema import EMA, EMAWarning, LayoutError, NonFiniteError
from support import FLOATS, Array, Params, bits, normal, same_bits, shift, unchanged

# By the caller alone, or over threads.
SIZES = pytest.mark.parametrize("size", [1000, 600_000], ids=["small", "large"])


def address(array: Array) -> int:
    """Where the first element lies."""
    where: int = array.__array_interface__["data"][0]
    return where


def images(params: Params) -> dict[str, bytes]:
    """The bits of every array."""
    return {name: bits(array) for name, array in params.items()}


def test_one_array_under_two_names_has_one_average(train: Train) -> None:
    w = normal(np.dtype("f4"), (5, 3), seed=1)
    params = {"in": w, "b": np.ones(2), "out": w}
    expected = Reference(params, 0.5)
    ema = EMA(params, 0.5)
    shift(params)
    ema.update()
    expected.update(params)
    for name in params:
        assert same_bits(ema.shadow_values(name), expected.shadow(name))
        assert same_bits(ema.averages()[name], expected.shadow(name))
    assert same_bits(ema.shadow_values(2), expected.shadow("in"))
    assert address(ema.shadow_values("in")) == address(ema.shadow_values("out"))
    train(ema, params)
    with ema.applied():
        assert same_bits(w, ema.shadow_values("out"))


def test_views_of_the_same_elements_are_one_array() -> None:
    memory = np.arange(24.0)
    part = memory[1::2].reshape(4, 3)[:, ::-1]
    params = [part, part[:], memory[1::2].reshape(4, 3)[:, ::-1], np.ones(1)[None], np.array(0.5)]
    params.append(params[-1].view())
    ema = EMA(params, 0.5)
    where = [address(ema.shadow_values(index)) for index in range(6)]
    assert where[0] == where[1] == where[2]
    assert where[4] == where[5]
    assert len(set(where)) == 3


def test_a_refused_element_counts_once_under_the_first_name() -> None:
    w = np.ones(3)
    params: Params = {"a": w, "b": w, "c": w}
    ema = EMA(params, 0.5)
    w[1] = np.nan
    with pytest.raises(NonFiniteError) as caught:
        ema.update()
    assert caught.value.tensors == ema.skipped == {"a": 1}
    params["a"] = np.ones(3)
    with pytest.raises(NonFiniteError) as caught:
        ema.update()
    assert caught.value.tensors == {"b": 1}
    assert ema.skipped == {"a": 1, "b": 2}


@SIZES
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_tied_model_is_written_and_restored_bit_for_bit(size: int, dtype: np.dtype[Any]) -> None:
    w, b = normal(dtype, (size // 100, 100), seed=1), normal(dtype, 100, seed=2)
    params = {"w": w, "b": b, "tied": w, "b too": b}
    apart = {"w": w.copy(), "b": b.copy()}
    ema, expected = EMA(params, 0.5), EMA(apart, 0.5)
    for seed in range(6):
        for mine, others in ((w, apart["w"]), (b, apart["b"])):
            mine[...] = others[...] = normal(dtype, mine.shape, seed)
        ema.update()
        expected.update()
    expected.copy_to()
    training = images(params)
    averages = {**images(apart), "tied": bits(apart["w"]), "b too": bits(apart["b"])}
    ema.apply()
    assert images(params) == averages
    ema.restore()
    assert images(params) == training
    ema.copy_to()
    assert images(params) == averages


# Which of three tied names get arrays of their own.
REBOUND = [["a"], ["b"], ["c"], ["a", "b"], ["b", "c"], ["a", "b", "c"]]


@pytest.mark.parametrize("bound", [True, False], ids=["in the container", "in another one"])
@pytest.mark.parametrize("rebound", REBOUND, ids="".join)
def test_names_that_part_go_on_as_if_they_had_never_been_tied(rebound: list[str], bound: bool) -> None:
    w = normal(np.dtype("f4"), 7, seed=3)
    params: Params = {"a": w, "b": w, "other": np.ones(3), "c": w}
    expected = Reference(params, 0.75)
    ema = EMA(params, 0.75)
    for step in range(3):
        shift(params)
        ema.update()
        expected.update(params)
        given = params if bound else dict(params)
        for number, name in enumerate(rebound):
            given[name] = given[name] * np.float32(step + number + 2)
        ema.update(*() if bound else (given,))
        expected.update(given)
        for name in params:
            assert same_bits(ema.shadow_values(name), expected.shadow(name))
    together = [address(ema.shadow_values(name)) for name in "abc" if name not in rebound]
    assert len(set(together)) <= 1


def test_names_may_move_to_a_new_array_together(train: Train) -> None:
    w = np.ones(3)
    params: Params = {"a": w, "b": w}
    ema = EMA(params, 0.5)
    for _ in range(6):
        params["a"] = params["b"] = params["a"] + 1
        ema.update()
    assert address(ema.shadow_values("a")) == address(ema.shadow_values("b"))
    train(ema, params)
    with ema.applied():
        assert same_bits(params["a"], ema.shadow_values("b"))


def window(params: Params) -> None:
    """Puts overlapping windows of one memory in two places."""
    memory = np.arange(9, dtype=np.float32)
    params["first"], params["last"] = memory[:6].reshape(2, 3), memory[3:].reshape(2, 3)


SPOILT: dict[str, tuple[Callable[[Params], None], str, str | None]] = {
    "new tie": (lambda params: params.update(last=params["first"]), "first", "last"),
    "new array twice": (
        lambda params: params.update(dict.fromkeys(["middle", "last"], params["first"] * 2)),
        "middle",
        "last",
    ),
    "windows": (window, "first", "last"),
    "transposed": (lambda params: params.update(middle=params["first"][::-1, ::-1]), "first", "middle"),
    "repeated": (lambda params: params.update(middle=as_strided(np.ones(3, "f4"), (2, 3), (0, 4))), "middle", None),
    "sliding": (lambda params: params.update(last=as_strided(np.ones(4, "f4"), (2, 3), (4, 4))), "last", None),
}


@pytest.mark.parametrize("call", WRITING)
@pytest.mark.parametrize("spoilt", SPOILT)
def test_memory_that_came_to_be_shared_is_not_written(model: Params, call: str, spoilt: str) -> None:
    spoil, name, other = SPOILT[spoilt]
    error = refusal(model, call, spoil)
    assert isinstance(error, LayoutError)
    check(error, name)
    assert error.name == name
    assert (other is None) or f'"{other}"' in error.problem
    assert "share memory" in error.problem or "the same memory" in error.problem


@pytest.mark.parametrize("spoilt", SPOILT)
def test_memory_that_came_to_be_shared_is_averaged_under_each_name(model: Params, spoilt: str) -> None:
    expected, ema = Reference(model, 0.5), EMA(model, 0.5)
    SPOILT[spoilt][0](model)
    for _ in range(2):
        shift({name: model[name] for name in ("first", "middle")})
        ema.update()
        expected.update(model)
    for name in model:
        assert same_bits(ema.shadow_values(name), expected.shadow(name))


def test_a_new_tie_is_written_where_the_averages_are_equal() -> None:
    params: Params = {"a": np.zeros(3), "b": np.zeros(3)}
    ema = EMA(params, [1.0, 0.5])
    params["a"][1] = 1
    for _ in range(6):
        ema.update()
    params["b"] = params["a"]
    with pytest.warns(EMAWarning, match="initial values"):
        ema.apply(horizon=0)
    assert bits(params["a"]) == bits(np.zeros(3))
    ema.restore()
    assert params["b"].tolist() == [0, 1, 0]
    with unchanged(ema, params), pytest.raises(LayoutError, match=r'"a" and "b" .* different averages'):
        ema.apply(horizon=1)
    # A zero of either sign is another value.
    signed: Params = {"a": np.zeros(2), "b": -np.zeros(2)}
    ema = EMA(signed, 0.5)
    signed["b"] = signed["a"]
    with pytest.warns(EMAWarning), pytest.raises(LayoutError, match="different averages"):
        ema.apply()


@SIZES
def test_names_that_part_while_applied_both_get_the_training_values_back(size: int, train: Train) -> None:
    w = normal(np.dtype("f4"), size, seed=4)
    params: Params = {"a": w, "b": w, "c": w}
    ema = EMA(params, 0.5)
    train(ema, params)
    training, averages = bits(w), bits(ema.shadow_values("a"))
    ema.apply()
    assert bits(w) == averages
    params["a"] = w.copy()
    ema.restore()
    assert images(params) == dict.fromkeys("abc", training)
    # Parted before, each gets what it had.
    params["a"] += 1
    ema.update()
    ema.apply()
    assert bits(params["a"]) != bits(params["b"])
    params["c"] = w.copy()
    ema.restore()
    assert images(params) == {"a": bits(np.frombuffer(training, "f4") + 1), "b": training, "c": training}


def test_names_that_meet_while_applied_wait_for_being_parted(train: Train) -> None:
    params: Params = {"a": np.ones(3), "b": np.full(3, 2.0)}
    ema = EMA(params, 0.5)
    train(ema, params)
    training, b = images(params), params["b"]
    ema.apply()
    params["b"] = params["a"]
    with unchanged(ema, params), pytest.raises(LayoutError, match='"a" and "b" became the same memory while'):
        ema.restore()
    assert ema.is_applied
    params["b"] = b
    ema.restore()
    assert images(params) == training


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
    with pytest.raises(LayoutError, match='parameter "v" and "w" share memory') as caught:
        EMA({"between": np.ones(1), "v": both[1], "after": np.ones(1), "w": both[0]})
    assert caught.value.name == "v"
    assert caught.value.problem.startswith('and "w" share memory')


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
