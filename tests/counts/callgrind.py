"""Runs a program under valgrind's callgrind: its instructions, and its calls for memory."""

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# Two runs that differ in the number of calls differ in these calls and in nothing else.
FEW, MANY = 1, 21

# What asks the C library for memory, under the names that valgrind sees.
HEAP = ("malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "memalign", "mmap", "mmap64")


class Counts(NamedTuple):
    """What one run did."""

    instructions: int
    heap: int


def run(command: Sequence[str]) -> Counts:
    """Counts a run of a program."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", *command]
        alike = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
        done = subprocess.run(valgrind, env={**os.environ, **alike}, capture_output=True, text=True, check=False)
        found = re.search(r"Collected : (\d+)", done.stderr)
        assert done.returncode == 0, done.stderr
        assert found, done.stderr
        calls = called(profile.read_text(encoding="utf-8", errors="replace"))
    return Counts(int(found[1]), sum(calls[name] for name in HEAP))


def called(profile: str) -> Counter[str]:
    """How often each function was called, by a profile, in which a name comes with its number only once."""
    names: dict[str, str] = {}
    calls: Counter[str] = Counter()
    callee = ""
    for number, name, count in re.findall(r"^c?fn=\((\d+)\)(?: (.*))?$|^calls=(\d+)", profile, re.MULTILINE):
        if count:
            calls[names[callee].split("'")[0]] += int(count)
        else:
            names.setdefault(number, name)
            callee = number
    return calls
