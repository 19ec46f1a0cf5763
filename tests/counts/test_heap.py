"""Calls from Python take nothing from the heap once they are warm."""

import sys
from pathlib import Path

import pytest

from callgrind import FEW, MANY, run

CALLS = Path(__file__).parent / "calls.py"


def a_call(case: str) -> float:
    """How often one call asks for memory."""
    few, many = (run([sys.executable, str(CALLS), case, str(calls)]).heap for calls in (FEW, MANY))
    return (many - few) / (MANY - FEW)


@pytest.mark.parametrize("case", ["update", "apply and restore"])
def test_calls_on_a_thousand_arrays_take_nothing_from_the_heap(case: str) -> None:
    # Python asks for an arena now and then, for a thousand of its own objects.
    assert a_call(case) < 0.5


def test_what_does_take_some_is_noticed() -> None:
    assert a_call("shadow_values") >= 1
