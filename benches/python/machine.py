"""Says which machine it was, with which versions of what was measured, and how much of it was somebody else's."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
PACKAGES = ("shrew-ema", "torch", "numpy", "safetensors", "ml_dtypes")
# Those that a kernel could be made for; the rest of what processors have is not for this.
INSTRUCTION_SETS = (
    "sse2",
    "avx",
    "f16c",
    "fma",
    "avx2",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_bf16",
    "asimd",
    "sve",
)


def lines(threads: int) -> list[str]:
    """A line for each fact."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        f"processor: {_field('model name') or platform.processor() or platform.machine()}, "
        f"family {_field('cpu family')} model {_field('model')}, {cpus} cores of which {threads} are used",
        f"caches: {', '.join(_caches()) or 'unknown'}",
        f"instruction sets: {' '.join(_instruction_sets()) or 'unknown'}",
        f"system: {platform.system()} {platform.release()}, huge pages {_huge_pages()}",
        f"versions: Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    ]


class Others:
    """The part of the processors' time that went to other processes, or to other machines on the same host.

    torch cuts a tensor into as many parts as there are threads, and waits for the slowest. Work that is handed out in
    smaller pieces loses less by a busy machine, so a ratio from one flatters.
    """

    def __init__(self) -> None:
        self.before = self._used()

    def share(self) -> float | None:
        """Since it was made; none where the system does not tell."""
        if self.before is None or (now := self._used()) is None:
            return None
        everybody, own, passed = (after - before for after, before in zip(now, self.before, strict=True))
        # What a program has measured beforehand takes no time here, and the clock of the system is a coarse one.
        return min(1.0, max(0.0, (everybody - own) / passed)) if passed > 0.5 else None

    @staticmethod
    def _used() -> tuple[float, float, float] | None:
        """Seconds that everybody used, that this process and its children used, and that there were."""
        path = Path("/proc/stat")
        if not path.exists():
            return None
        user, nice, system, idle, waiting, *rest = map(int, path.read_text().splitlines()[0].split()[1:9])
        used, ticks = user + nice + system + sum(rest), os.sysconf("SC_CLK_TCK")
        own = os.times()
        return used / ticks, sum(own[:4]), (used + idle + waiting) / ticks


def _field(name: str) -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _caches() -> list[str]:
    def read(index: Path, name: str) -> str:
        return (index / name).read_text().strip()

    letters = {"Data": "d", "Instruction": "i", "Unified": ""}
    return [
        f"L{read(index, 'level')}{letters.get(read(index, 'type'), '')} {read(index, 'size')}"
        for index in sorted(CACHES.glob("index*"))
    ]


def _instruction_sets() -> list[str]:
    has = (_field("flags") or _field("Features")).split()
    return [name for name in INSTRUCTION_SETS if name in has]


def _huge_pages() -> str:
    path = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return path.read_text().partition("[")[2].partition("]")[0] if path.exists() else "unknown"
