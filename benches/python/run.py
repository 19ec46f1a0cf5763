"""Measures every row of the table and prints it: `make bench`, or by hand with rows to choose from.

python benches/python/run.py --only 'ResNet|horizons' --quick
"""

import argparse
import re
import sys
from pathlib import Path

import files
import layouts
import machine
import peers
import programs
import swaps
import table
import updates
from case import Case
from scaling import Lines

BENCHES = Path(__file__).parents[1]
# A program in Rust measures these, if it was run: see `programs.read`.
GUARD = "the non-finite guard"


def unmeasured(_seconds: float) -> str:
    """What is said of a row whose program was not run."""
    return "not run"


def main() -> None:
    """Measures, prints, and keeps what it printed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", type=re.compile, default=re.compile(""), metavar="REGEX", help="rows to measure")
    options.add_argument("--quick", action="store_true", help="a tenth of the time for each row, and no large sizes")
    options.add_argument("--seconds", type=float, help="the time for each row's pairs, 4 unless --quick")
    options.add_argument("--rows", type=Path, nargs="*", default=[], metavar="FILE", help="rows measured by programs")
    options.add_argument("--save", action="store_true", help="write results.md and scaling.png in benches/")
    given = options.parse_args()
    seconds = given.seconds or (0.4 if given.quick else 4.0)

    lines = Lines(quick=given.quick)
    told, measured = programs.read(given.rows)
    if not any(case.name.startswith(GUARD) for case in measured):
        measured.insert(0, Case(GUARD, "the kernel without it", 1.03, unmeasured))
    cases = [*updates.CASES, *swaps.CASES, *files.CASES, *measured, *layouts.CASES, *lines.cases()]
    cases = [case for case in cases if given.only.search(f"{case.name} against {case.against}")]

    facts = [*machine.lines(peers.THREADS), *told]
    found = []
    for number, case in enumerate(cases, 1):
        print(f"{number} of {len(cases)}: {case.name}", file=sys.stderr, flush=True)
        others = machine.Others()
        found.append((case, case.measure(seconds), others.share()))
    text = table.document(facts, found)
    print(text, end="")
    if given.save:
        (BENCHES / "results.md").write_text(text)
        lines.draw(BENCHES / "scaling.png")


if __name__ == "__main__":
    main()
