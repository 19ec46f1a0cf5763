"""Train a small classifier on noisy labels, with and without averaged weights, and draw what the averaging was worth.

    python examples/digits.py --out digits.png

The model, its gradients and the optimizer are plain NumPy, so that the three lines that concern the average stand out
in `train`: the EMA is made over the parameters, fed after each optimizer step, and applied for each evaluation.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from tqdm import tqdm

from shrew_ema import EMA

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
Params = dict[str, Floats]

EPOCHS, BATCH, LEARNING_RATE, DECAY, NOISE = 15, 8, 0.2, 0.998, 0.2

# Vermillion and blue of the Okabe-Ito palette: told apart under the common forms of colour blindness.
COLOURS = {"raw": "#D55E00", "averaged": "#0072B2"}
INK, MUTED = "#222222", "#6b6b6b"


@dataclass(frozen=True)
class Curves:
    """Test accuracy in [0, 1] after each epoch of one run: one training, evaluated twice."""

    raw: Doubles
    averaged: Doubles


def split_digits(rng: np.random.Generator, noise: float) -> tuple[Floats, Ints, Floats, Ints]:
    """Standardised training images and labels, then those to test on; a share `noise` of the first labels is random."""
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    x, y = digits.data[order], digits.target[order]
    half = len(x) // 2
    # A tenth of the pixel range (0 to 16) keeps pixels that are almost always blank from being blown up.
    x = ((x - x[:half].mean(axis=0)) / (x[:half].std(axis=0) + 1.6)).astype(np.float32)
    y[:half] = np.where(rng.random(half) < noise, rng.integers(10, size=half), y[:half])
    return x[:half], y[:half], x[half:], y[half:]


def init_params(rng: np.random.Generator) -> Params:
    """Float32 weights of a 64-64-10 perceptron, scaled to keep the signal's variance."""
    return {
        "hidden.weight": rng.normal(0, (2 / 64) ** 0.5, (64, 64)).astype(np.float32),
        "hidden.bias": np.zeros(64, np.float32),
        "output.weight": rng.normal(0, (1 / 64) ** 0.5, (64, 10)).astype(np.float32),
        "output.bias": np.zeros(10, np.float32),
    }


def forward(params: Params, x: Floats) -> tuple[Floats, Floats]:
    """Hidden activations (n, 64) after the ReLU, and logits (n, 10)."""
    hidden = np.maximum(x @ params["hidden.weight"] + params["hidden.bias"], 0)
    return hidden, hidden @ params["output.weight"] + params["output.bias"]


def gradients(params: Params, x: Floats, y: Ints) -> Params:
    """Gradients of the mean cross-entropy over one batch."""
    hidden, logits = forward(params, x)
    delta = np.exp(logits - logits.max(axis=1, keepdims=True))
    delta /= delta.sum(axis=1, keepdims=True)
    delta[np.arange(len(y)), y] -= 1
    delta /= len(y)
    delta_hidden = (delta @ params["output.weight"].T) * (hidden > 0)
    return {
        "hidden.weight": x.T @ delta_hidden,
        "hidden.bias": delta_hidden.sum(axis=0),
        "output.weight": hidden.T @ delta,
        "output.bias": delta.sum(axis=0),
    }


def accuracy(params: Params, x: Floats, y: Ints) -> float:
    """Share of the digits in `x` that the model names correctly."""
    return float(np.mean(forward(params, x)[1].argmax(axis=1) == y))


def train(seed: int, epochs: int = EPOCHS, noise: float = NOISE) -> Curves:
    """Train once by plain SGD; after each epoch, test the weights as they are and as their average."""
    rng = np.random.default_rng(seed)
    x, y, test_x, test_y = split_digits(rng, noise)
    params = init_params(rng)
    ema = EMA(params, decay=DECAY)
    raw, averaged = [], []
    for _ in range(epochs):
        # Whole batches only: a last batch of two, just before the test, would flatter the average.
        for batch in rng.permutation(len(y))[: len(y) // BATCH * BATCH].reshape(-1, BATCH):
            for name, gradient in gradients(params, x[batch], y[batch]).items():
                params[name] -= np.float32(LEARNING_RATE) * gradient
            # The warm-up keeps the untrained start out of the average; after 1680 steps the decay has risen to .995.
            ema.update_with_warmup()
        raw.append(accuracy(params, test_x, test_y))
        with ema.applied():
            averaged.append(accuracy(params, test_x, test_y))
    return Curves(np.array(raw), np.array(averaged))


def train_seeds(seeds: int, noise: float) -> list[Curves]:
    """One run for each seed from 0, with a progress bar on a terminal."""
    label = f"{noise:.0%} label noise" if noise else "clean labels"
    return [train(seed, noise=noise) for seed in tqdm(range(seeds), label, unit="run", leave=False, disable=None)]


def stacked(runs: list[Curves]) -> dict[str, Doubles]:
    """Both kinds of curve by name, each of shape (runs, epochs)."""
    return {"raw": np.array([run.raw for run in runs]), "averaged": np.array([run.averaged for run in runs])}


def final(runs: list[Curves]) -> tuple[Doubles, Doubles, Doubles]:
    """Accuracies after the last epoch in percent, raw and averaged, and the gain in points; one entry for each run."""
    raw, averaged = (100 * values[:, -1] for values in stacked(runs).values())
    return raw, averaged, averaged - raw


def report(noisy: list[Curves], clean: list[Curves]) -> str:
    """Lay out the table of final accuracies, and the same comparison on clean labels in one line."""
    raw, averaged, gain = final(noisy)
    lines = [f"Test accuracy in percent, {NOISE:.0%} of the training labels randomised", ""]
    lines += [f"seed {'raw':>12} {'averaged':>12} {'gain':>12}"]
    lines += [f"{i:>4} {raw[i]:>12.1f} {averaged[i]:>12.1f} {gain[i]:>+12.1f}" for i in range(len(noisy))]
    means = [f"{v.mean():.1f} ± {v.std(ddof=1):.1f}" for v in (raw, averaged)]
    lines += [f"mean {means[0]:>12} {means[1]:>12} {f'{gain.mean():+.1f} ± {gain.std(ddof=1):.1f}':>12}", ""]
    lines += [f"The average was better on {np.sum(gain > 0)} of {len(gain)} seeds (± is one standard deviation)."]
    raw, averaged, gain = final(clean)
    summary = f"raw {raw.mean():.1f}, averaged {averaged.mean():.1f}, gain {gain.mean():+.2f} ± {gain.std(ddof=1):.2f}"
    counts = f"better on {np.sum(gain > 0)}, worse on {np.sum(gain < 0)} of {len(gain)} seeds"
    return "\n".join([*lines, f"Clean labels, where no gain is expected: {summary} ({counts})."])


def draw_panel(axes: Axes, runs: list[Curves], title: str) -> None:
    """Draw both curves over the epochs: mean, band of one standard deviation, single seeds faint behind."""
    curves = stacked(runs)
    upper = max(curves, key=lambda kind: float(curves[kind][:, -1].mean()))
    epochs = np.arange(1, len(runs[0].raw) + 1)
    for kind, values in curves.items():
        mean, spread, colour = values.mean(axis=0), values.std(axis=0, ddof=1), COLOURS[kind]
        axes.plot(epochs, values.T, color=colour, alpha=0.22, linewidth=0.8)
        axes.fill_between(epochs, mean - spread, mean + spread, color=colour, alpha=0.14, linewidth=0)
        axes.plot(epochs, mean, color=colour, linewidth=2.6, solid_capstyle="round")
        # The upper curve's label grows upwards and the other's downwards, so they never meet.
        place, side = ((9, 2), "bottom") if kind == upper else ((9, -2), "top")
        end, label = (float(epochs[-1]), float(mean[-1])), f"{kind}\n{mean[-1]:.1%}"
        axes.annotate(label, end, place, textcoords="offset points", va=side, color=colour, weight="bold")
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=10)
    axes.set_xlabel("epoch", loc="left", color=MUTED)
    axes.set(xmargin=0, xticks=[1, *range(5, len(epochs) + 1, 5)])
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.tick_params(length=0, colors=MUTED)
    axes.spines[:].set_visible(False)


def draw(noisy: list[Curves], clean: list[Curves], path: str) -> None:
    """Write the picture; its title states what was measured, whichever way that went."""
    gain = final(noisy)[2]
    change = f"{'raises' if gain.mean() > 0 else 'lowers'} test accuracy by {abs(gain.mean()):.1f} points"
    wins = f"the average is better on {np.sum(gain > 0)} of {len(gain)} seeds"
    detail = f"Handwritten digits; {wins}. Thick: mean. Band: ±1 standard deviation. Thin: single seeds."
    # A Figure of its own renders to files without pyplot's global state or a display.
    figure = Figure(figsize=(10.5, 5.8))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    draw_panel(left, noisy, f"Test accuracy, {NOISE:.0%} of training labels randomised")
    draw_panel(right, clean, "Test accuracy, clean labels")
    figure.text(0.06, 0.93, f"Averaging the weights {change} under label noise", size=15.5, weight="bold", color=INK)
    figure.text(0.06, 0.88, detail, size=10, color=MUTED)
    figure.subplots_adjust(left=0.06, right=0.9, top=0.77, bottom=0.1, wspace=0.36)
    figure.savefig(path, dpi=160)


def main() -> None:
    """Parse the command line, train, print and draw."""
    parser = argparse.ArgumentParser(description="Raw against averaged weights on noisy labels.")
    parser.add_argument("--out", default="digits.png", help="where to write the picture (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=8, help="number of runs, at least 2 (default: %(default)s)")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error(f"--seeds must be at least 2 to have a spread, got {args.seeds}")
    noisy, clean = train_seeds(args.seeds, NOISE), train_seeds(args.seeds, 0)
    print(report(noisy, clean))
    draw(noisy, clean, args.out)
    print(f"Picture: {args.out}")


if __name__ == "__main__":
    main()
