"""Random models and random sequences of calls, compared bit for bit with the oracle beside them."""

import copy
import pickle
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reference import Reference
from runs import quiet
from shrew_ema import EMA, CheckpointError, EMAError, EMAWarning, NamesError, NonFiniteError, ShapeError, StateError
from support import (
    BF16,
    F16,
    F32,
    F64,
    FLOATS,
    LAYOUTS,
    MEMORY,
    POLICIES,
    Array,
    Params,
    Policy,
    Width,
    bits,
    normal,
    patterns,
    same_bits,
    same_numbers,
)

DTYPES = [*FLOATS, np.dtype("int32"), np.dtype("uint8"), np.dtype("bool")]
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple) | st.integers(0, 600).map(lambda n: (n,))
DECAYS = st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.999, 1.0]) | st.floats(0, 1)
LAYS = st.sampled_from(sorted(LAYOUTS))


def values(dtype: np.dtype[Any], shape: tuple[int, ...], seed: int, wild: bool) -> Array:
    """Values of a parameter: of the usual size, or any pattern of bits."""
    if dtype.kind in "biu":
        return np.asarray(patterns(np.dtype("u1"), shape, seed) & 1, dtype)
    return patterns(dtype, shape, seed) if wild else normal(dtype, shape, seed)


class Training(RuleBasedStateMachine):
    """A model in training, its EMA, and the oracle beside it."""

    @initialize(
        tensors=st.lists(st.tuples(st.sampled_from(DTYPES), SHAPES, LAYS), min_size=1, max_size=4),
        decay=DECAYS,
        wide=st.booleans(),
        policy=st.sampled_from(POLICIES),
        seed=SEEDS,
    )
    def construct(
        self, tensors: list[tuple[Any, Any, str]], decay: float, wide: bool, policy: Policy, seed: int
    ) -> None:
        """A model, its EMA and its oracle."""
        self.params: Params = {}
        for index, (dtype, shape, layout) in enumerate(tensors):
            wild = policy != "raise" and seed % 2 == 0
            self.params[f"p{index}"] = LAYOUTS[layout](values(dtype, shape, seed + index, wild))
        width: Width | None = "float64" if wide else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EMAWarning)
            self.ema = EMA(self.params, decay, shadow_dtype=width, nonfinite=policy)
        self.oracle = Reference(self.params, decay, width, policy)
        self.training: dict[str, Array] | None = None
        self.views: list[tuple[Array, bytes]] = []

    @rule(seed=SEEDS, wild=st.booleans())
    def step(self, seed: int, wild: bool) -> None:
        """The optimizer moves the parameters, or whoever evaluates the averages does."""
        for index, array in enumerate(self.params.values()):
            array[...] = values(array.dtype, array.shape, seed + index, wild)

    @rule(index=st.integers(0, 3), layout=LAYS)
    def rebind(self, index: int, layout: str) -> None:
        """A parameter moves to other memory."""
        name = list(self.params)[index % len(self.params)]
        self.params[name] = LAYOUTS[layout](self.params[name])

    @rule(seed=SEEDS)
    def reorder(self, seed: int) -> None:
        """The dict gets another order."""
        entries = list(self.params.items())
        np.random.default_rng(seed).shuffle(entries)
        self.params.clear()
        self.params.update(entries)

    def updated(self, params: Params, warmup: bool, other: bool) -> None:
        """An update of both, which must agree on what is refused."""
        given = (params,) if other else ()
        call = self.ema.update_with_warmup if warmup else self.ema.update
        refused = self.oracle.update(params, warmup)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EMAWarning)
            if refused and self.oracle.nonfinite == "raise":
                with pytest.raises(NonFiniteError) as caught:
                    call(*given)
                assert caught.value.tensors == refused
            else:
                call(*given)

    @precondition(lambda self: self.training is None)
    @rule(warmup=st.booleans())
    def update(self, warmup: bool) -> None:
        """Averages the model."""
        self.updated(self.params, warmup, other=False)

    @precondition(lambda self: self.training is None)
    @rule(warmup=st.booleans(), seed=SEEDS)
    def update_other(self, warmup: bool, seed: int) -> None:
        """Averages another model of the same kind."""
        other = {name: values(array.dtype, array.shape, seed, wild=False) for name, array in self.params.items()}
        self.updated(other, warmup, other=True)

    @precondition(lambda self: self.training is None)
    @rule(how=st.sampled_from(["apply", "copy_to"]))
    def write(self, how: str) -> None:
        """Puts the averages into the model, for a while or for good."""
        training = {name: array.copy() for name, array in self.params.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EMAWarning)
            getattr(self.ema, how)()
        self.training = training if how == "apply" else None
        for name, array in self.params.items():
            assert same_numbers(array, self.oracle.applied(name))

    @precondition(lambda self: self.training is not None)
    @rule()
    def restore(self) -> None:
        """Puts the training values back."""
        assert self.training is not None
        self.ema.restore()
        for name, array in self.params.items():
            assert same_bits(array, self.training[name])
        self.training = None

    @precondition(lambda self: self.training is not None)
    @rule()
    def keep(self) -> None:
        """Ends on the averages, whatever is in the model."""
        self.ema.copy_to()
        for name, array in self.params.items():
            assert same_numbers(array, self.oracle.applied(name))
        self.training = None

    @precondition(lambda self: self.training is not None)
    @rule(call=st.sampled_from(["update", "update_with_warmup", "apply"]))
    def mixing_is_refused(self, call: str) -> None:
        """What would average the average or lose the training values."""
        self.refused(StateError, call)

    @rule(
        call=st.sampled_from(["update", "update_with_warmup", "apply", "copy_to", "restore"]), index=st.integers(0, 3)
    )
    def another_model_is_refused(self, call: str, index: int) -> None:
        """A tensor has gone, or has another shape."""
        if call == "restore" and self.training is None:  # which does not look at the model
            return
        name = list(self.params)[index % len(self.params)]
        array = self.params.pop(name)
        self.params["other"] = array
        self.refused((NamesError, StateError), call)
        del self.params["other"]
        self.params[name] = array[None]
        self.refused((ShapeError, StateError), call)
        self.params[name] = array

    def refused(self, error: type[EMAError] | tuple[type[EMAError], ...], call: str, *given: object) -> None:
        """Makes a call that must fail; the invariants see to it that nothing has changed."""
        before = {name: bits(array) for name, array in self.params.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EMAWarning)
            with pytest.raises(error):
                getattr(self.ema, call)(*given)
        assert {name: bits(array) for name, array in self.params.items()} == before

    @rule(way=st.sampled_from(["file", "state dict", "state dict of another", "pickle", "copy", "deepcopy"]))
    def keep_and_go_on(self, way: str) -> None:
        """What was kept is where the EMA is, and while averages are applied no more than looked at."""
        with quiet():
            kept = self.kept(way)
        assert not kept.is_applied
        assert (kept.decay, kept.step, kept.initial_share) == (self.ema.decay, self.ema.step, self.ema.initial_share)
        assert kept.skipped == self.ema.skipped
        found = kept.averages()
        for name, average in self.ema.averages().items():
            assert same_bits(found[name], average)
        if self.training is None:
            self.ema = kept

    def kept(self, way: str) -> EMA:
        """Another EMA, from what is kept of this one."""
        if way == "file":
            with TemporaryDirectory(dir=MEMORY) as folder:
                self.ema.save(Path(folder, "ema.safetensors"))
                return EMA.load(Path(folder, "ema.safetensors"), self.params)
        if way == "state dict of another":
            other = EMA(self.params, [0.125, 0.75], nonfinite="propagate", every=3, start=2)
            other.load_state_dict(self.ema.state_dict())
            return other
        if way == "state dict":
            state = pickle.loads(pickle.dumps(self.ema.state_dict()))
            if self.training is None:
                self.ema.load_state_dict(state)
                return self.ema
            self.refused(StateError, "load_state_dict", state)
        copies = {"copy": copy.copy, "deepcopy": copy.deepcopy}
        kept: EMA = copies[way](self.ema) if way in copies else pickle.loads(pickle.dumps(self.ema))
        kept.bind(self.params)
        return kept

    @rule(index=st.integers(0, 3))
    def another_state_is_refused(self, index: int) -> None:
        """The average of a tensor has gone, or has another shape."""
        state = self.ema.state_dict()
        averages = state["averages"][0]
        name = list(averages)[index % len(averages)]
        average = averages.pop(name)
        self.refused(CheckpointError, "load_state_dict", state)
        averages[name] = average[None]
        self.refused((ShapeError, StateError), "load_state_dict", state)

    @rule(index=st.integers(0, 3))
    def look(self, index: int) -> None:
        """Somebody takes a view and keeps it."""
        view = self.ema.shadow_values(index % len(self.params))
        self.views.append((view, bits(view)))

    @invariant()
    def the_books_agree(self) -> None:
        """Counters, state and averages are those of the oracle, and no view has changed."""
        if not hasattr(self, "ema"):
            return
        assert self.ema.num_updates == self.ema.step == self.oracle.num_updates
        assert self.ema.initial_share == pytest.approx(self.oracle.initial_share, rel=1e-12, abs=0)
        assert self.ema.skipped == self.oracle.skipped
        assert self.ema.is_applied == (self.training is not None)
        for name, view in self.ema.averages().items():
            assert same_numbers(view, self.oracle.shadow(name))
        for view, image in self.views:
            assert bits(view) == image

    def teardown(self) -> None:
        """Leaves no EMA applied, which would warn."""
        if getattr(self, "training", None) is not None:
            self.ema.restore()


TestTraining = Training.TestCase
TestTraining.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")
@given(pairs=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), decay=DECAYS)
@pytest.mark.parametrize("dtype", [F16, BF16, F32, F64], ids=str)
def test_an_average_lies_between_what_was_averaged(
    dtype: np.dtype[Any], pairs: list[tuple[float, float]], decay: float
) -> None:
    with np.errstate(over="ignore"):
        both = np.array(pairs).astype(dtype).T
    start, then = both[:, np.isfinite(both).all(axis=0)]
    ema = EMA({"w": start}, decay)
    ema.update({"w": then})
    average = ema.shadow_values("w")
    low, high = np.minimum(start, then).astype(F64), np.maximum(start, then).astype(F64)
    # A rounding can lead one unit in the last place outside.
    room = np.finfo(average.dtype).eps * np.maximum(abs(low), abs(high)) + 1e-44
    assert np.all(average >= low - room)
    assert np.all(average <= high + room)
