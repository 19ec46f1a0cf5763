"""The Python of the README runs as it stands there, and the tests that it names exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


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


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the table under "What goes silently wrong elsewhere"."""
    section = text.partition("\n## What goes silently wrong elsewhere\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names_a_test(cell: str) -> bool:
    """Whether a cell is the name of a test function that pytest collects, and nothing else."""
    found = re.fullmatch(r"`(tests/python/test_\w+\.py)::(test_\w+)`", cell)
    if found is None or not (ROOT / found[1]).is_file():
        return False
    module = ast.parse((ROOT / found[1]).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == found[2] for node in module.body)


def test_what_goes_wrong_elsewhere_has_a_test_in_each_row() -> None:
    table = rows(README.read_text(encoding="utf-8"))
    assert len(table) >= 12
    for row in table:
        assert len(row) == 4
        assert all(row)
        assert names_a_test(row[3]), row
    assert len({row[3] for row in table}) == len(table)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "test_every_row_has_a_test",
        "`tests/python/test_readme.py::test_that_nobody_wrote`",
        "`tests/python/test_readme.py::names_a_test`",
        "`tests/python/test_of_nothing.py::test_a_block_runs`",
        "`tests/python/test_readme.py::test_a_block_runs`, and others",
    ],
)
def test_a_row_without_a_test_would_be_noticed(cell: str) -> None:
    assert names_a_test("`tests/python/test_readme.py::test_a_block_runs`")
    table = f"| a | b | c | d |\n|---|---|---|---|\n| 1 | 2 | 3 | {cell} |\n"
    text = f"# A\n\n## What goes silently wrong elsewhere\n\n{table}\n## B\n\n| 5 |\n|---|\n| 6 |\n"
    assert [names_a_test(row[3]) for row in rows(text)] == [False]
