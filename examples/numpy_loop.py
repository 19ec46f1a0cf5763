"""A complete training loop in plain NumPy with an average beside it: how well the raw weights predict, and the average.

    python examples/numpy_loop.py

A small network learns how far a patient's diabetes has gone on after a year. Small batches make the weights jitter, the
more, the larger the learning rate; so the average is worth little where that was well chosen, and much where not.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes  # type: ignore[import-untyped]

from shrew_ema import EMA

Doubles = NDArray[np.float64]
Params = dict[str, Doubles]

SEEDS, EPOCHS, BATCH, HIDDEN, DECAY = 8, 20, 8, 16, 0.99
RATES = (0.02, 0.05, 0.1)


def split(rng: np.random.Generator) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Ten measures of each patient and the outcome, for one half to train on and the other to test on."""
    data, target = load_diabetes(return_X_y=True, scaled=False)
    order = rng.permutation(len(target))
    half = len(order) // 2
    x, y = data[order], target[order]
    x, y = (x - x[:half].mean(axis=0)) / x[:half].std(axis=0), (y - y[:half].mean()) / y[:half].std()
    return x[:half], y[:half], x[half:], y[half:]


def predict(params: Params, x: Doubles) -> tuple[Doubles, Doubles]:
    """Hidden activations (n, 16), and the outcome that is expected of each patient (n,)."""
    hidden = np.tanh(x @ params["w1"] + params["b1"])
    return hidden, hidden @ params["w2"] + params["b2"]


def step(params: Params, x: Doubles, y: Doubles, rate: float) -> None:
    """One step of gradient descent on the mean squared error of a batch, in place."""
    hidden, found = predict(params, x)
    delta = 2 * (found - y) / len(y)
    delta_hidden = np.outer(delta, params["w2"]) * (1 - hidden**2)
    gradients = {"w1": x.T @ delta_hidden, "b1": delta_hidden.sum(axis=0), "w2": delta @ hidden, "b2": delta.sum()}
    for name, gradient in gradients.items():
        params[name] -= rate * gradient


def score(params: Params, x: Doubles, y: Doubles) -> float:
    """The share of the outcome's variance that is explained, R²."""
    return float(1 - np.mean((predict(params, x)[1] - y) ** 2) / np.var(y))


def train(seed: int, rate: float) -> tuple[float, float]:
    """Train once, and test the weights as they are and as their average."""
    rng = np.random.default_rng(seed)
    x, y, test_x, test_y = split(rng)
    params = {
        "w1": rng.normal(0, x.shape[1] ** -0.5, (x.shape[1], HIDDEN)),
        "b1": np.zeros(HIDDEN),
        "w2": rng.normal(0, HIDDEN**-0.5, HIDDEN),
        "b2": np.zeros(1),
    }
    ema = EMA(params, decay=DECAY)
    for _ in range(EPOCHS):
        for batch in rng.permutation(len(y))[: len(y) // BATCH * BATCH].reshape(-1, BATCH):
            step(params, x[batch], y[batch], rate)
            ema.update_with_warmup()
    raw = score(params, test_x, test_y)
    with ema.applied():
        return raw, score(params, test_x, test_y)


def main() -> None:
    """Train at each learning rate, on several splits of the patients, and print what came out."""
    print(f"R² on patients who were not trained on, mean of {SEEDS} trainings\n")
    print("learning rate       raw  averaged      gain  better on")
    for rate in RATES:
        raw, averaged = np.array([train(seed, rate) for seed in range(SEEDS)]).T
        gain = averaged - raw
        print(f"{rate:13} {raw.mean():9.3f} {averaged.mean():9.3f} {gain.mean():+9.3f}  {np.sum(gain > 0)} of {SEEDS}")


if __name__ == "__main__":
    main()
