"""How the cost of one update grows with elements and with tensors: two rows, and a drawing."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

import models
from case import Case
from models import Shapes
from timing import Result, compare, once
from updates import against_torch

mpl.use("agg")
from matplotlib import pyplot as plt

ELEMENTS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 500_000_000)
TENSORS = (1, 10, 100, 1_000, 10_000, 100_000)
# Both are beyond what a cache or the overhead of a call could show in.
FROM_ELEMENTS, FROM_TENSORS = 10_000_000, 1_000


class Line:
    """The costs of one thing, of ours and of torch, for more and more of it."""

    def __init__(self, counts: tuple[int, ...], since: int, shapes: Callable[[int], Shapes]) -> None:
        self.counts, self.since, self.shapes = counts, since, shapes
        self.costs: dict[int, tuple[float, float]] = {}

    def measure(self, seconds: float) -> Result:
        """The whole line, and how much more the last of a thing costs than the first that has the same limits."""
        for count in self.counts:
            found = compare(against_torch(self.shapes(count)), seconds / 2)
            self.costs[count] = (found.ours / count, found.theirs / count)
        most, least = self.costs[self.counts[-1]][0], self.costs[self.since][0]
        return once(most, least)


class Lines:
    """Both lines."""

    def __init__(self, *, quick: bool) -> None:
        elements = tuple(count for count in ELEMENTS if count <= FROM_ELEMENTS or not quick)
        tensors = tuple(count for count in TENSORS if count <= 10 * FROM_TENSORS or not quick)
        self.elements = Line(elements, FROM_ELEMENTS, lambda count: models.equal(1, count))
        self.tensors = Line(tensors, FROM_TENSORS, lambda count: models.equal(count, 16))

    def cases(self) -> list[Case]:
        """The rows: about 1 where the cost is a straight line."""
        return [
            Case(
                f"scaling: an element, of {self.elements.counts[-1]:,}",
                f"an element, of {FROM_ELEMENTS:,}",
                None,
                self.elements.measure,
            ),
            Case(
                f"scaling: a tensor of 16, of {self.tensors.counts[-1]:,}",
                f"a tensor of 16, of {FROM_TENSORS:,}",
                None,
                self.tensors.measure,
            ),
        ]

    def draw(self, path: Path) -> bool:
        """Draws them, if both were measured."""
        if not (self.elements.costs and self.tensors.costs):
            return False
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
        for one, line, scale, name in (
            (axes[0], self.elements, 1e9, "ns per element, one tensor"),
            (axes[1], self.tensors, 1e6, "µs per tensor of 16 elements"),
        ):
            counts = list(line.costs)
            for side, label in enumerate(("shrew-ema", "torch, foreach lerp")):
                one.loglog(counts, [scale * line.costs[count][side] for count in counts], "o-", label=label)
            one.set_xlabel("elements" if line is self.elements else "tensors")
            one.set_title(f"one update, f32: {name}", fontsize="medium")
            one.grid(visible=True, which="major", alpha=0.3)
            one.legend()
        figure.savefig(path, dpi=80)
        plt.close(figure)
        return True
