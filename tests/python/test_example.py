"""The demo trains, reports what it measured, and draws it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

DEMO = Path(__file__).parents[2] / "examples" / "digits.py"


@pytest.fixture(scope="module")
def digits() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["digits"] = module
    spec.loader.exec_module(module)
    return module


def test_the_average_beats_the_raw_weights_under_label_noise(digits: ModuleType, tmp_path: Path) -> None:
    noisy = [digits.train(seed, epochs=6) for seed in range(2)]
    clean = [digits.train(seed, epochs=2, noise=0.0) for seed in range(2)]
    for curves in noisy:
        assert len(curves.raw) == len(curves.averaged) == 6
        assert np.mean(curves.averaged[2:]) > np.mean(curves.raw[2:]) + 0.01
    report = digits.report(noisy, clean)
    assert "2 of 2 seeds" in report
    picture = tmp_path / "digits.png"
    digits.draw(noisy, clean, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000
