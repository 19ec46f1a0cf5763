"""The bits of averages: those of the scalar oracle, whatever the length, the layout, the order and the threads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reference import Reference
from shrew_ema import EMA
from support import (
    BF16,
    F16,
    F32,
    F64,
    FLOATS,
    INTEGERS,
    LAYOUTS,
    LONG,
    PAIRS,
    Array,
    Params,
    Policy,
    Width,
    bits,
    normal,
    pair_id,
    patterns,
    run_python,
    same_bits,
    same_numbers,
)

pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")

# Around every power of two that a lane or a block could have, every length a lane leaves over, and around the pieces of
# 1024 elements by which strided memory is gathered.
LENGTHS = [*range(18), 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 767, 768, 769, 1000]
LENGTHS += [1023, 1024, 1025, 1100, 2047, 2048, 2049]

by_pair = pytest.mark.parametrize(("dtype", "width"), PAIRS, ids=pair_id)
by_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


@by_pair
@pytest.mark.parametrize("decay", [0.999, 0.5, 0.3, 0.0])
def test_every_length_has_the_bits_of_the_oracle(dtype: np.dtype[Any], width: Width | None, decay: float) -> None:
    params = {str(n): normal(dtype, n, seed=n) for n in LENGTHS}
    ema, oracle = EMA(params, decay, shadow_dtype=width), Reference(params, decay, width)
    for update in range(2):
        for name, array in params.items():
            array[...] = normal(dtype, array.shape, seed=1000 * update + int(name))
        ema.update()
        oracle.update(params)
    for name in params:
        assert same_bits(ema.shadow_values(name), oracle.shadow(name)), name
    training = {name: array.copy() for name, array in params.items()}
    with ema.applied():
        for name, array in params.items():
            assert same_bits(array, oracle.applied(name)), name
    assert all(same_bits(params[name], training[name]) for name in params)


SHAPES = [(), (0,), (1,), (7,), (257,), (0, 3), (3, 0, 2), (16, 17), (33, 1), (5, 7, 9), (3, 1, 2, 129)]


@by_pair
@by_layout
def test_every_layout_has_the_bits_of_the_oracle(
    dtype: np.dtype[Any], width: Width | None, layout: Callable[[Array], Array]
) -> None:
    params = {str(shape): layout(normal(dtype, shape, seed=1)) for shape in SHAPES}
    plain = {name: array.copy() for name, array in params.items()}
    ema, oracle = EMA(params, 0.9, shadow_dtype=width), Reference(plain, 0.9, width)
    for update in range(2, 4):
        for name, array in params.items():
            plain[name] = normal(dtype, array.shape, seed=update)
            array[...] = plain[name]
        ema.update_with_warmup()
        oracle.update(plain, warmup=True)
    held = dict(params)
    for name in params:
        assert same_bits(ema.shadow_values(name), oracle.shadow(name)), name
    ema.apply()
    for name, array in params.items():
        assert same_bits(array, oracle.applied(name)), name
    ema.restore()
    for name, array in params.items():
        assert same_bits(array, plain[name]), name
        assert array is held[name]


def surroundings(view: Array) -> Array:
    """The memory that a view is a part of."""
    owner = view
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return owner


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS, ids=str)
@by_layout
def test_nothing_is_written_beside_a_tensor(dtype: np.dtype[Any], layout: Callable[[Array], Array]) -> None:
    for shape in SHAPES:
        view = layout(patterns(np.dtype("u1"), shape, seed=1).astype(dtype))
        ema = EMA([view], 0.5)
        view[...] = patterns(np.dtype("u1"), shape, seed=2).astype(dtype)
        ema.update()
        room = surroundings(view)
        before, training = room.copy(), view.copy()
        with ema.applied():
            assert same_bits(view, ema.shadow_values(0).astype(dtype))
            view[...] = training
            assert same_bits(room, before)


@pytest.mark.parametrize("policy", ["propagate", "skip"])
@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
def test_restore_gives_back_each_of_the_65536_patterns(dtype: np.dtype[Any], policy: Policy) -> None:
    everything = np.arange(65536, dtype=np.uint16).view(dtype)
    params = {"w": everything.copy(), "square": everything.reshape(256, 256).copy().T, "every other": np.zeros(1)}
    params["every other"] = np.repeat(everything, 2)[::2]
    ema = EMA(params, 0.5, nonfinite=policy)
    training = {name: bits(array) for name, array in params.items()}
    for update in (ema.update, ema.update_with_warmup):
        update()
        ema.apply()
        for array in params.values():
            array[...] = 1
        ema.restore()
        assert {name: bits(array) for name, array in params.items()} == training


@by_layout
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS[1:]], ids=str)
def test_restore_gives_back_any_pattern_in_any_layout(dtype: np.dtype[Any], layout: Callable[[Array], Array]) -> None:
    params = {str(shape): layout(patterns(dtype, shape, seed=2)) for shape in SHAPES}
    ema = EMA(params, 0.5, nonfinite="propagate")
    for array in params.values():
        array[...] = patterns(dtype, array.shape, seed=3)
    training = {name: bits(array) for name, array in params.items()}
    ema.update()
    for array in params.values():
        array[...] = patterns(dtype, array.shape, seed=4)
    ema.update()
    for name, array in params.items():
        array[...] = np.frombuffer(training[name], dtype).reshape(array.shape)
    with ema.applied():
        pass
    assert {name: bits(array) for name, array in params.items()} == training


@by_pair
def test_any_pattern_is_averaged_as_by_the_oracle(dtype: np.dtype[Any], width: Width | None) -> None:
    params = {"w": patterns(dtype, 5000, seed=5)}
    ema = EMA(params, 0.9, shadow_dtype=width, nonfinite="propagate")
    oracle = Reference(params, 0.9, width, "propagate")
    for update in range(3):
        params["w"][...] = patterns(dtype, 5000, seed=6 + update)
        ema.update()
        oracle.update(params)
        assert same_numbers(ema.shadow_values("w"), oracle.shadow("w"))
    with ema.applied():
        assert same_numbers(params["w"], oracle.applied("w"))


def test_the_order_of_the_tensors_does_not_matter() -> None:
    names = [f"{dtype}{n}" for dtype in FLOATS for n in (0, 5, 256, 1025)]
    tensors = {
        name: normal(dtype, n, seed=n)
        for name, (dtype, n) in zip(names, [(dtype, n) for dtype in FLOATS for n in (0, 5, 256, 1025)], strict=True)
    }
    found = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(names)
        params = {str(name): tensors[name].copy() for name in order}
        ema = EMA(params, 0.9)
        for name, array in params.items():
            array[...] = normal(array.dtype, array.shape, seed=len(name))
        ema.update()
        found.append({name: bits(array) for name, array in ema.averages().items()})
    assert found[0] == found[1] == found[2] == found[3]


# Of some 4.4 million elements: copies go past the caches, large tensors are divided between threads, and small ones
# spread over them.
LARGE = """
import hashlib, sys, warnings
import numpy as np
from shrew_ema import EMA, EMAWarning

warnings.simplefilter("ignore", EMAWarning)
pattern = np.random.default_rng(1).normal(size=(3, 4099))

def model(row):
    whole = np.tile(pattern[row], 1025)
    params = {
        "large": whole.astype("f4"), "double": whole[:70_001].copy(), "half": whole[:90_003].astype("f2"),
        "strided": np.repeat(whole[:50_005].astype("f4"), 3)[::-3], "steps": np.arange(40_007) * (row + 1),
    }
    return params | {str(n): whole[:n].astype("f4") for n in range(1, 80)}

params = model(0)
ema = EMA(params, 0.9)
ema.update(model(1))
ema.update_with_warmup(model(2))
digest = hashlib.sha256()
for array in ema.averages().values():
    digest.update(array.tobytes())
training = [array.tobytes() for array in params.values()]
with ema.applied():
    for array in params.values():
        digest.update(array.tobytes())
assert training == [array.tobytes() for array in params.values()]
print(digest.hexdigest(), sum(array.size for array in params.values()))
ema.averages()["large"].tofile(sys.argv[1])
"""


def test_every_number_of_threads_gives_the_bits_of_the_oracle(tmp_path: Path) -> None:
    paths = {threads: tmp_path / threads for threads in ("1", "2", "3", "8")}
    found = {threads: run_python(LARGE, str(path), RAYON_NUM_THREADS=threads) for threads, path in paths.items()}
    assert len(set(found.values())) == 1
    assert int(found["1"].split()[1]) > LONG
    rows = [{"w": row.astype(F32)} for row in np.random.default_rng(1).normal(size=(3, 4099))]
    oracle = Reference(rows[0], 0.9)
    oracle.update(rows[1])
    oracle.update(rows[2], warmup=True)
    for path in paths.values():
        assert path.read_bytes() == np.tile(oracle.shadow("w"), 1025).tobytes()


@pytest.mark.parametrize(("dtype", "width"), [(F32, None), (F64, None), (BF16, None), (F16, "float64")], ids=pair_id)
@pytest.mark.parametrize("layout", ["C", "negative and strided"])
def test_a_tensor_that_is_divided_between_threads_has_the_bits_of_the_oracle(
    dtype: np.dtype[Any], width: Width | None, layout: str
) -> None:
    rows = [{"w": normal(dtype, 4099, seed=seed)} for seed in range(3)]
    params: Params = {"w": LAYOUTS[layout](np.tile(rows[0]["w"], 1025))}
    assert params["w"].size > LONG
    ema, oracle = EMA(params, 0.9, shadow_dtype=width), Reference(rows[0], 0.9, width)
    for row in rows[1:]:
        params["w"].reshape(-1)[...] = np.tile(row["w"], 1025)
        ema.update()
        oracle.update(row)
    assert same_bits(ema.shadow_values("w"), np.tile(oracle.shadow("w"), 1025))
    ema.apply()
    assert same_bits(params["w"], np.tile(oracle.applied("w"), 1025))
    ema.restore()
    assert same_bits(params["w"], np.tile(rows[2]["w"], 1025))
