"""How much stack a pool's threads take: what waits for others keeps its own, and takes up their work on top of it."""

import os
import subprocess

from program import program

# Threads mostly have 2 MiB. With a piece of 64 KB in everything that waits, half a MiB was too little.
ENOUGH = 128 * 1024


def divided(stack: int) -> int:
    """The exit code of passes that are cut into as many pieces as can be, on threads with so many bytes of stack."""
    environment = {**os.environ, "RUST_MIN_STACK": str(stack)}
    return subprocess.run([program(), "divided", "20"], env=environment, capture_output=True, check=False).returncode


def test_passes_that_are_much_divided_take_little_stack() -> None:
    assert divided(ENOUGH) == 0
