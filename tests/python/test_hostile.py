"""Books that no EMA can have written, in files with a right checksum and in state dicts: refused by what they say."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handmade import Handmade, Json, model, trained
from runs import kept
from shrew_ema import EMA, CheckpointError, EMAError, ShapeError
from support import Params, misaligned, unchanged

pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")

Edit = Callable[[Json], object]


def says(**facts: Any) -> Edit:  # noqa: ANN401 - any JSON
    """An edit of the books."""
    return lambda document: document.update(facts)


def schedule(**facts: Any) -> Edit:  # noqa: ANN401 - any JSON
    """An edit of the schedule, a constant decay."""
    return lambda document: document["schedule"].update(facts)


def nested(depth: int) -> Json:
    """A schedule within schedules."""
    inner: Json = {"rule": "constant", "decay": (0.5).hex()}
    for _ in range(depth):
        inner = {"rule": "uncompensated", "inner": inner, "every": 1, "first": 0}
    return inner


# What the books say, and what the refusal says of it.
BOOKS: dict[str, tuple[Edit, str]] = {
    "version 0": (says(version=0), "version 0 of the format, and this release reads version 1"),
    "version 2": (says(version=2), "version 2 of the format, and this release reads version 1"),
    "version 2 with other keys": (lambda document: document.update(version=2, more=1), "version 2"),
    "version of text": (says(version="1"), "string"),
    "version of a fraction": (says(version=1.0), "damaged"),
    "no version": (lambda document: document.pop("version"), "version"),
    "a negative step": (says(step=-1), "damaged"),
    "a step beyond any": (says(step=2**63), "step"),
    "a step beyond any integer": (says(step=2**64), "damaged"),
    "a step of a fraction": (says(step=5.5), "damaged"),
    "a step of text": (says(step="5"), "damaged"),
    "a step of null": (says(step=None), "damaged"),
    "fewer calls than averages": (says(step=4), "5 averages after 4 calls"),
    "more averages than calls": (says(num_updates=2**63), "averages after 5 calls"),
    "every 0": (says(every=0), "every"),
    "every -1": (says(every=-1), "damaged"),
    "a start of text": (says(start="0"), "damaged"),
    "a share of NaN": (says(log_share="nan"), "nan"),
    "a share above 1": (says(log_share=(0.5).hex()), "log_share"),
    "a share in decimals": (says(log_share="-0.5"), "-0.5"),
    "a share of a number": (says(log_share=-0.5), "damaged"),
    "a window of NaN": (says(log_window="-nan"), "nan"),
    "a window above 1": (says(log_window="inf"), "log_window"),
    "warmed of a number": (says(warmed=1), "damaged"),
    "an unknown policy": (says(nonfinite="ignore"), '"ignore"'),
    "an unknown width": (says(shadow_dtype="float16"), '"float16"'),
    "a width narrower than a parameter": (says(shadow_dtype="float32"), '"d"'),
    "a width that the values do not have": (says(shadow_dtype="float64"), '"w" of float32'),
    "an unknown rule": (schedule(rule="median"), '"median"'),
    "no rule": (lambda document: document["schedule"].pop("rule"), "rule"),
    "a decay of 2": (schedule(decay=(2.0).hex()), "decay must be"),
    "a negative decay": (schedule(decay=(-0.5).hex()), "decay must be"),
    "a decay of NaN": (schedule(decay="nan"), "decay must be"),
    "a decay in decimals": (schedule(decay="0.5"), "decay must be"),
    "a decay of a number": (schedule(decay=0.5), "decay must be"),
    "a decay and more": (schedule(power="0x0.0p+0"), "power"),
    "no decay": (lambda document: document["schedule"].pop("decay"), "decay"),
    "a schedule of text": (says(schedule="constant"), "schedule"),
    "a list of schedules": (says(schedule=[]), "schedule"),
    "a schedule too deep": (says(schedule=nested(200)), "damaged"),
    "no tensors": (says(tensors=[]), ""),
    "a tensor fewer": (lambda document: document["tensors"].pop(0), ""),
    "a tensor more": (lambda document: document["tensors"].append(["x", "float32"]), ""),
    "a tensor twice": (lambda document: document["tensors"].append(["w", "float32"]), '"w"'),
    "a tensor in the place of another": (lambda document: document["tensors"].__setitem__(1, ["w", "float32"]), '"w"'),
    "a tensor of three": (lambda document: document["tensors"].append(["w", "float32", "x"]), "damaged"),
    "an unknown dtype": (lambda document: document["tensors"][0].__setitem__(1, "float8"), "float8"),
    "another dtype": (lambda document: document["tensors"][0].__setitem__(1, "int32"), ""),
    "skipped of nobody": (says(skipped=[["x", 1]]), '"x"'),
    "skipped below 0": (says(skipped=[["w", -1]]), "damaged"),
    "skipped beyond any": (says(skipped=[["w", 2**63]]), "skipped"),
    "skipped twice": (says(skipped=[["w", 1], ["w", 2]]), '"w"'),
    "a tie of nobody": (says(ties=[["w", "x"]]), '"x"'),
    "a tie of others": (says(ties=[["w", "d"]]), '"w"'),
    "a tie of a dtype and another": (says(ties=[["d", "n"]]), '"d"'),
    "a tie with itself": (says(ties=[["w", "w"]]), '"w"'),
    "a tie of one": (says(ties=[["w"]]), '"w"'),
    "a tie of none": (says(ties=[[]]), ""),
    "a key more": (says(more=1), "more"),
    "a key fewer": (lambda document: document.pop("warmed"), "warmed"),
    "a horizon of text": (says(horizon="0"), "damaged"),
    "a horizon below 0": (says(horizon=-1), "damaged"),
    "rounded to integers": (says(rounded_to="int32"), "int32"),
    "rounded to nothing known": (says(rounded_to="float8"), "float8"),
    "rounded to what the values do not have": (says(rounded_to="float16"), "float16"),
}


def spoilt(ema: EMA, edit: Edit) -> dict[str, Any]:
    """A state dict with books that were edited."""
    state = ema.state_dict()
    documents = [json.loads(text) for text in state["shrew_ema"]]
    for document in documents:
        edit(document)
    state["shrew_ema"] = [json.dumps(document) for document in documents]
    return state


@pytest.mark.parametrize("case", BOOKS)
def test_books_that_say_what_can_not_be_are_refused(case: str, ema: EMA, params: Params, tmp_path: Path) -> None:
    edit, saying = BOOKS[case]
    path = tmp_path / "ema.safetensors"
    path.write_bytes(Handmade.saved(ema, tmp_path).with_document(edit).file())
    names = {"a tensor fewer", "a tensor more", "no tensors"}
    error: type[EMAError] = EMAError if case in names else CheckpointError
    with unchanged(ema, params):
        for given_params in (params, None):
            for resume in (True, False):
                with pytest.raises(error) as caught:
                    EMA.load(path, given_params, resume=resume)
                assert saying in str(caught.value) or "rounded" in case
        with pytest.raises(error) as caught:
            ema.load_state_dict(spoilt(ema, edit))
        assert saying in str(caught.value)


def test_books_that_are_a_list_are_refused(ema: EMA, params: Params, tmp_path: Path) -> None:
    made = Handmade.saved(ema, tmp_path)
    books = json.dumps(list(made.document().values()))
    path = tmp_path / "ema.safetensors"
    path.write_bytes(made.with_document_text(f" {books}").file())
    with pytest.raises(CheckpointError, match="a list, where an object is expected"):
        EMA.load(path, params)
    state = ema.state_dict() | {"shrew_ema": [books]}
    with unchanged(ema, params), pytest.raises(CheckpointError, match="a list, where an object is expected"):
        ema.load_state_dict(state)


def test_a_name_that_a_dict_takes_for_two_is_refused(ema: EMA, params: Params) -> None:
    class Apart(str):
        """A text that is like no other."""

        __slots__ = ()
        __hash__ = object.__hash__

        def __eq__(self, other: object) -> bool:
            return self is other

    state = ema.state_dict()
    (averages,) = state["averages"]
    averages[Apart("w")] = averages["w"]
    with unchanged(ema, params), pytest.raises(CheckpointError, match='has an average "w" twice'):
        ema.load_state_dict(state)


def test_ties_that_overlap_or_differ_are_refused(tmp_path: Path) -> None:
    zeros: Params = {
        "a": np.zeros(4, np.float32),
        "b": np.zeros(4, np.float32),
        "c": np.zeros(4, np.float32),
        "other shape": np.zeros((2, 2), np.float32),
        "other dtype": np.zeros(4, np.int32),
        "other parameter": np.zeros(4, np.float16),
    }
    ema = EMA(zeros, 0.5)
    path = tmp_path / "ema.safetensors"
    made = Handmade.saved(ema, tmp_path)
    cases = [[["a", other]] for other in zeros if "other" in other]
    cases += [[["b", "c"], ["a", "b"]], [["a", "b"], ["b", "c"]], [["a", "b"], ["a", "b"]], [["a", "b", "a"]]]
    for ties in cases:
        path.write_bytes(made.with_document(says(ties=ties)).file())
        for given_params in (zeros, None):
            with pytest.raises(CheckpointError, match=r"tie|parameter"):
                EMA.load(path, given_params)
        with unchanged(ema, zeros), pytest.raises(CheckpointError, match=r"tie|parameter"):
            ema.load_state_dict(spoilt(ema, says(ties=ties)))


def test_horizons_that_are_not_of_one_save_are_refused(params: Params, tmp_path: Path) -> None:
    ema = trained(params, [0.5, 0.25])
    path = tmp_path / "ema.safetensors"
    ema.save(path)
    first, second = (tmp_path / f"ema.h{horizon}.safetensors" for horizon in range(2))
    whole = second.read_bytes()
    edits: list[Edit] = [
        says(step=6, num_updates=6),
        says(horizon=0),
        says(horizon=2),
        says(horizons=1),
        says(horizons=10**18),
        says(every=2, num_updates=2),
        says(start=1, num_updates=4),
        says(nonfinite="skip"),
        says(skipped=[["w", 1]]),
        says(warmed=True),
        says(ties=[["w", "d"]]),
        lambda document: document["tensors"].reverse(),
    ]
    for edit in edits:
        second.write_bytes(Handmade(whole).with_document(edit).file())
        with unchanged(None, params), pytest.raises(CheckpointError):
            EMA.load(path, params)
        state = ema.state_dict()
        document = json.loads(state["shrew_ema"][1])
        edit(document)
        state["shrew_ema"][1] = json.dumps(document)
        with unchanged(ema, params), pytest.raises(CheckpointError):
            ema.load_state_dict(state)
    for horizons in (3, 10**18, 2**64 - 1):
        for file in (first, second):
            file.write_bytes(Handmade(file.read_bytes()).with_document(says(horizons=horizons)).file())
        with pytest.raises(CheckpointError):
            EMA.load(path, params)
        with unchanged(ema, params), pytest.raises(CheckpointError):
            ema.load_state_dict(spoilt(ema, says(horizons=horizons)))


def test_a_horizon_of_other_tensors_is_refused(params: Params, tmp_path: Path) -> None:
    ema = trained(params, [0.5, 0.25])
    path = tmp_path / "ema.safetensors"
    ema.save(path)
    second = tmp_path / "ema.h1.safetensors"
    made = Handmade(second.read_bytes())
    cases = [
        made.with_header(lambda header: header["w"].update(shape=[3, 2])),
        made.with_header(lambda header: header.update(x=header.pop("w"))),
        made.with_header(lambda header: header.update(x={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})),
        made.with_document(says(log_share=(0.5).hex())),
        made.with_document(says(log_window="nan")),
    ]
    for spoilt_file in cases:
        second.write_bytes(spoilt_file.file())
        with pytest.raises(CheckpointError) as caught:
            EMA.load(path, params)
        assert caught.value.path == str(second)


def test_values_of_one_horizon_that_can_not_be_are_refused_by_its_file(tmp_path: Path) -> None:
    flag, w = np.array([True, False]), np.array([1.5, 2.5], np.float32)
    EMA({"a": w, "b": w, "flag": flag}, [0.5, 0.25]).save(tmp_path / "ema")
    second = tmp_path / "ema.h1"
    whole = second.read_bytes()
    for place, saying in ((-10, 'two averages for "a" and "b"'), (-1, '"flag" of bools that are neither')):
        second.write_bytes(whole[:place] + b"\2" + whole[len(whole) + place + 1 :])
        with pytest.raises(CheckpointError, match=saying) as caught:
            EMA.load(tmp_path / "ema")
        assert caught.value.path == str(second)
    second.write_bytes(whole)
    assert EMA.load(tmp_path / "ema").names == ("a", "b", "flag")


UNFIT: dict[str, tuple[object, str]] = {
    "a list": ([1.0, 2.0], "that is no array but of type list, expected a NumPy array of"),
    "a masked array": (np.ma.array([1.0, 2.0]), "that is a masked array, expected an array without"),
    "a complex array": (np.zeros(2, "c8"), "that is complex64, expected a NumPy array of"),
    "a misaligned array": (misaligned(np.zeros(2)), "that is not aligned in memory: copy it"),
    "odd bools": (np.array([1, 2], "u1").view("?"), "of bools that are neither true nor false"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_is_no_average_is_refused_as_part_of_the_state(case: str) -> None:
    unfit, saying = UNFIT[case]
    params = {"w": np.zeros(2, "?" if case == "odd bools" else "f8")}
    ema = EMA(params, 0.5)
    state = ema.state_dict()
    state["averages"][0]["w"] = unfit
    with unchanged(ema, params), pytest.raises(CheckpointError) as caught:
        ema.load_state_dict(state)
    assert caught.value.path == "state_dict"
    assert caught.value.problem.startswith(f'has an average "w" {saying}')


STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no dict": list,
    "nothing": lambda _: {},
    "none": lambda _: None,
    "another state": lambda _: {"w": np.zeros(3)},
    "no books": lambda state: {"averages": state["averages"]},
    "no averages": lambda state: {"shrew_ema": state["shrew_ema"]},
    "text": lambda state: {**state, "shrew_ema": state["shrew_ema"][0]},
    "numbers": lambda state: {**state, "shrew_ema": [1]},
    "bytes": lambda state: {**state, "shrew_ema": [state["shrew_ema"][0].encode()]},
    "text that is none": lambda state: {**state, "shrew_ema": [state["shrew_ema"][0] + "\ud800"]},
    "text cut short": lambda state: {**state, "shrew_ema": [state["shrew_ema"][0][:-1]]},
    "a document more": lambda state: {**state, "shrew_ema": state["shrew_ema"] * 2},
    "no horizon": lambda _: {"shrew_ema": [], "averages": []},
    "a list of averages": lambda state: {**state, "averages": [list(state["averages"][0].values())]},
    "an average fewer": lambda state: {**state, "averages": [{"w": state["averages"][0]["w"]}]},
    "an average more": lambda state: {**state, "averages": [{**state["averages"][0], "x": np.zeros(3)}]},
    "no array": lambda state: {**state, "averages": [{**state["averages"][0], "w": None}]},
    "a name that is none": lambda state: {**state, "averages": [{**state["averages"][0], 1: np.zeros(3)}]},
    "a name that is no text": lambda state: {**state, "averages": [{**state["averages"][0], "\ud800": np.zeros(3)}]},
    "a list": lambda state: {**state, "averages": [{**state["averages"][0], "w": [[0.0] * 3] * 2}]},
    "another dtype": lambda state: {**state, "averages": [{**state["averages"][0], "w": np.zeros((2, 3))}]},
    "a dtype of no average": lambda state: {**state, "averages": [{**state["averages"][0], "w": np.zeros(3, "c8")}]},
    "another shape": lambda state: {**state, "averages": [{**state["averages"][0], "w": np.zeros(6, "f4")}]},
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_that_is_none_is_refused(case: str, ema: EMA, params: Params) -> None:
    state = STATES[case](ema.state_dict())
    with unchanged(ema, params), pytest.raises(EMAError) as caught:
        ema.load_state_dict(state)  # type: ignore[arg-type]
    # Sound averages of other parameters are no fault of the state.
    assert type(caught.value) is (ShapeError if case == "another shape" else CheckpointError)
    assert case == "another shape" or str(caught.value).startswith("state_dict: ")
    ema.load_state_dict(ema.state_dict())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.sampled_from([(0.5).hex(), "nan", "-inf", "w", "x", "float32", "constant", "power", "0x1.8p+0"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rule", "decay", "inner"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = sorted(json.loads(EMA({"w": np.zeros(1)}).state_dict()["shrew_ema"][0]))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1, max_size=3))
def test_any_books_are_refused_or_can_be_gone_on_with(edits: dict[str, Any], tmp_path: Path) -> None:
    params = model()
    ema = trained(params)
    path = tmp_path / "ema.safetensors"
    path.write_bytes(Handmade.saved(ema, tmp_path).with_document(says(**edits)).file())
    go_on(path, params)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), signed=st.booleans())
def test_any_change_of_a_file_is_refused_or_changes_values_only(
    data: st.DataObject, signed: bool, tmp_path: Path
) -> None:
    params = model()
    ema = trained(params)
    made = Handmade.saved(ema, tmp_path)
    file = bytearray(made.file())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file)))
        until = data.draw(st.sampled_from([at, at + 1, at + 8]))
        file[at:until] = data.draw(st.binary(max_size=9))
    path = tmp_path / "ema.safetensors"
    path.write_bytes(Handmade(bytes(file)).file() if signed and len(file) > 8 else file)
    resumed = go_on(path, params)
    if resumed is not None and not signed:
        assert kept(resumed) | {"averages": None} == kept(ema) | {"averages": None}


def go_on(path: Path, params: Params) -> EMA | None:
    """Loads a file and does with it whatever an EMA does, or is refused."""
    before = {name: array.copy() for name, array in params.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            resumed = EMA.load(path, params)
        except EMAError:
            assert all(np.array_equal(array, before[name]) for name, array in params.items())
            return None
        again = EMA.load(path, params)
        for call in (again.update, again.update_with_warmup, again.apply, again.restore, again.__repr__):
            try:
                call()
            except EMAError:  # noqa: PERF203 - each call has its own
                assert not again.is_applied
        again.load_state_dict(again.state_dict())
    return resumed
