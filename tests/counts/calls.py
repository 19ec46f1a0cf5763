"""Makes one call on 1000 small arrays so many times, for valgrind to count: with the arguments CASE and CALLS."""

import sys
import warnings

import numpy as np
from numpy.typing import NDArray

from shrew_ema import EMA, EMAWarning

# Averages that are young, which is all the same here.
warnings.simplefilter("ignore", EMAWarning)

params = {f"layer{index}.weight": np.full(16, 1.25, dtype=np.float32) for index in range(1000)}
ema = EMA(params, decay=0.999)
# Once, a model that nobody trains is looked at to the last element.
params["layer0.weight"] += 1
held: list[NDArray[np.float32]] = []


def apply_and_restore() -> None:
    """Applies the averages, and restores the training values."""
    ema.apply()
    ema.restore()


def shadow_values() -> None:
    """Gives out a snapshot, so that the next update needs memory of its own."""
    held.append(ema.shadow_values("layer7.weight"))
    ema.update()


case, calls = sys.argv[1:]
call = {"update": ema.update, "apply and restore": apply_and_restore, "shadow_values": shadow_values}[case]
# The first call makes what later ones use again.
for _ in range(1 + int(calls)):
    call()
