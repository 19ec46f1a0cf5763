"""Saves or loads a gigabyte when it is told to, so that another process can watch its memory meanwhile."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import models
from shrew_ema import EMA

GIGABYTE = models.equal(100, 2_500_000)


def main() -> None:
    """Says when all is there that has to be, waits for a line, makes the call, and waits for the end of input."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("verb", choices=["save", "load"])
    options.add_argument("path", type=Path)
    given = options.parse_args()

    params = models.fill(GIGABYTE)
    call: Callable[[], object]
    if given.verb == "save":
        ema = EMA(params, 0.0)
        ema.update()
        call = partial(ema.save, given.path)
    else:
        call = partial(EMA.load, given.path, params)
    print("ready", flush=True)
    sys.stdin.readline()
    kept = call()
    print("done", flush=True)
    sys.stdin.read()
    del kept


if __name__ == "__main__":
    main()
