"""The program of `calls.rs`, built as the benchmarks are."""

import json
import subprocess
from functools import cache
from pathlib import Path


@cache
def program() -> str:
    """Its path, once it is built."""
    build = ["cargo", "bench", "--quiet", "--locked", "--no-run", "--bench", "calls", "--message-format=json"]
    run = subprocess.run(build, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in run.stdout.splitlines()]
    return next(str(path) for message in messages if (path := message.get("executable")))
