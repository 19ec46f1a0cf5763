"""Exponential moving averages of model parameters: the index of the package, which imports no framework."""

from . import schedules as schedules
from ._core import EMA as EMA
from ._core import Schedule as Schedule
from ._core import __version__ as __version__
from .errors import CheckpointError as CheckpointError
from .errors import ConfigError as ConfigError
from .errors import DTypeError as DTypeError
from .errors import EMAError as EMAError
from .errors import EMAWarning as EMAWarning
from .errors import LayoutError as LayoutError
from .errors import NamesError as NamesError
from .errors import NonFiniteError as NonFiniteError
from .errors import ShapeError as ShapeError
from .errors import StateError as StateError

__all__ = [
    "EMA",
    "CheckpointError",
    "ConfigError",
    "DTypeError",
    "EMAError",
    "EMAWarning",
    "LayoutError",
    "NamesError",
    "NonFiniteError",
    "Schedule",
    "ShapeError",
    "StateError",
    "__version__",
    "schedules",
]
