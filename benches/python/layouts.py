"""The rows of other memory layouts, and of what comes once: construction and `load` of many tensors."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import models
from case import Case, paired
from models import Array
from shrew_ema import EMA, EMAWarning
from timing import Pair, Result, Side, below
from updates import DECAYS, check, ours

FORTRAN, CUBE, WIDE = (4096, 4096), (256, 256, 256), (4096, 8192)
LAYOUTS: tuple[tuple[str, tuple[int, ...], Callable[[Array], Array]], ...] = (
    ("Fortran order", FORTRAN, np.asfortranarray),
    ("transposed 3-d", CUBE, lambda array: array.transpose(2, 0, 1)),
    ("every second column", WIDE, lambda array: array[:, ::2]),
    ("the left half", WIDE, lambda array: array[:, :4096]),
)


def twins(shape: tuple[int, ...], view: Callable[[Array], Array]) -> tuple[EMA, EMA]:
    """The EMA of an array of another layout, and that of its contiguous twin, after an update of each."""
    (array,) = models.fill([shape]).values()
    params = {"w": view(array)}
    twin = {"w": np.ascontiguousarray(params["w"])}
    pair = EMA(params, DECAYS[0]), EMA(twin, DECAYS[0])
    for values, ema in zip((params, twin), pair, strict=True):
        models.move(values)
        check(ema.update, [values["w"]], ours(ema))
    return pair


def update(shape: tuple[int, ...], view: Callable[[Array], Array]) -> Pair:
    """One update of both."""
    odd, even = twins(shape, view)
    return Pair(Side(odd.update), Side(even.update))


def swap(shape: tuple[int, ...], view: Callable[[Array], Array]) -> Pair:
    """An `apply` and the `restore` after it of both."""
    pair = twins(shape, view)

    def both(ema: EMA) -> None:
        ema.apply()
        ema.restore()

    with warnings.catch_warnings():
        # They are put to use early, which is said once for each.
        warnings.simplefilter("ignore", EMAWarning)
        for ema in pair:
            both(ema)
    odd, even = pair
    return Pair(Side(partial(both, odd)), Side(partial(both, even)))


def construct(seconds: float) -> Result:
    """What construction costs besides copying: 10,000 tensors with next to nothing in them."""
    params = models.fill(models.equal(10_000, 16))
    return below(Side(partial(EMA, params, DECAYS[0])), 0.05, seconds)


def load(seconds: float) -> Result:
    """What `load` costs besides copying, likewise."""
    params = models.fill(models.equal(10_000, 16))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ema.safetensors"
        ema = EMA(params, 0.0)
        ema.update()
        ema.save(path)
        return below(Side(partial(EMA.load, path, params)), 0.05, seconds)


CASES = [
    *(
        paired(f"{call}, f32, {name}, 16.8M", "its contiguous twin", 3.0, partial(pair, shape, view))
        for call, pair in (("update", update), ("apply and restore", swap))
        for name, shape, view in LAYOUTS
    ),
    Case("construction, 10,000 tensors of 16", "50 ms", 1.0, construct),
    Case("load, 10,000 tensors of 16", "50 ms", 1.0, load),
]
