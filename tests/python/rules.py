"""Every rule in one line of plain Python, beside the schedule that says the same."""

import math
from collections.abc import Callable
from typing import NamedTuple

from shrew_ema import Schedule, schedules


class Rule(NamedTuple):
    """A schedule, and its decay as a function of the update's number."""

    schedule: Schedule
    decay: Callable[[int], float]


def clamp(value: float, low: float, high: float) -> float:
    """The value, or the bound that it exceeds."""
    return min(max(value, low), high)


def inverse_power(n: float, inv_gamma: float, power: float) -> float:
    """What timm, diffusers, k-diffusion and ema-pytorch share."""
    return 1 - math.pow(1 + n / inv_gamma, -power)


def edm(half_life: float, ratio: float, batch: float, seen: float) -> float:
    """The decay of EDM's half-life after so many images."""
    return math.pow(0.5, batch / max(min(half_life, ratio * seen), 1e-8))


RULES: dict[str, Rule] = {
    "constant": Rule(schedules.constant(0.9), lambda _: 0.9),
    "half_life": Rule(schedules.half_life(700.0, interval=32.0), lambda _: 0.5 ** (32 / 700)),
    "delayed": Rule(schedules.delayed(0.9, copies=3), lambda t: 0.0 if t <= 3 else 0.9),
    "mean_teacher": Rule(schedules.mean_teacher(0.9), lambda t: min(0.9, 1 - 1 / t)),
    "swa": Rule(schedules.swa(every=3), lambda t: 1 - 1 / (t // 3 + 1) if t % 3 == 0 else 1.0),
    "power": Rule(schedules.power(0.1), lambda t: (1 - 1 / t) ** 7.937203937601807),
    "power_gamma": Rule(schedules.power_gamma(2.5), lambda t: (1 - 1 / t) ** 3.5),
    "uncompensated": Rule(
        schedules.uncompensated(schedules.mean_teacher(0.9), every=4, first=2),
        lambda t: min(0.9, 1 - 1 / t) if t % 4 == 2 else 1.0,
    ),
    "ratio": Rule(
        schedules.ratio(0.8, min_decay=0.4, width=5.0, delay=2, copies=1),
        lambda t: 0.0 if t <= 1 else clamp((1 + max(0, t - 2)) / (5 + max(0, t - 2)), 0.4, 0.8),
    ),
    "inverse_power": Rule(
        schedules.inverse_power(0.95, min_decay=0.2, inv_gamma=3.0, power=0.75, delay=4, copies=2),
        lambda t: 0.0 if t <= 2 else clamp(inverse_power(max(0, t - 4), 3, 0.75), 0.2, 0.95),
    ),
    "exponential": Rule(schedules.exponential(0.99, tau=20.0), lambda t: 0.99 * (1 - math.exp(-t / 20))),
    "annealing": Rule(schedules.annealing(0.05, gamma=4.0), lambda t: 1 - max(0.05, 4 / (4 + t - 1))),
    "cosine": Rule(
        schedules.cosine(steps=30, decay=0.9),
        lambda t: 1.0 if t > 30 else 1 - 0.1 * (math.cos(math.pi * (t - 1) / 30) + 1) / 2,
    ),
    "edm": Rule(
        schedules.edm(half_life=400.0, rampup_ratio=0.3, batch=16.0, inclusive=False),
        lambda t: edm(400, 0.3, 16, 16 * (t - 1)),
    ),
    "torch": Rule(schedules.torch(), lambda t: 0.999 if t > 1 else 0.0),
    "torch_ema": Rule(schedules.torch_ema(0.9), lambda t: min(0.9, (1 + t) / (10 + t))),
    "tensorflow": Rule(schedules.tensorflow(0.9), lambda t: min(0.9, t / (9 + t))),
    "tensorflow_addons": Rule(
        schedules.tensorflow_addons(0.9, start_step=5, dynamic_decay=True),
        lambda t: 0.0 if t <= 5 else min(0.9, (t - 5) / (t + 4)),
    ),
    "keras": Rule(schedules.keras(), lambda t: 0.99 if t > 1 else 0.0),
    "d2go": Rule(schedules.d2go(0.9, decay_warm_up_factor=4), lambda t: min(0.9, (1 + t) / (4 + t))),
    "diffusers": Rule(
        schedules.diffusers(0.9, min_decay=0.1, update_after_step=2),
        lambda t: 0.0 if t <= 3 else clamp((t - 2) / (t + 7), 0.1, 0.9),
    ),
    "diffusers with use_ema_warmup": Rule(
        schedules.diffusers(0.9, use_ema_warmup=True, inv_gamma=2.0, power=0.7),
        lambda t: 0.0 if t <= 1 else min(0.9, inverse_power(t - 1, 2, 0.7)),
    ),
    "timm": Rule(
        schedules.timm(0.9, min_decay=0.5, update_after_step=2, warmup_gamma=2.0, warmup_power=0.7),
        lambda t: 0.0 if t <= 3 else clamp(inverse_power(t - 3, 2, 0.7), 0.5, 0.9),
    ),
    "k_diffusion": Rule(
        schedules.k_diffusion(inv_gamma=2.0, power=0.8, min_value=0.1, max_value=0.9, start_at=2),
        lambda t: clamp(inverse_power(max(0, t - 3), 2, 0.8), 0.1, 0.9),
    ),
    "ema_pytorch": Rule(
        schedules.ema_pytorch(0.9, update_after_step=4, update_every=3, inv_gamma=2.0, power=0.7, min_value=0.3),
        lambda t: 1.0 if t % 3 != 1 else 0.0 if t <= 5 else clamp(inverse_power(t - 5, 2, 0.7), 0.3, 0.9),
    ),
    "ignite": Rule(schedules.ignite(0.1, interval=2), lambda t: 1.0 if t % 2 else 0.9),
    "composer": Rule(schedules.composer(20.0, update_interval=3), lambda t: 1.0 if t % 3 else 0.5 ** (3 / 20)),
    "ultralytics": Rule(schedules.ultralytics(tau=30.0), lambda t: 0.9999 * (1 - math.exp(-t / 30))),
    "mmengine": Rule(schedules.mmengine(0.1, gamma=3.0), lambda t: 1 - max(0.1, 3 / (2 + t))),
    "edm2": Rule(schedules.edm2(0.2, batch=64.0), lambda t: 0.5 ** (1 / (0.2 * t))),
}
