"""Times two calls against each other: interleaved pairs, medians, and nothing else of this process in between."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from math import ceil
from statistics import median, quantiles
from time import perf_counter, perf_counter_ns, sleep

# torch's OpenMP helper spins on its core for some milliseconds after a call, and whoever comes next has one core less.
PAUSE = 0.008
# A sample is at least so long. After a pause all is slow at first, an empty function takes 10 µs instead of 50 ns, and
# a short sample is of the machine that wakes up rather than of what is called. Rows of first calls show that.
SAMPLE = 2e-3
# Samples that are not counted come first: caches, page tables and the threads of either side are in use after them.
WARM_UP = 3
# A row of seconds has few pairs in its time and is given more: no single one moves the median of so many far.
FEWEST, MOST = 11, 201


def nothing() -> None:
    """What a call needs before it, if it needs nothing."""


@dataclass(frozen=True)
class Side:
    """A call to be timed, and what has to come before each one untimed."""

    call: Callable[[], object]
    before: Callable[[], object] = nothing


@dataclass(frozen=True)
class Pair:
    """The two calls of a row, and the bytes that ours has to move through memory, where that is its limit.

    A sample has as many calls as make it long enough, or one, where the `first` call after the pause is the question.
    """

    ours: Side
    theirs: Side
    traffic: int | None = None
    first: bool = False


@dataclass(frozen=True)
class Result:
    """What a row was found to be: seconds or bytes of both sides, and the spread of their ratio.

    `quickest` is the ratio of the quickest samples, which a busy machine disturbs least.
    """

    ours: float
    theirs: float
    ratio: float
    low: float
    high: float
    quickest: float
    unpaused: float | None = None
    traffic: int | None = None
    unit: str = "s"


@contextmanager
def undisturbed() -> Iterator[None]:
    """No collection of garbage while it is open."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def sample(side: Side, loops: int = 1, pause: float = PAUSE) -> float:
    """Seconds for one call. What the call gives is thrown away after the clock has been read."""
    side.before()
    if pause:
        sleep(pause)
    kept, call = None, side.call
    began = perf_counter_ns()
    for _ in repeat(None, loops):
        kept = call()
    seconds = (perf_counter_ns() - began) / 1e9 / loops
    del kept
    return seconds


def loops(*sides: Side) -> int:
    """How many calls make a sample of the quicker of these sides; the slower one gets as many."""
    if any(side.before is not nothing for side in sides):
        return 1
    quickest = min(sample(side, pause=0) for side in sides for _ in range(WARM_UP))
    return ceil(SAMPLE / quickest)


def compare(pair: Pair, seconds: float) -> Result:
    """Pairs of samples for so many seconds, and half as long without the pause."""
    with undisturbed():
        calls = 1 if pair.first else loops(pair.ours, pair.theirs)
        paused = _pairs(pair, calls, PAUSE, seconds)
        unpaused = _pairs(pair, calls, 0, seconds / 2)
    return of_pairs(paused, unpaused=median(ours / theirs for ours, theirs in unpaused), traffic=pair.traffic)


def of_pairs(
    pairs: list[tuple[float, float]], *, unpaused: float | None = None, traffic: int | None = None, unit: str = "s"
) -> Result:
    """The medians of pairs, and of the ratio in each of them its median and its quartiles."""
    low, middle, high = quantiles((ours / theirs for ours, theirs in pairs), n=4, method="inclusive")
    ours, theirs = (median(side) for side in zip(*pairs, strict=True))
    quickest, other = (min(side) for side in zip(*pairs, strict=True))
    return Result(ours, theirs, middle, low, high, quickest / other, unpaused, traffic, unit)


def once(ours: float, theirs: float, *, unit: str = "s") -> Result:
    """What was measured once and has no spread."""
    ratio = ours / theirs
    return Result(ours, theirs, ratio, ratio, ratio, ratio, unit=unit)


def below(side: Side, limit: float, seconds: float) -> Result:
    """A call against a limit in seconds and not against another call."""
    with undisturbed():
        for _ in range(WARM_UP):
            sample(side)
        ends = perf_counter() + seconds
        samples: list[tuple[float, float]] = []
        while len(samples) < FEWEST or (perf_counter() < ends and len(samples) < MOST):
            samples.append((sample(side), limit))
    return of_pairs(samples)


def _pairs(pair: Pair, calls: int, pause: float, seconds: float) -> list[tuple[float, float]]:
    for _ in range(WARM_UP):
        sample(pair.ours, calls, pause)
        sample(pair.theirs, calls, pause)
    ends = perf_counter() + seconds
    pairs: list[tuple[float, float]] = []
    while len(pairs) < FEWEST or (perf_counter() < ends and len(pairs) < MOST):
        # The two take turns at being first, so that neither always comes after the other.
        if len(pairs) % 2:
            theirs, ours = sample(pair.theirs, calls, pause), sample(pair.ours, calls, pause)
        else:
            ours, theirs = sample(pair.ours, calls, pause), sample(pair.theirs, calls, pause)
        pairs.append((ours, theirs))
    return pairs
