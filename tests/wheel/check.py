"""Checks a wheel as its users get it: its name, its size, what it needs and links, what importing it brings and takes.

    python tests/wheel/check.py dist/shrew_ema-*.whl

This is no part of pytest's run: `make wheel` calls it on what it has just built.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from built import content, installed, metadata, oldest_numpy

MEGABYTE = 1_000_000
GLIBC = (2, 17)
# Fresh interpreters, and the milliseconds that importing may take after NumPy. It takes about two, so that only
# something heavy can exceed this, and no busy machine.
INTERPRETERS, MILLISECONDS = 11, 30

# Notes each module that is searched for, found or not: one that is imported where it happens to be installed counts.
PROBE = """
import json, sys, time
import numpy

class Searched:
    names = []

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        cls.names.append(name)

sys.meta_path.insert(0, Searched)
began = time.perf_counter()
import shrew_ema
milliseconds = 1000 * (time.perf_counter() - began)
json.dump([numpy.__version__, Searched.names, milliseconds], sys.stdout)
"""

# Ends while another thread is inside a call or wants to come out of one. Python until 3.13 unwinds such a thread from
# within, through the frames of the extension, and an extension with an unwinder of its own mostly crashes here.
EXIT = """
import threading
import numpy
from shrew_ema import EMA

ema = EMA([numpy.zeros(2_000_000, numpy.float32)])

def watch():
    while True:
        ema.num_updates

threading.Thread(target=watch, daemon=True).start()
for _ in range(3):
    ema.update()
"""


def check_name(wheel: Path) -> None:
    """One wheel for all Pythons, and on Linux for nearly every machine."""
    *_, python, abi, platforms = wheel.stem.split("-")
    assert (python, abi) == ("cp310", "abi3"), wheel.name
    assert metadata(wheel)["Requires-Python"] == ">=3.10"
    if sys.platform == "linux":
        machine = platform.machine()
        promised = {f"manylinux2014_{machine}", f"manylinux_{GLIBC[0]}_{GLIBC[1]}_{machine}"}
        assert set(platforms.split(".")) == promised, wheel.name


def check_size(wheel: Path) -> str:
    """It is downloaded by every job of every user."""
    size = wheel.stat().st_size
    assert size < MEGABYTE, f"the wheel has {size:,} bytes"
    return f"{size / 1000:.0f} kB"


def check_links(wheel: Path) -> None:
    """Names of libraries and versions of symbols stand in the extension as they are."""
    extension = content(wheel, "/_core.abi3.so")
    assert b"libpython" not in extension
    if sys.platform == "linux":
        versions = {tuple(map(int, found[1].split(b"."))) for found in re.finditer(rb"GLIBC_(\d[\d.]*)", extension)}
        assert versions, "no version of glibc is found at all"
        assert max(versions) <= GLIBC, f"the extension needs glibc {max(versions)}"
        assert b"libgcc_s.so.1" in extension, "the extension has an unwinder of its own"


def run(python: str, code: str) -> str:
    """What a fresh interpreter prints, away from the sources: -I leaves out our folder and what PYTHONPATH names."""
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit status {done.returncode} {done.stderr}of{code}"
    return done.stdout


def check_import(python: str) -> str:
    """Only modules of its own, in next to no time."""
    numpy, times = "", []
    for _ in range(INTERPRETERS):
        numpy, searched, milliseconds = json.loads(run(python, PROBE))
        others = [name for name in searched if name.partition(".")[0] != "shrew_ema"]
        assert not others, f"importing it searches for {others}"
        assert "shrew_ema._core" in searched, "the probe sees nothing"
        times.append(milliseconds)
    typical = median(times)
    assert typical < MILLISECONDS, f"importing it takes {typical:.1f} ms more than NumPy"
    return (
        f"with NumPy {numpy} importing takes {typical:.1f} ms more than NumPy does "
        f"(the median of {len(times)}, {min(times):.1f} to {max(times):.1f})"
    )


def check_exit(python: str) -> None:
    """A daemon thread may be in a call when the program ends."""
    for _ in range(INTERPRETERS):
        run(python, EXIT)


def main() -> None:
    """Fails at the first thing that is wrong, and prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    wheel: Path = parser.parse_args().wheel
    check_name(wheel)
    check_links(wheel)
    print(f"{wheel.name}: {check_size(wheel)}, needs numpy>={oldest_numpy(wheel)} alone")
    with TemporaryDirectory() as folder:
        python = installed(wheel, sys.executable, Path(folder))
        print(f"Python {platform.python_version()}: {check_import(python)}")
        check_exit(python)


if __name__ == "__main__":
    main()
