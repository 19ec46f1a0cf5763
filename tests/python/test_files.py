"""Saving and loading: what becomes of what was there, what goes together, which calls are refused."""

import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handmade import model, trained
from runs import kept
from shrew_ema import (
    EMA,
    CheckpointError,
    ConfigError,
    DTypeError,
    EMAError,
    EMAWarning,
    NamesError,
    ShapeError,
    StateError,
)
from support import Params, shift, unchanged

pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")


def files(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_replaces_another_whatever_it_was(ema: EMA, params: Params, tmp_path: Path) -> None:
    path = tmp_path / "ema.safetensors"
    path.write_bytes(b"x" * 100_000)
    for _ in range(3):
        ema.save(path)
        assert kept(EMA.load(path, params)) == kept(ema)
        assert files(tmp_path) == ["ema.safetensors"]
        shift(params)
        ema.update()


def test_two_saves_of_the_same_are_the_same_bytes(ema: EMA, params: Params, tmp_path: Path) -> None:
    ema.save(tmp_path / "a")
    ema.save(tmp_path / "b")
    EMA.load(tmp_path / "a", params).save(tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_several_horizons_are_as_many_files(params: Params, tmp_path: Path) -> None:
    ema = trained(params, [0.5, 0.25, 0.75])
    ema.save(tmp_path / "ema.v1.safetensors")
    names = [f"ema.v1.h{horizon}.safetensors" for horizon in range(3)]
    assert files(tmp_path) == names
    assert kept(EMA.load(tmp_path / "ema.v1.safetensors", params)) == kept(ema)
    for horizon, name in enumerate(names):
        alone = EMA.load(tmp_path / name, params)
        assert alone.decays == ema.decays[horizon : horizon + 1]
        assert kept(alone)["averages"] == kept(ema)["averages"][horizon : horizon + 1]
        shift(params)
        alone.update()
        again = EMA.load(tmp_path / "ema.v1.safetensors", params)
        again.update()
        assert kept(alone)["averages"] == kept(again)["averages"][horizon : horizon + 1]
        alone.save(tmp_path / "alone")
        assert kept(EMA.load(tmp_path / "alone", params)) == kept(alone)
    (tmp_path / names[0]).rename(tmp_path / "first")
    with pytest.raises(CheckpointError, match=r'ema\.v1\.h0\.safetensors: is missing, and "ema\.v1\.h1\.safetensors"'):
        EMA.load(tmp_path / "ema.v1.safetensors", params)
    (tmp_path / "first").rename(tmp_path / names[0])
    (tmp_path / names[1]).unlink()
    with pytest.raises(CheckpointError, match=r"ema\.v1\.h1\.safetensors: no such file"):
        EMA.load(tmp_path / "ema.v1.safetensors", params)


def test_a_file_of_one_horizon_beside_those_of_several_is_refused(params: Params, tmp_path: Path) -> None:
    one, two = trained(params), trained(params, [0.5, 0.25])
    path = tmp_path / "ema.safetensors"
    two.save(tmp_path / "ema.safetensors")
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    with pytest.raises(CheckpointError, match=r"ema\.h0\.safetensors"):
        one.save(path)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before
    one.save(tmp_path / "one")
    (tmp_path / "one").rename(path)
    with pytest.raises(CheckpointError, match=r"ema\.h0\.safetensors"):
        EMA.load(path, params)
    with pytest.raises(CheckpointError, match=r"ema\.safetensors"):
        two.save(path)
    (tmp_path / "ema.h0.safetensors").unlink()
    assert len(EMA.load(path, params).decays) == 1


def test_saving_while_applied_saves_the_averages(params: Params, tmp_path: Path) -> None:
    ema = trained(params, [0.5, 0.25])
    before = kept(ema)
    with ema.applied(1):
        shift(params)
        ema.save(tmp_path / "ema")
        resumed = EMA.load(tmp_path / "ema")
        assert not resumed.is_applied
        assert kept(resumed) == before
        assert kept(EMA.load(tmp_path / "ema", params)) == before
        assert ema.is_applied
    assert kept(ema) == before


def test_binding_and_loading_while_applied_are_refused(ema: EMA, params: Params) -> None:
    state = ema.state_dict()
    ema.apply()
    with unchanged(ema, params), pytest.raises(StateError, match=r"restore\(\) first"):
        ema.bind(model())
    with unchanged(ema, params), pytest.raises(StateError, match=r"restore\(\) first"):
        ema.load_state_dict(state)
    ema.restore()
    ema.load_state_dict(state)


SPOILT: dict[str, tuple[Any, type[EMAError], str]] = {
    "a tensor fewer": (lambda params: params.pop("w"), NamesError, 'missing "w"'),
    "a tensor more": (lambda params: params.update(x=params["w"].copy()), NamesError, 'unexpected "x"'),
    "another name": (lambda params: params.update(x=params.pop("w")), NamesError, 'missing "w"; unexpected "x"'),
    "another shape": (lambda params: params.update(w=params["w"].T.copy()), ShapeError, '"w"'),
    "a shape of as many dimensions": (lambda params: params.update(w=params["w"][:1]), ShapeError, '"w"'),
    "another dtype": (lambda params: params.update(w=params["w"].astype("f8")), DTypeError, '"w"'),
    "another dtype of integers": (lambda params: params.update(n=params["n"].astype("i4")), DTypeError, '"n"'),
    "no array": (lambda params: params.update(w=[1.0]), DTypeError, '"w"'),
    "a complex array": (lambda params: params.update(w=params["w"].astype("c8")), DTypeError, '"w"'),
    "a list": (lambda params: list(params.values()), NamesError, '"0"'),
    "no container": (lambda params: params["w"], ConfigError, "params"),
    "nothing": (lambda params: params.clear(), NamesError, "missing"),
    "a number as a name": (lambda params: params.update({1: params.pop("w")}), NamesError, "strings"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_other_parameters_are_refused_by_load_and_bind(case: str, ema: EMA, params: Params, tmp_path: Path) -> None:
    spoil, error, saying = SPOILT[case]
    ema.save(tmp_path / "ema")
    spoilt = model()
    made = spoil(spoilt)
    container = made if case in ("a list", "no container") else spoilt
    with unchanged(None, container), pytest.raises(error, match=saying):
        EMA.load(tmp_path / "ema", container)
    resumed = EMA.load(tmp_path / "ema")
    for one in (ema, resumed):
        with unchanged(one, params, container), pytest.raises(error, match=saying):
            one.bind(container)
    assert not resumed.is_bound
    resumed.bind(params)
    shift(params)
    resumed.update()
    assert resumed.num_updates == 6


def test_state_dicts_of_other_parameters_are_refused(ema: EMA, params: Params) -> None:
    for case, (spoil, error, _) in SPOILT.items():
        other = model()
        spoil(other)
        if case.split()[-1] in ("list", "array", "container", "nothing", "name"):
            continue
        state = EMA(other, 0.25).state_dict()
        with unchanged(ema, params), pytest.raises(error):
            ema.load_state_dict(state)
    # Of the same parameters, however they were averaged, anything will do.
    for options in ({"decay": [0.5, 0.25]}, {"shadow_dtype": "float64"}, {"every": 3, "start": 2, "nonfinite": "skip"}):
        other_ema = trained(model(), **{"decay": 0.75, **options})
        ema.load_state_dict(other_ema.state_dict())
        assert kept(ema) == kept(other_ema)


def test_an_ema_without_parameters_says_so(ema: EMA, params: Params, tmp_path: Path) -> None:
    ema.save(tmp_path / "ema")
    resumed = EMA.load(tmp_path / "ema")
    assert "not bound" in repr(resumed)
    for call in (resumed.update, resumed.update_with_warmup, resumed.apply, resumed.copy_to):
        with unchanged(resumed), pytest.raises(StateError, match=r"bind\(params\) first"):
            call()
    resumed.restore()
    resumed.save(tmp_path / "again")
    assert kept(EMA.load(tmp_path / "again", params)) == kept(ema)


def test_a_container_of_another_kind_may_be_bound(tmp_path: Path) -> None:
    entries = [np.full(2, index, "f4") for index in range(12)]
    ema = EMA(entries, 0.5)
    ema.save(tmp_path / "ema")
    shift(dict(enumerate(entries)))  # type: ignore[arg-type]
    named = {str(index): entries[index] for index in (11, 2, 10, 1, 0, 3, 4, 5, 6, 7, 8, 9)}
    resumed = EMA.load(tmp_path / "ema", named)
    resumed.update()
    again = EMA.load(tmp_path / "ema", tuple(entries))
    again.update()
    ema.update()
    for index in range(12):
        assert resumed.shadow_values(str(index)).tolist() == [index + 0.5] * 2
    assert kept(again) == kept(ema)
    assert set(resumed.names) == set(ema.names)
    assert EMA.load(tmp_path / "ema").names == ema.names == tuple(map(str, range(12)))
    assert resumed.names == tuple(named)
    # Its averages lie in the order of the dict, and a list has no names by which to tell.
    with unchanged(resumed, entries), pytest.raises(ConfigError, match="in another order"):
        resumed.bind(entries)
    ema.bind(named)
    ema.bind(entries)


def test_what_is_saved_beside_updates_is_of_one_moment(tmp_path: Path) -> None:
    params = {str(index): np.zeros(5000) for index in range(20)}
    ema = EMA(params, [0.0, 0.5])
    stop = threading.Event()

    def train() -> None:
        while not stop.is_set():
            shift(params)
            ema.update()

    thread = threading.Thread(target=train)
    thread.start()
    steps: set[int] = set()
    saves, ends = 0, time.monotonic() + 60
    try:
        while (saves < 20 or len(steps) < 2) and time.monotonic() < ends:
            saves += 1
            ema.save(tmp_path / "ema")
            saved = EMA.load(tmp_path / "ema")
            state = ema.state_dict()
            for step, averages in ((saved.step, saved.averages()), (None, state["averages"][0])):
                values = {float(array.min()) for array in averages.values()}
                values |= {float(array.max()) for array in averages.values()}
                assert len(values) == 1
                assert step is None or values == {float(step)}
            steps.add(saved.step)
    finally:
        stop.set()
        thread.join()
    assert len(steps) > 1


def test_a_warning_made_an_error_stops_a_save_in_time(params: Params, tmp_path: Path) -> None:
    ema = EMA(params, 0.999)
    path = tmp_path / "ema"
    path.write_bytes(b"old")
    with warnings.catch_warnings(), unchanged(ema, params):
        warnings.simplefilter("error")
        with pytest.raises(EMAWarning, match="the initial values"):
            ema.save(path)
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["ema"]
    # Advice is given once.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ema.save(path)


def test_a_bool_of_any_byte_is_saved_as_one_that_all_can_read(tmp_path: Path) -> None:
    ema = EMA({"flag": np.array([0, 1, 2, 255], np.uint8).view(bool)}, 0.0)
    ema.update()
    ema.save(tmp_path / "ema")
    assert EMA.load(tmp_path / "ema").shadow_values("flag").view(np.uint8).tolist() == [0, 1, 1, 1]
    # In a state dict too, which is read by the same rules; what is averaged keeps its bits.
    kept_array = ema.state_dict()["averages"][0]["flag"]
    assert kept_array.view(np.uint8).tolist() == [0, 1, 1, 1]
    assert ema.shadow_values("flag").view(np.uint8).tolist() == [0, 1, 2, 255]
    ema.load_state_dict(ema.state_dict())
    assert ema.shadow_values("flag").view(np.uint8).tolist() == [0, 1, 1, 1]
