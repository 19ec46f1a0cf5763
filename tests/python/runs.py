"""Runs that can be cut at any call: every kind of EMA, on a model of every kind of tensor, the same in any process."""

import functools
import hashlib
import itertools
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from rules import RULES
from shrew_ema import EMA, EMAWarning, NonFiniteError, Schedule, schedules
from support import BF16, POLICIES, Params, Policy, Width, books

CALLS = 14


class Run(NamedTuple):
    """How to average, which calls warm up, and the call after which the run is cut."""

    rule: str
    every: int
    start: int
    horizons: int
    width: Width | None
    policy: Policy
    warmups: tuple[bool, ...]
    cut: int

    def decays(self) -> list[float | Schedule]:
        """The schedule of each horizon; the rule stands at another place for each number of them."""
        others: list[float | Schedule] = [schedules.power(0.1), 0.75]
        others.insert(self.horizons - 1, RULES[self.rule].schedule)
        return others[-self.horizons :] if self.horizons < 3 else others

    def begin(self) -> tuple[EMA, Params]:
        """The model and its EMA before the first call."""
        params = model(0)
        return (
            EMA(
                params,
                self.decays(),
                shadow_dtype=self.width,
                nonfinite=self.policy,
                every=self.every,
                start=self.start,
            ),
            params,
        )

    def go_on(self, ema: EMA, params: Params, until: int) -> None:
        """Makes the calls that are left of the first so many."""
        for call in range(ema.step + 1, until + 1):
            for name, values in _model(call, self.policy).items():
                params[name][...] = values
            update = ema.update_with_warmup if self.warmups[call - 1] else ema.update
            try:
                update()
            except NonFiniteError:
                assert self.policy == "raise"


def model(call: int) -> Params:
    """What the optimizer has made of the model by some call."""
    return {name: array.copy() for name, array in _model(call, None).items()}


@functools.cache
def _model(call: int, policy: Policy | None) -> Params:
    """The same, not to be written; where there is a policy, elements of two tensors are not finite every fifth time."""
    rng = np.random.default_rng(call)
    params: Params = {
        "single": rng.normal(size=(2, 3)).astype(np.float32),
        "half": rng.normal(size=4).astype(np.float16),
        "double": np.array(rng.normal()),
        "brain": rng.normal(size=(2, 1)).astype(BF16),
        "count": rng.integers(0, 9, 2),
        "none": np.zeros((0, 3), np.float32),
        "flag": rng.integers(0, 2, 3).astype(bool),
    }
    if policy is not None and call % 5 == 0:
        params["single"][call % 2, call % 3] = np.nan
        params["half"][call % 4] = np.inf
    return params


def runs() -> list[Run]:
    """Every rule with every interval, start, number of horizons and width; what else there is, by chance."""
    product = itertools.product(RULES, (1, 3), (0, 4), (1, 2, 3), (None, "float64"))
    return [
        Run(rule, every, start, horizons, width, *_drawn(index))  # type: ignore[arg-type]
        for index, (rule, every, start, horizons, width) in enumerate(product)
    ]


def _drawn(index: int) -> tuple[Policy, tuple[bool, ...], int]:
    chance = random.Random(index)
    warmups = tuple(chance.random() < 0.3 for _ in range(CALLS))
    return chance.choice(POLICIES), warmups, chance.randint(0, CALLS - 1)


def kept(ema: EMA) -> dict[str, Any]:
    """All that is to outlive a process: every bit of the averages, what is shown, and the books as they are written."""
    text = repr(ema).replace(", not bound", "")
    return books(ema) | {"repr": text, "documents": ema.state_dict()["shrew_ema"]}


def digest(ema: EMA) -> str:
    """A short text that tells whether two EMAs are the same."""
    return hashlib.sha256(repr(kept(ema)).encode()).hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """A context in which no advice is given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EMAWarning)
        yield
