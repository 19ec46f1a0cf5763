"""Which decay an update uses: rules as data, one function for each rule and for each library's defaults.

Give one to the EMA in place of a number: `EMA(params, schedules.power(sigma_rel=0.05))`. A schedule is a function of
the update's number t, counted from 1 after the `start` of the EMA; `schedule.decay(t)` and `schedule.alpha(t)` show it.

Which one do I want?

| the run | the schedule |
|---|---|
| a known number of steps | a number such as 0.999, with `update_with_warmup()` |
| a length that is not known yet | `power`: its horizon grows with the run, and it forgets the start by itself |
| the tail at a constant learning rate | `swa`, with a late `start=` of the EMA |
| a teacher that is to freeze in the end | `cosine` |
| counted in images or tokens | `half_life`, or `edm`, which ramps up |
| begun with another library | the function with its name: `torch`, `timm`, `diffusers`, `keras`, ... |

`update_with_warmup()` is for constant decays: a number, or `half_life`. It takes the smaller of the schedule's decay
and (1 + t)/(10 + t) at every call, and not at first only: `swa` would be no plain mean, `cosine` would not freeze, and
`power` would not have a sigma_rel above 0.09. A number d is reached after 9/(1 - d) - 10 calls; decays that have not
been reached yet give the same average.

How long a memory? A half-life of a fiftieth of the run is a good start: `decay_of(steps / 50)`. What a decay means:
`half_life_of(d)` updates until half is forgotten, `lag(d)` updates behind a steady drift, `noise(d)` of independent
noise left. When the batches become kappa times as large, d becomes `scaled(d, kappa)`. To choose afterwards, average
over several horizons in one pass: `EMA(params, [schedules.power(0.05), schedules.power(0.10)])`.

To average at every tenth call only, give the EMA `every=10`: the decays between are multiplied in, so that the horizon
stays. Libraries that average less often without that have a schedule for it: `uncompensated`.

Examples:
    >>> from shrew_ema import schedules
    >>> schedules.timm()
    schedules.inverse_power(decay=0.9999, min_decay=0.0, inv_gamma=1.0, power=0.6666666666666666, delay=1, copies=1)
    >>> round(schedules.timm().decay(1000), 6)
    0.99
"""

from ._core import (
    Schedule,
    annealing,
    composer,
    constant,
    cosine,
    d2go,
    decay_of,
    delayed,
    diffusers,
    edm,
    edm2,
    ema_pytorch,
    exponential,
    half_life,
    half_life_of,
    ignite,
    inverse_power,
    k_diffusion,
    keras,
    lag,
    mean_teacher,
    mmengine,
    noise,
    power,
    power_gamma,
    ratio,
    scaled,
    swa,
    tensorflow,
    tensorflow_addons,
    timm,
    torch,
    torch_ema,
    ultralytics,
    uncompensated,
)

__all__ = [
    "Schedule",
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
