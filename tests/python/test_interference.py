"""What other code can do in the middle of a call or of its end: finalizers, hooks, locks, forks, exits, no memory."""

import gc
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shrew_ema import EMA, EMAError, EMAWarning, LayoutError, ShapeError
from support import LONG, run_python

Floats = NDArray[np.float32]


def test_a_finalizer_that_frees_an_array_during_a_call_is_noticed_or_harmless() -> None:
    """The garbage collector may run wherever Python allocates; every such place comes before the facts are read."""
    for threshold in range(12):
        freed: list[int] = []
        array = np.ones(LONG, np.float32)

        class Cycle:
            def __del__(self, array: Floats = array, freed: list[int] = freed) -> None:
                array.resize(1, refcheck=False)
                freed.append(1)

        params = [np.ones(1) for _ in range(30)] + [array]
        gc.collect()
        gc.disable()
        cycle: Any = Cycle()
        cycle.itself = cycle
        del cycle
        old = gc.get_threshold()
        gc.set_threshold(gc.get_count()[0] + threshold, 1000, 1000)
        gc.enable()
        try:
            ema = EMA(params, 0.5)
            ema.update()
        except (ShapeError, ValueError):
            assert freed
        else:
            assert np.all(ema.shadow_values(30) == 1)
        finally:
            gc.set_threshold(*old)
            gc.enable()
            gc.collect()


def test_a_scalar_that_frees_an_array_when_it_is_read_is_noticed() -> None:
    array = np.ones(400_000, np.float32)

    class Evil(np.float64):
        armed = False

        def __array__(self, *_: object, **__: object) -> Floats:  # type: ignore[override]
            if Evil.armed:
                array.resize(1, refcheck=False)
            return np.zeros((), np.float32)

    params = {"a": array, "b": Evil(0.0)}
    ema = EMA(params, 0.5)
    Evil.armed = True
    with pytest.raises(ShapeError):
        ema.update()
    assert ema.num_updates == 0


def test_a_large_model_may_hold_numpy_scalars() -> None:
    params: dict[str, Any] = {"w": np.ones(LONG, np.float32), "b": np.float32(1)}
    ema = EMA(params, 0.5)
    params["b"] = params["b"] + np.float32(2)
    ema.update()
    assert ema.shadow_values("b") == 2
    with pytest.warns(EMAWarning), pytest.raises(LayoutError, match='"b" is a NumPy scalar'):
        ema.apply()


def test_an_exception_on_its_way_is_not_lost_when_an_applied_ema_goes() -> None:
    def train(params: dict[str, Any]) -> None:
        with EMA(params, 0.0).applied():
            params["w"] = np.zeros(9)
            raise ZeroDivisionError

    with pytest.warns(EMAWarning), pytest.raises(ShapeError) as caught:
        train({"w": np.zeros(3)})
    assert isinstance(caught.value.__context__, ZeroDivisionError)
    caught.value.__traceback__ = None
    del caught
    gc.collect()


LOGGING = """
import logging, threading, warnings, numpy as np
from shrew_ema import EMA
warnings.simplefilter("always")
logging.captureWarnings(True)
ema = EMA({"w": np.zeros(3)}, 0.9)
emitting = threading.Event()

class Handler(logging.Handler):
    def emit(self, record):
        emitting.set()
        record.getMessage()

logging.getLogger().addHandler(Handler())
logging.getLogger().setLevel(logging.INFO)
threads = []
for _ in range(50):
    ema = EMA({"w": np.zeros(3)}, 0.9)  # whose early average warns
    one = threading.Thread(target=lambda: (ema.apply(), ema.restore()))
    two = threading.Thread(target=lambda: [logging.info("state %s", ema) for _ in range(20)])
    one.start(); two.start(); one.join(); two.join()
print("fine")
"""

FORKS = """
import os, signal, sys, threading, time, numpy as np
from shrew_ema import EMA, StateError
ema = EMA({"w": np.zeros(int(sys.argv[1]), np.float32)}, 0.9)

def monitor():
    while True:
        ema.num_updates
        time.sleep(0.0005)

threading.Thread(target=monitor, daemon=True).start()
hung = 0
for _ in range(40):
    ema.update()
    sum(range(3000))
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            ema.num_updates
        except StateError:
            pass
        os._exit(0)
    hung += os.WIFSIGNALED(os.waitpid(child, 0)[1])
print("hung:", hung)
"""

LITTLE_MEMORY = """
import contextlib, resource
import numpy as np
from shrew_ema import EMA

@contextlib.contextmanager
def room(more):
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
"""

NO_MEMORY = """
params = {"w": np.zeros(25_000_000, np.float32)}
ema = EMA(params, 0.0)
params["w"] += 1
ema.update()
with room(50_000_000):
    try:
        ema.apply()
    except MemoryError as error:
        print(error)
    assert not ema.is_applied and params["w"].min() == 1
    try:
        EMA(params)
    except MemoryError:
        print("MemoryError")
"""

SNAPSHOTS_WITHOUT_MEMORY = """
params = {str(index): np.zeros(900_000, np.float32) for index in range(8)}
ema = EMA(params, 0.5)
ema.update()
snapshots = ema.averages()
for param in params.values():
    param += 1
# Room for the copies of some averages, and not of all.
with room(9_000_000):
    try:
        ema.update()
    except MemoryError:
        print("MemoryError")
assert ema.num_updates == 1
assert not any(np.any(ema.shadow_values(name)) for name in params)
ema.update()
assert all(np.all(ema.shadow_values(name) == 0.5) for name in params)
assert not any(map(np.any, snapshots.values()))
"""

# What it takes to start a thread is not granted: to one that wants its first pool, or that is a stranger in a child.
NO_THREADS = """
import os, sys
params = {"w": np.zeros(5_000_000, np.float32)}
ema = EMA(params, 0.5)
if sys.argv[1] != "first":
    ema.update()
    if child := os.fork():
        sys.exit(os.waitpid(child, 0)[1] != 0)
if sys.argv[1] == "child again":
    # Makes the pool, and comes to it by no thread, whose stack would be used again.
    other = EMA({"w": np.zeros(1_000_000)}, 0.5)
    other.update()
# A thread takes more, of the addresses that there may be.
with room(1_000_000):
    before = len(os.listdir("/proc/self/task"))
    params["w"] += 1
    ema.update()
params["w"] -= 1
ema.update()
assert np.all(ema.shadow_values("w") == 0.25)
print("more threads:", len(os.listdir("/proc/self/task")) > before)
sys.stdout.flush()
os._exit(0)
"""

EXIT = """
import numpy as np
from shrew_ema import EMA
params = {"w": np.zeros(3)}
ema = EMA(params, 0.0)
ema.update()
ema.apply()
"""


def test_a_warning_that_is_logged_while_the_ema_is_logged_does_not_hang() -> None:
    assert run_python(LOGGING, timeout=60).split() == ["fine"]


def test_an_update_without_memory_for_what_snapshots_hold_changes_nothing() -> None:
    # In one arena: another one has addresses left, of those that it took before there was a limit.
    settings = {"MALLOC_ARENA_MAX": "1", "RAYON_NUM_THREADS": "2"}
    assert run_python(LITTLE_MEMORY + SNAPSHOTS_WITHOUT_MEMORY, timeout=60, **settings).split() == ["MemoryError"]


@pytest.mark.parametrize(("who", "more"), [("first", "True"), ("child", "True"), ("child again", "False")])
def test_an_update_that_gets_no_threads_is_made_by_the_caller(who: str, more: str) -> None:
    """Once there are threads again, it has them; where a child has its pool, it comes there by one that then goes."""
    done = run_python(LITTLE_MEMORY + NO_THREADS, who, RAYON_NUM_THREADS="2", timeout=60)
    assert done.strip() == f"more threads: {more}"


def test_a_child_that_is_forked_while_another_thread_waits_does_not_hang() -> None:
    assert run_python(FORKS, str(LONG), timeout=120).split() == ["hung:", "0"]


def test_too_little_memory_is_an_error_and_changes_nothing() -> None:
    lines = run_python(LITTLE_MEMORY + NO_MEMORY, timeout=60).splitlines()
    assert lines == ["not enough memory for 100000000 bytes more", "MemoryError"]


def test_a_script_that_ends_on_applied_averages_is_warned_or_left_alone() -> None:
    done = subprocess.run([sys.executable, "-c", EXIT], capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr or "EMAWarning" in done.stderr


def test_arrays_that_say_their_byte_order_are_native_arrays() -> None:
    swapped = np.arange(3, dtype=">f4" if np.little_endian else "<f4")
    native = swapped.byteswap().view(swapped.dtype.newbyteorder())
    assert native.dtype.isnative
    ema = EMA([native], 0.5)
    assert ema.shadow_values(0).tolist() == [0, 1, 2]


def test_an_empty_array_may_lie_anywhere() -> None:
    misaligned = np.zeros(0, dtype=[("a", "i1"), ("b", "f8")])["b"]
    ema = EMA([misaligned], 0.5)
    ema.update()
    assert ema.shadow_values(0).shape == (0,)


@pytest.mark.parametrize("name", ["\ud800", "a\ud800b"])
def test_a_name_that_is_no_text_is_refused(name: str) -> None:
    with pytest.raises(EMAError, match="valid Unicode"):
        EMA({name: np.ones(3)})
    params = {"w": np.ones(3)}
    ema = EMA(params, 0.5)
    with pytest.raises(EMAError, match="valid Unicode"):
        ema.update({name: np.ones(3)})


@pytest.mark.parametrize("size", [4, LONG])
def test_an_average_is_no_parameter(size: int) -> None:
    params = {"v": np.zeros(3), "w": np.zeros(size, np.float32)}
    ema = EMA(params, 0.5)
    ema.update()
    view = ema.shadow_values("w")
    for source in (view, view[:], view[::-1][::-1], view.view(np.recarray)):
        with pytest.raises(LayoutError, match='parameter "w" is a view of an average') as caught:
            ema.update({"v": params["v"], "w": source})
        assert caught.value.name == "w"
    with pytest.raises(LayoutError, match='parameter "0" is a view of an average'):
        EMA([view])
    assert ema.num_updates == 1
    ema.update({"v": params["v"], "w": view.copy()})
    assert ema.num_updates == 2


def test_a_span_of_time_is_no_decay() -> None:
    with pytest.raises(EMAError, match="decay must be"):
        EMA([np.ones(1)], np.timedelta64(1, "s"))  # type: ignore[arg-type]
