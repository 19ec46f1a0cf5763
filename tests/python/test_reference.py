"""The oracle itself: its arithmetic against reference trajectories, its roundings against NumPy's and ml_dtypes'."""

import sys
from typing import Any

import numpy as np
import pytest

from reference import WIDTHS, Reference, element, narrow
from support import BF16, F16, F32, F64, Array, patterns, same_bits, same_numbers


@pytest.mark.parametrize(
    ("rule", "decay", "warmup"),
    [
        ("decay_0.9", 0.9, False),
        ("decay_0.999", 0.999, False),
        ("warmup_0.999", 0.999, True),
    ],
)
def test_the_rule_follows_the_reference_trajectories(
    trajectories: dict[str, Array], rule: str, decay: float, warmup: bool
) -> None:
    params = trajectories["params"]
    oracle = Reference({"w": params[0]}, decay)
    for row, expected in zip(params[1:], trajectories[rule], strict=True):
        oracle.update({"w": row}, warmup)
        np.testing.assert_allclose(oracle.shadow("w"), expected, rtol=1e-13)


def rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    bits = [narrow(float(value), dtype.name) for value in values.ravel()]
    return np.array(bits, f"uint{WIDTHS[dtype.name]}").view(dtype)


# ml_dtypes rounds from float64 to bfloat16 by way of float32, so that pair has a test of its own.
@pytest.mark.parametrize(
    ("wide", "dtype"), [(F32, F16), (F32, BF16), (F32, F32), (F64, F16), (F64, F32), (F64, F64)], ids=str
)
def test_narrowing_agrees_with_numpy(wide: np.dtype[Any], dtype: np.dtype[Any]) -> None:
    values = patterns(wide, 20_000, seed=1)
    # Most patterns are far outside of what 16 bits hold, so half of the values are of usual sizes, or subnormal there.
    values[::2] = np.random.default_rng(2).normal(size=10_000) * np.exp2(np.arange(10_000) % 40 - 30)
    with np.errstate(all="ignore"):
        assert same_numbers(rounded(values, dtype), values.astype(dtype))


@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
def test_every_16_bit_pattern_narrows_to_itself(dtype: np.dtype[Any]) -> None:
    values = np.arange(65536, dtype=np.uint16).view(dtype)
    assert same_numbers(rounded(values, dtype), values)


@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
def test_the_middle_of_two_neighbours_goes_to_the_even_one_and_the_least_step_off_it_decides(
    dtype: np.dtype[Any],
) -> None:
    low = np.arange(0, 0x7800, 7, dtype=np.uint16)
    middle = (low.view(dtype).astype(F64) + (low + 1).view(dtype).astype(F64)) / 2
    for sign in (1, -1):
        for values, expected in [
            (middle, low + low % 2),
            (np.nextafter(middle, 0), low),
            (np.nextafter(middle, np.inf), low + 1),
        ]:
            signed = expected.astype(np.uint16) | np.uint16(0x8000 if sign < 0 else 0)
            assert same_bits(rounded(sign * values, dtype), signed.view(dtype))


def test_the_largest_numbers_round_to_infinity_only_from_the_middle_on() -> None:
    assert narrow(65519.99, "float16") == 0x7BFF
    assert narrow(65520.0, "float16") == 0x7C00
    assert narrow(-1e300, "bfloat16") == 0xFF80
    assert narrow(sys.float_info.max, "float64") == 0x7FEF_FFFF_FFFF_FFFF


def test_an_element_is_averaged_in_two_roundings() -> None:
    s, p = np.float32(1), np.float32(1 + 2**-12)
    a = np.float32(0.1)
    assert element(s, p, 0.1, "raise") == (np.float32(s + np.float32(a * np.float32(p - s))), False)
    assert element(s, p, 0.75, "raise") == (np.float32(p - np.float32(np.float32(0.25) * np.float32(p - s))), False)


def test_an_element_follows_each_policy() -> None:
    nan, inf, one, three = (np.float64(x) for x in ("nan", "inf", 1, 3))
    for policy in ("raise", "skip"):
        assert element(one, nan, 0.1, policy) == (one, True)
        assert element(one, -inf, 0.9, policy) == (one, True)
        assert element(one, inf, 1.0, policy) == (one, True)
    assert element(one, inf, 0.1, "propagate") == (inf, False)
    assert element(inf, three, 0.1, "skip") == (three, False)
    assert element(inf, three, 0.1, "raise") == (inf, True)
    assert element(inf, inf, 0.1, "raise") == (inf, False)
    assert element(one, nan, 0.0, "raise") == (one, False)


def test_a_difference_that_overflows_is_averaged_all_the_same() -> None:
    largest = np.finfo(np.float32).max
    value, refused = element(largest, -largest, 0.25, "raise")
    assert not refused
    assert value == np.float32(0.75) * largest - np.float32(0.25) * largest
