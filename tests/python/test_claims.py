"""The README's figures: what its tables and sentences say is what happens."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shrew_ema import EMA, EMAWarning

ROOT = Path(__file__).parents[2]

Float = type[np.float16] | type[np.float32]


def moves(kind: Float, spacing: float, decay: float, difference: float) -> bool:
    """Whether an average at 1 of this spacing moves towards a parameter that differs by a share of it."""
    s, p, a = kind(1.0), kind(1.0 + difference), kind(1.0 - decay)
    assert np.spacing(s) == spacing
    return bool(s + a * (p - s) != s)


@pytest.mark.parametrize(
    ("dtype", "decay", "low", "high"),
    [
        (np.float16, 0.99, 0.024, 0.049),
        (np.float16, 0.999, 0.24, 0.49),
        (np.float16, 0.9999, 2.4, 4.9),
        (np.float32, 0.99, 3.0e-6, 6.0e-6),
        (np.float32, 0.999, 3.0e-5, 6.0e-5),
        (np.float32, 0.9999, 3.0e-4, 6.0e-4),
    ],
)
def test_an_average_freezes_where_the_table_says(dtype: Float, decay: float, low: float, high: float) -> None:
    """At 1 the spacing is at its widest, relative to the value; just below 2 it is at its narrowest."""
    spacing = float(np.finfo(dtype).eps)
    half = spacing / 2 / (1 - decay)
    assert low / 1.05 <= half / 2 <= half <= high * 1.05
    assert not moves(dtype, spacing, decay, 0.9 * half)
    assert moves(dtype, spacing, decay, 1.1 * half)


def test_an_average_in_bfloat16_freezes_where_the_table_says() -> None:
    """A bfloat16 has the spacing 2⁻⁷ at 1."""
    half = 2.0**-8
    assert half / (1 - 0.99) == pytest.approx(0.39, abs=0.005)
    assert 1.9 < half / 2 / (1 - 0.999) < half / (1 - 0.999) < 4.0
    assert 19 < half / 2 / (1 - 0.9999) < half / (1 - 0.9999) < 40


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_no_average_is_kept_in_16_bits(dtype: type) -> None:
    ema = EMA([np.ones(3, dtype)])
    assert ema.shadow_values(0).dtype.itemsize >= max(4, np.dtype(dtype).itemsize)


def test_a_plain_update_keeps_the_start_for_long() -> None:
    params = [np.zeros(1)]
    ema = EMA(params, decay=0.9999)
    params[0] += 1
    for _ in range(10_000):
        ema.update()
    assert ema.initial_share == pytest.approx(0.37, abs=0.005)
    with pytest.warns(EMAWarning, match="37% of the initial values"):
        ema.apply()
    ema.restore()


def test_beyond_the_advised_decay_a_float32_average_warns() -> None:
    EMA([np.ones(1, np.float32)], decay=0.9999)
    EMA([np.ones(1, np.float32)], decay=0.99999, shadow_dtype="float64")
    with pytest.warns(EMAWarning, match='shadow_dtype="float64"'):
        EMA([np.ones(1, np.float32)], decay=0.99999)


def test_the_limits_are_as_stated(tmp_path: Path) -> None:
    """Two EMAs do not know of each other, and a file that is mapped twice is two memories."""
    w = np.ones(2)
    first, second = EMA([w], decay=0.5), EMA([w], decay=0.5)
    w += 2.0
    for ema in (first, second):
        ema.update_with_warmup()
    with pytest.warns(EMAWarning, match="initial values"):
        first.apply()
    before = second.shadow_values(0)
    second.update_with_warmup()
    np.testing.assert_array_equal(second.shadow_values(0), before)  # of the other one's average, and not of 3
    first.restore()

    np.ones(2).tofile(tmp_path / "weights")
    mapped: list[np.memmap[Any, Any]] = [np.memmap(tmp_path / "weights", np.float64, "r+") for _ in range(2)]
    ema = EMA(mapped, decay=0.5)
    mapped[0] += 2.0
    assert mapped[1][0] == 3.0
    ema.update_with_warmup()
    first_address, second_address = (ema.shadow_values(i).__array_interface__["data"][0] for i in range(2))
    assert first_address != second_address
    np.testing.assert_array_equal(ema.shadow_values(0), ema.shadow_values(1))

    # Of a model that leaves its array in mid-training no warning tells; it would be an error here.
    w = np.ones(2)
    ema = EMA([w], decay=0.5)
    for _ in range(12):
        w += 1.0
        ema.update()
    w = w + 1.0
    for _ in range(60):
        ema.update()
    with ema.applied():
        assert ema.shadow_values(0)[0] == w[0] - 1.0


# The cases of benches/results.md that each row of the README's table has, in its order.
MEASURED = {
    "`update`, ViT-B (86.6M elements) / ResNet-50 (25.6M)": ["update, f32, ViT-B", "update, f32, ResNet-50"],
    "`update`, 1000 tensors with 2.1M elements / 10,000 with 1M": [
        "update, f32, 1000 tensors, 2.1M elements",
        "update, f32, 10,000 tensors, 1M elements",
    ],
    "`update`, 1000 / 10,000 tensors of 16 elements": [
        "update, f32, 1000 tensors of 16",
        "update, f32, 10,000 tensors of 16",
    ],
    "the first `update` after a pause, 1000 / 10,000 tensors of 16 elements": [
        "first update after the pause, f32, 1000 tensors of 16",
        "first update after the pause, f32, 10,000 tensors of 16",
    ],
    "`update`, parameters in bfloat16 / float16, averages in float32, ResNet-50": [
        "update, bf16 → f32, ResNet-50",
        "update, f16 → f32, ResNet-50",
    ],
    "`update`, 2 / 4 / 8 decays in one pass, ResNet-50": [
        f"update, f32, {count} horizons, ResNet-50" for count in (2, 4, 8)
    ],
    "`apply` / `restore`, ResNet-50": ["apply, f32, ResNet-50", "restore, f32, ResNet-50"],
}


def test_speeds_are_those_of_the_last_benchmark() -> None:
    ratios: dict[str, float] = {}
    for line in (ROOT / "benches" / "results.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 5 and cells[1] not in ratios and cells[5].replace(".", "").isdigit():
            ratios[cells[1]] = float(cells[5])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for call, cases in MEASURED.items():
        row = f"| {call} | {' / '.join(f'{ratios[case]:.2f}' for case in cases)} |"
        assert row in readme
