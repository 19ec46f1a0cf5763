"""What a container holds is looked at in each call, however often it was the same before.

An EMA recalls what it read in the call before, and looks closely only where something differs. A twin that is always
given its parameters has to say the same; so has an EMA that was made just before, which has nothing to recall.
"""

import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrew_ema import EMA, EMAError, EMAWarning
from support import LONG, Array, same_bits

Dict = dict[str, Any]


class Sub(np.ndarray[Any, Any]):
    """A class of arrays that is not NumPy's own."""


def model() -> Dict:
    rng = np.random.default_rng(7)
    params: Dict = {f"w{i}": rng.random((4, 4), dtype=np.float32) for i in range(40)}
    params["b"] = rng.random(16, dtype=np.float64)
    params["steps"] = np.arange(3)
    params["part"] = rng.random((8, 8), dtype=np.float32)[::2, 1::2]
    params["half"] = rng.random(5).astype(ml_dtypes.bfloat16)
    params["scalar"] = np.array(1.5)
    return params


def other(params: Dict, name: str) -> Array:
    array = params[name]
    return (np.asarray(array, np.float64) * 3 + 1).astype(array.dtype)


def in_place(array: object, attribute: str, value: object) -> None:
    with warnings.catch_warnings():
        # NumPy 2.5 would have a new view made instead, and still does it.
        warnings.simplefilter("ignore", DeprecationWarning)
        setattr(array, attribute, value)


def unaligned() -> Array:
    return np.frombuffer(bytes(range(65)), np.uint8)[1:].view(np.float32).reshape(4, 4)


def swapped(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder())


def renamed(params: Dict) -> None:
    params["new"] = params.pop("scalar")


def turned(params: Dict) -> None:
    params["w0"] = params.pop("w0")


def equal_key(params: Dict) -> None:
    entries = list(params.items())
    params.clear()
    params.update({"".join(name): array for name, array in entries})


def put(name: str, make: Callable[[Dict], object]) -> Callable[[Dict], None]:
    return lambda params: params.__setitem__(name, make(params))


CHANGES: dict[str, Callable[[Dict], None]] = {
    "other values": lambda params: params["w3"].__iadd__(1),
    "another array": put("w3", lambda params: other(params, "w3")),
    "another of float64": put("b", lambda params: other(params, "b")),
    "another of integers": put("steps", lambda params: other(params, "steps")),
    "another of bfloat16": put("half", lambda params: other(params, "half")),
    "turned over": put("w3", lambda params: params["w3"].T),
    "Fortran order": put("w3", lambda params: np.asfortranarray(params["w3"])),
    "backwards": put("b", lambda params: params["b"][::-1]),
    "broadcast": put("w3", lambda _: np.broadcast_to(np.float32(2.0), (4, 4))),
    "a subclass": put("w3", lambda params: other(params, "w3").view(Sub)),
    "a NumPy scalar": put("scalar", lambda _: np.float64(7.0)),
    "read-only": lambda params: in_place(params["w3"].flags, "writeable", False),
    "another key of the same text": equal_key,
    "keys in another order": turned,
    "tied": lambda params: params.update(w3=params["w4"]),
    "a shape in place": lambda params: in_place(params["w3"], "shape", (2, 8)),
    "a shape of fewer dimensions": lambda params: in_place(params["w3"], "shape", (16,)),
    "a shape of more dimensions": lambda params: in_place(params["w3"], "shape", (4, 4, 1)),
    "a dtype in place": lambda params: in_place(params["w3"], "dtype", np.int32),
    "strides in place": lambda params: in_place(params["w3"], "strides", (4, 16)),
    "strides of a part in place": lambda params: in_place(params["part"], "strides", (32, 8)),
    "a stride of nothing in place": lambda params: in_place(params["b"], "strides", (0,)),
    "strides that meet": put("w3", lambda params: np.lib.stride_tricks.as_strided(params["w3"], strides=(16, 0))),
    "another shape": put("w3", lambda _: np.zeros((4, 5), np.float32)),
    "another dtype": put("w3", lambda params: params["w3"].astype(np.float16)),
    "the other byte order": put("w3", lambda params: swapped(params["w3"])),
    "unaligned": put("w3", lambda _: unaligned()),
    "masked": put("w3", lambda params: np.ma.masked_array(params["w3"])),
    "a list": put("w3", lambda params: params["w3"].tolist()),
    "None": put("w3", lambda _: None),
    "a Python float": put("scalar", lambda _: 1.0),
    "a name less": lambda params: params.pop("w3"),
    "a name more": put("more", lambda params: params["w3"]),
    "another name": renamed,
    "NaN": lambda params: params["w3"].__setitem__((1, 2), np.nan),
    "NaN in a part": lambda params: params["part"].__setitem__((1, 2), np.inf),
}


def outcome(update: Callable[[], None]) -> str:
    """What a call said."""
    try:
        update()
    except (EMAError, EMAWarning) as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def same_state(ema: EMA, twin: EMA) -> None:
    """Asserts that both count the same and have the same averages."""
    assert (ema.step, ema.num_updates, ema.skipped) == (twin.step, twin.num_updates, twin.skipped)
    for horizon in range(len(ema.decays)):
        averages, expected = ema.averages(horizon), twin.averages(horizon)
        assert averages.keys() == expected.keys()
        assert all(same_bits(average, expected[name]) for name, average in averages.items())


def agree(ema: EMA, twin: EMA, params: Dict | list[Array] | tuple[Array, ...]) -> str:
    """What an update says, which is what it says to the twin; and the averages of both are the same."""
    said = outcome(ema.update)
    assert said == outcome(lambda: twin.update(params))
    same_state(ema, twin)
    return said


def pair(options: dict[str, Any] | None = None) -> tuple[Dict, EMA, EMA]:
    params = model()
    options = {"decay": 0.9, **(options or {})}
    ema, twin = EMA(params, **options), EMA(params, **options)
    for _ in range(3):
        for name in ("w0", "b", "part"):
            params[name] += 1
        assert agree(ema, twin, params) == "done"
    return params, ema, twin


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen_at_once_and_for_as_long_as_it_is_there(change: Callable[[Dict], None]) -> None:
    params, ema, twin = pair()
    before = dict(params)
    fresh = EMA(model(), decay=0.9)
    fresh.load_state_dict(ema.state_dict())
    change(params)
    first = agree(ema, twin, params)
    assert outcome(lambda: fresh.update(params)) == first
    same_state(ema, fresh)
    assert agree(ema, twin, params) == first
    params.clear()
    params.update(before)
    new = model()
    params.update({name: new[name] for name in ("w3", "part")})
    assert agree(ema, twin, params) == "done"
    assert agree(ema, twin, params) == "done"


def test_there_are_changes_that_are_refused_and_changes_that_are_not() -> None:
    said = []
    for change in CHANGES.values():
        params, ema, _ = pair()
        change(params)
        said.append(outcome(ema.update))
    kinds = {text.partition(":")[0] for text in said}
    assert kinds == {"done", "ShapeError", "DTypeError", "LayoutError", "NamesError", "NonFiniteError"}


OPTIONS: list[dict[str, Any]] = [
    {},
    {"nonfinite": "skip"},
    {"decay": [0.9, 0.99, 0.5]},
    {"every": 2, "start": 2},
    {"shadow_dtype": "float64", "nonfinite": "propagate"},
]


@given(st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=6), st.sampled_from(OPTIONS))
def test_changes_in_any_order_give_what_an_ema_gives_that_recalls_nothing(
    changes: list[str], options: dict[str, Any]
) -> None:
    params, ema, twin = pair(options)
    for name in changes:
        try:
            with np.errstate(all="ignore"):  # what other bits are as numbers may be anything
                CHANGES[name](params)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            continue  # an earlier change has left nothing that this one could change
        agree(ema, twin, params)
        agree(ema, twin, params)


def test_an_average_put_in_the_place_of_a_parameter_is_refused_however_often_it_was_none() -> None:
    params, ema, _ = pair()
    for view in (ema.shadow_values("w3"), ema.shadow_values("w3")[:]):
        kept = params["w3"]
        params["w3"] = view
        step = ema.step
        for _ in range(2):
            assert outcome(ema.update).startswith("LayoutError")
        assert ema.step == step
        params["w3"] = kept
        ema.update()


@pytest.mark.parametrize("kind", [list, tuple])
def test_entries_of_a_sequence_are_seen_as_they_are(kind: type) -> None:
    arrays = [np.full(3, float(i)) for i in range(4)]
    params = kind(arrays)
    ema, twin = EMA(params, 0.5), EMA(params, 0.5)
    for _ in range(3):
        for i in range(4):
            arrays[i] += 1
        assert agree(ema, twin, params) == "done"
    if isinstance(params, list):
        params[1] = np.full(3, 100.0)
        assert agree(ema, twin, params) == "done"
    in_place(params[2], "shape", (3, 1))
    assert agree(ema, twin, params).startswith("ShapeError")
    in_place(params[2], "shape", (3,))
    assert agree(ema, twin, params) == "done"
    if isinstance(params, list):
        params.pop()
        assert agree(ema, twin, params).startswith("NamesError")


class Liar:
    """A container whose length is what it says, if it says anything, and not how many entries it has."""

    said: int | None = None

    def __len__(self) -> int:
        if self.said is None:
            raise KeyboardInterrupt
        return self.said


class LyingDict(Liar, dict[str, Any]):
    """One with names."""


class LyingList(Liar, list[Any]):
    """One without."""


@pytest.mark.parametrize("said", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("kind", [LyingDict, LyingList])
def test_a_container_has_the_entries_that_it_has_whatever_length_it_says(kind: type, said: int | None) -> None:
    arrays = {"0": np.zeros(3), "1": np.ones(3)}
    params = kind(arrays if kind is LyingDict else arrays.values())
    params.said = said
    ema = EMA(params, 0.5)
    for _ in range(3):
        arrays["0"] += 1
        ema.update()
    assert ema.shadow_values("0")[0] == 2.125
    if kind is LyingDict:
        params["2"] = np.zeros(3)
    else:
        params.append(np.zeros(3))
    for _ in range(2):
        assert outcome(ema.update) == 'NamesError: the parameters are not those that are averaged: unexpected "2"'
    assert ema.step == 3
    params.pop("2" if kind is LyingDict else 2)
    ema.update()
    params.pop("1" if kind is LyingDict else 1)
    assert outcome(ema.update) == 'NamesError: the parameters are not those that are averaged: missing "1"'


def test_writes_see_a_change_as_well() -> None:
    params = model()
    ema = EMA(params, 0.1)
    for _ in range(3):
        params["w3"] += 1
        ema.update()
    ema.apply()
    ema.restore()
    params["w3"].flags.writeable = False
    with pytest.raises(EMAError, match="read-only"):
        ema.apply()
    params["w3"] = params["w3"].copy()
    ema.apply()
    assert same_bits(params["w3"], ema.shadow_values("w3"))
    trained = params["w4"]
    params["w4"] = np.zeros((4, 4), np.float32)
    ema.restore()
    assert params["w4"].any()
    assert same_bits(trained, ema.shadow_values("w4"))


def test_a_long_model_is_looked_at_closely_in_each_call() -> None:
    params = [np.zeros(LONG), np.zeros(2)]
    ema, twin = EMA(params, 0.5), EMA(params, 0.5)
    for _ in range(3):
        params[0] += 1
        assert agree(ema, twin, params) == "done"
    params[1] = np.zeros(3)
    assert agree(ema, twin, params).startswith("ShapeError")
    params[1] = np.ones(2)
    assert agree(ema, twin, params) == "done"


def test_what_a_state_dict_brings_is_averaged_with_the_arrays_that_are_there() -> None:
    params, ema, twin = pair()
    state = ema.state_dict()
    params["w3"] += 1
    assert agree(ema, twin, params) == "done"
    for loaded in (ema, twin):
        loaded.load_state_dict(state)
    for change in ("another array", "a shape in place"):
        CHANGES[change](params)
        agree(ema, twin, params)
    assert ema.step == 4


def test_an_array_without_elements_has_a_shape_all_the_same() -> None:
    params = {"none": np.zeros((0, 3)), "w": np.zeros(2)}
    ema, twin = EMA(params, 0.5), EMA(params, 0.5)
    for _ in range(3):
        assert agree(ema, twin, params) == "done"
    # Strides of 27 and 9 bytes, along which there is nothing: no reason to refuse it, now or at first.
    params["none"] = np.zeros((0, 3), [("a", "f8"), ("b", "i1")])["a"]
    assert agree(ema, twin, params) == "done"
    assert agree(EMA(params, 0.5), EMA(params, 0.5), params) == "done"
    params["none"] = np.zeros((3, 0))
    assert agree(ema, twin, params).startswith("ShapeError")


def test_another_container_is_read_after_bind() -> None:
    params, ema, twin = pair()
    for key in ("".join, str):
        again = {key(name): other(params, name) for name in params}
        ema.bind(again)
        params["w3"] += 100
        assert [agree(ema, twin, again) for _ in range(3)] == ["done"] * 3
