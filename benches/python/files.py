"""The rows of `save` and `load`: the time against safetensors' own, and the memory."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from select import select
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import IO

import numpy as np
from safetensors.numpy import load_file, save_file

import models
from case import Case
from models import Array
from shrew_ema import EMA
from timing import Pair, Result, Side, compare, once

GIGABYTE = models.equal(100, 2_500_000)
LIMIT = 64_000_000
TMPFS = Path("/dev/shm")
TARGET = Path(__file__).parents[2] / "target"
# Two files, a third one that is about to replace one of them, and as much again for others.
ROOM = 4_000_000_000


def on_tmpfs(pair: Callable[[Path], Pair], seconds: float) -> Result | str:
    """A comparison in a folder that is memory."""
    if not TMPFS.is_dir() or disk_usage(TMPFS).free < ROOM:
        return f"{TMPFS} has not the room"
    with TemporaryDirectory(dir=TMPFS) as folder:
        return compare(pair(Path(folder)), seconds)


def on_disk(pair: Callable[[Path], Pair], seconds: float) -> Result | str:
    """A comparison on the disk that the build is on."""
    TARGET.mkdir(exist_ok=True)
    if disk_usage(TARGET).free < ROOM:
        return f"{TARGET} has not the room"
    with TemporaryDirectory(dir=TARGET) as folder:
        return compare(pair(Path(folder)), seconds)


def model() -> tuple[EMA, dict[str, Array], dict[str, Array]]:
    """An EMA of which a save has nothing to warn, its parameters, and copies of its averages."""
    params = models.fill(GIGABYTE)
    ema = EMA(params, 0.0)
    ema.update()
    return ema, params, {name: average.copy() for name, average in ema.averages().items()}


def save(folder: Path, *, durably: bool = False) -> Pair:
    """Both save a gigabyte, over the file of the call before."""
    ema, _, averages = model()
    mine, peers = folder / "ours.safetensors", folder / "theirs.safetensors"

    def save_and_replace() -> None:
        unfinished = peers.with_suffix(".new")
        save_file(averages, unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file)
        unfinished.replace(peers)

    theirs = save_and_replace if durably else partial(save_file, averages, peers)
    ema.save(mine)
    theirs()
    _expect(load_file(mine), averages)
    _expect(load_file(peers), averages)
    return Pair(Side(partial(ema.save, mine)), Side(theirs))


def load(folder: Path) -> Pair:
    """Both load what ours has saved."""
    ema, params, averages = model()
    path = folder / "ema.safetensors"
    ema.save(path)
    _expect(EMA.load(path, params).averages(), averages)
    return Pair(Side(partial(EMA.load, path, params)), Side(partial(load_file, path)))


def memory(verb: str, _seconds: float) -> Result | str:
    """The most anonymous memory during a call, above what has to be there, each call in a fresh process."""
    if not TMPFS.is_dir() or disk_usage(TMPFS).free < ROOM or not Path("/proc/self/status").exists():
        return f"needs Linux, and room in {TMPFS}"
    with TemporaryDirectory(dir=TMPFS) as folder:
        path = Path(folder) / "ema.safetensors"
        above = _growth("save", path)
        if verb == "load":
            above = _growth("load", path) - 4 * models.size(GIGABYTE)
    above = max(0, above)
    return once(above, LIMIT, unit="B")


def _growth(verb: str, path: Path) -> int:
    """Polled from outside: a call that keeps the interpreter to itself would stop a thread that polls."""
    command = [sys.executable, str(Path(__file__).with_name("memory.py")), verb, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("there are no pipes")
        process.stdout.readline()
        before = peak = anonymous(process.pid)
        process.stdin.write("go\n")
        process.stdin.flush()
        while not _readable(process.stdout):
            peak = max(peak, anonymous(process.pid))
        process.stdout.readline()
        peak = max(peak, anonymous(process.pid))
        process.stdin.close()
    if process.returncode or not path.exists():
        raise RuntimeError(f"{command} failed")
    return peak - before


def anonymous(pid: int) -> int:
    """The anonymous memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))


def _readable(stream: IO[str]) -> bool:
    return bool(select([stream], [], [], 0.0005)[0])


def _expect(found: dict[str, Array], values: dict[str, Array]) -> None:
    if found.keys() != values.keys() or not all(np.array_equal(found[name], values[name]) for name in values):
        raise AssertionError("a file has other values than were saved")


CASES = [
    Case("save, 1 GB, tmpfs", "`save_file`", 1.1, partial(on_tmpfs, save)),
    Case("load, 1 GB, tmpfs", "`load_file`", 1.1, partial(on_tmpfs, load)),
    Case("save, 1 GB, disk", "`save_file`, fsync, rename", 1.1, partial(on_disk, partial(save, durably=True))),
    Case("save, 1 GB: memory above the state", "64 MB", 1.0, partial(memory, "save")),
    Case("load, 1 GB: memory above one copy", "64 MB", 1.0, partial(memory, "load")),
]
