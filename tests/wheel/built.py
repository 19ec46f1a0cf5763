"""A wheel that was built: what its metadata says, and how a clean environment with it is made."""

import subprocess
import sys
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile


def content(wheel: Path, ending: str) -> bytes:
    """The one file in it whose path ends so."""
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(ending))
        return archive.read(name)


def metadata(wheel: Path) -> Message:
    """Its name, version, requirements and so on."""
    return message_from_bytes(content(wheel, ".dist-info/METADATA"))


def oldest_numpy(wheel: Path) -> str:
    """The version that it says it can do with. NumPy is the only thing that it may ask for."""
    needs = metadata(wheel).get_all("Requires-Dist", [])
    assert len(needs) == 1, f"the wheel needs {needs}"
    name, _, version = str(needs[0]).partition(">=")
    assert name == "numpy", f"the wheel needs {needs}"
    return version


def installed(wheel: Path, python: str, folder: Path, *requirements: str) -> str:
    """Makes an environment of this Python in `folder`, with the wheel and no more, and returns its interpreter.

    The requirements are arguments of pip. All of it comes as wheels: what has to be compiled is not what users get.
    """
    subprocess.run([python, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    inside = str(folder / "bin" / "python")
    # Our own pip works for the environment, so that none is in there, and an old Python's is not needed.
    pip = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", "--python", inside]
    subprocess.run([*pip, "install", "--only-binary", ":all:", str(wheel), *requirements], check=True)
    return inside
