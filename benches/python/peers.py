"""The peer's side: torch on the same memory as NumPy, and what torch users write around it."""

import os
from collections.abc import Iterable
from typing import Any, TypeAlias

from models import Array

THREADS = 2
# Read once: by OpenMP when torch is imported, and by rayon when it starts the first thread.
os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(THREADS)

import torch  # noqa: E402

torch.set_num_threads(THREADS)

Tensors: TypeAlias = list[Any]


def same_memory(arrays: Iterable[Array]) -> Tensors:
    """Tensors over arrays; those of ml_dtypes reach torch as integers of 16 bits."""
    return [
        torch.from_numpy(array.view("int16")).view(torch.bfloat16)
        if array.dtype.name == "bfloat16"
        else torch.from_numpy(array)
        for array in arrays
    ]


def shadows(tensors: Tensors, dtype: str = "float32") -> Tensors:
    """Averages of torch's own, as wide as ours."""
    return [tensor.to(getattr(torch, dtype), copy=True) for tensor in tensors]


class Lerp:
    """One update of all averages: a single foreach call, after another one where the parameters are of another type."""

    def __init__(self, averages: Tensors, tensors: Tensors, alpha: float) -> None:
        self.averages, self.tensors, self.alpha = averages, tensors, alpha
        same = all(a.dtype == t.dtype for a, t in zip(averages, tensors, strict=True))
        # `_foreach_lerp_` refuses mixed types, so they are widened first, into memory that is kept.
        self.widened = None if same else [torch.empty_like(average) for average in averages]

    def __call__(self) -> None:
        """Averages."""
        tensors = self.tensors
        if self.widened is not None:
            torch._foreach_copy_(self.widened, tensors)
            tensors = self.widened
        torch._foreach_lerp_(self.averages, tensors, self.alpha)


class SameTraffic:
    """Reads two arrays and writes one, with next to no arithmetic: what memory allows."""

    def __init__(self, averages: Tensors, tensors: Tensors) -> None:
        self.averages = [average.view(torch.int32) for average in averages]
        self.tensors = [tensor.view(torch.int32) for tensor in tensors]

    def __call__(self) -> None:
        """Adds integers, so that nothing is rounded, denormal or infinite."""
        torch._foreach_add_(self.averages, self.tensors)


class Swap:
    """The averages into the parameters and back, as the peers do it: foreach copies."""

    def __init__(self, averages: Tensors, tensors: Tensors) -> None:
        self.averages, self.tensors = averages, tensors
        self.backup = [tensor.clone() for tensor in tensors]

    def apply(self) -> None:
        """Keeps the parameters, and writes the averages into them."""
        torch._foreach_copy_(self.backup, self.tensors)
        torch._foreach_copy_(self.tensors, self.averages)

    def restore(self) -> None:
        """Puts the parameters back."""
        torch._foreach_copy_(self.tensors, self.backup)
