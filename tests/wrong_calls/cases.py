"""What a table of wrong calls consists of, and how one of them is judged."""

import collections.abc
import dataclasses
import os
import time
import traceback

import keras_shapley_prune

PACKAGE = os.path.dirname(keras_shapley_prune.__file__)
MOST_SECONDS = 1.0  # of the processor, of all threads
NOISE = ("Traceback", "InvalidArgumentError", "{{node", "object has no attribute")


class LongWorkError(BaseException):
    """Raised where a wrong call goes on to read its data. No handler catches it."""


@dataclasses.dataclass(frozen=True)
class Made:
    """A value that has to be made, from what the world of the tests has.

    Attributes:
        make: Callable: the `World` -> value.
    """

    make: collections.abc.Callable


@dataclasses.dataclass(frozen=True)
class Call:
    """A public function, with arguments that are right and values that are wrong.

    Attributes:
        name: String, how users call it.
        run: Callable: keyword arguments -> anything.
        right: Dict: argument -> value.
        wrong: Dict: argument, or several, joined by a comma, any of which may be
            blamed -> dict: what is wrong -> value.
    """

    name: str
    run: collections.abc.Callable
    right: dict
    wrong: dict

    @property
    def cases(self):
        """List of `Case`."""
        return [
            Case(self, arguments.split(","), label, value)
            for arguments, values in self.wrong.items()
            for label, value in values.items()
        ]


@dataclasses.dataclass(frozen=True)
class Case:
    """One wrong call.

    Attributes:
        call: The `Call`.
        arguments: List of the arguments of which the message has to name one. The
            first is the wrong one.
        label: String, what is wrong about it.
        value: The wrong value. A dict with `"..."` among its keys is further arguments.
    """

    call: Call
    arguments: list
    label: str
    value: object

    def __str__(self):
        return f"{self.call.name}({self.arguments[0]}: {self.label})"

    def judge(self, world):
        """Does the call; returns how it ended otherwise than promised, or `None`.

        Args:
            world: The `World`.
        """
        arguments = {k: _make(v, world) for k, v in self.call.right.items()}
        value = _make(self.value, world)
        several = isinstance(value, dict) and "..." in value
        changed = dict(value) if several else {self.arguments[0]: value}
        changed.pop("...", None)
        start = time.process_time()
        try:
            self.call.run(**{**arguments, **changed})
        except LongWorkError as error:
            return f"long work: {error}"
        except Exception as error:
            return _judge(error, self.arguments) or _judge_time(start)
        return "no error"


def _make(value, world):
    return value.make(world) if isinstance(value, Made) else value


def _judge_time(start):
    seconds = time.process_time() - start
    return f"{seconds:.1f} seconds" if seconds > MOST_SECONDS else None


def _judge(error, arguments):
    """Returns what is wrong about an error, or `None`."""
    text, said = str(error), f"{type(error).__name__}: {error}"
    place = traceback.extract_tb(error.__traceback__)[-1].filename
    if type(error) is not ValueError:
        return f"other type: {said}"
    if not place.startswith(PACKAGE):
        return f"raised by {place}: {said}"
    if not any(f"`{name}" in text for name in arguments):
        return f"does not name {arguments}: {said}"
    if "eceived" not in text:
        return f"does not say what was received: {said}"
    if any(noise in text for noise in NOISE):
        return f"noise: {said}"
    return None
