"""One EMA and several threads: calls wait for each other, views are whole, and nothing hangs."""

import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from shrew_ema import EMA
from support import LONG, Params, bits, normal, run_python, same_bits, shift

# Small models are averaged by the calling thread, larger ones by a pool; in long passes other Python threads run.
SIZES = pytest.mark.parametrize("size", [1000, 1_100_000, LONG], ids=["small", "large", "long"])


def together(*jobs: Callable[[], object], timeout: float = 60) -> None:
    """Runs the jobs at the same time, and raises what one of them raises."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        try:
            start.wait()
            job()
        except BaseException as failure:  # noqa: BLE001 - also a panic of the extension
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), "a call hangs"
    if failures:
        raise failures[0]


@pytest.mark.parametrize(("size", "updates"), [(1000, 400), (1_100_000, 6), (LONG, 3)], ids=["small", "large", "long"])
def test_threads_wait_for_each_other_and_lose_no_update(size: int, updates: int) -> None:
    params: Params = {"w": normal(np.dtype("f4"), size, seed=1), "v": normal(np.dtype("f8"), 30, seed=2)}
    ema, alone = EMA(params, 0.9), EMA(params, 0.9)
    shift(params)

    def some() -> None:
        for _ in range(updates):
            ema.update()

    together(*[some] * 4)
    for _ in range(4 * updates):
        alone.update()
    assert ema.num_updates == 4 * updates
    assert ema.initial_share == alone.initial_share
    for name in params:
        assert same_bits(ema.shadow_values(name), alone.shadow_values(name))


@SIZES
def test_a_view_taken_during_updates_is_of_one_moment(size: int) -> None:
    params = {"w": np.zeros(size, np.float32)}
    ema = EMA(params, 0.5)
    done = threading.Event()
    taken: list[float] = []

    def write() -> None:
        # Every element is the same at every moment, so a view that is not was taken in the middle of a pass.
        try:
            while ema.num_updates < 50 or len(taken) < 50:
                params["w"].fill(ema.num_updates + 1)
                ema.update()
        finally:
            done.set()

    def read() -> None:
        kept = []
        while not done.is_set():
            view = ema.shadow_values("w")
            assert view.min() == view.max()
            kept.append((view, view[0]))
            kept = kept[-5:]
            assert all(np.all(view == first) for view, first in kept)
            taken.append(float(view[0]))

    together(write, read, read)
    assert set(taken) <= {float(value) for value in all_averages(ema.num_updates)}


def all_averages(updates: int) -> list[np.float32]:
    """The average of 0, 1, 2, … with decay ½, after each update."""
    averages = [np.float32(0)]
    for value in range(1, updates + 1):
        averages.append(np.float32(value) - np.float32(0.5) * (np.float32(value) - averages[-1]))
    return averages


def test_apply_and_restore_of_several_threads_never_mix() -> None:
    params: Params = {"w": normal(np.dtype("f4"), 5000, seed=1)}
    ema = EMA(params, 0.0)
    ema.update()
    params["w"] += 1
    training, average = bits(params["w"]), bits(ema.shadow_values("w"))
    turn = threading.Lock()

    def evaluate() -> None:
        for _ in range(100):
            with turn, ema.applied():
                assert bits(params["w"]) == average
            assert ema.num_updates == 1

    together(evaluate, evaluate, evaluate)
    assert bits(params["w"]) == training
    assert not ema.is_applied


def test_different_emas_are_updated_at_the_same_time() -> None:
    models = [{"w": normal(np.dtype("f4"), LONG, seed=seed)} for seed in range(3)]
    emas = [EMA(model, 0.5) for model in models]

    def train(index: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(10):
                emas[index].update({"w": models[index]["w"] + 1})

        return run

    together(*[train(index) for index in range(3)])
    for model, ema in zip(models, emas, strict=True):
        alone = EMA(model, 0.5)
        for _ in range(10):
            alone.update({"w": model["w"] + 1})
        assert same_bits(ema.shadow_values("w"), alone.shadow_values("w"))


@pytest.fixture
def _quick_switches() -> Iterator[None]:
    """Threads take turns after 0.1 ms. The usual 5 ms would be a good part of an update."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_quick_switches")
def test_other_threads_run_during_a_large_update() -> None:
    params = {"w": np.zeros(32_000_000, np.float32)}
    ema = EMA(params, 0.9)
    done = threading.Event()
    updates: list[tuple[float, float]] = []
    pauses: list[tuple[float, float]] = []

    def update() -> None:
        try:
            for _ in range(10):
                began = time.perf_counter()
                ema.update()
                updates.append((began, time.perf_counter()))
        finally:
            done.set()

    def count() -> None:
        last, going = time.perf_counter(), True
        while going:
            going = not done.is_set()  # so that a pause during the last update is seen, too
            now = time.perf_counter()
            if now - last > 1e-3:
                pauses.append((last, now))
            last = now

    together(update, count)

    def paused(began: float, ended: float) -> float:
        """The share of an update in which the counting thread stood still, at most."""
        return max((min(end, ended) - max(start, began) for start, end in pauses), default=0) / (ended - began)

    # Had the interpreter been held, it would have stood still for the whole of each. One of them is enough to tell, and
    # leaves the machine the right to be busy with something else.
    assert min(paused(*update) for update in updates) < 0.5


# What of Python can run in the middle of a call: warnings, and the comparison of keys.
REENTRY = """
import sys, warnings
import numpy as np
from shrew_ema import EMA, StateError

outcomes = []

def reenter(*_):
    for call in (ema.update, ema.apply, ema.restore, ema.averages, lambda: ema.num_updates, lambda: repr(ema)):
        try:
            call()
            outcomes.append("done")
        except StateError:
            outcomes.append("refused")

class Key(str):
    armed = False
    def __hash__(self):
        if Key.armed:
            Key.armed = False
            reenter()
        return super().__hash__()
    def __eq__(self, other):
        if Key.armed:
            Key.armed = False
            reenter()
        return super().__eq__(other)

kind = sys.argv[1]
warnings.simplefilter("always" if kind == "warning" else "ignore")
params = {Key("w"): np.zeros(3), Key("v"): np.zeros(3)}
ema = EMA(params, 0.9)
if kind == "warning":
    warnings.showwarning = reenter
    ema.apply()
    assert outcomes
elif kind == "key":
    params = {name: array for name, array in reversed(params.items())}
    Key.armed = True
    ema.update(params)
elif kind == "lookup":
    Key.armed = True
    ema.shadow_values(Key("v"))
ema.restore()
before = ema.num_updates
ema.update()
assert ema.num_updates == before + 1
print(*outcomes)
"""


@pytest.mark.parametrize("kind", ["warning", "key", "lookup"])
def test_a_call_in_the_middle_of_a_call_is_refused_and_does_not_hang(kind: str) -> None:
    outcomes = run_python(REENTRY, kind, timeout=30).split()
    assert set(outcomes) <= {"done", "refused"}


# A pool of threads does not survive a fork, so that a child has to make its own.
FORK = """
import os, sys, warnings
import numpy as np
from shrew_ema import EMA

warnings.simplefilter("ignore")
params = {"w": np.zeros(1_100_000, np.float32)}
ema = EMA(params, 0.5)
params["w"] += 1
ema.update()
child = os.fork()
ema.update()
assert np.all(ema.shadow_values("w") == 0.75)
if child == 0:
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


def test_a_forked_child_averages_large_models_too() -> None:
    assert run_python(FORK, RAYON_NUM_THREADS="4", timeout=30).strip() == "0"


# Whoever has imported it, and in whichever process of a chain of forks: threads that average have to be found.
IMPORTED = """
import os, sys, threading, warnings
import numpy as np

warnings.simplefilter("ignore")

def load():
    global EMA
    from shrew_ema import EMA

def average(size):
    params = {"w": np.zeros(size, np.float32), "v": np.zeros((2, 300_000), np.float64)}
    ema = EMA(params, 0.5)
    for _ in range(20):
        for param in params.values():
            param += 1
        ema.update()
        with ema.applied():
            assert np.all(params["v"] == params["v"][0, 0])
    # The average of 1 to 20 with the halves of halves.
    outcomes.append(all(np.all(ema.shadow_values(name) == 19 + 0.5**20) for name in params))

def run(count, work, *arguments):
    threads = [threading.Thread(target=work, args=arguments) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads

outcomes = []
if sys.argv[1] == "main":
    load()
else:
    run(1, load)[0].join()
# One size keeps the interpreter during a call, the other one does not.
for size in [600_000, 5_000_000]:
    threads = run(2, average, size)
    average(size)
    for thread in threads:
        thread.join()
child = os.fork()
average(600_000)
if child == 0:
    grandchild = os.fork()
    average(600_000)
    os._exit(len(outcomes) - 8 if grandchild == 0 else os.waitpid(grandchild, 0)[1])
assert os.waitpid(child, 0)[1] == 0
print(len(outcomes), all(outcomes))
"""


@pytest.mark.parametrize("importer", ["main", "another"])
def test_large_models_are_averaged_whoever_has_imported_the_package(importer: str) -> None:
    assert run_python(IMPORTED, importer, RAYON_NUM_THREADS="3", timeout=60).split() == ["7", "True"]


# Memory that another thread gives back in the middle of a pass would be read where nothing is.
RESIZE = """
import sys
import threading
import time
import numpy as np
from shrew_ema import EMA, ShapeError

size, kind = int(sys.argv[1]), sys.argv[2]
array = np.zeros(size, np.float32)

class Scalar(np.float32):
    def __array__(self, dtype=None, copy=None):
        return array

params = {"w": array if kind == "array" else Scalar(1)}
ema = EMA(params, 0.5)
done = threading.Event()
outcomes = set()

def resize():
    while not done.is_set():
        for extent in (16, size):
            try:
                array.resize(extent, refcheck=False)
                outcomes.add("done")
            except ValueError:
                outcomes.add("refused")

thread = threading.Thread(target=resize)
thread.start()
# How often the two meet is the machine's affair: they are given the time that they need.
passes, ends = 0, time.monotonic() + 40
while (passes < 60 or outcomes != {"done", "refused"}) and time.monotonic() < ends:
    try:
        ema.update()
        passes += 1
    except ShapeError:
        time.sleep(0)
done.set()
thread.join()
print(passes >= 60, *sorted(outcomes))
"""


@pytest.mark.parametrize("kind", ["array", "what a scalar gives out"])
def test_an_array_that_is_resized_during_updates_is_never_read_where_it_was(kind: str) -> None:
    # Refused by NumPy, while a pass holds on to the array.
    assert run_python(RESIZE, str(LONG), kind, timeout=60).split() == ["True", "done", "refused"]
