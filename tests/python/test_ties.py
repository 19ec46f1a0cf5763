"""Tied weights: one memory has one average, whatever its names, and parts it when they part."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from conftest import Train
from reference import Reference
from refused import WRITING, check, refusal
from shrew_ema import EMA, EMAWarning, LayoutError, NonFiniteError
from support import FLOATS, Params, address, bits, normal, same_bits, shift, unchanged

# By the caller alone, or over threads.
SIZES = pytest.mark.parametrize("size", [1000, 600_000], ids=["small", "large"])


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
