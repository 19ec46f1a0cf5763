"""Containers that are refused: other names, another number of tensors, and what is no container at all."""

from typing import Any

import numpy as np
import pytest

from refused import PLACES, READING, check, refusal
from shrew_ema import EMA, ConfigError, NamesError
from support import Array, Params, unchanged


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", READING)
def test_missing_extra_and_renamed_tensors_are_refused_by_every_call(model: Params, call: str, place: str) -> None:
    def rename(params: Params) -> None:
        params["renamed"] = params.pop(place)

    for spoil, missing, unexpected in [
        (lambda params: params.pop(place), (place,), ()),
        (lambda params: params.update(extra=np.zeros(1)), (), ("extra",)),
        (rename, (place,), ("renamed",)),
    ]:
        error = refusal(dict(model), call, spoil)
        assert isinstance(error, NamesError)
        assert (error.missing, error.unexpected) == (missing, unexpected)
        for name in missing + unexpected:
            check(error, name)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_another_number_of_tensors_is_refused_by_every_call(model: Params, count: int) -> None:
    layers = list(model.values())
    ema = EMA(layers, 0.5)
    for _ in range(6):
        ema.update()
    other = (layers * 2)[:count]
    missing, unexpected = ("1", "2")[count - 1 :], ("3", "4")[: max(count - 3, 0)]
    for call in (ema.update, ema.update_with_warmup):
        with unchanged(ema, layers, other), pytest.raises(NamesError) as caught:
            call(other)
        assert (caught.value.missing, caught.value.unexpected) == (missing, unexpected)
    layers[:] = other
    for write in (ema.update, ema.update_with_warmup, ema.apply, ema.copy_to, ema.applied().__enter__):
        with unchanged(ema, layers), pytest.raises(NamesError) as caught:
            write()
        for name in missing + unexpected:
            check(caught.value, name)


@pytest.mark.parametrize("key", [1, b"w", None, ("w",)], ids=repr)
def test_a_name_that_is_no_text_is_refused(model: Params, key: object) -> None:
    bad: dict[Any, Array] = {key: np.zeros(3)}
    with unchanged(None, bad), pytest.raises(NamesError) as caught:
        EMA(bad)
    assert repr(key) in str(caught.value)
    assert f"it is of type {type(key).__name__}, and the keys" in str(caught.value)
    error = refusal(model, "update", lambda params: params.update(bad))
    assert isinstance(error, NamesError)
    assert repr(key) in str(error)


NO_MODEL = [None, np.zeros(3), "weights", {1, 2}, 3.0, iter([np.zeros(3)]), {"w": np.zeros(3)}.values(), np.float32(1)]


@pytest.mark.parametrize("params", NO_MODEL, ids=lambda params: type(params).__name__)
def test_what_is_no_dict_list_or_tuple_is_refused(params: object) -> None:
    with unchanged(None, params), pytest.raises(ConfigError) as caught:
        EMA(params)  # type: ignore[arg-type]
    assert caught.value.argument == "params"
    assert "dict, list or tuple" in str(caught.value)
    if params is not None:
        ema = EMA({"w": np.zeros(3)})
        with unchanged(ema, params), pytest.raises(ConfigError, match="dict, list or tuple"):
            ema.update(params)  # type: ignore[arg-type]


@pytest.mark.parametrize("params", [{}, [], ()], ids=repr)
def test_a_model_without_tensors_is_refused(params: object) -> None:
    with pytest.raises(ConfigError) as caught:
        EMA(params)  # type: ignore[arg-type]
    assert caught.value.argument == "params"
    ema = EMA({"w": np.zeros(3)} if params == {} else [np.zeros(3)])
    with unchanged(ema), pytest.raises((ConfigError, NamesError)):
        ema.update(params)  # type: ignore[arg-type]


def test_names_are_not_taken_for_places(model: Params) -> None:
    by_name, by_place = EMA(model), EMA(list(model.values()))
    with unchanged(by_name), pytest.raises((ConfigError, NamesError)):
        by_name.update(list(model.values()))
    with unchanged(by_place), pytest.raises((ConfigError, NamesError)):
        by_place.update(model)
