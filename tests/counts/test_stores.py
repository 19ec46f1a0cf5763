"""No store in the library is under a mask.

A loop that selects element by element what it stores becomes one of such stores, and takes up to four times as long
with the same results. So the instructions of the installed library are read: all of them, as it has no names of
functions, and nothing else in it has a use for such stores.
"""

import re
import subprocess
from pathlib import Path

import pytest

import shrew_ema._core

# A comment of the disassembler, such as an address that it has worked out.
COMMENT = re.compile(r"\s*(#|<).*")
# The last operand is the target. `maskmovdqu` names none: it always stores. What scatters has a mask as well.
MASKED = re.compile(r"\sv?p?maskmov\w*\s+\S+\)$|\sv?maskmovdqu\s|\)\{%k\d\}$")


def masked(text: str) -> list[str]:
    """The lines of a disassembly that store under a mask."""
    return [line for line in text.splitlines() if MASKED.search(COMMENT.sub("", line))]


@pytest.fixture(scope="module")
def library() -> str:
    """The disassembly of the installed library."""
    command = ["objdump", "--disassemble", "--no-show-raw-insn", str(Path(shrew_ema._core.__file__))]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_the_library_stores_nothing_under_a_mask(library: str) -> None:
    assert masked(library) == []


@pytest.mark.parametrize("register", ["xmm", "ymm", "zmm"])
@pytest.mark.parametrize("kind", ["ps", "pd"])
def test_the_kernels_of_each_level_are_there_to_be_read(library: str, register: str, kind: str) -> None:
    assert re.search(rf"\sv?mul{kind}\s.*%{register}\d", library), "from Rust 1.89 on there are all of them"


@pytest.mark.parametrize(
    "line",
    [
        "   6f3e0:\tvmaskmovps %ymm0,%ymm2,(%rdi,%rax,4)",
        "   6f3e6:\tvmaskmovpd %ymm0,%ymm2,0x20(%rdi)",
        "   6f3ec:\tvpmaskmovd %ymm1,%ymm3,0x1de0(%rip)        # 711d2 <_end+0x10>",
        "   6f3f4:\tmaskmovdqu %xmm1,%xmm0",
        "   6f3f8:\tvmovups %zmm0,(%rdi,%rax,4){%k1}",
        "   6f3fe:\tvmovdqu16 %ymm4,-0x40(%rdx){%k7}",
        "   6f404:\tvscatterqpd %zmm2,(%r14,%zmm0,8){%k2}",
    ],
)
def test_a_store_under_a_mask_is_noticed(line: str) -> None:
    assert masked(f"   6f3d0:\tret\n{line}\n   6f3d8:\tret\n") == [line]


@pytest.mark.parametrize(
    "line",
    [
        "   6f3e0:\tvmaskmovps (%rdi,%rax,4),%ymm2,%ymm0",
        "   6f3e6:\tvmovups (%rdi,%rax,4),%zmm0{%k1}{z}",
        "   6f3ec:\tvmovups %zmm0,(%rdi,%rax,4)",
        "   6f3f2:\tvaddps (%rdi),%zmm1,%zmm0{%k1}",
        "   6f3f8:\tjne    6f3e0 <maskmov(x){%k1}>",
    ],
)
def test_other_instructions_are_let_through(line: str) -> None:
    assert masked(line) == []
