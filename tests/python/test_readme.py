"""The Python of the README runs as it stands there."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def blocks() -> list[tuple[int, str]]:
    """Each block of Python, with the number of its first line."""
    text = README.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start(1)) + 1, block[1]) for block in found]


def test_the_readme_has_python_in_it() -> None:
    assert blocks()


@pytest.mark.parametrize(("line", "code"), blocks(), ids=lambda value: str(value) if isinstance(value, int) else "")
def test_a_block_runs(line: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # With the lines of the README, so that a failure points there.
    program = compile("\n" * (line - 1) + code, README, "exec")
    exec(program, {"__name__": "__main__"})
