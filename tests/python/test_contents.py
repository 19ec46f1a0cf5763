"""What is in a file: a model that safetensors' own reader opens, of every dtype and shape and under any name."""

import json
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from runs import kept, model
from shrew_ema import EMA, CheckpointError, ConfigError
from support import (
    BF16,
    F16,
    F32,
    F64,
    FLOATS,
    INTEGERS,
    PAIRS,
    Array,
    Params,
    Width,
    bits,
    normal,
    pair_id,
    patterns,
    same_bits,
    unchanged,
)

pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")


def header(path: Path) -> dict[str, Any]:
    """The header of a file, read by hand."""
    file = path.read_bytes()
    (size,) = struct.unpack("<Q", file[:8])
    assert size % 8 == 0
    facts: dict[str, Any] = json.loads(file[8 : 8 + size])
    return facts


def read(path: Path) -> dict[str, Array]:
    """The tensors of a file as safetensors reads them, in both of its ways."""
    eager = load_file(path)
    with safe_open(path, framework="numpy") as file:
        lazy = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    assert eager.keys() == lazy.keys()
    for name, array in eager.items():
        assert same_bits(array, lazy[name])
    return eager


def every_dtype() -> Params:
    """A tensor of each dtype."""
    params = {str(dtype): normal(dtype, (3, 5), seed) for seed, dtype in enumerate(FLOATS)}
    for seed, dtype in enumerate(INTEGERS):
        array = patterns(dtype, 7, seed)
        params[dtype.name] = array.view("u1") % 2 == 1 if dtype.kind == "b" else array
    return params


@pytest.mark.parametrize("width", [None, "float64"])
def test_safetensors_reads_every_average(width: Width | None, tmp_path: Path) -> None:
    params = every_dtype() | {"0-d": np.array(1.5), "empty": np.zeros((2, 0, 3), "f4"), "0-d n": np.array(3)}
    ema = EMA(params, [0.5, 0.75], shadow_dtype=width)
    for array in params.values():
        if array.dtype != bool:
            array[...] = array // 2
    ema.update()
    ema.save(tmp_path / "ema.safetensors")
    for horizon in range(2):
        found = read(tmp_path / f"ema.h{horizon}.safetensors")
        averages = ema.averages(horizon)
        assert found.keys() == averages.keys()
        for name, array in averages.items():
            assert same_bits(found[name], array), name
    assert kept(EMA.load(tmp_path / "ema.safetensors", params)) == kept(ema)


def test_the_metadata_is_text_that_says_plain_tensors(tmp_path: Path) -> None:
    params = model(0)
    EMA(params, 0.5).save(tmp_path / "ema")
    with safe_open(tmp_path / "ema", framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    books = json.loads(metadata["shrew_ema"])
    assert [name for name, _ in books["tensors"]] == list(params)
    assert books["step"] == 0


CASTS = [(param, width, dtype) for param, width in PAIRS for dtype in FLOATS]


@pytest.mark.parametrize(("param", "width", "dtype"), CASTS, ids=pair_id)
def test_a_dtype_rounds_to_nearest_as_apply_does(
    param: np.dtype[Any], width: Width | None, dtype: np.dtype[Any], tmp_path: Path
) -> None:
    params = {"w": normal(param, 1000, 1), "n": np.arange(5), "wide": normal(param, (2, 3), 2)}
    ema = EMA(params, 0.3, shadow_dtype=width)
    ema.update({name: array * 3 for name, array in params.items()})
    path = tmp_path / "ema"
    average = ema.shadow_values("w")
    if dtype.itemsize > average.dtype.itemsize:
        with unchanged(ema), pytest.raises(ConfigError, match=f"no wider than that of the averages, {average.dtype}"):
            ema.save(path, dtype=dtype)
        assert not path.exists()
        return
    ema.save(path, dtype=dtype)
    # NumPy and ml_dtypes round to nearest as well, and so does the cast of `apply`, see test_narrowing.py.
    expected = average.astype(dtype)
    if dtype == param:
        with ema.applied():
            assert bits(params["w"]) == bits(expected)
    found = read(path)
    assert same_bits(found["w"], expected)
    assert found["wide"].dtype == dtype
    assert same_bits(found["n"], ema.shadow_values("n"))
    if dtype == average.dtype:
        assert kept(EMA.load(path, params)) == kept(ema)
        return
    with unchanged(None, params), pytest.raises(CheckpointError, match=f"rounded to {dtype.name}.*resume=False"):
        EMA.load(path, params)
    rounded = EMA.load(path, params, resume=False)
    assert same_bits(rounded.shadow_values("w"), expected.astype(average.dtype))
    assert kept(rounded) | {"averages": None} == kept(ema) | {"averages": None}
    # Saved again as it is now, it is a place to go on from.
    rounded.save(tmp_path / "again")
    assert kept(EMA.load(tmp_path / "again", params)) == kept(rounded)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        ("bfloat16", "bfloat16"),
        (ml_dtypes.bfloat16, "bfloat16"),
        (BF16, "bfloat16"),
        ("float16", "float16"),
        (np.float16, "float16"),
        (np.dtype("float16"), "float16"),
        ("f2", "float16"),
        (np.float32, "float32"),
        ("float64", "float64"),
        (float, "float64"),
    ],
    ids=repr,
)
def test_a_dtype_has_many_names(dtype: Any, name: str, tmp_path: Path) -> None:  # noqa: ANN401 - that is what is tested
    params = {"w": np.ones(3)}
    EMA(params, 0.5).save(tmp_path / "ema", dtype=dtype)
    assert read(tmp_path / "ema")["w"].dtype.name == name


@pytest.mark.parametrize(
    "dtype",
    ["int32", "float8", "complex64", "", "double precision", np.int8, bool, 16, ">f4", "float8_e4m3fn", object(), []],
)
def test_what_is_no_float_dtype_is_refused(dtype: Any, tmp_path: Path) -> None:  # noqa: ANN401 - that is what is tested
    ema = EMA({"w": np.ones(3)}, 0.5)
    with unchanged(ema), pytest.raises(ConfigError, match=r'dtype must be None, "float64"'):
        ema.save(tmp_path / "ema", dtype=dtype)
    assert not any(tmp_path.iterdir())


NAMES = [
    "",
    " ",
    '"',
    '\\"',
    "'",
    "a/b.c",
    "\n\r\t\0\x1f\x7f",
    "ünïcödé 木 \U0001f98a",
    "\u2028\ufeff\u202e",
    "é",
    "e\u0301",
    "shrew_ema",
    "shrew_ema_crc32",
    '"shrew_ema_crc32":"00000000"',
    "__metadata",
    "{}",
    "x" * 10_000,
]


@pytest.mark.parametrize("decay", [0.5, [0.5, 0.25]], ids=["one horizon", "two"])
def test_any_name_comes_back(decay: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a number or a list
    params = {name: np.full(2, place, np.float32) for place, name in enumerate(NAMES)}
    ema = EMA(params, decay)
    ema.save(tmp_path / "ema")
    assert kept(EMA.load(tmp_path / "ema", params)) == kept(ema)
    assert EMA.load(tmp_path / "ema").names == tuple(NAMES)
    found = read(max(tmp_path.iterdir()))
    assert {name: array.tolist() for name, array in found.items()} == {
        name: [place] * 2 for place, name in enumerate(NAMES)
    }


def test_the_name_that_the_format_keeps_for_itself_is_refused(tmp_path: Path) -> None:
    ema = EMA({"w": np.zeros(2), "__metadata__": np.zeros(2)}, 0.5)
    with unchanged(ema), pytest.raises(CheckpointError, match="__metadata__"):
        ema.save(tmp_path / "ema")
    assert not any(tmp_path.iterdir())


def test_names_decide_and_not_their_order(tmp_path: Path) -> None:
    params = model(0)
    ema = EMA(params, [0.5, 0.75])
    ema.update(model(1))
    ema.save(tmp_path / "ema")
    backwards = dict(reversed(params.items()))
    resumed = EMA.load(tmp_path / "ema", backwards)
    assert resumed.names == tuple(backwards)
    again = EMA(backwards, 0.1)
    again.load_state_dict(ema.state_dict())
    assert again.names == tuple(backwards)
    ema.update(model(2))
    for other in (resumed, again):
        other.update(model(2))
        for horizon in range(2):
            for name, array in ema.averages(horizon).items():
                assert same_bits(other.shadow_values(name, horizon), array)


def test_ten_thousand_tensors(tmp_path: Path) -> None:
    dtypes = [F16, BF16, F32, F64, np.dtype("int8")]
    params = {f"block.{index}.weight": np.full(index % 4, index % 100, dtypes[index % 5]) for index in range(10_000)}
    ema = EMA(params, 0.5)
    ema.save(tmp_path / "ema")
    assert kept(EMA.load(tmp_path / "ema", params)) == kept(ema)
    assert len(read(tmp_path / "ema")) == 10_000
    facts = header(tmp_path / "ema")
    # Wide dtypes first, so that every tensor is aligned.
    for facts_of_one in (facts[name] for name in params):
        begin = facts_of_one["data_offsets"][0]
        assert begin % {"F64": 8, "F32": 4, "I8": 1}[facts_of_one["dtype"]] == 0


def test_values_that_are_not_finite_are_kept_to_the_bit(tmp_path: Path) -> None:
    params = {dtype.name: patterns(dtype, 4096, 3) for dtype in FLOATS}
    ema = EMA(params, 0.5, nonfinite="propagate")
    ema.save(tmp_path / "ema")
    assert kept(EMA.load(tmp_path / "ema", params)) == kept(ema)
    found = read(tmp_path / "ema")
    for name, array in ema.averages().items():
        assert same_bits(found[name], array)
