"""The model goes in as it is: which containers and arrays are taken, and that they are read anew at each call."""

from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

from shrew_ema import EMA, EMAWarning, NamesError
from support import BF16, INTEGERS, Array, Params, patterns, read_only, run_python, same_bits, unchanged


class Pair(NamedTuple):
    """A user's own kind of tuple."""

    weight: Array
    bias: Array


class Model(dict[str, Any]):
    """A user's own kind of dict."""


class Layers(list[Any]):
    """A user's own kind of list."""


W, B = np.array([[1.0, 2.0]]), np.array([3.0])


@pytest.mark.parametrize(
    "container",
    [
        {"weight": W, "bias": B},
        OrderedDict(weight=W, bias=B),
        defaultdict(lambda: B, weight=W, bias=B),
        Model(weight=W, bias=B),
        [W, B],
        Layers([W, B]),
        (W, B),
        Pair(W, B),
    ],
    ids=lambda container: type(container).__name__,
)
def test_every_dict_list_and_tuple_is_a_model(container: Params | list[Array] | tuple[Array, ...]) -> None:
    names = ("weight", "bias") if isinstance(container, dict) else ("0", "1")
    ema = EMA(container, 0.5)
    assert ema.names == names
    assert len(ema) == 2
    ema.update([W + 1, B + 1] if names[0] == "0" else {"weight": W + 1, "bias": B + 1})
    for name, index, expected in [(names[0], 0, [[1.5, 2.5]]), (names[1], 1, [3.5])]:
        assert ema.shadow_values(name).tolist() == ema.shadow_values(index).tolist() == expected
    assert list(ema.averages()) == list(names)


def test_any_text_is_a_name() -> None:
    names = ["", "1", "0", "λ.weight", 'a "quoted" one', "new\nline", "🐭"]
    ema = EMA({name: np.array([float(i)]) for i, name in enumerate(names)}, 0.5)
    assert ema.names == tuple(names)
    assert [ema.shadow_values(name)[0] for name in names] == list(range(len(names)))


def test_a_rebound_entry_is_seen() -> None:
    params = {"w": np.zeros(3)}
    ema = EMA(params, 0.5)
    params["w"] = params["w"] + 1
    ema.update()
    assert ema.shadow_values("w").tolist() == [0.5] * 3
    layers = [np.zeros(3)]
    ema = EMA(layers, 0.5)
    layers[0] = layers[0] + 1
    ema.update()
    assert ema.shadow_values(0).tolist() == [0.5] * 3


def test_a_change_in_place_is_seen() -> None:
    params = {"w": np.zeros(3)}
    ema = EMA(params, 0.5)
    params["w"][1] += 1
    ema.update()
    assert ema.shadow_values("w").tolist() == [0, 0.5, 0]


def test_an_array_of_another_layout_is_seen() -> None:
    params = {"w": np.zeros((2, 3))}
    ema = EMA(params, 0.0)
    params["w"] = np.arange(6.0).reshape(3, 2).T
    ema.update()
    assert ema.shadow_values("w").tolist() == [[0, 2, 4], [1, 3, 5]]


def test_another_order_of_the_same_names_is_the_same_model() -> None:
    params = OrderedDict(a=np.array([1.0]), b=np.array([2.0, 2.0]))
    ema = EMA(params, 0.0)
    params.move_to_end("a")
    params["a"][:] = 5
    ema.update()
    assert ema.names == ("a", "b")
    assert (ema.shadow_values(0)[0], ema.shadow_values("b")[0]) == (5, 2)
    with ema.applied():
        assert (params["a"].tolist(), params["b"].tolist()) == ([5], [2, 2])


def test_names_that_come_and_go_are_refused_and_nothing_is_invented() -> None:
    params: Params = defaultdict(lambda: np.zeros(3), w=np.zeros(3), b=np.zeros(3))
    ema = EMA(params)
    b = params.pop("b")
    with unchanged(ema, params), pytest.raises(NamesError):
        ema.update()
    assert list(params) == ["w"]
    params["b"] = b
    ema.update()
    assert ema.num_updates == 1


def test_update_with_other_parameters_never_rebinds() -> None:
    params = {"w": np.array([1.0])}
    other = {"w": np.array([3.0])}
    ema = EMA(params, 0.0)
    ema.update(other)
    ema.update_with_warmup(params=other)
    with pytest.warns(EMAWarning, match='another tensor than the one held as "w"'):
        ema.apply()
    assert params["w"][0] == 3
    assert other["w"] is not params["w"]
    ema.restore()
    assert (params["w"][0], other["w"][0]) == (1, 3)
    ema.update()
    assert ema.shadow_values("w")[0] == 1


def test_a_container_of_another_kind_with_the_same_names_is_the_same_model() -> None:
    ema = EMA([np.zeros(2), np.zeros(3)], 0.0)
    ema.update((np.ones(2), np.ones(3)))
    assert [ema.shadow_values(i).sum() for i in range(2)] == [2, 3]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_and_booleans_keep_their_latest_bits(dtype: np.dtype[Any]) -> None:
    start, latest, training = (patterns(np.dtype("u1"), (3, 4, 8), seed) for seed in (1, 2, 3))

    def make(raw: Array) -> Array:
        # The byte of a bool is 0 or 1.
        return (raw & 1 if dtype.kind == "b" else raw).ravel().view(dtype).reshape(3, -1)

    params = {"steps": make(start), "w": np.zeros(1)}
    ema = EMA(params, 0.4)
    assert same_bits(ema.shadow_values("steps"), make(start))
    params["steps"][...] = make(latest)
    for _ in range(4):
        ema.update()
    assert same_bits(ema.shadow_values("steps"), make(latest))
    params["steps"][...] = make(training)
    with ema.applied():
        assert same_bits(params["steps"], make(latest))
    assert same_bits(params["steps"], make(training))


@pytest.mark.parametrize(
    "value",
    [
        np.float16(3),
        np.float32(3),
        np.float64(3),
        ml_dtypes.bfloat16(3),
        np.int32(3),
        np.uint8(3),
        np.bool_(True),
    ],
    ids=lambda value: value.dtype.name,
)
def test_update_reads_a_numpy_scalar_as_an_array_without_dimensions(value: np.generic) -> None:
    params: dict[str, Any] = {"b": np.zeros((), value.dtype), "w": np.zeros(3)}
    ema = EMA(params, 0.0)
    params["b"] = value
    ema.update()
    shadow = ema.shadow_values("b")
    assert shadow.shape == ()
    assert shadow == value


FIRST_MET = """
import ml_dtypes
import numpy as np
from shrew_ema import EMA

ema = EMA({"b": ml_dtypes.bfloat16(3)}, 0.5)
print(ema.shadow_values("b"))
"""


def test_a_scalar_of_bfloat16_is_known_where_it_is_the_first_that_is_met() -> None:
    assert run_python(FIRST_MET).split() == ["3.0"]


def test_arrays_without_dimensions_and_without_elements_are_parameters() -> None:
    params: Params = {"scalar": np.array(1.0, np.float32), "empty": np.zeros((0,)), "hollow": np.zeros((3, 0, 2), BF16)}
    ema = EMA(params, 0.0)
    params["scalar"][...] = 2
    ema.update()
    assert ema.shadow_values("scalar") == 2
    assert {name: array.shape for name, array in ema.averages().items()} == {
        "scalar": (),
        "empty": (0,),
        "hollow": (3, 0, 2),
    }
    params["scalar"][...] = 7
    with ema.applied():
        assert params["scalar"].tolist() == 2
    assert params["scalar"].tolist() == 7


def test_a_model_of_nothing_but_empty_arrays_is_a_model() -> None:
    ema = EMA([np.zeros(0), np.zeros((2, 0))], 0.0)
    ema.update()
    with ema.applied():
        pass
    assert ema.num_updates == 1


def test_arrays_that_can_not_be_written_are_read() -> None:
    ema = EMA([read_only(np.zeros(2))], 0.0)
    ema.update([read_only(np.ones(2))])
    assert ema.shadow_values(0).tolist() == [1, 1]
    ema.update([np.broadcast_to(np.array(5.0), 2)])
    assert ema.shadow_values(0).tolist() == [5, 5]


def test_an_array_of_many_dimensions_is_a_parameter() -> None:
    params = {"w": np.zeros((2,) * 10)}
    ema = EMA(params, 0.0)
    values = np.arange(1024.0).reshape((2,) * 10)
    params["w"] = values.transpose(3, 1, 4, 0, 5, 9, 2, 6, 8, 7)
    ema.update()
    assert same_bits(ema.shadow_values("w"), params["w"])
    params["w"] += 1
    with ema.applied():
        assert values.tolist() == np.arange(1024.0).reshape((2,) * 10).tolist()


def test_a_field_of_records_is_a_parameter() -> None:
    records = np.zeros(1500, [("weight", "f4"), ("age", "i4")])
    params = {"weight": records["weight"], "age": records["age"]}
    ema = EMA(params, 0.0)
    records["weight"], records["age"] = 2, 3
    ema.update()
    records["weight"], records["age"] = 5, 7
    with ema.applied():
        assert set(records.tolist()) == {(2, 3)}
    assert set(records.tolist()) == {(5, 7)}


def test_a_memory_map_is_averaged_and_written_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    weights = np.memmap(path, np.float32, "w+", shape=(4, 5))
    params = {"w": weights}
    ema = EMA(params, 0.0)
    weights[...] = 1
    ema.update()
    weights[...] = 5
    ema.apply()
    weights.flush()
    assert np.fromfile(path, np.float32).tolist() == [1] * 20
    ema.restore()
    weights.flush()
    assert np.fromfile(path, np.float32).tolist() == [5] * 20
    assert params["w"] is weights


def test_parameters_are_only_read_by_everything_but_apply_restore_and_copy_to() -> None:
    params = {"w": patterns(np.dtype("f4"), 1000, seed=6)}
    with unchanged(None, params):
        ema = EMA(params, 0.5, nonfinite="propagate")
        ema.update()
        ema.update_with_warmup()
        ema.averages()
        assert "EMA" in repr(ema)
