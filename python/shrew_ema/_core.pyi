# The types of the compiled module, by hand, which `mypy.stubtest` holds to the truth; the documentation by `make stub`.

from collections.abc import Sequence
from contextlib import AbstractContextManager
from os import PathLike
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import Self

__all__ = [
    "EMA",
    "Schedule",
    "__version__",
    "_unpickled",
    "annealing",
    "composer",
    "constant",
    "cosine",
    "d2go",
    "decay_of",
    "delayed",
    "diffusers",
    "edm",
    "edm2",
    "ema_pytorch",
    "exponential",
    "half_life",
    "half_life_of",
    "ignite",
    "inverse_power",
    "k_diffusion",
    "keras",
    "lag",
    "mean_teacher",
    "mmengine",
    "noise",
    "power",
    "power_gamma",
    "ratio",
    "scaled",
    "swa",
    "tensorflow",
    "tensorflow_addons",
    "timm",
    "torch",
    "torch_ema",
    "ultralytics",
    "uncompensated",
]

__version__: str

# The entries are checked at run time only: dict and list are invariant, so that a dict of memory maps is no dict of
# arrays, and for a checker an array of float32 and one of int64 have nothing in common.
_Params: TypeAlias = dict[str, Any] | list[Any] | tuple[Any, ...]

@final
class Schedule:
    """
    The decay of every update: a rule of `shrew_ema.schedules` with its arguments.

    Schedules are made by the functions of that module. They are data and never change: they can be compared, hashed,
    pickled and copied, and what they print makes them again.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> ramp = schedules.exponential(decay=0.999, tau=1000.0)
    >>> round(ramp.decay(693), 4)
    0.4994
    >>> ramp
    schedules.exponential(decay=0.999, tau=1000.0)
    >>> ramp == schedules.exponential(0.999, 1000)
    True
    """
    def decay(self, t: _Count) -> float:
        """d of update number t, an integer from 1 on."""
        ...
    def alpha(self, t: _Count) -> float:
        """1 - d of update number t, an integer from 1 on, with all its digits, of which d near 1 has lost some."""
        ...
    def __eq__(self, other: object, /) -> bool:
        """Return self==value."""
        ...
    def __hash__(self) -> int:
        """Return hash(self)."""
        ...
    def __reduce__(self) -> tuple[Any, ...]: ...

# A number of NumPy's is as good as one of Python's.
_Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
_Count: TypeAlias = int | np.integer[Any]

# At run time a list or a tuple; a list of one kind would be no list of both, as lists are invariant.
_Decay: TypeAlias = _Number | Schedule
_Decays: TypeAlias = Sequence[_Decay]

@final
class EMA:
    """
    Exponential moving averages of a model's NumPy arrays.

    The average of each parameter starts as a copy of it, and each `update` moves it: `s + (1 - d)(p - s)`. In *Training*
    the arrays hold the training values. `apply` backs them up and writes the averages over them, and in *Applied* the
    model can be evaluated; `restore` puts the training values back, bit for bit.

    Parameters
    ----------
    params : dict of str to array, or list or tuple of arrays
        Arrays of float64, float32, float16 or bfloat16 (from ml_dtypes), of any shape and strides. Arrays of integers and
        bools are not averaged: their value at the last average is kept. The container is kept and read again at every
        call, so that entries may be replaced; of a subclass, the entries of the dict, list or tuple itself are read.
        Entries of a list or tuple are called "0", "1" and so on.
    decay : float or Schedule, or a list or tuple of such, default 0.999
        d, in [0, 1], or a rule of `shrew_ema.schedules` for it. Several give as many averages, called horizons, in one
        pass over the parameters.
    shadow_dtype : {None, "float32", "float64"}
        The dtype of the averages. None: float64 for float64 parameters, else float32.
    nonfinite : {"raise", "skip", "propagate"}
        What to do with an element whose new average is NaN or infinite. "raise" and "skip" keep its old average; "raise"
        raises `NonFiniteError` once the pass is made, "skip" counts it in `skipped` and warns once, after the pass as well;
        "propagate" stores it, as infinity or NaN.
    every : int, default 1
        Average at every `every`th call only, with the decays of the calls between multiplied in: the horizon is the
        same, and the cost is less.
    start : int, default 0
        The number of the call, from 1, that copies the parameters and with which averaging begins; earlier calls only
        count. With 0, the construction is that copy. Schedules count from there.

    Raises
    ------
    ConfigError
        An argument is not valid.
    NamesError
        A key of the dict is not a string.
    DTypeError, LayoutError
        An entry is not an array that can be averaged, or shares memory with another one that is not the same array.
    NonFiniteError
        A parameter is NaN or infinite, with nonfinite="raise".

    Examples
    --------
    >>> import numpy as np
    >>> from shrew_ema import EMA
    >>> params = {"w": np.array([1.0, 5.0])}
    >>> ema = EMA(params, decay=0.9)
    >>> params["w"] += 1.0
    >>> ema.update()
    >>> ema.shadow_values("w")
    array([1.1, 5.1])
    """
    def __new__(
        cls,
        params: _Params,
        decay: _Decay | _Decays = 0.999,
        *,
        shadow_dtype: Literal["float32", "float64"] | DTypeLike | None = None,
        nonfinite: Literal["raise", "skip", "propagate"] = "raise",
        every: _Count = 1,
        start: _Count = 0,
    ) -> Self: ...
    def update(self, params: _Params | None = None) -> None:
        """
        Average the parameters in; call it after each step of the optimizer.

        `params` may be another container of arrays with the same names, shapes and dtypes; the one of the construction
        stays bound.

        Raises `StateError` while the averages are applied, `NamesError`, `ShapeError` or `DTypeError` if the parameters
        changed; nothing is done then. `NonFiniteError`, with nonfinite="raise", says that the call was made and counted
        and that the elements it names kept their old averages.
        """
        ...
    def update_with_warmup(self, params: _Params | None = None) -> None:
        """
        As `update`, with the decay min(d, (1 + t)/(10 + t)) at call number t, from 1 after `start`, which forgets the
        initial values faster: 2/11, 3/12, 4/13 and so on, until d is reached after 9/(1 - d) - 10 calls.

        It is meant for constant decays. The smaller decay is used at every call, so that a rule of
        `shrew_ema.schedules` which is larger for long, such as `swa`, does not come about.
        """
        ...
    def apply(self, horizon: _Count = 0) -> None:
        """
        Back up the training values and write the averages of a horizon over them, cast to nearest.

        Raises `StateError` while averages are applied, `LayoutError` if an array is read-only, `ConfigError` where there
        is no such horizon, and the errors of `update` if the parameters changed; nothing is done then.
        """
        ...
    def restore(self) -> None:
        """
        Put the training values back, bit for bit; does nothing unless the averages are applied.

        They go into the arrays that the container holds now. Raises as `apply` does if these can't take them; the
        averages stay applied then, and the training values are kept.
        """
        ...
    def applied(self, horizon: _Count = 0) -> AbstractContextManager[EMA]:
        """
        A context in which the averages of a horizon are applied; leaving it restores the training values, also by an exception.

        >>> import numpy as np
        >>> from shrew_ema import EMA
        >>> params = {"w": np.array([1.0])}
        >>> ema = EMA(params, decay=0.5)
        >>> for _ in range(10):
        ...     params["w"] += 1.0
        ...     ema.update()
        >>> with ema.applied():
        ...     print(params["w"].round(3))
        [10.001]
        >>> params["w"]
        array([11.])
        """
        ...
    def copy_to(self, horizon: _Count = 0) -> None:
        """
        Finish on the averages of a horizon: write them for good, while they are applied as well, and forget the training
        values. While those of another horizon are applied, `StateError` is raised; else it raises as `apply` does.
        """
        ...
    def shadow_values(self, key: str | _Count, horizon: _Count = 0) -> NDArray[Any]:
        """
        The average of one parameter, by name or index, at a horizon, as a read-only array of the parameter's shape.

        Nothing is copied, and the values stay as they are now: the next update writes into new memory while somebody
        holds such an array. One below 1 KB keeps up to 4 KB while it is held, as small averages share their memory.

        Raises `NamesError` for a name or an index that there is not, `ConfigError` for such a horizon.
        """
        ...
    def averages(self, horizon: _Count = 0) -> dict[str, NDArray[Any]]:
        """All averages of a horizon, by name; see `shadow_values`."""
        ...
    def save(
        self,
        path: str | PathLike[str],
        *,
        dtype: Literal["float64", "float32", "float16", "bfloat16"] | DTypeLike | None = None,
    ) -> None:
        """
        Save the averages as a model file, with all that `load` needs to go on to the bit.

        The file is a safetensors file: its keys are the names of the parameters, and schedules and counters are in its metadata.
        Whatever the arrays hold now, it is the averages that are saved. It is written under another name, flushed to the disk
        and renamed, so that a crash leaves the old file or the new one. Several horizons become as many files,
        "ema.h0.safetensors" and so on for "ema.safetensors". Updates by other threads go on meanwhile, and what is saved
        is from one moment; of two saves at once, the one that ends later wins.

        A symbolic link stays one, and the file that it leads to is written. A file that was made read-only is not replaced.

        With a `dtype`, such as "bfloat16", averages are rounded to it: a model to ship, which `load` refuses to resume from.

        Raises `CheckpointError` if the file can't be written or is read-only, `ConfigError` for a dtype that is none or wider than the
        averages.

        >>> import numpy as np, os, tempfile
        >>> from shrew_ema import EMA
        >>> params = {"w": np.zeros(3)}
        >>> ema = EMA(params, decay=0.5)
        >>> for _ in range(10):
        ...     params["w"] += 1.0
        ...     ema.update()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ema.save(os.path.join(folder, "ema.safetensors"))
        ...     resumed = EMA.load(os.path.join(folder, "ema.safetensors"), params)
        >>> resumed.shadow_values("w").round(3), resumed.num_updates
        (array([9.001, 9.001, 9.001]), 10)
        """
        ...
    @staticmethod
    def load(path: str | PathLike[str], params: _Params | None = None, *, resume: bool = True) -> EMA:
        """
        The EMA that was saved, bound to `params`: as if the training had never stopped.

        `params` is a dict, list or tuple of arrays of the names, dtypes and shapes that were averaged, in any order; their
        values are not read. Everything else (decays, counters, policies) comes from the file. Without `params` the EMA is
        bound to none: averages can be looked at, and `bind` gives it parameters. A path under which several horizons were saved
        gives all of them, the path of one file that horizon alone.

        `resume=False` takes averages that were rounded by `save(dtype=...)` as they are: another training from there on.

        Raises `CheckpointError` if there is no such file or it is damaged, cut short, rounded, or of another program;
        `NamesError`, `DTypeError` or `ShapeError` if these are not the parameters that were averaged; `LayoutError` if two
        share memory and are not the same array.
        """
        ...
    def bind(self, params: _Params) -> None:
        """
        Bind the EMA to other parameters of the same names, dtypes and shapes: the arrays of `params` are averaged and
        written from now on. Their values are not read. Arrays that are tied here, and have different averages, are
        averaged under each name; `apply` refuses them.

        Raises `StateError` while averages are applied; `NamesError`, `DTypeError` or `ShapeError` if these are not the
        parameters that are averaged; `LayoutError` if two share memory and are not the same array.
        """
        ...
    def state_dict(self) -> dict[str, Any]:
        """
        All that `load_state_dict` needs to go on to the bit, as a dict of plain lists, text and read-only arrays, to be
        kept in some other checkpoint. Whatever the arrays of the model hold now, it has the averages.
        """
        ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """
        Go on from what `state_dict` gave for an EMA of the same parameters: decays, counters, policies and averages become
        what they were there.

        Raises `CheckpointError` if it is no state dict or is damaged, `StateError` while averages are applied; `NamesError`,
        `DTypeError` or `ShapeError` if it is of other parameters. Nothing is changed then.
        """
        ...
    @property
    def decay(self) -> float:
        """d of the first horizon, as in `decays`."""
        ...
    @property
    def decays(self) -> tuple[float, ...]:
        """
        d of each horizon. Of a constant decay it is the number given, without any warm-up; of another schedule that of the
        last call, with its warm-up, and before there was one that of the first.
        """
        ...
    @property
    def num_updates(self) -> int:
        """How many averages were made."""
        ...
    @property
    def step(self) -> int:
        """How many calls of `update` and `update_with_warmup` were counted."""
        ...
    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        ...
    @property
    def initial_share(self) -> float:
        """
        The share of the initial values that is still in the averages of the first horizon: the product of all decays
        used.
        """
        ...
    @property
    def initial_shares(self) -> tuple[float, ...]:
        """The share of the initial values of each horizon, as in `initial_share`."""
        ...
    @property
    def skipped(self) -> dict[str, int]:
        """How many elements were refused as NaN or infinite, for each parameter that had any."""
        ...
    @property
    def is_applied(self) -> bool:
        """Whether the arrays hold the averages."""
        ...
    @property
    def is_bound(self) -> bool:
        """Whether there are arrays to average: not after unpickling or loading without any, until `bind`."""
        ...
    def __len__(self) -> int:
        """Return len(self)."""
        ...
    def __copy__(self) -> EMA: ...
    def __deepcopy__(self, _memo: dict[int, Any], /) -> EMA: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def _unpickled(state_dict: dict[str, Any]) -> EMA:
    """What a pickle calls: an EMA that is bound to no parameters."""
    ...

def constant(decay: _Number = 0.999) -> Schedule:
    """
    The same decay at every update: d(t) = decay.

    Parameters
    ----------
    decay : float, default 0.999
        d, in [0, 1].

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> schedules.constant(0.9).decay(7)
    0.9
    """
    ...

def half_life(half_life: _Number, interval: _Number = 1.0) -> Schedule:
    """
    A constant decay by its half-life: d = ½^(interval/half_life).

    Half of what is in the average is left after `half_life`, whatever the unit: updates, images, tokens, seconds.

    Parameters
    ----------
    half_life : float
        Above 0; infinity keeps the start for ever.
    interval : float, default 1.0
        What one update adds, in the same unit; positive and finite.

    Examples
    --------
    Batches of 512 images and a half-life of 500,000 images:

    >>> from shrew_ema import schedules
    >>> round(schedules.half_life(500_000, interval=512).decay(1), 9)
    0.999290469
    """
    ...

def delayed(decay: _Number = 0.999, copies: _Count = 1) -> Schedule:
    """
    Copies first, and a constant decay from then on.

    Parameters
    ----------
    decay : float, default 0.999
        d after the copies, in [0, 1].
    copies : int, default 1
        How many updates copy the parameters, from 0 on.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> late = schedules.delayed(0.999, copies=2)
    >>> [late.decay(t) for t in (1, 2, 3, 4)]
    [0.0, 0.0, 0.999, 0.999]
    """
    ...

def mean_teacher(decay: _Number = 0.999) -> Schedule:
    """
    The mean of all parameters so far, until that is slower than a decay: d(t) = min(decay, 1 - 1/t).

    The initial parameters count for nothing. With a decay of 1 it stays the plain mean. (Tarvainen and Valpola 2017,
    arXiv 1703.01780, who count from 0.)

    Parameters
    ----------
    decay : float, default 0.999
        The upper bound of d, in [0, 1].

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> teacher = schedules.mean_teacher(0.999)
    >>> [teacher.decay(t) for t in (1, 2, 4, 5000)]
    [0.0, 0.5, 0.75, 0.999]
    """
    ...

def swa(every: _Count = 1) -> Schedule:
    """
    Stochastic weight averaging: the plain mean of the parameters at the start and at every `every`th update from there.

    α = 1/(m + 1) at t = m·every, and no change between. Begin late, with the `start` of the EMA, to average the tail of
    a run at a constant learning rate. (Izmailov et al. 2018, arXiv 1803.05407; Polyak and Ruppert.)

    Parameters
    ----------
    every : int, default 1
        Updates from one average to the next, from 1 on.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> swa = schedules.swa(every=100)
    >>> [swa.alpha(t) for t in (99, 100, 200, 300)]
    [0.0, 0.5, 0.3333333333333333, 0.25]
    """
    ...

def power(sigma_rel: _Number) -> Schedule:
    """
    Power-function averaging, by the width of its profile relative to the run's length.

    The horizon is always the same share of the run so far, and the start is forgotten at the first update; see
    `power_gamma` for the formula. γ is the largest root of γ³ + 7γ² + (16 - σ⁻²)γ + (12 - σ⁻²) = 0. (Karras et al. 2024,
    arXiv 2312.02696, section 3.1.)

    Parameters
    ----------
    sigma_rel : float
        σ, above 0 and below 12^-½ = 0.288675; 0.05 to 0.10 are usual.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> schedules.power(sigma_rel=0.05)
    schedules.power_gamma(gamma=16.97219860230345)
    >>> round(schedules.power(0.05).decay(1000), 10)
    0.9821795063
    """
    ...

def power_gamma(gamma: _Number) -> Schedule:
    """
    Power-function averaging: d(t) = (1 - 1/t)^(gamma + 1).

    The weight of the parameters at time τ grows as τ^gamma. (Karras et al. 2024, arXiv 2312.02696.)

    Parameters
    ----------
    gamma : float
        γ, finite and from 0 on; 0 is the plain mean.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [schedules.power_gamma(1.0).decay(t) for t in (1, 2, 4)]
    [0.0, 0.25, 0.5625]
    """
    ...

def uncompensated(inner: Schedule, every: _Count, first: _Count | None = None) -> Schedule:
    """
    Another schedule at every `every`th update only, and no change between.

    That is what libraries do that average less often without making up for it: the horizon is `every` times as long. The
    `every` of the EMA keeps the horizon instead.

    Parameters
    ----------
    inner : Schedule
        What holds at these updates, by their own numbers. It may itself be such a schedule, and so on: at most 16 nest,
        counting the innermost one.
    every : int
        Updates from one of them to the next, from 1 on.
    first : int, optional
        The number of the first of them, from 1 to `every`; without it, `every`.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> sparse = schedules.uncompensated(schedules.constant(0.9), every=10)
    >>> [sparse.decay(t) for t in (9, 10, 11, 20)]
    [1.0, 0.9, 1.0, 0.9]
    """
    ...

def ratio(
    decay: _Number = 0.999, min_decay: _Number = 0.0, width: _Number = 10.0, delay: _Count = 0, copies: _Count = 0
) -> Schedule:
    """
    A decay that rises as (1 + n)/(width + n), with n = max(0, t - delay), between two bounds.

    Without delay and copies this is the warm-up of `EMA.update_with_warmup`: 2/11, 3/12, 4/13 and so on.

    Parameters
    ----------
    decay : float, default 0.999
        The upper bound of d, in [0, 1].
    min_decay : float, default 0.0
        The lower bound of d, up to the upper one.
    width : float, default 10.0
        How slowly d rises: it reaches 1 - 1/k after k·width updates, roughly. From 1 on, and finite.
    delay : int, default 0
        What is taken off the update's number.
    copies : int, default 0
        How many updates copy the parameters before the rule begins.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> warmup = schedules.ratio(0.999)
    >>> [round(warmup.decay(t), 4) for t in (1, 2, 90, 10_000)]
    [0.1818, 0.25, 0.91, 0.999]
    """
    ...

def inverse_power(
    decay: _Number = 0.9999,
    min_decay: _Number = 0.0,
    inv_gamma: _Number = 1.0,
    power: _Number = ...,
    delay: _Count = 0,
    copies: _Count = 0,
) -> Schedule:
    """
    A decay that rises as 1 - (1 + n/inv_gamma)^-power, with n = max(0, t - delay), between two bounds.

    Parameters
    ----------
    decay : float, default 0.9999
        The upper bound of d, in [0, 1].
    min_decay : float, default 0.0
        The lower bound of d, up to the upper one.
    inv_gamma : float, default 1.0
        The unit of n, in updates; positive and finite.
    power : float, default 2/3
        How fast d rises; positive and finite. 2/3 reaches .999 at 31,600 updates, 3/4 at 10,000.
    delay : int, default 0
        What is taken off the update's number.
    copies : int, default 0
        How many updates copy the parameters before the rule begins.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> slow = schedules.inverse_power()
    >>> [round(slow.decay(t), 8) for t in (1, 2, 999, 10_000_000)]
    [0.37003948, 0.51925014, 0.99, 0.9999]
    """
    ...

def exponential(decay: _Number = 0.9999, tau: _Number = 2000.0) -> Schedule:
    """
    A decay that approaches its limit exponentially: d(t) = decay·(1 - e^(-t/tau)).

    Parameters
    ----------
    decay : float, default 0.9999
        The limit of d, in [0, 1].
    tau : float, default 2000.0
        After how many updates 63% of the limit are reached; positive and finite.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> ramp = schedules.exponential(0.9999, tau=2000)
    >>> [round(ramp.decay(t), 8) for t in (1, 100, 2000, 10_000)]
    [0.00049983, 0.0487657, 0.63205735, 0.99316273]
    """
    ...

def annealing(momentum: _Number = 0.0002, gamma: _Number = 100.0) -> Schedule:
    """
    A weight of the newest parameters that falls to a bound: α(t) = max(momentum, gamma/(gamma + t - 1)).

    The first update copies.

    Parameters
    ----------
    momentum : float, default 0.0002
        The lower bound of α = 1 - d, in [0, 1].
    gamma : float, default 100.0
        After how many updates α is ½; positive and finite.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> annealing = schedules.annealing(0.0002, gamma=100)
    >>> [annealing.alpha(t) for t in (1, 101, 1_000_000)]
    [1.0, 0.5, 0.0002]
    """
    ...

def cosine(steps: _Count, decay: _Number = 0.996) -> Schedule:
    """
    A decay that rises to 1 over the run: d(t) = 1 - (1 - decay)(cos(πk/steps) + 1)/2, with k = t - 1.

    After `steps` updates nothing moves any more. The teachers of BYOL (Grill et al. 2020, arXiv 2006.07733) and DINO.

    Parameters
    ----------
    steps : int
        Updates until the decay is 1, from 1 on.
    decay : float, default 0.996
        The decay at the start, in [0, 1].

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> cosine = schedules.cosine(1000)
    >>> [round(cosine.decay(t), 6) for t in (1, 501, 1001)]
    [0.996, 0.998, 1.0]
    """
    ...

def edm(
    half_life: _Number = 500000.0, rampup_ratio: _Number = 0.05, batch: _Number = 512.0, inclusive: bool = False
) -> Schedule:
    """
    A half-life in images that grows with the images seen: d = ½^(batch/h), h = min(half_life, rampup_ratio·n).

    n is the number of images seen before the update. (Karras et al. 2022, arXiv 2206.00364.)

    Parameters
    ----------
    half_life : float, default 500000.0
        In images; above 0, and infinity is no bound.
    rampup_ratio : float, default 0.05
        The share of the images seen that bounds the half-life; above 0, and infinity is no bound. One of the two must be
        finite.
    batch : float, default 512.0
        Images an update; positive and finite.
    inclusive : bool, default False
        Whether n counts the images of the update itself.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> edm = schedules.edm(half_life=500_000, rampup_ratio=0.05, batch=512)
    >>> [round(edm.decay(t), 9) for t in (1, 11, 1001, 1_000_000)]
    [0.0, 0.25, 0.986232704, 0.999290469]
    """
    ...

def torch(decay: _Number = 0.999) -> Schedule:
    """
    torch's `AveragedModel` with `get_ema_multi_avg_fn`: the first update copies, and then d = decay.

    Parameters
    ----------
    decay : float, default 0.999
        In [0, 1].

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [schedules.torch().decay(t) for t in (1, 2)]
    [0.0, 0.999]
    """
    ...

def keras(ema_momentum: _Number = 0.99) -> Schedule:
    """
    The optimizers of Keras 3 with `use_ema`: the first update copies, and then d = ema_momentum.

    Parameters
    ----------
    ema_momentum : float, default 0.99
        In [0, 1].

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [schedules.keras().decay(t) for t in (1, 2)]
    [0.0, 0.99]
    """
    ...

def tensorflow_addons(average_decay: _Number = 0.99, start_step: _Count = 0, dynamic_decay: bool = False) -> Schedule:
    """
    TensorFlow Addons' `MovingAverage`: copies before `start_step`, and then d = average_decay.

    Parameters
    ----------
    average_decay : float, default 0.99
        In [0, 1].
    start_step : int, default 0
        How many updates copy.
    dynamic_decay : bool, default False
        Whether d = min(average_decay, (1 + k)/(10 + k)), with k = 0 at the first update that does not copy.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> addons = schedules.tensorflow_addons(start_step=1, dynamic_decay=True)
    >>> [round(addons.decay(t), 4) for t in (1, 2, 3)]
    [0.0, 0.1, 0.1818]
    """
    ...

def d2go(decay: _Number = 0.999, decay_warm_up_factor: _Number = -1.0) -> Schedule:
    """
    d2go's `EMAUpdater`: d(t) = min(decay, (1 + t)/(w + t)), or decay alone.

    Parameters
    ----------
    decay : float, default 0.999
        In [0, 1].
    decay_warm_up_factor : float, default -1.0
        w; decay alone if it is negative.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> schedules.d2go().decay(1), round(schedules.d2go(decay_warm_up_factor=10).decay(1), 4)
    (0.999, 0.1818)
    """
    ...

def ignite(momentum: _Number = 0.0002, interval: _Count = 1) -> Schedule:
    """
    ignite's `EMAHandler`: d = 1 - momentum at every `interval`th update, and no change between.

    Parameters
    ----------
    momentum : float, default 0.0002
        In [0, 1].
    interval : int, default 1
        From 1 on.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [schedules.ignite(momentum=0.5, interval=2).decay(t) for t in (1, 2, 3, 4)]
    [1.0, 0.5, 1.0, 0.5]
    """
    ...

def composer(half_life: _Number = 1000.0, update_interval: _Count = 1) -> Schedule:
    """
    Composer's `EMA` by its half-life: d = ½^(update_interval/half_life) at every `update_interval`th update.

    Parameters
    ----------
    half_life : float, default 1000.0
        In batches; above 0.
    update_interval : int, default 1
        In batches, from 1 on.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> round(schedules.composer(half_life=10).decay(1), 10)
    0.9330329915
    """
    ...

def edm2(rampup_ratio: _Number = 0.09, batch: _Number = 2048.0) -> Schedule:
    """
    EDM2's traditional average: a half-life of `rampup_ratio` of the images seen, those of the update included.

    Parameters
    ----------
    rampup_ratio : float, default 0.09
        Positive and finite.
    batch : float, default 2048.0
        Images an update; positive and finite. It cancels out.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [round(schedules.edm2().decay(t), 6) for t in (1, 10, 1000)]
    [0.000452, 0.462937, 0.992328]
    """
    ...

def torch_ema(decay: _Number) -> Schedule:
    """
    torch_ema and LitEma, and the `update_with_warmup` of the EMA here: d(t) = min(decay, (1 + t)/(10 + t)).

    Parameters
    ----------
    decay : float
        In [0, 1].

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [round(schedules.torch_ema(0.9999).decay(t), 4) for t in (1, 2, 3)]
    [0.1818, 0.25, 0.3077]
    """
    ...

def tensorflow(decay: _Number) -> Schedule:
    """
    TensorFlow's `ExponentialMovingAverage` with `num_updates` from 0, and PaddleDetection's "threshold".

    d(t) = min(decay, t/(9 + t)).

    Parameters
    ----------
    decay : float
        In [0, 1].

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [round(schedules.tensorflow(0.999).decay(t), 4) for t in (1, 2, 3)]
    [0.1, 0.1818, 0.25]
    """
    ...

def diffusers(
    decay: _Number = 0.9999,
    min_decay: _Number = 0.0,
    update_after_step: _Count = 0,
    use_ema_warmup: bool = False,
    inv_gamma: _Number = 1.0,
    power: _Number = ...,
) -> Schedule:
    """
    diffusers' `EMAModel`: copies while s = t - update_after_step - 1 is below 1, and then rises between two bounds.

    d = (1 + s)/(10 + s), or 1 - (1 + s/inv_gamma)^-power with `use_ema_warmup`.

    Parameters
    ----------
    decay : float, default 0.9999
        The upper bound, in [0, 1].
    min_decay : float, default 0.0
        The lower bound, up to the upper one.
    update_after_step : int, default 0
        How many updates copy besides the first.
    use_ema_warmup : bool, default False
        Which of the two rules.
    inv_gamma, power : float, defaults 1.0 and 2/3
        Of the second rule; positive and finite.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [round(schedules.diffusers().decay(t), 4) for t in (1, 2, 3)]
    [0.0, 0.1818, 0.25]
    >>> [round(schedules.diffusers(use_ema_warmup=True).decay(t), 4) for t in (1, 2, 3)]
    [0.0, 0.37, 0.5193]
    """
    ...

def timm(
    decay: _Number = 0.9999,
    min_decay: _Number = 0.0,
    update_after_step: _Count = 0,
    warmup_gamma: _Number = 1.0,
    warmup_power: _Number = ...,
) -> Schedule:
    """
    timm's `ModelEmaV3` with `use_warmup`: copies while s = t - update_after_step - 1 is below 1, and then rises.

    d = 1 - (1 + s/warmup_gamma)^-warmup_power between two bounds. Without `use_warmup`, timm does what `delayed` does
    with `update_after_step + 1` copies.

    Parameters
    ----------
    decay : float, default 0.9999
        The upper bound, in [0, 1].
    min_decay : float, default 0.0
        The lower bound, up to the upper one.
    update_after_step : int, default 0
        How many updates copy besides the first.
    warmup_gamma, warmup_power : float, defaults 1.0 and 2/3
        Positive and finite.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [round(schedules.timm().decay(t), 8) for t in (1, 2, 3, 1000)]
    [0.0, 0.37003948, 0.51925014, 0.99]
    """
    ...

def k_diffusion(
    inv_gamma: _Number = 1.0,
    power: _Number = 1.0,
    min_value: _Number = 0.0,
    max_value: _Number = 1.0,
    start_at: _Count = 0,
) -> Schedule:
    """
    k-diffusion's `EMAWarmup`: d = 1 - (1 + e/inv_gamma)^-power between two bounds, with e = max(0, t - 1 - start_at).

    Parameters
    ----------
    inv_gamma, power : float, defaults 1.0 and 1.0
        Positive and finite.
    min_value, max_value : float, defaults 0.0 and 1.0
        The bounds, in [0, 1].
    start_at : int, default 0
        How many updates stay at the beginning of the rise besides the first.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [round(schedules.k_diffusion(power=2/3).decay(t), 8) for t in (1, 2, 3)]
    [0.0, 0.37003948, 0.51925014]
    """
    ...

def ema_pytorch(
    beta: _Number = 0.9999,
    update_after_step: _Count = 100,
    update_every: _Count = 10,
    inv_gamma: _Number = 1.0,
    power: _Number = ...,
    min_value: _Number = 0.0,
) -> Schedule:
    """
    ema-pytorch's `EMA`: acts at updates 1, 1 + update_every and so on only, without making up for those between.

    With s = t - update_after_step - 1 it copies while s is below 1, and then d = 1 - (1 + s/inv_gamma)^-power between
    two bounds.

    Parameters
    ----------
    beta : float, default 0.9999
        The upper bound, in [0, 1].
    update_after_step : int, default 100
        The number of the update after which averaging begins.
    update_every : int, default 10
        Updates from one action to the next, from 1 on.
    inv_gamma, power : float, defaults 1.0 and 2/3
        Positive and finite.
    min_value : float, default 0.0
        The lower bound, up to the upper one.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [round(schedules.ema_pytorch().decay(t), 8) for t in (101, 102, 111, 112, 121)]
    [0.0, 1.0, 0.79781999, 1.0, 0.86862266]
    """
    ...

def ultralytics(decay: _Number = 0.9999, tau: _Number = 2000.0) -> Schedule:
    """
    ultralytics' `ModelEMA`, and mindone's: d(t) = decay·(1 - e^(-t/tau)).

    Parameters
    ----------
    decay : float, default 0.9999
        In [0, 1].
    tau : float, default 2000.0
        In updates; positive and finite.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [round(schedules.ultralytics().decay(t), 8) for t in (1, 100, 2000, 10_000)]
    [0.00049983, 0.0487657, 0.63205735, 0.99316273]
    """
    ...

def mmengine(momentum: _Number = 0.0002, gamma: _Number = 100.0) -> Schedule:
    """
    mmengine's `MomentumAnnealingEMA`, whose first update copies: 1 - d(t) = max(momentum, gamma/(gamma + t - 1)).

    Parameters
    ----------
    momentum : float, default 0.0002
        In [0, 1].
    gamma : float, default 100.0
        In updates; positive and finite.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> [schedules.mmengine().decay(t) for t in (1, 101, 1_000_000)]
    [0.0, 0.5, 0.9998]
    """
    ...

def half_life_of(decay: _Number) -> float:
    """
    After how many updates half of what was in the average is left: ln ½ / ln d.

    Parameters
    ----------
    decay : float
        d, from 0 on and below 1.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> round(schedules.half_life_of(0.999), 1)
    692.8
    """
    ...

def decay_of(half_life: _Number) -> float:
    """
    The decay with a half-life of so many updates: ½^(1/half_life).

    Parameters
    ----------
    half_life : float
        In updates; above 0.

    Examples
    --------
    A fiftieth of a run of 35,000 steps:

    >>> from shrew_ema import schedules
    >>> round(schedules.decay_of(35_000 / 50), 5)
    0.99901
    """
    ...

def lag(decay: _Number) -> float:
    """
    How many updates the average is behind a parameter that moves steadily: d/(1 - d).

    Parameters
    ----------
    decay : float
        d, from 0 on and below 1.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> round(schedules.lag(0.999))
    999
    """
    ...

def noise(decay: _Number) -> float:
    """
    The standard deviation that the average leaves of independent noise of standard deviation 1: √((1 - d)/(1 + d)).

    Parameters
    ----------
    decay : float
        d, from 0 on and below 1.

    Examples
    --------
    >>> from shrew_ema import schedules
    >>> round(schedules.noise(0.999), 5)
    0.02237
    """
    ...

def scaled(decay: _Number, kappa: _Number) -> float:
    """
    The decay for batches `kappa` times as large, which see the data so much faster: d^kappa.

    (Busbridge et al. 2023, arXiv 2307.13813.)

    Parameters
    ----------
    decay : float
        d at the old batch size, from 0 on and below 1.
    kappa : float
        The new batch size over the old one; positive and finite.

    Examples
    --------
    From batches of 32 to batches of 256:

    >>> from shrew_ema import schedules
    >>> round(schedules.scaled(0.9999, 256 / 32), 8)
    0.99920028
    """
    ...
