"""Instructions of the kernels and of updates of small tensors, counted by valgrind and held to a bound.

Times depend on the machine and gate nothing; counts depend on the code, and on the versions of compiler and Python, for
which the bounds leave a tenth. They are counts at AVX2: valgrind does not know AVX-512.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from callgrind import FEW, MANY, run
from program import program

HERE = Path(__file__).parent
TENSORS = 1000
ELEMENTS = 1 << 20
# What is counted, how many of its unit one call has, and how many instructions each of them may take.
RUST = [
    ("f32 <- f32, near", ELEMENTS, 1.55),
    ("f32 <- f32, far", ELEMENTS, 1.41),
    ("f32 <- bf16", ELEMENTS, 1.65),
    ("f32 <- f16", ELEMENTS, 2.96),
    ("f64 <- f32", ELEMENTS, 3.0),
    ("f64 <- f64", ELEMENTS, 3.03),
    ("16 f32 <- f32", 1, 156),
    ("16 f64 <- f32", 1, 180),
    ("f32 -> bf16, cached", ELEMENTS, 2.05),
    ("f32 -> bf16, streamed", ELEMENTS, 2.54),
    ("EMA<NdArray>, f32", TENSORS, 1031),
    ("EMA<NdArray>, f64", TENSORS, 1054),
]
PYTHON = 232


def a_call(command: Sequence[str]) -> float:
    """The instructions of one call, by a program that is told how many calls to make."""
    few, many = (run([*command, str(calls)]).instructions for calls in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def hold(found: float, bound: float) -> None:
    """Fails beyond the bound, and far below it, where the bound no longer guards anything."""
    print(f"{found:.4g} instructions, at most {bound:g}")
    assert found <= bound, f"{found:.4g} instructions, at most {bound:g}"
    assert found > bound / 2, f"{found:.4g} instructions: lower the bound, which is {bound:g}"


@pytest.mark.parametrize(("case", "units", "bound"), RUST, ids=[case for case, _, _ in RUST])
def test_a_call_in_rust_takes_few_instructions(case: str, units: int, bound: float) -> None:
    hold(a_call([program(), case]) / units, bound)


def test_an_update_in_python_takes_few_instructions_a_tensor() -> None:
    hold(a_call([sys.executable, str(HERE / "calls.py"), "update"]) / TENSORS, PYTHON)


@pytest.mark.parametrize("found", [101, 49], ids=["too many", "a bound that guards nothing"])
def test_a_bound_that_is_wrong_is_noticed(found: float) -> None:
    with pytest.raises(AssertionError):
        hold(found, 100)
    hold(75, 100)
