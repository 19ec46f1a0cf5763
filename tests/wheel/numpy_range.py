"""Runs the tests on a wheel with the oldest and the newest NumPy that each Python at hand can have.

    python tests/wheel/numpy_range.py dist/shrew_ema-*.whl python3.10 python3.13

Every pair has a clean environment of its own in target/range. Those whose tests failed are left there. Pythons that
are not there are named, and are no failure as long as there is one.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from built import installed, oldest_numpy

ROOT = Path(__file__).parents[2]
# The first NumPy with wheels for a Python, where the oldest that the package takes has none.
FIRST = {(3, 13): "2.1.0", (3, 14): "2.3.2"}

Version = tuple[int, int]


def version(python: str) -> Version | None:
    """None where there is no such Python: a name on the PATH may be a version manager's, with nothing behind it."""
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    major, minor = map(int, done.stdout.split())
    return major, minor


def passes(wheel: Path, python: str, name: str, numpy: str) -> bool:
    """Whether the whole of pytest passes there, with a line that tells versions and counts."""
    folder = ROOT / "target" / "range" / name
    try:
        inside = installed(wheel, python, folder, numpy, "--group", f"{ROOT / 'pyproject.toml'}:test")
    except subprocess.CalledProcessError as error:
        print(f"{name}: {error}", flush=True)
        return False
    ask = "import platform, numpy; print(f'Python {platform.python_version()}, NumPy {numpy.__version__}:', end=' ')"
    subprocess.run([inside, "-I", "-c", ask], check=True)
    # As in test-python: from the root, where no shrew_ema can be imported but the one that is installed.
    tests = [inside, "-m", "pytest", "--quiet"]
    done = subprocess.run(tests, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = done.stdout.splitlines() or ["pytest said nothing"]
    print(lines[-1], flush=True)
    if done.returncode != 0:
        print(*lines[:-1], f"the environment is in {folder}", sep="\n", flush=True)
        return False
    shutil.rmtree(folder)
    return True


def main() -> int:
    """Goes on after a failure, so that one run tells of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("pythons", nargs="+", help="names on the PATH, or paths")
    arguments = parser.parse_args()
    found: dict[Version, str] = {}  # the first of each minor version
    for python in arguments.pythons:
        its = version(python)
        if its is None or its < (3, 10):
            print(f"{python}: not tested, as {'there is none' if its is None else 'it is older than 3.10'}", flush=True)
        else:
            found.setdefault(its, python)
    claimed = oldest_numpy(arguments.wheel)
    passed = []
    for its, python in sorted(found.items()):
        text = ".".join(map(str, its))
        oldest = FIRST.get(its, claimed)
        passed.append(passes(arguments.wheel, python, f"{text}-oldest", f"numpy=={oldest}"))
        passed.append(passes(arguments.wheel, python, f"{text}-newest", "numpy"))
    return 0 if passed and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
