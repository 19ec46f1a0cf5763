"""Tensors that are refused: by class, by name, and with not a bit changed, wherever in the model they stand."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refused import PLACES, READING, WRITING, check, refusal, replace
from shrew_ema import EMA, DTypeError, EMAError, LayoutError, ShapeError
from support import BF16, POLICIES, Array, Params, misaligned, read_only, unchanged

Spoil = Callable[[Array], Any]


class Pretender:
    """Not an array, though NumPy would make one of it."""

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        return np.zeros(3, np.float32)


# What can never be a parameter, each made of an array of float32; and what the message calls it.
NEVER: dict[str, tuple[Spoil, str]] = {
    "complex64": (lambda array: array.astype(np.complex64), "complex64"),
    "complex128": (lambda array: array.astype(np.complex128), "complex128"),
    "longdouble": (lambda array: array.astype(np.longdouble), np.dtype(np.longdouble).name),
    "object": (lambda array: array.astype(object), "object"),
    "structured": (lambda array: np.zeros(array.shape, [("x", "f4"), ("y", "f4")]), "x"),
    "void": (lambda array: np.zeros(array.shape, "V4"), "v4"),
    "text": (lambda array: array.astype("U8"), "u8"),
    "bytes": (lambda array: array.astype("S8"), "s8"),
    "date": (lambda array: np.zeros(array.shape, "M8[s]"), "datetime64"),
    "duration": (lambda array: np.zeros(array.shape, "m8[s]"), "timedelta64"),
    "float8": (lambda array: array.astype(ml_dtypes.float8_e4m3fn), "float8_e4m3fn"),
    "int4": (lambda array: array.astype(ml_dtypes.int4), "int4"),
    "swapped float32": (lambda array: array.astype(array.dtype.newbyteorder()), "f4"),
    "swapped int64": (lambda array: array.astype(np.dtype("i8").newbyteorder()), "i8"),
    "masked": (lambda array: np.ma.masked_array(array, array > 0), "mask"),
    "masked nowhere": (np.ma.masked_array, "mask"),
    "list": (lambda array: array.tolist(), "list"),
    "float": (lambda _: 1.0, "float"),
    "None": (lambda _: None, "none"),
    "memoryview": (lambda array: array.data, "memoryview"),
    "pretender": (lambda _: Pretender(), "pretender"),
    "complex scalar": (lambda _: np.complex64(1), "complex64"),
    "date scalar": (lambda _: np.datetime64("2020-01-01"), "datetime64"),
}

# What is another tensor than the one at construction, of float32, and the error that says so.
OTHER: dict[str, tuple[Spoil, type[EMAError]]] = {
    "transposed": (lambda array: array.T.copy(), ShapeError),
    "flattened": (lambda array: array.ravel(), ShapeError),
    "one more axis": (lambda array: array[None], ShapeError),
    "broadcastable row": (lambda array: array[..., :1, :].copy(), ShapeError),
    "broadcastable scalar": (lambda array: np.zeros((), array.dtype), ShapeError),
    "numpy scalar": (lambda _: np.float32(1), ShapeError),
    "one element more": (lambda array: np.concatenate([array, array[:1]]), ShapeError),
    "empty": (lambda array: array[:0], ShapeError),
    "float64": (lambda array: array.astype(np.float64), DTypeError),
    "float16": (lambda array: array.astype(np.float16), DTypeError),
    "bfloat16": (lambda array: array.astype(BF16), DTypeError),
    "int32": (lambda array: array.view(np.int32), DTypeError),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("spoil", "found"), NEVER.values(), ids=NEVER)
def test_a_tensor_that_can_not_be_averaged_is_refused_at_construction(
    model: Params, place: str, spoil: Spoil, found: str
) -> None:
    model[place] = spoil(model[place])
    for policy in POLICIES:
        with unchanged(None, model), pytest.raises(DTypeError) as caught:
            EMA(model, nonfinite=policy)
        assert caught.value.name == place
        assert found in caught.value.found.lower()
        check(caught.value, place, caught.value.found, caught.value.valid)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", READING)
@pytest.mark.parametrize(("spoil", "kind"), OTHER.values(), ids=OTHER)
def test_another_tensor_is_refused_by_every_call(
    *, model: Params, call: str, place: str, spoil: Spoil, kind: type[EMAError]
) -> None:
    bad = spoil(model[place])
    error = refusal(model, call, replace(place, bad))
    assert type(error) is kind
    if isinstance(error, ShapeError):
        assert (error.name, error.expected, error.found) == (place, (2, 3), bad.shape)
        check(error, place, "(2, 3)", str(bad.shape))
    if isinstance(error, DTypeError):
        assert (error.name, error.found, error.valid) == (place, bad.dtype.name, "float32")
        check(error, place, bad.dtype.name, "float32")


@pytest.mark.parametrize("call", READING)
@pytest.mark.parametrize(("spoil", "found"), NEVER.values(), ids=NEVER)
def test_what_can_not_be_averaged_is_refused_by_every_call(
    *, model: Params, call: str, spoil: Spoil, found: str
) -> None:
    for place in PLACES:
        bad = spoil(model[place])
        error = refusal(dict(model), call, replace(place, bad))
        assert isinstance(error, DTypeError)
        assert error.name == place
        assert found in error.found.lower()
        check(error, place, error.found, error.valid)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", READING)
def test_misaligned_memory_is_refused_by_every_call(model: Params, call: str, place: str) -> None:
    error = refusal(model, call, replace(place, misaligned(model[place])))
    assert isinstance(error, LayoutError)
    assert error.name == place
    check(error, place, error.problem, "aligned")


@pytest.mark.parametrize("place", PLACES)
def test_misaligned_memory_is_refused_at_construction(model: Params, place: str) -> None:
    model[place] = misaligned(model[place])
    with unchanged(None, model), pytest.raises(LayoutError) as caught:
        EMA(model)
    assert caught.value.name == place
    check(caught.value, place, "aligned")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", WRITING)
def test_a_read_only_array_is_refused_where_it_would_be_written(model: Params, call: str, place: str) -> None:
    error = refusal(model, call, replace(place, read_only(model[place])))
    assert isinstance(error, LayoutError)
    assert error.name == place
    check(error, place, error.problem, "read-only")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", WRITING)
def test_a_numpy_scalar_is_refused_where_it_would_be_written(call: str, place: str) -> None:
    params = {name: np.array(1.0) for name in PLACES}

    def spoil(params: Params) -> None:
        params[place] = params[place] - 0.5
        assert not isinstance(params[place], np.ndarray)

    error = refusal(params, call, spoil)
    assert isinstance(error, LayoutError)
    assert error.name == place
    check(error, place, "scalar", "[...] =")


class Tensor:
    """What of another framework's arrays NumPy can read."""

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        return np.zeros(3)


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ({"kernel": np.zeros(3)}, "nested arrays go into the one container"),
        ([np.zeros(3)], "nested arrays go into the one container"),
        (Tensor(), "np.asarray makes one"),
        ("weights", "in the byte order of this machine$"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_nearly_a_model_is_told_how_to_become_one(entry: object, advice: str) -> None:
    with pytest.raises(DTypeError, match=f"type {type(entry).__name__}, expected a NumPy array.*{advice}"):
        EMA({"dense": entry})
