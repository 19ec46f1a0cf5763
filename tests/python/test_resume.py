"""Train 2n = train n, keep, come back, train n: bit for bit in averages and books, by every way there is."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from rules import RULES
from runs import CALLS, Run, digest, kept, model, quiet, runs
from shrew_ema import EMA
from support import Params, run_python

NEW_PROCESS = """
import json, sys
from pathlib import Path
from runs import CALLS, digest, model, quiet, runs
from shrew_ema import EMA

folder = Path(sys.argv[1])
with quiet():
    for index, run in enumerate(runs()):
        params = model(1000)
        ema = EMA.load(folder / f"{index}.safetensors", params)
        resumed = digest(ema)
        run.go_on(ema, params, CALLS)
        print(json.dumps([resumed, digest(ema)]))
"""


def test_a_new_process_goes_on_to_the_bit_from_every_kind_of_file(folder: Path) -> None:
    expected = []
    with quiet():
        for index, run in enumerate(runs()):
            ema, params = run.begin()
            run.go_on(ema, params, run.cut)
            ema.save(folder / f"{index}.safetensors")
            saved = digest(ema)
            # The whole run was never kept.
            whole, params = run.begin()
            run.go_on(whole, params, CALLS)
            expected.append([saved, digest(whole)])
    printed = run_python(NEW_PROCESS, str(folder), PYTHONPATH=str(Path(__file__).parent))
    found = [json.loads(line) for line in printed.splitlines()]
    wrong = [run for run, a, b in zip(runs(), found, expected, strict=True) if a != b]
    assert not wrong
    assert len(found) == len(RULES) * 2 * 2 * 3 * 2


def through_file(ema: EMA, run: Run, folder: Path, params: Params) -> EMA:
    ema.save(folder / "ema.safetensors")
    resumed = EMA.load(folder / "ema.safetensors", params)
    for file in folder.iterdir():
        file.unlink()
    assert len(resumed.decays) == run.horizons
    return resumed


def through_file_and_bind(ema: EMA, run: Run, folder: Path, params: Params) -> EMA:
    ema.save(folder / "ema.safetensors")
    resumed = EMA.load(folder / "ema.safetensors")
    for file in folder.iterdir():
        file.unlink()
    assert len(resumed.decays) == run.horizons
    resumed.bind(params)
    return resumed


def through_state_dict(ema: EMA, _run: Run, _folder: Path, params: Params) -> EMA:
    resumed = EMA(params, 0.125)
    resumed.update()
    resumed.load_state_dict(ema.state_dict())
    return resumed


def through_pickled_state_dict(ema: EMA, _run: Run, _folder: Path, params: Params) -> EMA:
    resumed = EMA(params, [0.125, 0.5], shadow_dtype="float64", start=7)
    resumed.load_state_dict(pickle.loads(pickle.dumps(ema.state_dict())))
    return resumed


def through_pickle(protocol: int) -> Callable[[EMA, Run, Path, Params], EMA]:
    def through(ema: EMA, _run: Run, _folder: Path, params: Params) -> EMA:
        resumed: EMA = pickle.loads(pickle.dumps(ema, protocol))
        assert not resumed.is_bound
        resumed.bind(params)
        return resumed

    return through


def through_copy(how: Callable[[EMA], EMA]) -> Callable[[EMA, Run, Path, Params], EMA]:
    def through(ema: EMA, _run: Run, _folder: Path, params: Params) -> EMA:
        resumed = how(ema)
        assert not resumed.is_bound
        resumed.bind(params)
        return resumed

    return through


WAYS: list[Callable[[EMA, Run, Path, Params], EMA]] = [
    through_file,
    through_file_and_bind,
    through_state_dict,
    through_pickled_state_dict,
    *(through_pickle(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
    through_copy(copy.copy),
    through_copy(copy.deepcopy),
]


@pytest.mark.parametrize("rule", RULES)
def test_a_run_can_be_cut_at_any_call_and_goes_on_by_any_way(rule: str, folder: Path) -> None:
    mine = [(index, run) for index, run in enumerate(runs()) if run.rule == rule]
    taken = set()
    with quiet():
        for index, run in mine:
            whole, params = run.begin()
            run.go_on(whole, params, CALLS)
            ema, params = run.begin()
            for cut in range(index % 5, CALLS, 5):
                run.go_on(ema, params, cut)
                way = (index + cut) % len(WAYS)
                taken.add(way)
                before = kept(ema)
                others = model(1000 + cut)
                resumed = WAYS[way](ema, run, folder, others)
                assert kept(resumed) == before, (run, cut)
                run.go_on(resumed, others, CALLS)
                assert kept(resumed) == kept(whole), (run, cut)
                # The one that was kept has not noticed.
                assert kept(ema) == before, (run, cut)
    assert len(taken) == len(WAYS)
