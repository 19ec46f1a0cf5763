"""A call that is refused on a spoilt model, and the proof that it changed nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shrew_ema import EMA, EMAError
from support import Params, unchanged

PLACES = ["first", "middle", "last"]

Call = Callable[[EMA, Params], object]

# Every call that reads a model, with the model that it may be given.
_CALLS: dict[str, Call] = {
    "update": lambda ema, _: ema.update(),
    "update_with_warmup": lambda ema, _: ema.update_with_warmup(),
    "apply": lambda ema, _: ema.apply(),
    "applied": lambda ema, _: ema.applied().__enter__(),
    "copy_to": lambda ema, _: ema.copy_to(),
    "restore": lambda ema, _: ema.restore(),
    "update(other)": lambda ema, other: ema.update(other),
    "update_with_warmup(other)": lambda ema, other: ema.update_with_warmup(other),
}
READING = list(_CALLS)
WRITING = ["apply", "applied", "copy_to", "restore"]


def refusal(model: Params, call: str, spoil: Callable[[Params], object]) -> EMAError:
    """The error of a call on a model that was spoilt after some training, and proof that it changed nothing.

    Where the call is given a model, it is that one that is spoilt. In the end the call is made on the good model.
    """
    ema = EMA(model, 0.5)
    rng = np.random.default_rng(13)
    for _ in range(6):
        for array in model.values():
            np.add(array, rng.normal(size=array.shape), out=array, casting="unsafe")
        ema.update()
    if call == "restore":
        ema.apply()
    good = dict(model)
    other = dict(model)
    spoil(other if "other" in call else model)
    with unchanged(ema, model, other), pytest.raises(EMAError) as caught:
        _CALLS[call](ema, other)
    model.clear()
    model.update(good)
    _CALLS[call](ema, good)
    ema.restore()
    assert ema.num_updates == 6 + ("update" in call)
    return caught.value


def replace(name: str, tensor: Any) -> Callable[[Params], None]:  # noqa: ANN401 - anything can stand in a container
    """A function that puts something in the place of a tensor."""

    def spoil(params: Params) -> None:
        params[name] = tensor

    return spoil


def check(error: EMAError, name: str, *facts: str) -> None:
    """Asserts that a message names the tensor and the facts."""
    for fact in (f'"{name}"', *facts):
        assert fact in str(error)
