"""What several test files share: comparisons of bits, memory layouts, and what a refused call must leave alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from shrew_ema import EMA

Array = NDArray[Any]
Params = dict[str, Array]
Policy = Literal["raise", "skip", "propagate"]
Width = Literal["float32", "float64"]
POLICIES: list[Policy] = ["raise", "skip", "propagate"]

# Elements of a pass that takes so long that other Python threads run meanwhile, and whose copies go past the caches.
LONG = (1 << 22) + 6


def _roomy() -> str | None:
    """Where to make files by the hundred: in memory where there is enough, or the disk would take most of the time."""
    place = "/dev/shm"
    return place if os.access(place, os.W_OK) and shutil.disk_usage(place).free > 2 << 30 else None


def _may_step_down() -> bool:
    """Whether this process is held to the modes of files, or can become one that is; some containers' root can not."""
    if os.getuid() != 0:
        return True
    try:
        os.seteuid(65534)
    except OSError:
        return False
    os.seteuid(0)
    return True


MEMORY = _roomy()

HELD_TO_MODES = pytest.mark.skipif(
    not _may_step_down(), reason="this root can neither be refused nor become anybody else"
)

BF16 = np.dtype(ml_dtypes.bfloat16)
F16, F32, F64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
FLOATS = [F16, BF16, F32, F64]
INTEGERS = [np.dtype(name) for name in ("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]

# Every pair of a parameter's dtype and a shadow_dtype that is allowed.
PAIRS: list[tuple[np.dtype[Any], Width | None]] = [
    (F16, None),
    (BF16, None),
    (F32, None),
    (F64, None),
    (F16, "float64"),
    (BF16, "float64"),
    (F32, "float64"),
]


def pair_id(value: object) -> str:
    """A readable name of one half of a pair."""
    return str(value or "auto")


def bits(array: Array) -> bytes:
    """Every bit of an array in C order, NaN payloads included."""
    return np.ascontiguousarray(array).tobytes()


def same_bits(found: Array, expected: Array) -> bool:
    """Whether two arrays have one dtype, one shape and the same bits."""
    return (found.dtype, found.shape, bits(found)) == (expected.dtype, expected.shape, bits(expected))


def same_numbers(found: Array, expected: Array) -> bool:
    """As `same_bits`, but every NaN is as good as any other: its payload is the processor's choice."""
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        return False
    if found.dtype.kind in "biu":
        return same_bits(found, expected)
    with np.errstate(invalid="ignore"):  # signalling NaN
        nan, found_nan = np.isnan(expected), np.isnan(found)
    return np.array_equal(nan, found_nan) and bits(found[~nan]) == bits(expected[~nan])


def patterns(dtype: np.dtype[Any], shape: int | tuple[int, ...], seed: int) -> Array:
    """Random bit patterns: every exponent, subnormal numbers, both zeros, infinities and NaN payloads."""
    size = int(np.prod(shape))
    raw = np.random.default_rng(seed).bytes(size * dtype.itemsize)
    return np.frombuffer(raw, dtype).reshape(shape).copy()


def normal(dtype: np.dtype[Any], shape: int | tuple[int, ...], seed: int) -> Array:
    """Finite values of a parameter's usual size."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# How an array of the same values can lie in memory. Each function keeps every bit.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": lambda array: array.copy(order="C"),
    "Fortran": lambda array: array.copy(order="F"),
    "strided": lambda array: _within(array, [2] * array.ndim),
    "negative": lambda array: _within(array, [-1] * array.ndim),
    "negative and strided": lambda array: _within(array, [-3, 2, -2, 3][: array.ndim]),
    "transposed": lambda array: array.T.copy().T,
    "inside of a larger one": lambda array: _within(array, [1] * array.ndim),
}


def _within(array: Array, steps: list[int]) -> Array:
    """A copy of `array` as a view of a larger one that steps so through each axis."""
    room = np.zeros([extent * abs(step) + 2 for extent, step in zip(array.shape, steps, strict=True)], array.dtype)
    inside: tuple[Any, ...] = tuple(
        slice(1, 1 + extent * abs(step), abs(step)) for extent, step in zip(array.shape, steps, strict=True)
    )
    backwards: tuple[Any, ...] = tuple(slice(None, None, -1 if step < 0 else 1) for step in steps)
    # With an ellipsis, or 0-d would give a scalar in place of a view.
    view = room[(*inside, ...)][(*backwards, ...)]
    view[...] = array
    return view


def shift(params: Params, by: float = 1) -> None:
    """Moves every element, in place."""
    for array in params.values():
        np.add(array, by, out=array, casting="unsafe")


def misaligned(array: Array) -> Array:
    """A copy of `array` that begins at an odd address."""
    room = np.zeros(array.nbytes + 1, np.uint8)
    view = room[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


def address(array: Array) -> int:
    """Where the first element lies."""
    where: int = array.__array_interface__["data"][0]
    return where


def read_only(array: Array) -> Array:
    """A copy of `array` that can't be written."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def books(ema: EMA) -> dict[str, object]:
    """All that an EMA knows and shows, its averages as bytes."""
    return {
        "averages": [
            {name: (array.dtype, array.shape, bits(array)) for name, array in ema.averages(horizon).items()}
            for horizon in range(len(ema.decays))
        ],
        "decays": ema.decays,
        "names": ema.names,
        "num_updates": ema.num_updates,
        "step": ema.step,
        "initial_shares": ema.initial_shares,
        "skipped": ema.skipped,
        "is_applied": ema.is_applied,
    }


@contextmanager
def unchanged(ema: EMA | None, *containers: object) -> Iterator[None]:
    """Asserts that not a bit of the averages, of the books and of the containers' arrays is another afterwards."""
    before = None if ema is None else books(ema)
    held = [list(_entries(container)) for container in containers]
    memory = [[_memory(entry) for entry in entries] for entries in held]
    yield
    for container, entries, images in zip(containers, held, memory, strict=True):
        now = list(_entries(container))
        assert len(now) == len(entries)
        for found, entry, image in zip(now, entries, images, strict=True):
            assert found is entry, "the container holds another object"
            assert _memory(entry) == image, "a parameter has other bits"
    if ema is not None:
        assert books(ema) == before


def _entries(container: object) -> Iterator[object]:
    if isinstance(container, dict):
        yield from container.values()
    elif isinstance(container, list | tuple):
        yield from container
    else:
        yield container


def _memory(entry: object) -> object:
    return entry.tobytes() if isinstance(entry, np.ndarray | np.generic) else repr(entry)


def run_python(code: str, *arguments: str, timeout: float = 60, **environment: str) -> str:
    """What a fresh interpreter prints on running `code`; it fails if that does, and where it hangs."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
