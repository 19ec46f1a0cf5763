"""NaN and infinity: refused, skipped or let through, wherever in a tensor they stand."""

from typing import Any

import numpy as np
import pytest

from reference import Reference
from shrew_ema import EMA, NonFiniteError
from support import BF16, F16, F32, F64, FLOATS, POLICIES, Params, Policy, normal, same_bits, same_numbers, unchanged

NAN, INF = float("nan"), float("inf")
BAD = [NAN, INF, -INF]

# 1003 elements are three blocks of 256 and a rest of 235, of which 3 are left over by lanes of 8.
LENGTH = 1003
PLACES = [0, 1, 255, 256, 257, 511, 512, 767, 768, 999, 1000, 1001, 1002]

# 1 - d below ½, where the update starts from the average; at and above it, where it starts from the parameter; and 1.
DECAYS = [0.999, 0.5, 0.3, 0.0]

pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")


def step(ema: EMA, oracle: Reference, params: Params) -> None:
    """One update of both, which must agree in the error, the books and the bits."""
    refused = oracle.update(params)
    if refused and oracle.nonfinite == "raise":
        with pytest.raises(NonFiniteError) as caught:
            ema.update()
        assert caught.value.tensors == refused
        for name, count in refused.items():
            assert f'"{name}" ({count})' in str(caught.value)
    else:
        ema.update()
    assert ema.skipped == oracle.skipped
    assert ema.num_updates == oracle.num_updates
    assert ema.initial_share == pytest.approx(oracle.initial_share, rel=1e-13, abs=0)
    for name in params:
        assert same_numbers(ema.shadow_values(name), oracle.shadow(name))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("bad", BAD)
def test_one_bad_element_is_one_bad_element_wherever_it_stands(policy: Policy, decay: float, bad: float) -> None:
    for place in PLACES:
        params = {"w": normal(F32, LENGTH, seed=1), "clean": normal(F32, 300, seed=2)}
        ema, oracle = EMA(params, decay, nonfinite=policy), Reference(params, decay, nonfinite=policy)
        before = ema.shadow_values("w")[place]
        params["w"] += 1
        params["w"][place] = bad
        step(ema, oracle, params)
        after = ema.shadow_values("w")
        assert np.isfinite(np.delete(after, place)).all()
        if policy == "propagate":
            assert not np.isfinite(after[place])
            assert ema.skipped == {}
        else:
            assert after[place] == before
            assert ema.skipped == {"w": 1}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("decay", DECAYS)
def test_blocks_full_of_accidents_follow_the_oracle(policy: Policy, dtype: np.dtype[Any], decay: float) -> None:
    rng = np.random.default_rng(3)
    largest = float(np.finfo(dtype).max if dtype != BF16 else 3.389e38)
    accidents = np.array([NAN, INF, -INF, largest, -largest, 0.0, -0.0]).astype(dtype)
    params = {"w": normal(dtype, LENGTH, seed=4), "v": normal(dtype, (5, 51), seed=5)}
    if policy != "raise":  # under which no model starts so
        params["w"][::9] = rng.choice(accidents, len(params["w"][::9]))
    ema, oracle = EMA(params, decay, nonfinite=policy), Reference(params, decay, nonfinite=policy)
    for update in range(6):
        for array in params.values():
            array[...] = normal(dtype, array.shape, seed=10 + update)
            # In the last updates there is none, so that what can recover does.
            where = rng.random(array.shape) < (0.1 if update < 4 else 0)
            array[where] = rng.choice(accidents, where.sum())
        step(ema, oracle, params)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("bad", BAD)
def test_a_model_that_starts_bad_is_refused_under_raise(dtype: np.dtype[Any], bad: float) -> None:
    for place in PLACES:
        params = {"good": normal(dtype, 3, seed=1), "bad": normal(dtype, LENGTH, seed=1), "n": np.arange(3)}
        params["bad"][place] = bad
        params["bad"][500] = bad
        with unchanged(None, params), pytest.raises(NonFiniteError) as caught:
            EMA(params)
        assert caught.value.tensors == {"bad": 2}
        assert '"bad" (2)' in str(caught.value)
        assert '"good"' not in str(caught.value)
        for policy in POLICIES[1:]:
            ema = EMA(params, nonfinite=policy)
            assert same_numbers(ema.shadow_values("bad").astype(dtype), params["bad"])
            assert ema.skipped == {}


def test_the_error_names_every_tensor_and_the_others_are_averaged(model: Params) -> None:
    ema = EMA(model, 0.5)
    before = {name: array.copy() for name, array in ema.averages().items()}
    for array in model.values():
        np.add(array, 1, out=array)
    model["first"][0, 0] = NAN
    model["last"][...] = INF
    with pytest.raises(NonFiniteError) as caught:
        ema.update()
    assert caught.value.tensors == {"first": 1, "last": 6}
    assert ema.skipped == {"first": 1, "last": 6}
    assert ema.num_updates == 1
    assert ema.initial_share == 0.5
    assert same_bits(ema.shadow_values("last"), before["last"])
    assert np.all(ema.shadow_values("middle") > before["middle"])
    with pytest.raises(NonFiniteError, match=r"update_with_warmup.*averages"):
        ema.update_with_warmup()
    assert ema.skipped == {"first": 2, "last": 12}


@pytest.mark.parametrize("policy", POLICIES)
def test_an_average_once_kept_goes_on(policy: Policy) -> None:
    params = {"w": np.zeros(1)}
    ema = EMA(params, 0.5, nonfinite=policy)
    params["w"][0] = NAN
    try:
        ema.update()
    except NonFiniteError:
        assert policy == "raise"
    params["w"][0] = 1
    ema.update()
    expected = np.array([NAN if policy == "propagate" else 0.5])
    assert same_numbers(ema.shadow_values("w"), expected)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("start", BAD)
def test_skip_takes_the_first_finite_value_and_averages_from_there(decay: float, start: float) -> None:
    params = {"w": np.array([start, 1.0])}
    ema = EMA(params, decay, nonfinite="skip")
    params["w"][:] = 3.0
    ema.update()
    assert ema.shadow_values("w")[0] == 3.0
    assert ema.skipped == {}
    params["w"][:] = 5.0
    ema.update()
    assert ema.shadow_values("w")[0] == pytest.approx(decay * 3 + (1 - decay) * 5, rel=1e-15, abs=0)


@pytest.mark.parametrize("policy", POLICIES[1:])  # under "raise" no model starts with an infinity
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("value", [INF, -INF])
@pytest.mark.parametrize("dtype", [F16, F32, F64], ids=str)
def test_a_constant_infinity_lives_on_and_is_not_counted(
    policy: Policy, decay: float, value: float, dtype: np.dtype[Any]
) -> None:
    params = {"mask": np.full(300, 0.5, dtype)}
    params["mask"][7::3] = value
    ema = EMA(params, decay, nonfinite=policy)
    start = ema.shadow_values("mask")
    for _ in range(3):
        ema.update()
    assert same_bits(ema.shadow_values("mask"), start)
    assert ema.skipped == {}


def test_infinities_of_different_signs_are_no_constant() -> None:
    params = {"w": np.array([INF, 1.0])}
    ema = EMA(params, 0.9, nonfinite="skip")
    params["w"][0] = -INF
    ema.update()
    assert ema.shadow_values("w").tolist() == [INF, 1.0]
    assert ema.skipped == {"w": 1}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("dtype", [F32, F64, BF16], ids=str)
def test_a_difference_that_overflows_is_averaged_all_the_same(
    policy: Policy, decay: float, dtype: np.dtype[Any]
) -> None:
    largest = np.array(3.3e38 if dtype == BF16 else np.finfo(dtype).max).astype(dtype)
    for place in PLACES:
        params = {"w": normal(dtype, LENGTH, seed=6)}
        params["w"][place] = largest
        ema, oracle = EMA(params, decay, nonfinite=policy), Reference(params, decay, nonfinite=policy)
        params["w"][place] = -largest
        step(ema, oracle, params)
        share = float(ema.shadow_values("w")[place]) / float(largest)
        assert share == pytest.approx(2 * decay - 1, abs=1e-6)
        assert ema.skipped == {}


def test_integers_are_never_refused() -> None:
    params = {"n": np.array([2**63 - 1, -(2**63)]), "flag": np.array([True, False])}
    ema = EMA(params, 0.5)
    params["n"][:] = params["n"][::-1].copy()
    ema.update()
    assert ema.shadow_values("n").tolist() == [-(2**63), 2**63 - 1]
    assert ema.skipped == {}
