"""The paths of files: what may be a name, links, modes, and what is refused."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from handmade import trained
from runs import kept
from shrew_ema import EMA, CheckpointError, ConfigError
from support import HELD_TO_MODES, Params, run_python, shift, unchanged

pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")


def files(folder: Path) -> list[str]:
    """The names of a folder's files."""
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize(
    "name",
    ["ema", "ema.safetensors", ".ema", "a.b.c", " ", "-", "*?[a]", "ä 木\n\"'", os.fsdecode(b"\xff\xfe.pt"), "x" * 200],
)
@pytest.mark.parametrize("decay", [0.5, [0.5, 0.25]], ids=["one horizon", "two"])
def test_any_name_will_do(name: str, decay: Any, params: Params, tmp_path: Path) -> None:  # noqa: ANN401
    ema = trained(params, decay)
    for path in (tmp_path / name, str(tmp_path / name)):
        ema.save(path)
        assert kept(EMA.load(path, params)) == kept(ema)
    assert len(files(tmp_path)) == len(ema.decays)


def test_a_relative_path_is_one_of_the_working_folder(
    ema: EMA, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "within").mkdir()
    monkeypatch.chdir(tmp_path / "within")
    for path in ("ema", "./ema", "../ema", "../within/ema"):
        ema.save(path)
        assert kept(EMA.load(path, params)) == kept(ema)
    assert files(tmp_path) == ["ema", "within"]
    assert files(tmp_path / "within") == ["ema"]


@pytest.mark.parametrize("path", ["", ".", "..", "/", "new/", "new/.", "missing/ema", "ema/within", "e\0a", "x" * 300])
@pytest.mark.parametrize("decay", [0.5, [0.5, 0.25]], ids=["one horizon", "two"])
def test_a_path_of_no_file_is_refused(
    path: str,
    decay: Any,  # noqa: ANN401
    params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ema = trained(params, decay)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ema").write_bytes(b"old")
    before = files(tmp_path)
    with unchanged(ema, params), pytest.raises(CheckpointError):
        ema.save(path)
    with unchanged(None, params), pytest.raises(CheckpointError):
        EMA.load(path, params)
    assert files(tmp_path) == before


def test_a_name_that_is_no_text_is_told_byte_by_byte(params: Params, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xc3(\xe4.pt")
    shown = rf"{tmp_path}/\xff\xc3(\xe4"
    with pytest.raises(CheckpointError) as caught:
        EMA.load(path, params)
    assert str(caught.value) == rf"{shown}.pt: no such file or directory"
    # The attributes have the name itself.
    assert caught.value.path == str(path)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.__cause__.filename == str(path)
    trained(params, [0.5, 0.25]).save(path)
    with pytest.raises(CheckpointError) as caught:
        trained(params).save(path)
    assert r'and "\xff\xc3(\xe4.h0.pt" is there' in str(caught.value)
    path.touch()
    with pytest.raises(CheckpointError) as caught:
        EMA.load(path)
    assert str(caught.value).startswith(rf'{shown}.pt: is there, and so is "\xff\xc3(\xe4.h0.pt" of several')


@pytest.mark.parametrize("path", [None, 1, b"ema", ["ema"], 1.5, object()])
def test_what_is_no_path_is_refused(path: Any, ema: EMA) -> None:  # noqa: ANN401
    with unchanged(ema), pytest.raises(ConfigError, match=r"path must be a str or an os\.PathLike"):
        ema.save(path)
    with pytest.raises(ConfigError, match=r"path must be a str or an os\.PathLike"):
        EMA.load(path)


def test_a_link_is_followed_and_stays_one(ema: EMA, params: Params, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("far/file")
    (tmp_path / "link to link").symlink_to("link")
    for link in ("link", "link to link"):
        ema.save(tmp_path / link)
        assert (tmp_path / link).is_symlink()
        assert kept(EMA.load(tmp_path / "far" / "file", params)) == kept(ema)
        assert kept(EMA.load(tmp_path / link, params)) == kept(ema)
        shift(params)
        ema.update()
    assert files(tmp_path / "far") == ["file"]


@pytest.mark.parametrize("decay", [0.5, [0.5, 0.25]], ids=["one horizon", "two"])
def test_a_link_to_what_is_not_there_yet_is_followed(decay: Any, params: Params, tmp_path: Path) -> None:  # noqa: ANN401
    ema = trained(params, decay)
    names = ["ema"] if isinstance(decay, float) else ["ema.h0", "ema.h1"]
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to("far")
    for name in names:
        (tmp_path / name).symlink_to(f"near/link to {name}")
        (tmp_path / "far" / f"link to {name}").symlink_to(f"../far/new {name}")
    for _ in range(2):
        ema.save(tmp_path / "ema")
        assert all((tmp_path / name).is_symlink() for name in names)
        assert files(tmp_path / "far") == sorted(f"{word} {name}" for name in names for word in ("link to", "new"))
        assert kept(EMA.load(tmp_path / "ema", params)) == kept(ema)
    (tmp_path / "nowhere").symlink_to("missing/ema")
    (tmp_path / "circle").symlink_to("circle")
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match="nowhere: no such file"):
        trained(params).save(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="circle: is a symbolic link that leads back to itself"):
        trained(params).save(tmp_path / "circle")
    assert files(tmp_path) == before


@pytest.mark.parametrize("decay", [0.5, [0.5, 0.25]], ids=["one horizon", "two"])
def test_a_read_only_file_is_not_replaced(decay: Any, params: Params, tmp_path: Path) -> None:  # noqa: ANN401
    ema = trained(params, decay)
    ema.save(tmp_path / "ema")
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    (tmp_path / "link").symlink_to(max(before))
    last = tmp_path / max(before)
    last.chmod(0o444)
    shift(params)
    ema.update()
    for path, one in ((tmp_path / "ema", ema), (tmp_path / "link", trained(params))):
        with unchanged(one, params), pytest.raises(CheckpointError, match="is a read-only file: make it writable"):
            one.save(path)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path) if name != "link"} == before
    last.chmod(0o644)
    ema.save(tmp_path / "ema")
    assert kept(EMA.load(tmp_path / "ema", params)) == kept(ema)


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "x" * 254 + "\udcff"], ids=["ASCII", "ä", "no UTF-8"])
def test_a_name_may_be_as_long_as_the_system_allows(name: str, ema: EMA, params: Params, tmp_path: Path) -> None:
    other = name[:-1] + "z"
    for _ in range(2):
        for path in (tmp_path / name, tmp_path / other):
            ema.save(path)
            assert kept(EMA.load(path, params)) == kept(ema)
    assert files(tmp_path) == sorted([name, other])


def test_modes_are_kept_and_new_files_obey_the_mask(ema: EMA, tmp_path: Path) -> None:
    def mode(name: str) -> int:
        return stat.S_IMODE((tmp_path / name).stat().st_mode)

    for mask, expected in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        old = os.umask(mask)
        try:
            ema.save(tmp_path / f"new {mask}")
        finally:
            os.umask(old)
        assert mode(f"new {mask}") == expected
    for kept_mode in (0o600, 0o640, 0o666, 0o755):
        (tmp_path / "ema").touch()
        (tmp_path / "ema").chmod(kept_mode)
        ema.save(tmp_path / "ema")
        assert mode("ema") == kept_mode
        (tmp_path / "ema").unlink()


@HELD_TO_MODES
def test_a_folder_that_can_not_be_read_can_be_saved_into(folder: Path) -> None:
    folder.chmod(0o300)
    code = """
import os, sys
import numpy as np
from shrew_ema import EMA
ema = EMA({"w": np.zeros(3)}, 0.0)
ema.update()
if os.getuid() == 0:
    os.chown(sys.argv[1], 65534, -1)
    os.seteuid(65534)  # who may read anything is no test
ema.save(sys.argv[1] + "/ema")
ema.save(sys.argv[1] + "/ema")
print(EMA.load(sys.argv[1] + "/ema").num_updates)
"""
    assert run_python(code, str(folder)) == "1\n"
    folder.chmod(0o700)
