"""What other processes do with an EMA that they are given; in a module, so that they find it."""

from typing import Any

import numpy as np

from runs import model, quiet
from shrew_ema import EMA


def trained(ema: EMA, calls: int) -> tuple[EMA, dict[str, Any]]:
    """The EMA and its state dict after some calls on the worker's own model."""
    params = model(0)
    with quiet():
        ema.bind(params)
        for _ in range(calls):
            for name, values in model(ema.step + 1).items():
                params[name][...] = values
            ema.update()
    return ema, ema.state_dict()


def looked_at(state: dict[str, Any]) -> dict[str, list[float]]:
    """The averages of a state dict, by an EMA of the worker's own."""
    ema = EMA(model(0), 0.5)
    ema.load_state_dict(state)
    return {name: np.asarray(array, float).ravel().tolist() for name, array in ema.averages().items()}
