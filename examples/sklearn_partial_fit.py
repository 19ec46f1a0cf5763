"""The average of a scikit-learn model that is trained batch by batch with `partial_fit`.

    python examples/sklearn_partial_fit.py

A linear classifier learns handwritten digits with all settings as scikit-learn has them. Next to the raw weights and
their average stands what scikit-learn has for this, the plain mean of all steps of `SGDClassifier(average=True)`.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from sklearn.linear_model import SGDClassifier  # type: ignore[import-untyped]

from shrew_ema import EMA

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

SEEDS, EPOCHS, BATCH, DECAY = 4, 3, 32, 0.97


def split(rng: np.random.Generator) -> tuple[Doubles, Ints, Doubles, Ints]:
    """Images and the digits that they show, for one half to train on and the other to test on."""
    data, target = load_digits(return_X_y=True)
    order = rng.permutation(len(target))
    x, y, half = data[order] / 16, target[order], len(target) // 2
    return x[:half], y[:half], x[half:], y[half:]


def batches(rng: np.random.Generator, size: int) -> Iterator[Ints]:
    """Indices of one batch after another, each epoch in another order."""
    for _ in range(EPOCHS):
        yield from rng.permutation(size)[: size // BATCH * BATCH].reshape(-1, BATCH)


def fit(model: SGDClassifier, x: Doubles, y: Ints, seed: int) -> EMA:
    """Train a model by `partial_fit` and return the average of its weights."""
    classes = np.unique(y)
    order = batches(np.random.default_rng(seed), len(y))
    first = next(order)
    model.partial_fit(x[first], y[first], classes=classes)  # which makes the arrays
    params = {"coef_": model.coef_, "intercept_": model.intercept_}
    ema = EMA(params, decay=DECAY)
    for batch in order:
        model.partial_fit(x[batch], y[batch])
        # What to watch for: the EMA reads what `params` holds. With more than two classes `partial_fit` writes into the
        # arrays that are there, but with two it gives the model a new `intercept_` at each call, and without this line
        # the first one would be averaged for ever. (With `average=True`, `coef_` is scikit-learn's average already.)
        params.update(coef_=model.coef_, intercept_=model.intercept_)
        ema.update_with_warmup()
    return ema


def train(seed: int) -> tuple[float, float, float]:
    """Test accuracy in percent of the raw weights, of their average, and of scikit-learn's own."""
    x, y, test_x, test_y = split(np.random.default_rng(seed))
    model = SGDClassifier(random_state=seed)
    ema = fit(model, x, y, seed)
    raw = model.score(test_x, test_y)
    # `predict` reads the arrays of the model, so that it predicts from the averages as long as they are in there.
    with ema.applied():
        averaged = model.score(test_x, test_y)
    own = SGDClassifier(random_state=seed, average=True)
    for batch in batches(np.random.default_rng(seed), len(y)):
        own.partial_fit(x[batch], y[batch], classes=np.unique(y))
    return 100 * raw, 100 * averaged, 100 * own.score(test_x, test_y)


def main() -> None:
    """Train on several splits of the images and print what came out."""
    scores = np.array([train(seed) for seed in range(SEEDS)])
    print("Test accuracy in percent\n")
    print("seed       raw  averaged  average=True")
    for seed, (raw, averaged, own) in enumerate(scores):
        print(f"{seed:4} {raw:9.1f} {averaged:9.1f} {own:13.1f}")
    print("mean {:9.1f} {:9.1f} {:13.1f}".format(*scores.mean(axis=0)))
    raw, averaged, _ = scores.T
    print(f"\nThe average was better than the raw weights on {np.sum(averaged > raw)} of {SEEDS} seeds.")


if __name__ == "__main__":
    main()
