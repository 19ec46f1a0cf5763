"""What can go wrong, as classes: each also derives from the built-in exception that it is a case of.

A refused call changes nothing: parameters, averages and counters are bitwise what they were. The one exception is
`NonFiniteError` out of an update, which reports a pass that was made.

Messages name the tensor or the argument, the value found, and what would have been valid; the same facts are
attributes. The messages are written where the checks are, in the compiled module.
"""


class EMAError(Exception):
    """The base of every error of this package.

    Every positional argument stays in `args`, the message first, so that pickling and copying need no further code.
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ConfigError(EMAError, ValueError):
    """An argument is not valid: a decay outside [0, 1], an unknown option, parameters in no container.

    Attributes:
        argument: the argument's name.
        value: what was given, as text.
        valid: what would have been valid.
    """

    def __init__(self, message: str, argument: str, value: str, valid: str) -> None:
        super().__init__(message, argument, value, valid)
        self.argument = argument
        self.value = value
        self.valid = valid


class NamesError(EMAError, LookupError, ValueError):
    """The container holds other names than those that are averaged, or a name or an index was asked for in vain.

    Attributes:
        missing: names that are averaged and were not given.
        unexpected: names that were given and are not averaged.
    """

    def __init__(self, message: str, missing: tuple[str, ...], unexpected: tuple[str, ...]) -> None:
        super().__init__(message, missing, unexpected)
        self.missing = missing
        self.unexpected = unexpected


class ShapeError(EMAError, ValueError):
    """A parameter has another shape than its average. Nothing is ever broadcast.

    Attributes:
        name: the parameter's name.
        expected: the shape of its average.
        found: the shape found.
    """

    def __init__(self, message: str, name: str, expected: tuple[int, ...], found: tuple[int, ...]) -> None:
        super().__init__(message, name, expected, found)
        self.name = name
        self.expected = expected
        self.found = found


class DTypeError(EMAError, TypeError):
    """A parameter has a dtype that can't be averaged, or another one than at construction, or is no array.

    Attributes:
        name: the parameter's name.
        found: the dtype found, or the type of what is no array.
        valid: what would have been valid.
    """

    def __init__(self, message: str, name: str, found: str, valid: str) -> None:
        super().__init__(message, name, found, valid)
        self.name = name
        self.found = found
        self.valid = valid


class LayoutError(EMAError, ValueError):
    """A parameter's memory can't be used as it is: misaligned, read-only, shared, or that of a NumPy scalar.

    Attributes:
        name: the parameter's name; of two that share memory, the first one's.
        problem: what is wrong with it, and what to do; of two that share memory, it names the other.
    """

    def __init__(self, message: str, name: str, problem: str) -> None:
        super().__init__(message, name, problem)
        self.name = name
        self.problem = problem


class StateError(EMAError, RuntimeError):
    """The call is not possible now: `update` or a second `apply` while the averages are in the parameters.

    Attributes:
        call: the call that was refused.
        state: the state that it was refused in.
    """

    def __init__(self, message: str, call: str, state: str) -> None:
        super().__init__(message, call, state)
        self.call = call
        self.state = state


class CheckpointError(EMAError, ValueError):
    """A file can't be written, or is no checkpoint to load: missing, cut short, damaged, of another program.

    Where it was the system that refused, its `OSError` is the `__cause__`.

    Attributes:
        path: the file, or "state_dict".
        problem: what is wrong with it.
    """

    def __init__(self, message: str, path: str, problem: str) -> None:
        super().__init__(message, path, problem)
        self.path = path
        self.problem = problem


class NonFiniteError(EMAError, ValueError):
    """Parameters are NaN or infinite, under `nonfinite="raise"`.

    Out of an update, the pass was made and counted: the elements counted here kept their old averages, all others are
    averaged. Out of a construction, nothing was made.

    Attributes:
        tensors: how many elements of each tensor concerned.
    """

    def __init__(self, message: str, tensors: dict[str, int]) -> None:
        super().__init__(message, tensors)
        self.tensors = tensors


class EMAWarning(UserWarning):
    """Advice that stops no call, given once in an EMA's life for each kind of it."""
