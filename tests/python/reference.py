"""The oracle: the averages one element at a time, in plain arithmetic, too simple to be wrong.

Nothing here is clever or shared with the package: no blocks, no vectors, no threads. Where the package claims bits,
these are the bits.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Scalar = np.floating[Any]
# The weight of the newest parameters, 1 - d, by the number of the call since the start, from 1.
Alpha = Callable[[int], float]

# Of each floating-point type: bits of the significand (the hidden one included), and the smallest normal exponent.
FORMATS = {"float16": (11, -14), "bfloat16": (8, -126), "float32": (24, -126), "float64": (53, -1022)}
WIDTHS = {"float16": 16, "bfloat16": 16, "float32": 32, "float64": 64}


def shadow_type(param: np.dtype[Any], shadow_dtype: str | None) -> np.dtype[Any]:
    """The dtype of the average of a parameter: integers and booleans keep their own."""
    if param.name not in FORMATS:
        return param
    return np.dtype("float64" if param.name == "float64" else shadow_dtype or "float32")


@np.errstate(all="ignore")
def element(s: Scalar, p: Scalar, alpha: float, nonfinite: str) -> tuple[Scalar, bool]:
    """The new average of one element, and whether the element was refused; `s` and `p` are of the shadow's type.

    NumPy's scalars round after each operation, to their own type.
    """
    rounded = type(s)
    if alpha == 0:
        return s, False
    if alpha == 1:
        new = p
    elif alpha < 0.5:
        new = s + rounded(alpha) * (p - s)
    else:
        new = p - rounded(1 - alpha) * (p - s)
    if not math.isfinite(new) and math.isfinite(s) and math.isfinite(p):  # p - s overflowed
        new = rounded(1 - alpha) * s + rounded(alpha) * p
    if math.isinf(s) and s == p:
        return s, False
    if math.isfinite(new) or nonfinite == "propagate":
        return new, False
    if nonfinite == "skip" and math.isfinite(p) and not math.isfinite(s):
        return p, False
    return s, True


def together(alphas: list[float]) -> float:
    """The weight of several updates at once: what their decays leave, taken from 1."""
    return 1.0 if 1 in alphas else -math.expm1(sum(math.log1p(-alpha) for alpha in alphas))


def narrow(value: float, dtype: str) -> int:
    """The bits of the nearest number of a type, ties to even; `value` is exact, and NaN has the quiet bit only."""
    digits, smallest = FORMATS[dtype]
    width = WIDTHS[dtype]
    sign = int(math.copysign(1, value) < 0) << (width - 1)
    infinity = ((1 << (width - digits)) - 1) << (digits - 1)
    if math.isnan(value):
        return sign | infinity | 1 << (digits - 2)
    if math.isinf(value):
        return sign | infinity
    if value == 0:  # the one number without a leading digit
        return sign
    # The type's numbers around this one are multiples of 2**step. frexp gives a significand in [1/2, 1).
    step = max(math.frexp(value)[1] - 1, smallest) - (digits - 1)
    # Scaled by a power of two, and to no more than 53 bits before the point: exact. round() takes ties to even.
    multiple = round(math.ldexp(abs(value), -step))
    # Consecutive numbers have consecutive bits; each binade above the smallest has 2**(digits-1) of them.
    binades = step - (smallest - (digits - 1))
    return sign | min((binades << (digits - 1)) + multiple, infinity)


class Reference:
    """A model's averages: for each name, a shape and a list of scalars in C order."""

    def __init__(
        self,
        params: Mapping[str, Array],
        decay: float | Alpha,
        shadow_dtype: str | None = None,
        nonfinite: str = "raise",
        *,
        every: int = 1,
        start: int = 0,
    ) -> None:
        self.alpha: Alpha = decay if callable(decay) else lambda _: 1 - decay
        self.nonfinite = nonfinite
        self.every = every
        self.start = start
        self.step = 0
        self.num_updates = 0
        self.window: list[float] = []
        self.initial_share = 1.0
        self.skipped: dict[str, int] = {}
        self.params = {name: (array.dtype, array.shape) for name, array in params.items()}
        self.dtypes = {name: shadow_type(array.dtype, shadow_dtype) for name, array in params.items()}
        self.values = {name: self.read(name, array) for name, array in params.items()}

    def read(self, name: str, array: Array) -> list[Any]:
        """The elements in C order, each in the type of its average."""
        if not self.is_averaged(name):
            return list(array.ravel())
        # By way of a Python float, which holds every parameter exactly.
        return [self.dtypes[name].type(float(x)) for x in array.ravel()]

    def is_averaged(self, name: str) -> bool:
        """Whether a tensor is of floating point, and not copied."""
        return self.dtypes[name].name in FORMATS

    def update(self, params: Mapping[str, Array], warmup: bool = False) -> dict[str, int]:
        """One call; gives the number of elements refused, for each tensor that has any."""
        self.step += 1
        t = self.step - self.start
        if t < 0:
            return {}
        if t == 0:
            self.initial_share = 0.0
            return self.average(params, 1.0)
        self.window.append(max(self.alpha(t), 9 / (10 + t)) if warmup else self.alpha(t))
        if t % self.every:
            return {}
        alpha = self.window[0] if self.every == 1 else together(self.window)
        self.initial_share *= math.prod(1 - alpha for alpha in self.window)
        self.window = []
        self.num_updates += 1
        return self.average(params, alpha)

    def average(self, params: Mapping[str, Array], alpha: float) -> dict[str, int]:
        """One average; gives what `update` gives."""
        refused: dict[str, int] = {}
        for name, old in self.values.items():
            new = self.read(name, params[name])
            if not self.is_averaged(name):
                self.values[name] = old if alpha == 0 else new
                continue
            results = [element(s, p, alpha, self.nonfinite) for s, p in zip(old, new, strict=True)]
            self.values[name] = [value for value, _ in results]
            count = sum(refuse for _, refuse in results)
            if count:
                refused[name] = count
                self.skipped[name] = self.skipped.get(name, 0) + count
        return refused

    def shadow(self, name: str) -> Array:
        """The average, as `shadow_values` gives it."""
        return np.array(self.values[name], self.dtypes[name]).reshape(self.params[name][1])

    def applied(self, name: str) -> Array:
        """The average in the parameter's dtype, as `apply` writes it."""
        dtype, shape = self.params[name]
        if dtype == self.dtypes[name]:
            return self.shadow(name)
        bits = [narrow(float(value), dtype.name) for value in self.values[name]]
        return np.array(bits, f"uint{WIDTHS[dtype.name]}").view(dtype).reshape(shape)
