"""What could run in the middle of reading arrays: a dtype's finalizer, or one that the making of a class sets off."""

import numpy as np
import pytest

from shrew_ema import EMA, DTypeError
from support import LONG, run_python

DESCR = """
import gc, sys, numpy as np
from shrew_ema import EMA, ShapeError
victim, ran = np.ones(int(sys.argv[1]), np.float32), []
class Evil:
    def __del__(self):
        victim.resize(1, refcheck=False)
        ran.append(1)
odd = np.zeros(1, np.dtype(np.float32, metadata={"x": Evil()}))
params = {"a": victim, "b": odd}
ema = EMA(params, 0.5)
params["b"] = np.zeros(1, np.float32)
del odd
gc.collect()
try:
    ema.update()
except ShapeError:
    assert ran
else:
    assert (ema.shadow_values("a") == 1).all()
"""

# Sound only if whatever ran the finalizer ran it before the facts of the victim were read.
CLASS = """
import gc, sys, numpy as np
from shrew_ema import EMA
victim, ran = np.ones(int(sys.argv[1]), np.float32), []
class Cycle:
    def __del__(self, victim=victim, ran=ran):
        victim.resize(1, refcheck=False)
        ran.append(1)
EMA([np.zeros(3, np.float32)], 0.5)
params = [victim, np.frombuffer(bytearray(8), np.float32)]
gc.collect()
gc.disable()
cycle = Cycle()
cycle.itself = cycle
del cycle
gc.set_threshold(gc.get_count()[0] + int(sys.argv[2]), 1000, 1000)
gc.enable()
EMA(params, 0.5)
"""


# One with the interpreter held, and one without.
SIZES = pytest.mark.parametrize("size", [3_000_000, LONG], ids=["large", "long"])


@SIZES
def test_a_dtype_that_goes_with_its_finalizer_frees_nothing_that_was_read(size: int) -> None:
    run_python(DESCR, str(size))


@SIZES
@pytest.mark.parametrize("threshold", range(14))
def test_the_first_look_for_a_snapshot_frees_nothing_that_was_read(size: int, threshold: int) -> None:
    run_python(CLASS, str(size), str(threshold))


def test_a_dtype_that_changes_its_byte_order_is_noticed() -> None:
    """Nobody does so; what NumPy reads then is another number, and its own is what counts."""
    dtype = np.dtype(np.float32, metadata={"not": "the one that all arrays share"})
    params = {"w": np.ones(3, dtype)}
    ema = EMA(params, 0.5)
    params["w"].dtype.__setstate__((4, ">", None, None, None, -1, -1, 0, {}))  # type: ignore[attr-defined]
    assert params["w"][0] != 1
    with pytest.raises(DTypeError, match=">f4"):
        ema.update()
