"""The rows of `update`: dtypes, models, many small tensors and several horizons, against torch and NumPy."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from ml_dtypes import bfloat16
from numpy.typing import DTypeLike

import models
import peers
from case import Case, paired
from models import Array, Shapes
from shrew_ema import EMA
from timing import Pair, Side

DECAYS = tuple(0.999 - 0.01 * horizon for horizon in range(8))
# The row against this also gives the limit that the others are measured by.
SAME_TRAFFIC = "pass of the same traffic"
RESNET, VIT = models.known("resnet50"), models.known("vit_b16")


def check(
    call: Callable[[], object],
    params: Sequence[Array],
    averages: Callable[[int], Sequence[Array]],
    decays: Sequence[float] = DECAYS[:1],
) -> None:
    """Makes sure that a call averages, so that none is timed that does nothing or something else."""
    before = [[_some(average) for average in averages(horizon)] for horizon in range(len(decays))]
    call()
    for horizon, decay in enumerate(decays):
        for old, average, param in zip(before[horizon], averages(horizon), params, strict=True):
            error = np.abs(old + (1 - decay) * (_some(param) - old) - _some(average)).max()
            # The values are from [1, 2), and a step that was not made is a few times 1e-4.
            if not error < 5e-7:
                raise AssertionError(f"an average of horizon {horizon} is {error} off")


def _some(array: Array) -> Array:
    """Values from all over an array, in 64 bits: a million at most, as some arrays fill the memory."""
    return array.reshape(-1)[:: 1 + array.size // 1_000_000].astype(np.float64)


def ours(ema: EMA) -> Callable[[int], Sequence[Array]]:
    """The averages of a horizon, to be checked."""
    return lambda horizon: list(ema.averages(horizon).values())


def against_torch(shapes: Shapes, dtype: DTypeLike = np.float32, shadow: str = "float32", horizons: int = 1) -> Pair:
    """One update of ours, and as many of torch's as there are horizons."""
    params, decays = models.fill(shapes, dtype), DECAYS[:horizons]
    ema = EMA(params, decays, shadow_dtype="float64" if shadow == "float64" else "float32")
    tensors = peers.same_memory(params.values())
    passes = [peers.Lerp(peers.shadows(tensors, shadow), tensors, 1 - decay) for decay in decays]
    models.move(params)

    def every_pass() -> None:
        for one in passes:
            one()

    theirs = passes[0] if horizons == 1 else every_pass
    values = list(params.values())
    check(ema.update, values, ours(ema), decays)
    check(theirs, values, lambda horizon: [tensor.numpy() for tensor in passes[horizon].averages], decays)
    traffic = np.dtype(dtype).itemsize + 2 * np.dtype(shadow).itemsize * horizons
    return Pair(Side(ema.update), Side(theirs), models.size(shapes) * traffic)


def against_memory(shapes: Shapes) -> Pair:
    """One update, and a pass that reads and writes as much."""
    params = models.fill(shapes)
    ema = EMA(params, DECAYS[0])
    models.move(params)
    check(ema.update, list(params.values()), ours(ema))
    tensors = peers.same_memory(params.values())
    same = peers.SameTraffic(peers.shadows(tensors), tensors)
    return Pair(Side(ema.update), Side(same), models.size(shapes) * 12)


def against_numpy(shapes: Shapes) -> Pair:
    """One update, and what a careful user of NumPy writes: three passes, and nothing allocated."""
    params = models.fill(shapes)
    ema = EMA(params, DECAYS[0])
    values = list(params.values())
    averages = [array.copy() for array in values]
    spare = [np.empty_like(array) for array in values]
    alpha = np.float32(1 - DECAYS[0])
    models.move(params)

    def by_hand() -> None:
        for param, average, step in zip(values, averages, spare, strict=True):
            np.subtract(param, average, out=step)
            np.multiply(step, alpha, out=step)
            np.add(average, step, out=average)

    check(ema.update, values, ours(ema))
    check(by_hand, values, lambda _: averages)
    return Pair(Side(ema.update), Side(by_hand), models.size(shapes) * 12)


def _row(name: str, target: float, shapes: Shapes, *, unpaused: float | None = None) -> Case:
    return paired(f"update, f32, {name}", "foreach lerp", target, partial(against_torch, shapes), unpaused)


def _mixed(name: str, shapes: Shapes, targets: Iterable[float]) -> Iterator[Case]:
    for (dtypes, dtype, shadow), target in zip(MIXED, targets, strict=True):
        pair = partial(against_torch, shapes, dtype, shadow)
        yield paired(f"update, {dtypes}, {name}", "foreach copy, then lerp", target, pair)


MIXED: tuple[tuple[str, DTypeLike, str], ...] = (
    ("bf16 → f32", bfloat16, "float32"),
    ("f16 → f32", np.float16, "float32"),
    ("f32 → f64", np.float32, "float64"),
)


def against_walk(shapes: Shapes) -> Pair:
    """One update of ours, and a walk through the dict of parameters, which does nothing but to touch each."""
    params = models.fill(shapes)
    ema = EMA(params, DECAYS[0])
    models.move(params)
    check(ema.update, list(params.values()), ours(ema))
    return Pair(Side(ema.update), Side(lambda: deque(params.items(), maxlen=0)))


def first(shapes: Shapes) -> Pair:
    """One update after each pause, when hardly anything is in a cache and the processor wakes up."""
    return replace(against_torch(shapes), first=True)


MANY_SMALL = (("1000 tensors of 16", models.equal(1000, 16)), ("10,000 tensors of 16", models.equal(10_000, 16)))

CASES = [
    _row("ViT-B", 1.00, VIT),
    paired("update, f32, ViT-B", SAME_TRAFFIC, 1.05, partial(against_memory, VIT)),
    _row("ResNet-50", 1.02, RESNET, unpaused=1.25),
    _row("1000 tensors, 2.1M elements", 0.50, models.known("tiny_1000")),
    _row("10,000 tensors, 1M elements", 0.22, models.equal(10_000, 100)),
    *(_row(name, target, shapes) for (name, shapes), target in zip(MANY_SMALL, (0.04, 0.05), strict=True)),
    *(
        paired(f"first update after the pause, f32, {name}", "foreach lerp", None, partial(first, shapes))
        for name, shapes in MANY_SMALL
    ),
    *(
        paired(f"update, f32, {name}", "a walk through its dict", None, partial(against_walk, shapes))
        for name, shapes in MANY_SMALL
    ),
    _row("one tensor of 64", 0.7, models.equal(1, 64)),
    *_mixed("ResNet-50", RESNET, (0.48, 0.48, 0.47)),
    *_mixed("ViT-B", VIT, (0.55, 0.55, 0.55)),
    *(
        paired(
            f"update, f32, {count} horizons, ResNet-50",
            f"{count} foreach lerps",
            target,
            partial(against_torch, RESNET, horizons=count),
        )
        for count, target in ((2, 0.78), (4, 0.70), (8, 0.70))
    ),
    paired("update, f32, ResNet-50", "NumPy by hand, `out=`", 0.35, partial(against_numpy, RESNET)),
]
