"""Fixtures that several test files share, and how hypothesis searches."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import pytest
from hypothesis import settings

import handmade
from shrew_ema import EMA
from support import MEMORY, Params

VECTORS = Path(__file__).parent.parent / "vectors"

# No deadline: on a shared machine an example now and then takes long for no reason of its own.
settings.register_profile("shrew-ema", deadline=None, print_blob=True)
settings.load_profile("shrew-ema")


@pytest.fixture(scope="session")
def decays() -> dict[str, list[tuple[int, float]]]:
    """For each rule, updates (counted from 1) and their decays."""
    tables: dict[str, dict[str, list[tuple[int, float]]]] = json.loads((VECTORS / "decays.json").read_text())
    return tables["decay_at_update"]


@pytest.fixture(scope="session")
def trajectories() -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Fifty rows of three parameters, row 0 the initial one, and for each rule the average after each update."""
    tables: dict[str, list[list[float]]] = json.loads((VECTORS / "trajectories.json").read_text())
    return {name: np.array(rows) for name, rows in tables.items()}


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder not called after the test, as pytest's own is: messages name files, and are searched for words."""
    return tmp_path_factory.mktemp("0")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for files by the hundred."""
    with TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.fixture
def model() -> Params:
    """Three float32 tensors of one shape, so that only their names tell them apart."""
    rng = np.random.default_rng(5)
    return {name: rng.normal(size=(2, 3)).astype(np.float32) for name in ("first", "middle", "last")}


@pytest.fixture
def params() -> Params:
    """A small model of every class of dtype."""
    return handmade.model()


@pytest.fixture
def ema(params: Params) -> EMA:
    """Its EMA, after some training."""
    return handmade.trained(params)


class Train(Protocol):
    """Moves the parameters and updates their average, some times."""

    def __call__(self, ema: EMA, params: Params, updates: int = 6) -> None: ...


@pytest.fixture
def train() -> Train:
    """Training, as far as an average can tell. Six updates of decay ½ leave 1.6% of the start."""

    def train(ema: EMA, params: Params, updates: int = 6) -> None:
        rng = np.random.default_rng(7)
        for _ in range(updates):
            for array in params.values():
                np.add(array, rng.normal(size=array.shape).astype(array.dtype), out=array)
            ema.update()

    return train
