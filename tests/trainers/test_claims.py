"""What the README says of the trainers' features is what cargo says of them."""

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LINUX = "x86_64-unknown-linux-gnu"


def cargo(*arguments: str) -> str:
    command = [os.environ.get("CARGO", "cargo"), *arguments, "--locked"]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()


@cache
def crates(features: str) -> frozenset[tuple[str, str]]:
    """The name and version of every crate that a user builds."""
    tree = cargo("tree", "--edges=normal", "--prefix=none", f"--target={LINUX}", f"--features={features}")
    return frozenset((name, version.removeprefix("v")) for name, version, *_ in map(str.split, tree.splitlines()))


@cache
def rust(features: str) -> tuple[int, ...]:
    """The oldest Rust that all of these crates admit."""
    metadata: dict[str, Any] = json.loads(cargo("metadata", "--format-version=1", f"--features={features}"))
    said = {(package["name"], package["version"]): package["rust_version"] for package in metadata["packages"]}
    needed = [said[crate] or "1" for crate in crates(features)]
    return max(tuple(map(int, version.split(".")[:2])) for version in needed)


def test_the_crate_itself_needs_rust_1_85() -> None:
    assert rust("") == (1, 85)


@pytest.mark.parametrize("feature", ["shrew", "candle", "burn"])
def test_crates_and_rust_of_a_feature(feature: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{feature}` \|.*\| (\d+) \| 1\.(\d+) \|$", readme, re.MULTILINE)
    assert row is not None
    assert len(crates(feature) - crates("")) == int(row[1])
    assert rust(feature) == (1, int(row[2]))
