"""The rows of `apply` and `restore`, against foreach copies."""

from functools import partial

import numpy as np
from ml_dtypes import bfloat16
from numpy.typing import DTypeLike

import models
import peers
from case import Case, paired
from shrew_ema import EMA
from timing import Pair, Side

RESNET = models.known("resnet50")


def swap(dtype: DTypeLike, *, back: bool) -> Pair:
    """One half of a swap, the other half being done untimed before it."""
    params = models.fill(RESNET, dtype)
    # At this decay a few updates leave next to nothing of the start, and nothing is warned of.
    ema = EMA(params, 0.5)
    tensors = peers.same_memory(params.values())
    models.move(params)
    for _ in range(8):
        ema.update()
    averages = ema.averages()
    peer = peers.Swap(peers.same_memory(averages[name].copy() for name in params), tensors)

    for apply, restore in ((ema.apply, ema.restore), (peer.apply, peer.restore)):
        training = {name: array.copy() for name, array in params.items()}
        apply()
        _expect(params, {name: average.astype(dtype) for name, average in averages.items()})
        restore()
        _expect(params, training)
    del averages
    width = np.dtype(dtype).itemsize
    elements = models.size(RESNET)
    if back:
        return Pair(Side(ema.restore, ema.apply), Side(peer.restore, peer.apply), elements * 2 * width)
    return Pair(Side(ema.apply, ema.restore), Side(peer.apply, peer.restore), elements * (3 * width + 4))


def _expect(params: dict[str, models.Array], values: dict[str, models.Array]) -> None:
    for name, array in params.items():
        if array.tobytes() != values[name].tobytes():
            raise AssertionError(f"{name} has not the values that were to be written")


def _row(name: str, against: str, target: float, dtype: DTypeLike, *, back: bool = False) -> Case:
    return paired(f"{name}, ResNet-50", against, target, partial(swap, dtype, back=back))


CASES = [
    _row("apply, f32", "foreach copy to backup, copy", 0.65, np.float32),
    _row("restore, f32", "foreach copy", 0.75, np.float32, back=True),
    _row("apply, f32 → bf16", "foreach copy to backup, copy", 0.80, bfloat16),
]
