"""How `apply` rounds: once, to nearest, ties to even, out of either average into either 16-bit type."""

from typing import Any

import numpy as np
import pytest

from reference import WIDTHS, narrow
from shrew_ema import EMA
from support import BF16, F16, F32, F64, Array, Width, same_bits

pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")


def average_of_three(arrays: list[Array], width: Width | None) -> tuple[Array, Array]:
    """A quarter of the first and of the second and half of the third: the average, and how it is applied."""
    params = {"w": arrays[0].copy()}
    ema = EMA(params, 0.5, shadow_dtype=width)
    for array in arrays[1:]:
        ema.update({"w": array})
    ema.apply()
    applied = params["w"].copy()
    ema.restore()
    return ema.shadow_values("w"), applied


def narrowed(values: Array, dtype: np.dtype[Any]) -> Array:
    raw = [narrow(float(value), dtype.name) for value in values]
    return np.array(raw, f"uint{WIDTHS[dtype.name]}").view(dtype)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize(
    ("dtype", "width", "nudge"),
    [
        # The nudge has to be a number of the parameter's type, and to reach the last bits of the average.
        (F16, None, 2.0**-20),
        (F16, "float64", 2.0**-24),
        (BF16, None, 2.0**-20),
        (BF16, "float64", 2.0**-40),
        (F32, "float64", 2.0**-48),
    ],
    ids=["f16 of f32", "f16 of f64", "bf16 of f32", "bf16 of f64", "f32 of f64"],
)
def test_the_least_step_off_the_middle_of_two_neighbours_decides(
    *, dtype: np.dtype[Any], width: Width | None, nudge: float, offset: int, sign: int
) -> None:
    # By way of float32, the nudge of a float64 average would be lost before the rounding that it decides.
    word = np.dtype(f"uint{WIDTHS[dtype.name]}")
    low = np.array([1.0, 1.99], dtype).view(word)
    low = np.arange(low[0], low[1], max(1, int(low[1] - low[0]) // 500), dtype=word)
    below, above = low.view(dtype), (low + word.type(1)).view(dtype)
    double = (2 * above.astype(F64)).astype(dtype)
    nudges = np.full(low.shape, offset * nudge, F64).astype(dtype)
    assert float(nudges[0]) == offset * nudge
    signed = [(sign * array.astype(F64)).astype(dtype) for array in (double, nudges, below)]
    average, applied = average_of_three(signed, width)
    middle = (below.astype(F64) + above.astype(F64)) / 2 + offset * nudge / 4
    assert np.array_equal(average.astype(F64), sign * middle)
    even = np.where(low % 2 == 0, below, above)
    expected = {-1: below, 0: even, 1: above}[offset]
    assert same_bits(applied, (sign * expected.astype(F64)).astype(dtype))
    assert same_bits(applied, narrowed(average, dtype))


@pytest.mark.parametrize("width", [None, "float64"])
@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
def test_ties_between_all_neighbours_subnormal_ones_included_go_to_the_even_one(
    dtype: np.dtype[Any], width: Width | None
) -> None:
    infinity = int(np.array(np.inf).astype(dtype).view(np.uint16))
    below = np.arange(infinity - 1, dtype=np.uint16)
    below = np.concatenate([below, below | 0x8000])
    params = {"w": below.view(dtype).copy()}
    ema = EMA(params, 0.5, shadow_dtype=width)
    ema.update({"w": (below + 1).view(dtype)})
    with ema.applied():
        assert same_bits(params["w"], (below + below % 2).view(dtype))


@pytest.mark.parametrize("width", [None, "float64"])
@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
def test_usual_averages_are_rounded_as_by_the_oracle(dtype: np.dtype[Any], width: Width | None) -> None:
    rng = np.random.default_rng(1)
    scales = np.exp2(rng.integers(-30, 15, 20_000))
    params = {"w": (rng.normal(size=20_000) * scales).astype(dtype)}
    ema = EMA(params, 0.7, shadow_dtype=width)
    for _ in range(3):
        ema.update({"w": (rng.normal(size=20_000) * scales).astype(dtype)})
    with ema.applied():
        assert same_bits(params["w"], narrowed(ema.shadow_values("w"), dtype))


@pytest.mark.parametrize("dtype", [F16, BF16, F32], ids=str)
def test_zeros_and_infinities_keep_their_signs(dtype: np.dtype[Any]) -> None:
    params = {"w": np.array([0.0, -0.0, np.inf, -np.inf]).astype(dtype)}
    training = params["w"].copy()
    widths: list[Width | None] = [None, "float64"]
    for width in widths:
        ema = EMA(params, 0.0, shadow_dtype=width, nonfinite="propagate")
        ema.update()
        with ema.applied():
            assert same_bits(params["w"], training)
