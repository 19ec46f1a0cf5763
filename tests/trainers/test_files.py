"""A file that a Rust trainer saves is a classifier in Python, which tells just as many digits right."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shrew_ema import EMA

ROOT = Path(__file__).parents[2]
PIXELS = 64
TRAINING = 1400

# What each framework calls the weights of the two layers, and whether their inputs come first.
TRAINERS = [
    pytest.param("shrew", ("hidden.weight", "hidden.bias", "output.weight", "output.bias"), False, id="shrew"),
    pytest.param("candle", ("hidden.weight", "hidden.bias", "out.weight", "out.bias"), False, id="candle"),
    pytest.param("burn", ("hidden.weight", "hidden.bias", "out.weight", "out.bias"), True, id="burn"),
]


def trained(framework: str, path: Path) -> int:
    """Trains the framework's example, which saves into `path` and says how many images it tells right with that."""
    cargo = os.environ.get("CARGO", "cargo")
    features = os.environ.get("TRAINERS", framework)
    example = [f"--features={features}", "--example", f"{framework}_digits", str(path)]
    run = subprocess.run([cargo, "run", "--quiet", "--locked", *example], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    said = re.search(r"with the averages out of .*: (\d+)$", run.stdout.decode().strip())
    assert said is not None
    return int(said[1])


def unseen() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The images that no example was trained on, and the digits on them."""
    data = (ROOT / "examples" / "data" / "digits.bin").read_bytes()
    rows = np.frombuffer(data, np.uint8).reshape(-1, PIXELS + 1)[TRAINING:]
    return rows[:, :PIXELS].astype(np.float32) / np.float32(16), rows[:, PIXELS]


@pytest.mark.parametrize(("framework", "names", "inputs_first"), TRAINERS)
def test_python_tells_as_many_right(framework: str, names: tuple[str, ...], inputs_first: bool, tmp_path: Path) -> None:
    path = tmp_path / "ema.safetensors"
    right = trained(framework, path)
    ema = EMA.load(path)
    assert ema.num_updates > 1000
    assert sorted(ema.names) == sorted(names)
    averages: dict[str, NDArray[Any]] = dict(ema.averages())
    # The biases of shrew are of (1, outputs).
    values = [averages[name].astype(np.float32).squeeze() for name in names]
    weight, bias, out_weight, out_bias = (x if inputs_first or x.ndim == 1 else x.T for x in values)
    images, digits = unseen()
    logits = np.maximum(images @ weight + bias, 0) @ out_weight + out_bias
    assert (logits.argmax(axis=1) == digits).sum() == right
    assert right > 0.8 * len(digits)
