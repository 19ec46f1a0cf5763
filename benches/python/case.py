"""A row of the table: what is measured, against what, and the ratio to reach."""

from collections.abc import Callable
from dataclasses import dataclass

from timing import Pair, Result, compare


@dataclass(frozen=True)
class Case:
    """A row, with what measures it within about so many seconds.

    It gives the reason instead where this machine can't. `unpaused` is the ratio to reach where nothing pauses.
    """

    name: str
    against: str
    target: float | None
    measure: Callable[[float], Result | str]
    unpaused: float | None = None


def paired(
    name: str, against: str, target: float | None, pair: Callable[[], Pair], unpaused: float | None = None
) -> Case:
    """A row of two calls, which are made only when their turn has come: some need gigabytes."""
    return Case(name, against, target, lambda seconds: compare(pair(), seconds), unpaused)
