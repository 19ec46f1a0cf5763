"""The package as such: what importing it brings in, its errors, its documentation."""

import copy
import inspect
import pickle
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
import pytest

import shrew_ema
from shrew_ema import EMA, EMAError, EMAWarning, Schedule
from support import misaligned, read_only, run_python

BASES: dict[type[EMAError], tuple[type[Exception], ...]] = {
    shrew_ema.CheckpointError: (ValueError,),
    shrew_ema.ConfigError: (ValueError,),
    shrew_ema.NamesError: (LookupError, ValueError),
    shrew_ema.ShapeError: (ValueError,),
    shrew_ema.DTypeError: (TypeError,),
    shrew_ema.LayoutError: (ValueError,),
    shrew_ema.StateError: (RuntimeError,),
    shrew_ema.NonFiniteError: (ValueError,),
}


def test_importing_and_averaging_bring_in_no_framework() -> None:
    modules = run_python(
        "import sys, numpy, shrew_ema\n"
        "ema = shrew_ema.EMA({'w': numpy.zeros(3, numpy.float32), 'h': numpy.zeros(3, numpy.float16)}, 0.0)\n"
        "ema.update()\n"
        "with ema.applied(): pass\n"
        "print(*sys.modules)"
    ).split()
    assert "numpy" in modules
    assert not {"torch", "jax", "jaxlib", "tensorflow", "ml_dtypes", "safetensors"} & set(modules)


def test_the_version_is_that_of_the_distribution() -> None:
    assert shrew_ema.__version__ == metadata.version("shrew-ema")


def test_everything_public_is_listed_and_documented() -> None:
    public = {
        name for name in vars(shrew_ema) if not name.startswith("_") and not inspect.ismodule(vars(shrew_ema)[name])
    }
    assert public | {"__version__", "schedules"} == set(shrew_ema.__all__)
    assert shrew_ema.__doc__
    for name in public:
        assert inspect.getdoc(getattr(shrew_ema, name)), name
        # An error without a sentence of its own would show that of its base.
        assert "__doc__" in vars(getattr(shrew_ema, name)), name
    for documented in (EMA, Schedule):
        for name in vars(documented):
            if not name.startswith("_"):
                assert inspect.getdoc(getattr(documented, name)), name


@pytest.mark.parametrize("final", [EMA, Schedule])
def test_the_classes_are_final(final: type) -> None:
    with pytest.raises(TypeError):
        type("Mine", (final,), {})


PROPERTIES = [
    "decay",
    "decays",
    "num_updates",
    "step",
    "names",
    "initial_share",
    "initial_shares",
    "skipped",
    "is_applied",
]


@pytest.mark.parametrize("name", PROPERTIES)
def test_properties_can_not_be_set(name: str) -> None:
    ema = EMA([np.zeros(1)])
    with pytest.raises(AttributeError):
        setattr(ema, name, 0)


def test_the_options_are_keywords() -> None:
    arguments: list[Any] = [[np.zeros(1)], 0.9, "float64"]
    with pytest.raises(TypeError):
        EMA(*arguments)


def test_the_text_of_an_ema_tells_how_it_stands() -> None:
    ema = EMA([np.zeros(3)], 0.75)
    ema.update()
    assert "EMA" in repr(ema)
    assert "0.75" in repr(ema)


def test_every_error_is_a_case_of_a_built_in_one() -> None:
    for error, bases in BASES.items():
        assert issubclass(error, EMAError)
        assert all(issubclass(error, base) for base in bases)
    errors = {name for name in shrew_ema.__all__ if name.endswith("Error")}
    assert {error.__name__ for error in BASES} == errors - {"EMAError"}
    assert issubclass(EMAWarning, UserWarning)


def of_state() -> None:
    ema = EMA([np.zeros(1)], 0.0)
    ema.update()
    with ema.applied():
        ema.update()


def of_layout() -> None:
    ema = EMA([read_only(np.zeros(1))], 0.0)
    ema.update()
    ema.apply()


# Each error as the package makes it, and the attributes that it must have.
FAILURES: list[tuple[Callable[[], object], type[EMAError], dict[str, object]]] = [
    (lambda: EMA([np.zeros(1)], 1.5), shrew_ema.ConfigError, {"argument": "decay", "value": "1.5", "valid": str}),
    (lambda: EMA([np.zeros(1)]).update([]), EMAError, {}),
    (
        lambda: EMA({"a": np.zeros(1)}).update({"b": np.zeros(1)}),
        shrew_ema.NamesError,
        {"missing": ("a",), "unexpected": ("b",)},
    ),
    (
        lambda: EMA([np.zeros(3)]).update([np.zeros((3, 4))]),
        shrew_ema.ShapeError,
        {"name": "0", "expected": (3,), "found": (3, 4)},
    ),
    (
        lambda: EMA([np.zeros(3)]).update([np.zeros(3, "f4")]),
        shrew_ema.DTypeError,
        {"name": "0", "found": "float32", "valid": "float64"},
    ),
    (lambda: EMA([misaligned(np.zeros(3))]), shrew_ema.LayoutError, {"name": "0", "problem": str}),
    (of_layout, shrew_ema.LayoutError, {"name": "0", "problem": str}),
    (of_state, shrew_ema.StateError, {"call": "update", "state": str}),
    (lambda: EMA([np.array([1, np.inf])]), shrew_ema.NonFiniteError, {"tensors": {"0": 1}}),
]


@pytest.mark.parametrize(("fail", "kind", "attributes"), FAILURES)
def test_errors_carry_facts_and_survive_pickling_and_copying(
    fail: Callable[[], object], kind: type[EMAError], attributes: dict[str, object]
) -> None:
    with pytest.raises(kind) as caught:
        fail()
    error = caught.value
    assert str(error) == error.args[0]
    for name, expected in attributes.items():
        value = getattr(error, name)
        assert isinstance(value, expected) and value if isinstance(expected, type) else value == expected, name
        # What a message is about can be read in it.
        if isinstance(value, str):
            assert value in str(error), name
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))


def test_messages_read_like_sentences_about_the_tensor() -> None:
    with pytest.raises(shrew_ema.ShapeError) as shape:
        EMA({"w": np.zeros(3)}).update({"w": np.zeros((3, 4))})
    assert str(shape.value) == 'parameter "w" has shape (3, 4), expected (3,)'
    with pytest.raises(shrew_ema.ConfigError) as config:
        EMA([np.zeros(1)], 1.5)
    assert str(config.value) == "decay must be a number in [0, 1], got 1.5"
