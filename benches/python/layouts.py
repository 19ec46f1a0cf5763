"""The rows of other memory layouts, and of what comes once: construction and `load` of many tensors."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import models
from case import Case, paired
from models import Array
from shrew_ema import EMA
from timing import Pair, Result, Side, below
from updates import DECAYS, check, ours

FORTRAN, CUBE, WIDE = (4096, 4096), (256, 256, 256), (4096, 8192)
LAYOUTS: tuple[tuple[str, tuple[int, ...], Callable[[Array], Array]], ...] = (
    ("Fortran order", FORTRAN, np.asfortranarray),
    ("transposed 3-d", CUBE, lambda array: array.transpose(2, 0, 1)),
    ("every second column", WIDE, lambda array: array[:, ::2]),
)


def against_twin(shape: tuple[int, ...], view: Callable[[Array], Array]) -> Pair:
    """One update of an array of another layout, and one of its contiguous twin."""
    (array,) = models.fill([shape]).values()
    params = {"w": view(array)}
    twin = {"w": np.ascontiguousarray(params["w"])}
    pair = [EMA(values, DECAYS[0]) for values in (params, twin)]
    for values, ema in zip((params, twin), pair, strict=True):
        models.move(values)
        check(ema.update, [values["w"]], ours(ema))
    odd, even = pair
    return Pair(Side(odd.update), Side(even.update))


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
        paired(f"update, f32, {name}, 16.8M", "its contiguous twin", 3.0, partial(against_twin, shape, view))
        for name, shape, view in LAYOUTS
    ),
    Case("construction, 10,000 tensors of 16", "50 ms", 1.0, construct),
    Case("load, 10,000 tensors of 16", "50 ms", 1.0, load),
]
