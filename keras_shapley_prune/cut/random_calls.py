"""Which calls of a network draw at random, found by running them."""

import dataclasses
import warnings

import keras
import numpy as np

from keras_shapley_prune.cut.layer_copies import is_stock
from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.layer_types.masked_calls import run_masked
from keras_shapley_prune.trace.agreement import describe_difference

ROUNDING = 1e-6  # of the largest number: sums of a GPU may differ by that
_SEED = "seed_generator_state"  # what Keras calls the variable of a `SeedGenerator`


@dataclasses.dataclass(frozen=True)
class RandomCalls:
    """What is not the same in every run of a network.

    Attributes:
        seeded: Tuple of the `Call`s that draw by a `keras.random.SeedGenerator`, or by
            that of Keras. They draw the same numbers if they start from the same seed.
        unseeded: Tuple of the `Call`s that return something else in every run.
        stateful: Tuple of the `Call`s that change other variables, such as the states
            of a recurrent layer.
    """

    seeded: tuple = ()
    unseeded: tuple = ()
    stateful: tuple = ()

    @property
    def unrepeatable(self):
        """Frozenset of integers: indices of the calls in `unseeded`."""
        return frozenset(call.index for call in self.unseeded)

    def warn(self, stacklevel=3):
        """Tells which layers draw, and how they are dealt with.

        Args:
            stacklevel: Integer, see `warnings.warn`. By default, the line that called
                the caller.
        """
        if self.seeded:
            warnings.warn(
                f"Layers that draw at random in inference: {_names(self.seeded)}. "
                "Units are ranked, repaired and compared with the same draws: each "
                "call starts from the seed that it has now, which does not move on",
                stacklevel=stacklevel,
            )
        if self.unseeded:
            warnings.warn(
                "Layers that draw at random in inference, by no seed of Keras: "
                f"{_names(self.unseeded)}. What they draw cannot be repeated: units "
                "are ranked by another draw in every run, layers that read it are not "
                "repaired, and the check of the result gives both networks the same "
                "draw. A layer that draws with `keras.random` and a "
                "`keras.random.SeedGenerator` of its own can be repeated",
                stacklevel=stacklevel,
            )


def find_random_calls(graph, inputs, look=None):
    """Runs the calls that may draw at random, and looks which do.

    Layers that are made of nothing but Keras's own parts draw in training only: they
    are run no more than the others need, and most networks not at all.

    Args:
        graph: The recorded `Graph`.
        inputs: A few examples, flat or structured as the model takes them.
        look: Optional callable `fn(call, inputs, outputs)`, called with those of the
            calls it runs that return the same in every run, and the tensors.

    Returns:
        A `RandomCalls`.
    """
    suspects = {call for call in graph.calls if _may_change(call.operation)}
    last = max((call.index for call in suspects), default=-1)
    found, values = {"seeded": [], "unseeded": [], "stateful": []}, graph.feed(inputs)
    for call in graph.calls[: last + 1]:
        if call in suspects:
            read = call.read(values)
            kinds, outputs = _try_call(call, read)
            for kind in kinds:
                found[kind].append(call)
            if look is not None and "unseeded" not in kinds:
                look(call, read, outputs)
        graph.run_between(values, call.index, call.index + 1)
    return RandomCalls(**{kind: tuple(calls) for kind, calls in found.items()})


def _may_change(operation):
    if not isinstance(operation, keras.Layer):
        return not type(operation).__module__.startswith("keras.src.")
    return getattr(operation, "stateful", False) or not is_stock(operation)


def _try_call(call, inputs):
    """Returns the kinds of a call, names of fields of `RandomCalls`; and outputs."""
    with HeldState() as scope:
        first = run_masked(call, inputs, {})
    kinds = {
        "seeded" if v.name == _SEED else "stateful" for v in scope.changed.values()
    }
    # Seeds start from the same state again: what differs now comes from elsewhere.
    if not all(map(_is_same, first, run_masked(call, inputs, {}))):
        return kinds - {"seeded"} | {"unseeded"}, first
    return kinds, first


def _is_same(first, second):
    if not hasattr(first, "dtype") or "string" in str(first.dtype):
        return np.array_equal(first, second)
    return describe_difference(first, second, ROUNDING) is None


def _names(calls):
    return sorted({call.name for call in calls})
