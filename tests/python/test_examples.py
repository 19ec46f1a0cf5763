"""The examples run, and what they print about raw and averaged weights is what they measured."""

import importlib.util
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier  # type: ignore[import-untyped]

from support import bits

EXAMPLES = Path(__file__).parents[2] / "examples"


@cache
def example(name: str) -> ModuleType:
    """An example as a module, so that its parts can be called."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def numbers(report: str, rows: int) -> list[list[str]]:
    """The fields of the rows that come below the header of a report."""
    lines = report.splitlines()
    header = next(index for index, line in enumerate(lines) if "averaged" in line)
    return [line.split() for line in lines[header + 1 : header + 1 + rows]]


def test_every_example_has_a_test_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    names = [path.stem for path in EXAMPLES.glob("*.py")]
    assert names
    assert [name for name in names if f'example("{name}")' not in text] == []


def test_the_average_beats_the_raw_weights_under_label_noise(tmp_path: Path) -> None:
    digits = example("digits")
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


def test_the_numpy_loop_prints_what_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    loop = example("numpy_loop")
    loop.main()
    rows = numbers(capsys.readouterr().out, len(loop.RATES))
    assert [float(row[0]) for row in rows] == list(loop.RATES)
    gains = []
    for rate, row in zip(loop.RATES, rows, strict=True):
        raw, averaged = np.array([loop.train(seed, rate) for seed in range(loop.SEEDS)]).T
        gains.append(np.mean(averaged - raw))
        assert row[1:4] == [f"{raw.mean():.3f}", f"{averaged.mean():.3f}", f"{gains[-1]:+.3f}"]
        assert row[4:] == [str(np.sum(averaged > raw)), "of", str(loop.SEEDS)]
        assert 0.3 < raw.mean() < averaged.mean()
    # What its first lines say: little is gained with the smallest learning rate, and more with each larger one.
    assert 0 < gains[0] < 0.02 < gains[1] < gains[2]


def test_the_gradients_of_the_numpy_loop_are_those_of_its_loss() -> None:
    loop = example("numpy_loop")
    rng = np.random.default_rng(1)
    params = {"w1": rng.normal(size=(3, 4)), "b1": rng.normal(size=4), "w2": rng.normal(size=4), "b2": np.zeros(1)}
    x, y = rng.normal(size=(5, 3)), rng.normal(size=5)

    def loss(params: dict[str, "np.ndarray"]) -> float:
        return float(np.mean((loop.predict(params, x)[1] - y) ** 2))

    stepped = {name: array.copy() for name, array in params.items()}
    loop.step(stepped, x, y, rate=1.0)
    for name, array in params.items():
        for index in np.ndindex(array.shape):
            shifted = [{key: value.copy() for key, value in params.items()} for _ in range(2)]
            shifted[0][name][index] += 1e-6
            shifted[1][name][index] -= 1e-6
            slope = (loss(shifted[0]) - loss(shifted[1])) / 2e-6
            assert (array - stepped[name])[index] == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_the_average_of_partial_fit_beats_the_raw_weights(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    partial_fit = example("sklearn_partial_fit")
    monkeypatch.setattr(partial_fit, "SEEDS", 2)
    partial_fit.main()
    report = capsys.readouterr().out
    raw, averaged, own = partial_fit.train(1)
    assert averaged > raw + 2
    assert averaged == pytest.approx(own, abs=3)
    rows = numbers(report, 2)
    assert rows[1] == ["1", f"{raw:.1f}", f"{averaged:.1f}", f"{own:.1f}"]
    better = sum(float(row[2]) > float(row[1]) for row in rows)
    assert report.rstrip().endswith(f"on {better} of 2 seeds.")


# Odd and even digits are two classes that are hard to tell apart, so that the intercept keeps moving.
@pytest.mark.parametrize("classes", [2, 10])
def test_what_predicts_within_the_block_is_the_average_of_each_step(classes: int) -> None:
    partial_fit = example("sklearn_partial_fit")
    x, y, *_ = partial_fit.split(np.random.default_rng(3))
    y %= classes
    model, alone = SGDClassifier(random_state=3), SGDClassifier(random_state=3)
    ema = partial_fit.fit(model, x, y, seed=3)
    # The same training again, averaged by the formula.
    order = list(partial_fit.batches(np.random.default_rng(3), len(y)))
    shadows: list[np.ndarray] = []
    for update, batch in enumerate(order):
        alone.partial_fit(x[batch], y[batch], classes=np.unique(y))
        weights = [alone.coef_.copy(), alone.intercept_.copy()]
        decay = min(partial_fit.DECAY, (1 + update) / (10 + update)) if update else 0.0
        shadows = [s + (1 - decay) * (w - s) for s, w in zip(shadows or weights, weights, strict=True)]
    raw = [bits(model.coef_), bits(model.intercept_)]
    assert raw == [bits(alone.coef_), bits(alone.intercept_)]
    with ema.applied():
        for name, shadow in zip(("coef_", "intercept_"), shadows, strict=True):
            np.testing.assert_allclose(getattr(model, name), shadow, rtol=1e-9, atol=1e-12)
        shown = x @ shadows[0].T + shadows[1]
        np.testing.assert_allclose(model.decision_function(x), shown if classes > 2 else shown[:, 0], atol=1e-9)
    assert raw == [bits(model.coef_), bits(model.intercept_)]


def test_a_training_that_was_killed_ends_in_the_bits_of_one_that_was_not() -> None:
    example("resume")  # it can be imported; here it is run as its first lines say
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "resume.py")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"killed at step 1600, exit status {-signal.SIGKILL}",
        "checkpoints: step-000250, step-000500, step-000750, step-001000, step-001250, step-001500",
        "taken up again from step 1500",
        "the same parameters to the last bit: True",
        "the same averages, counters and schedule: True",
        "after 3000 updates, and 3000 without the crash",
    ]


def test_a_crash_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    resume = example("resume")
    params = {"w": np.ones(30), "b": np.ones(1)}
    ema = resume.EMA(params, 0.0)
    ema.update()
    resume.save(tmp_path, 1, params, ema)
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft" / "params.npz").write_bytes(b"half a fi")
    step, found, resumed = resume.resume(tmp_path)
    assert (step, resumed.num_updates, found["w"].tobytes()) == (1, 1, params["w"].tobytes())
    resume.save(tmp_path, 2, params, ema)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000001", "step-000002"]


@pytest.mark.parametrize(("classes", "kept"), [(2, False), (3, True), (10, True)])
def test_of_two_classes_partial_fit_replaces_the_intercept(classes: int, kept: bool) -> None:
    x, y, *_ = example("sklearn_partial_fit").split(np.random.default_rng(3))
    y %= classes
    model = SGDClassifier(random_state=3).partial_fit(x, y, classes=np.unique(y))
    first = model.intercept_
    model.partial_fit(x, y)
    assert (model.intercept_ is first) == kept
