"""Resume from a crash: a training that is killed half-way, taken up again, ends in the very bits of one that was not.

    python examples/resume.py

A classifier of tumours is trained twice: once to the end, and once by a process that kills itself in the middle and is
started again. Parameters and averages belong together, so each checkpoint is a folder of both that gets its name last:
whatever moment a crash comes at, the newest folder with a name is complete.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer  # type: ignore[import-untyped]

from shrew_ema import EMA, schedules

Doubles = NDArray[np.float64]
Params = dict[str, Doubles]

STEPS, EVERY, BATCH, RATE = 3000, 250, 16, 0.5


def save(folder: Path, step: int, params: Params, ema: EMA) -> None:
    """Save parameters and averages of one step, under their name once both are there."""
    draft = folder / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    stored: dict[str, Any] = {**params}  # else a type checker fears that one of them is called allow_pickle
    np.savez(draft / "params.npz", **stored)
    ema.save(draft / "ema.safetensors")
    draft.rename(folder / f"step-{step:06}")


def resume(folder: Path) -> tuple[int, Params, EMA]:
    """The newest checkpoint, or a fresh start where there is none."""
    newest = max(folder.glob("step-*"), default=None)
    if newest is None:
        params = {"w": np.zeros(30), "b": np.zeros(1)}
        return 0, params, EMA(params, schedules.half_life(200))
    with np.load(newest / "params.npz") as stored:
        params = {name: stored[name] for name in stored.files}
    ema = EMA.load(newest / "ema.safetensors", params)
    return ema.step, params, ema


def train(folder: Path, crash_at: int | None = None) -> tuple[Params, EMA]:
    """Train to the end from wherever the folder has got to, with a checkpoint now and then."""
    data, target = load_breast_cancer(return_X_y=True)
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    first, params, ema = resume(folder)
    for step in range(first, STEPS):
        if step == crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
        # Seeded by the step, so that a resumed training sees the batches that the other one saw.
        batch = np.random.default_rng(step).choice(len(target), BATCH, replace=False)
        error = 1 / (1 + np.exp(-(data[batch] @ params["w"] + params["b"]))) - target[batch]
        params["w"] -= RATE * data[batch].T @ error / BATCH
        params["b"] -= RATE * error.mean()
        ema.update_with_warmup()
        if (step + 1) % EVERY == 0:
            save(folder, step + 1, params, ema)
    return params, ema


def main() -> None:
    """Train once without a crash and once with one, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="train here only, from the newest checkpoint in it")
    parser.add_argument("--crash-at", type=int, metavar="STEP", help="with --folder: be killed at this step")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        train(arguments.folder, arguments.crash_at)
        return
    with tempfile.TemporaryDirectory() as scratch:
        whole, crashed = Path(scratch) / "whole", Path(scratch) / "crashed"
        params, ema = train(whole)
        crash_at = 1600
        process = [sys.executable, __file__, "--folder", str(crashed), "--crash-at", str(crash_at)]
        print(f"killed at step {crash_at}, exit status {subprocess.run(process, check=False).returncode}")
        print(f"checkpoints: {', '.join(sorted(path.name for path in crashed.iterdir()))}")
        first, _, _ = resume(crashed)
        print(f"taken up again from step {first}")
        params_again, ema_again = train(crashed)
        same = all(params[name].tobytes() == params_again[name].tobytes() for name in params)
        print(f"the same parameters to the last bit: {same}")
        files = [folder / f"step-{STEPS:06}" / "ema.safetensors" for folder in (whole, crashed)]
        print(f"the same averages, counters and schedule: {files[0].read_bytes() == files[1].read_bytes()}")
        print(f"after {ema_again.num_updates} updates, and {ema.num_updates} without the crash")


if __name__ == "__main__":
    main()
