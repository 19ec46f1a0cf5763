"""Writes the table: a row for each case, with its ratio, the ratio to reach, and how far memory is from its limit."""

from collections.abc import Sequence

from case import Case
from timing import Result
from updates import SAME_TRAFFIC

NUMBERS = ("ours", "theirs", "ratio", "quartiles", "quickest", "no pause")
HEAD = ("case", "against", *NUMBERS, "target", "", "GB/s", "of the limit", "others")
# Below this a model may stay in a cache, and its bytes do not cross to memory.
OUT_OF_CACHE = 200e6
# Beyond this part of the processors for others, a row says more about them.
BUSY = 0.1


def document(facts: Sequence[str], found: Sequence[tuple[Case, Result | str, float | None]]) -> str:
    """The machine and the table."""
    roof = next((speed for case, result, _ in found if (speed := _roof(case, result))), None)
    limit = [] if roof is None else [f"memory's limit, the pass of the same traffic: {roof / 1e9:.1f} GB/s"]
    rows = [row(case, result, roof, others) for case, result, others in found]
    return "".join(f"- {fact}\n" for fact in [*facts, *limit]) + "\n" + markdown(rows)


def _roof(case: Case, result: Result | str) -> float | None:
    if case.against != SAME_TRAFFIC or isinstance(result, str) or not result.traffic:
        return None
    return result.traffic / result.theirs


def row(case: Case, found: Result | str, roof: float | None, others: float | None) -> list[str]:
    """The cells of a case. `roof` is what memory allows, in bytes a second; `others` what others had of the machine."""
    if isinstance(found, str):
        return [case.name, case.against, *[""] * len(NUMBERS), _target(case), found, "", "", ""]
    speed = found.traffic / found.ours if found.traffic and found.traffic >= OUT_OF_CACHE else None
    return [
        case.name,
        case.against,
        amount(found.ours, found.unit),
        amount(found.theirs, found.unit),
        _ratio(found.ratio),
        f"{_ratio(found.low)} to {_ratio(found.high)}",
        _ratio(found.quickest),
        "" if found.unpaused is None else _ratio(found.unpaused),
        _target(case),
        ", ".join(filter(None, (verdict(case, found), "busy" if others is not None and others > BUSY else ""))),
        "" if speed is None else f"{speed / 1e9:.1f}",
        "" if speed is None or roof is None else f"{speed / roof:.0%}",
        "" if others is None else f"{others:.0%}",
    ]


def verdict(case: Case, found: Result) -> str:
    """Whether the target was reached, with the pause and, where there is such a target, without."""
    if case.target is None:
        return ""
    reached = found.ratio <= case.target
    if case.unpaused is not None and found.unpaused is not None:
        reached = reached and found.unpaused <= case.unpaused
    return "ok" if reached else "miss"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The whole table, in columns that also read well where nothing renders it."""
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    cells = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in (HEAD, rule, *rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def amount(value: float, unit: str) -> str:
    """A time or a size in its usual unit, with three digits."""
    steps = (
        ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
        if unit == "B"
        else ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
    )
    size, name = next(((size, name) for size, name in steps if value >= size), steps[-1])
    return f"{value / size:.3g} {name}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _target(case: Case) -> str:
    if case.target is None:
        return ""
    return f"≤ {case.target:g}" + ("" if case.unpaused is None else f", {case.unpaused:g} no pause")
