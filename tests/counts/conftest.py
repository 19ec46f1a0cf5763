"""The program that is counted, built once for all tests."""

import json
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def program() -> str:
    """The program of `calls.rs`, built as the benchmarks are."""
    build = ["cargo", "bench", "--quiet", "--locked", "--no-run", "--bench", "calls", "--message-format=json"]
    run = subprocess.run(build, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in run.stdout.splitlines()]
    return next(str(path) for message in messages if (path := message.get("executable")))
