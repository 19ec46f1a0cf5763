"""Updates the averages of 1000 arrays of 16 elements so many times, for valgrind to count the instructions."""

import sys

import numpy as np

from shrew_ema import EMA

params = {f"layer{index}.weight": np.full(16, 1.25, dtype=np.float32) for index in range(1000)}
ema = EMA(params, decay=0.999)
for _ in range(int(sys.argv[1])):
    ema.update()
