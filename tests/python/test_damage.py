"""Files that are damaged, cut short, of another program, or no files at all: refused by what is wrong with them."""

import os
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from handmade import Handmade, model, trained
from shrew_ema import EMA, CheckpointError
from support import HELD_TO_MODES, Params, run_python, unchanged

pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")


@pytest.fixture
def made(params: Params, tmp_path: Path) -> Handmade:
    """A file of a trained EMA."""
    return Handmade.saved(trained(params), tmp_path)


def refused(path: Path, params: Params | None = None, saying: str | None = None) -> CheckpointError:
    """The error of a load, which names the file and leaves the parameters alone."""
    with unchanged(None, params or {}), pytest.raises(CheckpointError, match=saying) as caught:
        EMA.load(path, params)
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}: {caught.value.problem}"
    return caught.value


def written(folder: Path, file: bytes) -> Path:
    path = folder / "ema.safetensors"
    path.write_bytes(file)
    return path


def test_the_file_made_by_hand_is_read_as_it_was_written(made: Handmade, params: Params, tmp_path: Path) -> None:
    EMA.load(written(tmp_path, made.file()), params)
    # So the checksum is right, and what is refused below is refused for what is said there.
    other = made.with_document(lambda document: document.update(step=6, num_updates=6))
    assert EMA.load(written(tmp_path, other.file()), params).num_updates == 6


def test_a_file_cut_short_at_any_byte_is_refused(made: Handmade, params: Params, tmp_path: Path) -> None:
    file = made.file()
    for length in range(len(file)):
        saying = "cut short" if length >= 8 else f"no safetensors file: it has {length} bytes"
        refused(written(tmp_path, file[:length]), params, saying)
    refused(written(tmp_path, file + b"\0"), params, "too long")


def test_a_flipped_bit_anywhere_in_the_header_is_refused(made: Handmade, params: Params, tmp_path: Path) -> None:
    file = made.file()
    path = written(tmp_path, file)
    before = {name: array.tobytes() for name, array in params.items()}
    with path.open("r+b", buffering=0) as handle:
        for at in range(8 + len(made.header)):
            for bit in range(8):
                handle.seek(at)
                handle.write(bytes([file[at] ^ 1 << bit]))
                with pytest.raises(CheckpointError):
                    EMA.load(path, params)
            handle.seek(at)
            handle.write(file[at : at + 1])
    assert {name: array.tobytes() for name, array in params.items()} == before
    EMA.load(path, params)


def test_a_header_longer_than_the_file_or_than_anybody_reads(made: Handmade, params: Params, tmp_path: Path) -> None:
    for length in (2**63, 2**64 - 1, 10**8 + 1, len(made.file()), len(made.header) + len(made.values) + 1):
        problem = refused(written(tmp_path, made.file(length)), params).problem
        assert f"{length} bytes" in problem
    for length in (0, 1, len(made.header) - 1, len(made.header) + 1, len(made.header) + len(made.values)):
        refused(written(tmp_path, made.file(length)), params)


NOTHING = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'

DUPLICATES: dict[str, Callable[[str], str]] = {
    "a tensor": lambda text: text[:-1].rstrip("} ") + '},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[16,40]}}',
    "a tensor without elements": lambda text: text.replace('"w":', f'"e":{NOTHING},"\\u0065":{NOTHING},"w":', 1),
    "the metadata": lambda text: text.replace('{"__metadata__"', '{"__metadata__":{"a":"b"},"__metadata__"', 1),
    "the books": lambda text: text.replace('"shrew_ema":', '"shrew_ema":"{}","shrew_ema":', 1),
    "a key of the metadata": lambda text: text.replace('"format":', '"format":"np","format":', 1),
    "the same with an escape": lambda text: text.replace('"format":', '"forma\\u0074":"np","format":', 1),
    "a dtype": lambda text: text.replace('"dtype":"F32"', '"dtype":"F64","dtype":"F32"', 1),
    "a shape": lambda text: text.replace('"shape":[2,3]', '"shape":[6],"shape":[2,3]', 1),
    "offsets": lambda text: text.replace('"data_offsets":', '"data_offsets":[0,0],"data_offsets":', 1),
    "a key of the books": lambda text: text.replace('\\"step\\":5', '\\"step\\":4,\\"step\\":5', 1),
}


@pytest.mark.parametrize("place", DUPLICATES)
def test_a_key_that_is_there_twice_is_refused(place: str, made: Handmade, params: Params, tmp_path: Path) -> None:
    text = made.header.decode()
    doubled = DUPLICATES[place](text)
    assert doubled != text
    refused(written(tmp_path, made.with_text(doubled).file()), params, "twice|duplicate")


def tensor(name: str, **facts: Any) -> Callable[[dict[str, Any]], None]:  # noqa: ANN401 - any JSON
    """An edit of what the header says of a tensor."""

    def edit(header: dict[str, Any]) -> None:
        header[name] = header.get(name, {}) | facts

    return edit


def without(*keys: str) -> Callable[[dict[str, Any]], None]:
    """An edit that takes away what lies under these keys."""

    def edit(header: dict[str, Any]) -> None:
        for key in keys[:-1]:
            header = header[key]
        del header[keys[-1]]

    return edit


HEADERS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no metadata": (without("__metadata__"), "another program"),
    "no books": (without("__metadata__", "shrew_ema"), "another program"),
    "no checksum": (without("__metadata__", "shrew_ema_crc32"), "changed after it was written"),
    "a missing tensor": (without("w"), "damaged|cut short or too long"),
    "an extra tensor": (tensor("x", dtype="F32", shape=[0], data_offsets=[0, 0]), '"x" that its bookkeeping'),
    "another name": (lambda header: header.update(x=header.pop("w")), '"w"'),
    "another dtype": (tensor("w", dtype="I32"), '"w" of int32'),
    "a dtype of no average": (tensor("w", dtype="F8_E4M3", shape=[24]), '"w" of dtype F8_E4M3'),
    "a dtype of nobody": (tensor("w", dtype="F33"), "F33"),
    "a larger shape": (tensor("w", shape=[2, 4]), "damaged"),
    "a shape of more than memory": (tensor("w", shape=[2**62, 2**62]), "damaged"),
    "a shape that wraps to the right size": (tensor("w", shape=[2**32, 2**31, 2, 6]), "damaged"),
    "a shape beyond any integer": (tensor("w", shape=[2**64]), "damaged"),
    "a negative extent": (tensor("w", shape=[-2, -3]), "damaged"),
    "an extent of text": (tensor("w", shape=["2", 3]), "damaged"),
    "extents beyond memory of no element": (tensor("w", shape=[2**63, 0]), "damaged"),
    "overlapping offsets": (tensor("d", data_offsets=[8, 24]), "damaged"),
    "offsets backwards": (tensor("w", data_offsets=[40, 16]), "damaged"),
    "offsets beyond the file": (tensor("w", data_offsets=[2**40, 2**40 + 24]), "damaged"),
    "offsets beyond memory": (tensor("w", data_offsets=[2**64 - 24, 2**64 - 1]), "damaged"),
    "offsets of three": (tensor("w", data_offsets=[16, 40, 41]), "damaged"),
    "a tensor that is a list": (lambda header: header.update(w=[]), "damaged"),
    "a tensor that is null": (lambda header: header.update(w=None), "damaged"),
    "metadata that is null": (lambda header: header.update(__metadata__=None), "another program"),
    "metadata that is text": (lambda header: header.update(__metadata__="books"), "damaged"),
    "metadata of numbers": (lambda header: header["__metadata__"].update(shrew_ema=1), "damaged"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_says_something_else_is_refused(
    case: str, made: Handmade, params: Params, tmp_path: Path
) -> None:
    edit, saying = HEADERS[case]
    path = written(tmp_path, made.with_header(edit).file())
    refused(path, params, saying)
    refused(path, None, saying)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '"text"', "{}{}", "[" * 10**6, '{"a":' * 10**6, '{"a":' + "[" * 10**6]
)
def test_a_header_that_is_no_object_of_tensors_is_refused(
    text: str, made: Handmade, params: Params, tmp_path: Path
) -> None:
    refused(written(tmp_path, made.with_text(text).file()), params)
    refused(written(tmp_path, made.with_text(text).with_values(b"").file()), params)


def test_a_header_that_is_no_text_is_refused(params: Params, tmp_path: Path) -> None:
    refused(written(tmp_path, struct.pack("<Q", 4) + b"{\xff\xfe}"), params, "damaged, or no safetensors file")


def test_a_bool_that_is_neither_is_refused(made: Handmade, params: Params, tmp_path: Path) -> None:
    begin = made.values.index(b"\1\0\1")
    values = made.values[:begin] + b"\2" + made.values[begin + 1 :]
    refused(written(tmp_path, made.with_values(values).file()), params, '"flag" of bools that are neither')


def test_a_file_of_another_program_is_refused_as_such(params: Params, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "np"}, {"format": "pt", "step": "5"}):
        save_file(params, path, metadata=metadata)
        refused(path, params, "was written by another program: it has no bookkeeping of an EMA")
    np.savez(tmp_path / "model.npz", **params)  # type: ignore[arg-type]
    refused(tmp_path / "model.npz", params, "no safetensors file")
    refused(written(tmp_path, bytes(100)), params)


def test_a_file_that_another_program_has_rewritten_is_refused_as_such(
    made: Handmade, params: Params, tmp_path: Path
) -> None:
    path = written(tmp_path, made.file())
    with safe_open(path, "numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["w"] *= 2
    save_file({"x": tensors.pop("w"), **tensors}, path, metadata=metadata)
    refused(path, params, "changed after it was written, by another program or by damage")


def test_what_is_no_file_is_refused_without_waiting(params: Params, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("missing")
    cases = {
        tmp_path: "is a folder",
        tmp_path / "pipe": "is a pipe",
        Path("/dev/zero"): "a device",
        tmp_path / "missing": "no such file",
        tmp_path / "missing" / "ema": "no such file",
        tmp_path / "loop": "symbolic links",
        tmp_path / "nowhere": "no such file",
    }
    for path, saying in cases.items():
        refused(path, params, saying)
    refused(written(tmp_path, b""), params, "it has 0 bytes")
    refused(tmp_path / "ema.safetensors" / "within", params, "not a directory")


@HELD_TO_MODES
def test_what_the_system_refuses_has_its_error_as_the_cause(params: Params, tmp_path: Path) -> None:
    assert isinstance(refused(tmp_path / "missing", params).__cause__, FileNotFoundError)
    path = written(tmp_path, b"")
    path.chmod(0)
    found = run_python(
        """
        import os, sys
        import numpy as np
        from shrew_ema import EMA, CheckpointError
        if os.getuid() == 0:
            os.seteuid(65534)  # who may read anything is no test
        try:
            EMA.load(sys.argv[1])
        except CheckpointError as error:
            print(type(error.__cause__).__name__, error.problem)
        """.replace("\n        ", "\n"),
        str(path),
    )
    assert found == "PermissionError permission denied\n"


def test_no_file_makes_a_load_take_more_memory_than_it_has(made: Handmade, tmp_path: Path) -> None:
    sizes = {"tensor": [2**40, 1], "horizons": 10**18}
    claims = made.with_header(
        lambda header: header["w"].update(shape=sizes["tensor"], data_offsets=[19 + 8 + 8, 2**42 + 35])
    )
    large = made.with_header(lambda header: header.update(x={"dtype": "F32", "shape": [0] * 10**6}))
    nested = made.with_document_text("[" * 4_000_000)
    names = made.with_document(lambda document: document.update(tensors=[["w", "float32"]] * 200_000))
    paths = []
    for number, hostile in enumerate((claims, large, nested, names, made.with_text('{"a":' * 800_000))):
        paths.append(tmp_path / f"{number}.safetensors")
        paths[-1].write_bytes(hostile.file())
    sparse = tmp_path / "sparse.safetensors"
    with sparse.open("wb") as file:
        file.write(struct.pack("<Q", 2**40))
        file.truncate(2**41)
    code = """
import resource, sys
from shrew_ema import EMA, CheckpointError
with open("/proc/self/statm") as statm:
    taken = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (256 << 20),) * 2)
for path in sys.argv[1:]:
    try:
        EMA.load(path)
    except CheckpointError as error:
        print(error.problem[:40])
"""
    lines = run_python(code, *map(str, [*paths, sparse])).splitlines()
    assert len(lines) == len(paths) + 1
    assert all(re.match("is (damaged|cut short)|has ", line) for line in lines), lines


def test_a_pipe_that_stands_in_the_place_of_a_file_is_not_saved_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    ema = trained(model())
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        with unchanged(ema), pytest.raises(CheckpointError, match=r"is a (pipe|folder)"):
            ema.save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]
    assert subprocess.run(["test", "-p", str(tmp_path / "pipe")], check=False).returncode == 0
