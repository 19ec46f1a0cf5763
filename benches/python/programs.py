"""What programs in Rust have printed: rows of the table that they have measured, and facts about the machine."""

import json
from collections.abc import Iterable
from pathlib import Path

from case import Case
from timing import Result, of_pairs


def read(paths: Iterable[Path]) -> tuple[list[str], list[Case]]:
    """What programs say of the machine, and their rows.

    Each line is an object: of a `fact`, or of `case`, `against`, `target`, and `pairs` of seconds, ours first.
    """
    objects = [json.loads(line) for path in paths for line in path.read_text().splitlines() if line.strip()]
    facts = [each["fact"] for each in objects if "fact" in each]
    return facts, [_case(each) for each in objects if "fact" not in each]


def _case(row: dict[str, object]) -> Case:
    pairs, target = row["pairs"], row["target"]
    if not isinstance(pairs, list) or not isinstance(target, (int, float)):
        raise TypeError(f"`pairs` must be a list and `target` a number, in {row}")
    found = of_pairs([(float(ours), float(theirs)) for ours, theirs in pairs])

    def measured(_seconds: float) -> Result:
        return found

    return Case(str(row["case"]), str(row["against"]), float(target), measured)
