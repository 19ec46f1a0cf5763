"""Saves that are killed, interrupted, refused by the disk: the old file or the new one is there, and no litter."""

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from shrew_ema import EMA
from support import HELD_TO_MODES, run_python

# Forks a saver for each line it reads, which tells its process and saves until it is killed; step n is all n.
SAVER = """
import os, sys
import numpy as np
from shrew_ema import EMA

path, decays, size = sys.argv[1], [0.0] * int(sys.argv[2]), int(sys.argv[3])
params = {"a": np.zeros(size, np.float32), "b": np.zeros(7), "n": np.zeros(3, np.int64)}
ema = EMA(params, decays)

def step():
    for array in params.values():
        array[...] = ema.step + 1
    ema.update()

for line in sys.stdin:
    if os.path.exists(sys.argv[4]):
        ema = EMA.load(path, params)
    child = os.fork()
    if child == 0:
        # Before it tells, as the first update copies the memory that the child has in common with its parent.
        step()
        print(os.getpid(), flush=True)
        while True:
            ema.save(path)
            step()
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def check(path: Path, horizons: int, size: int) -> int:
    """Whether what is there is one save and all of it; gives its step."""
    ema = EMA.load(path)
    assert len(ema.decays) == horizons
    for horizon in range(horizons):
        for name, array in ema.averages(horizon).items():
            assert array.shape == ({"a": size, "b": 7, "n": 3}[name],)
            assert np.all(array == ema.step), (ema.step, horizon, name)
    return ema.step


@pytest.mark.parametrize(("horizons", "kills"), [(1, 200), (2, 200)], ids=["one horizon", "two horizons"])
def test_a_save_killed_at_any_moment_leaves_the_old_file_or_the_new(horizons: int, kills: int, folder: Path) -> None:
    path, size = folder / "ema.safetensors", (1 << 19) // horizons
    first = path if horizons == 1 else folder / "ema.h0.safetensors"
    chance = random.Random(horizons)
    # How long one save takes here, so that the kills fall before, into and after one.
    trial = EMA({"a": np.ones(size, np.float32)}, [0.0] * horizons)
    trial.update()
    began = time.monotonic()
    for _ in range(3):
        trial.save(folder / "trial")
    moment = (time.monotonic() - began) / 3
    for entry in folder.iterdir():
        entry.unlink()
    arguments = [str(path), str(horizons), str(size), str(first)]
    with subprocess.Popen(
        [sys.executable, "-c", SAVER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as saver:
        assert saver.stdin is not None
        assert saver.stdout is not None
        # When the kills come is the machine's affair: enough of them meet a save, however many that takes.
        steps, drafts, ends = [0], 0, time.monotonic() + 120
        while (len(steps) <= kills or steps[-1] <= kills / 4 or drafts <= kills / 10) and time.monotonic() < ends:
            saver.stdin.write("\n")
            saver.stdin.flush()
            child = int(saver.stdout.readline())
            time.sleep(chance.uniform(0, 12 * moment))
            os.kill(child, signal.SIGKILL)
            assert saver.stdout.readline() == "dead\n"
            files = {entry.name for entry in folder.iterdir()}
            litter = [name for name in files if name.endswith(".tmp")]
            assert len(litter) <= horizons, files
            drafts += len(litter)
            if first.exists():
                steps.append(check(path, horizons, size))
                assert len(files - set(litter)) <= horizons
        saver.stdin.close()
    assert steps == sorted(steps), "a save was lost"
    assert steps[-1] > kills / 4, "nothing was saved"
    assert drafts > kills / 10, "the kills came at no time that matters"
    ema = EMA.load(path)
    ema.save(path)
    assert len(list(folder.iterdir())) == horizons


def contents(folder: Path) -> dict[str, bytes]:
    """What is in each file of a folder."""
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


def saved(folder: Path, horizons: int) -> dict[str, bytes]:
    """The contents of a folder with a save in it, of 2 MB for each horizon."""
    ema = EMA({"w": np.ones(1 << 18)}, [0.0] * horizons)
    ema.update()
    ema.save(folder / "ema")
    return contents(folder)


LIMITED = """
import errno, os, resource, sys
import numpy as np
from shrew_ema import EMA, CheckpointError

path, horizons = sys.argv[1], int(sys.argv[2])
ema = EMA({"w": np.zeros(1 << 18)}, [0.0] * horizons)
ema.update()
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in (0, 7, 100, 1 << 20, (1 << 21) - 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    try:
        ema.save(path)
    except CheckpointError as error:
        assert error.__cause__.errno == errno.EFBIG, error
        print(error.problem)
"""


@pytest.mark.parametrize("horizons", [1, 2])
def test_a_disk_that_is_full_leaves_the_old_file(horizons: int, tmp_path: Path) -> None:
    before = saved(tmp_path, horizons)
    printed = run_python(LIMITED, str(tmp_path / "ema"), str(horizons))
    assert printed == "file too large\n" * 5
    assert contents(tmp_path) == before


FORBIDDEN = """
import os, sys
import numpy as np
from shrew_ema import EMA, CheckpointError

os.chdir(sys.argv[1])
ema = EMA({"w": np.zeros(3)}, [0.0] * int(sys.argv[2]))
ema.update()
if os.getuid() == 0:
    os.seteuid(65534)  # who may write anywhere is no test
try:
    ema.save("ema")
except CheckpointError as error:
    print(type(error.__cause__).__name__, error)
"""


@HELD_TO_MODES
@pytest.mark.parametrize("horizons", [1, 2])
def test_a_folder_that_can_not_be_written_keeps_the_old_file(horizons: int, folder: Path) -> None:
    before = saved(folder, horizons)
    folder.chmod(0o555)
    try:
        printed = run_python(FORBIDDEN, str(folder), str(horizons))
    finally:
        folder.chmod(0o700)
    assert printed == f"PermissionError {min(before)}: permission denied\n"
    assert contents(folder) == before


# Interrupts itself as soon as a draft is there. A save that is over before it was heard has a longer one after it.
INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
from shrew_ema import EMA

# What a shell starts in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
path, horizons = sys.argv[1], int(sys.argv[2])
folder = os.path.dirname(path)

def interrupt():
    while not any(name.endswith(".tmp") for name in os.listdir(folder)):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

def contents():
    files = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            files[name] = file.read()
    return files

averages = np.zeros(1 << 21, np.float32)
for tensors in (48, 96, 192):
    before = contents()
    big = EMA({str(index): averages + index for index in range(tensors)}, [0.0] * horizons)
    big.update()
    watcher = threading.Thread(target=interrupt, daemon=True)
    watcher.start()
    try:
        big.save(path)
        watcher.join()
    except KeyboardInterrupt:
        print("interrupted", contents() == before)
        break
"""


@pytest.mark.parametrize("horizons", [1, 2])
def test_a_long_save_can_be_interrupted(horizons: int, folder: Path) -> None:
    saved(folder, horizons)
    assert run_python(INTERRUPTED, str(folder / "ema"), str(horizons), timeout=120) == "interrupted True\n"


def test_a_long_load_can_be_interrupted(folder: Path) -> None:
    ema = EMA({str(index): np.zeros(1 << 21, np.float32) for index in range(48)}, 0.0)
    ema.update()
    ema.save(folder / "ema", dtype="float16")
    # The interpreter takes no part in the loop of the map, so that only a load may look for signals.
    code = """
import signal, sys
from collections import deque
from functools import partial
from shrew_ema import EMA
signal.signal(signal.SIGALRM, signal.default_int_handler)
paths = iter([sys.argv[1]] * 40)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    deque(map(partial(EMA.load, resume=False), paths), maxlen=0)
except KeyboardInterrupt:
    print("interrupted", len(list(paths)) > 30)
"""
    assert run_python(code, str(folder / "ema"), timeout=120) == "interrupted True\n"


def test_drafts_of_others_are_left_alone(folder: Path) -> None:
    ema = EMA({"w": np.ones(3)}, 0.0)
    ema.update()
    mine = [".ema.shrew-abcdefgh.tmp"]
    others = [
        ".ema.shrew-abc.tmp",
        ".ema.settings.tmp",
        "ema.shrew-abcdefgh.tmp",
        ".em.shrew-abcdefgh.tmp",
        ".ema.shrew-abcdefgh",
    ]
    for name in mine + others:
        (folder / name).write_bytes(b"left")
    (folder / ".ema.shrew-folder12.tmp").mkdir()
    (folder / ".ema.shrew-linklink.tmp").symlink_to(".ema.shrew-abc.tmp")
    ema.save(folder / "ema")
    kept = {entry.name for entry in folder.iterdir()}
    assert kept == {"ema", *others, ".ema.shrew-folder12.tmp", ".ema.shrew-linklink.tmp"}


def test_a_draft_that_somebody_writes_is_left_alone(folder: Path) -> None:
    ema = EMA({"w": np.ones(3)}, 0.0)
    ema.update()
    draft = folder / ".ema.shrew-abcdefgh.tmp"
    with draft.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ema.save(folder / "ema")
        assert draft.exists()
    ema.save(folder / "ema")
    assert not draft.exists()
