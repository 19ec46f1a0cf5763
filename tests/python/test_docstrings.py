"""The documentation: its examples run as they stand there, and the stub, which editors read, says the same."""

import ast
import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import shrew_ema
from shrew_ema import EMA, Schedule, schedules

MODULES: list[ModuleType] = [shrew_ema, schedules]


def documented() -> Iterator[tuple[str, str]]:
    """Everything of the package that has documentation, by name."""
    for module in MODULES:
        yield module.__name__, module.__doc__ or ""
    for name in schedules.__all__:
        yield f"schedules.{name}", getattr(schedules, name).__doc__
    for kind in (EMA, Schedule):
        yield kind.__name__, kind.__doc__ or ""
        for name in vars(kind):
            if not name.startswith("_"):
                yield f"{kind.__name__}.{name}", getattr(kind, name).__doc__


WITH_EXAMPLES = {name: text for name, text in documented() if ">>>" in text}


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_docstring_run(name: str) -> None:
    test = doctest.DocTestParser().get_doctest(WITH_EXAMPLES[name], {}, name, None, None)
    told: list[str] = []
    failed, tried = doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert tried
    assert not failed, "".join(told)


def test_what_needs_an_example_has_one() -> None:
    needs = {"shrew_ema.schedules", "EMA", "EMA.applied", "Schedule"} | {f"schedules.{n}" for n in schedules.__all__}
    assert needs <= set(WITH_EXAMPLES)


def test_a_wrong_example_would_be_noticed() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None).failed == 1


def in_the_stub() -> dict[str, str]:
    """The documentation of all that the stub declares, by name."""
    stub = ast.parse(Path(inspect.getfile(shrew_ema)).with_name("_core.pyi").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    places = [("", stub.body), *((f"{node.name}.", node.body) for node in stub.body if isinstance(node, ast.ClassDef))]
    for place, nodes in places:
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[place + node.name] = ast.get_docstring(node) or ""
    return found


@pytest.mark.parametrize("name", [name for name, _ in documented() if not name.startswith("shrew_ema")])
def test_editors_read_the_same_in_the_stub(name: str) -> None:
    expected = inspect.cleandoc(dict(documented())[name])
    assert in_the_stub()[name.removeprefix("schedules.")] == expected, "`make stub` writes it"
