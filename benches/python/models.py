"""Models to average: the shapes of real ones and of made ones, as arrays that have somewhere to move to."""

import json
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]
Shapes: TypeAlias = list[tuple[int, ...]]

_KNOWN = json.loads(Path(__file__).with_suffix(".json").read_text())


def known(name: str) -> Shapes:
    """The shapes of a real model: resnet50, vit_b16 or tiny_1000, which is a thousand small tensors."""
    return [tuple(shape) for shape in _KNOWN[name]]


def equal(tensors: int, elements: int) -> Shapes:
    """So many vectors of so many elements."""
    return [(elements,)] * tensors


def size(shapes: Shapes) -> int:
    """How many elements."""
    return sum(prod(shape) for shape in shapes)


def fill(shapes: Shapes, dtype: DTypeLike = np.float32, *, seed: int = 0) -> dict[str, Array]:
    """Parameters from [1, 2).

    An average of such values stays in [1, 2): it meets no denormal numbers, which processors are slow at, however often
    it moves towards the same parameters.
    """
    rng = np.random.default_rng(seed)
    return {f"layers.{index}.weight": _values(rng, shape, dtype) for index, shape in enumerate(shapes)}


def move(params: dict[str, Array], *, seed: int = 1) -> None:
    """Gives parameters other values, in place, so that an average of the old ones has a way to go."""
    for array, values in zip(
        params.values(), fill([a.shape for a in params.values()], seed=seed).values(), strict=True
    ):
        array[...] = values.astype(array.dtype, copy=False)


def _values(rng: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    values = rng.random(shape, np.float32)
    values += 1
    return values.astype(dtype, copy=False)
