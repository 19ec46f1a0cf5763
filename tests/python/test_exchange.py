"""Files cross languages: Python writes the bytes that Rust writes, and each goes on from the other's file."""

from pathlib import Path

import numpy as np
import pytest

from shrew_ema import EMA, schedules
from support import Params, books

# Infinite elements are left out on purpose, and told of.
pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")

# tests/rust/files.rs compares its own file with this one.
VECTOR = Path(__file__).parent.parent / "vectors" / "saved.safetensors"


def model() -> Params:
    return {
        "layer.weight": np.array([[1.0, -2.0, 3.0], [0.5, 0.25, -0.125]], np.float32),
        'layer."bias"': np.array([1.5, -7.0], np.float16),
        "größe": np.array(0.1),
    }


def train(params: Params, ema: EMA, steps: range) -> None:
    for step in steps:
        params["layer.weight"] += np.float32(0.75)
        params['layer."bias"'] *= np.float16(0.5)
        params["größe"][...] *= 3.0
        if step == 4:
            params["größe"][...] = np.inf
        if step == 5:
            ema.update_with_warmup()
        else:
            ema.update()
        params["größe"][...] = float(step)


def trained() -> tuple[Params, EMA]:
    params = model()
    ema = EMA(params, schedules.power(0.1), every=2, start=1, nonfinite="skip")
    train(params, ema, range(6))
    return params, ema


def test_python_writes_the_bytes_that_rust_writes(tmp_path: Path) -> None:
    _, ema = trained()
    ema.save(tmp_path / "ema.safetensors")
    assert (tmp_path / "ema.safetensors").read_bytes() == VECTOR.read_bytes()


def test_python_goes_on_from_the_file_that_rust_writes() -> None:
    params, ema = trained()
    resumed = EMA.load(VECTOR, params)
    assert books(resumed) == books(ema)
    train(params, ema, range(6, 20))
    other, again = trained()
    resumed = EMA.load(VECTOR, other)
    train(other, resumed, range(6, 20))
    assert books(resumed) == books(ema) != books(again)
