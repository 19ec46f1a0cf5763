"""EMAs that go to other processes and come back: by spawn, by fork, by a pool."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from runs import kept, model
from shrew_ema import EMA, StateError, schedules
from workers import looked_at, trained

pytestmark = pytest.mark.filterwarnings("ignore::shrew_ema.EMAWarning")


def begun() -> EMA:
    """An EMA that has been trained for a while."""
    ema = EMA(model(0), [schedules.power(0.1), 0.75], every=2, start=1)
    trained(ema, 5)
    return ema


def test_a_spawned_worker_goes_on_where_it_was_sent_and_sends_back_where_it_came_to() -> None:
    ema = begun()
    before = kept(ema)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        came, state = pool.submit(trained, ema, 4).result(timeout=60)
        looks = pool.submit(looked_at, state).result(timeout=60)
    assert kept(ema) == before
    trained(ema, 4)
    assert kept(came) == kept(ema)
    assert not came.is_bound
    other = EMA(model(0), 0.5)
    other.load_state_dict(state)
    assert kept(other) == kept(ema)
    assert looks == {name: np.asarray(array, float).ravel().tolist() for name, array in ema.averages().items()}


def test_a_pickle_has_no_parameters_and_no_training_values() -> None:
    secret = b"training values!"
    params = {"w": np.frombuffer(secret, np.float64).copy()}
    ema = EMA(params, 0.5)
    ema.update({"w": np.zeros(2)})
    with ema.applied():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            sent = pickle.dumps(ema, protocol)
            assert secret not in sent
            came: EMA = pickle.loads(sent)
            assert not came.is_applied
            assert kept(came)["averages"] == kept(ema)["averages"]
            with pytest.raises(StateError, match=r"bind\(params\) first"):
                came.update()
    assert params["w"].tobytes() == secret


def test_the_arrays_of_a_state_dict_stay_as_they_are() -> None:
    ema = begun()
    state = ema.state_dict()
    before = kept(ema)
    image = pickle.dumps(state)
    trained(ema, 3)
    for column in state["averages"]:
        for array in column.values():
            assert not array.flags.writeable
    assert pickle.dumps(state) == image
    # An EMA that takes them has them for itself.
    other = EMA(model(0), 0.5)
    writable = pickle.loads(image)
    other.load_state_dict(writable)
    for column in writable["averages"]:
        for array in column.values():
            array[...] = 1
    assert kept(other) == before
