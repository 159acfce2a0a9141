"""The new tensors: in which order their axes are, and how one gets another order."""

import dataclasses

import keras
import numpy as np

from keras_shapley_prune.layer_types.layouts.orders import (
    arrange,
    same_order,
    steps_between,
)
from keras_shapley_prune.layer_types.layouts.recipe import same_rows
from keras_shapley_prune.layer_types.stock.recreation import swap_axes
from keras_shapley_prune.trace.functional_models import new_inputs
from keras_shapley_prune.trace.unique_names import UniqueNames


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """What a tensor of the original has become.

    Attributes:
        tensor: The new symbolic tensor.
        order: Tuple, see `Placed`.
        rows: See `Placed`.
    """

    tensor: object
    order: tuple
    rows: object = None


class TensorOrders:
    """Brings new tensors to the order in which they are wanted, each once.

    Args:
        copies: Dict: layer or raw operation -> its copy, as it is filled.
        names: Iterable of the names that are taken.
        output_names: Dict: layer -> name that is to be kept for an output, where the
            output has to be transposed back.
    """

    def __init__(self, copies, names, output_names):
        self._copies, self._output_names = copies, output_names
        self._transposed = {}
        self._names = UniqueNames(first=1)
        for name in names:
            self._names.take(name)

    def bring(self, value, order, rows, output=None):
        """Returns a tensor in the order in which it is wanted.

        Args:
            value: The `Value`.
            order: Tuple.
            rows: See `Placed`.
            output: The tensor itself if it is an output of the whole model.
        """
        tensor = value.tensor
        if not same_rows(value.rows, rows):
            width = tensor.shape[-1]
            have = np.arange(width) if value.rows is None else value.rows
            wanted = np.arange(width) if rows is None else rows
            taken = keras.ops.take(tensor, np.argsort(have)[wanted], axis=-1)
            tensor = self.own_name(taken)
        if value.order == order:
            return tensor
        steps = steps_between(value.order, order)
        if (tensor, steps) not in self._transposed:
            name = self._name_behind(tensor, output)
            self._transposed[tensor, steps] = swap_axes(tensor, steps, name)
        return self._transposed[tensor, steps]

    def own_name(self, tensor):
        """Returns the output of a new operation, which gets a name no other has."""
        operation = tensor._keras_history.operation
        operation.name = self._names.take(operation.name)
        return tensor

    def _name_behind(self, tensor, output):
        """Returns a name for what transposes a tensor.

        An output of the whole model keeps its name where that matters: what computes
        it gets another one.
        """
        made = tensor._keras_history.operation
        original = next((o for o, c in self._copies.items() if c is made), None)
        if output is not None and original in self._output_names:
            made.name = self._names.take(f"{original.name}_channels_last")
            return self._output_names[original]
        return self._names.take(f"{made.name}_transposed")


def new_input(tensor, value):
    """Returns an input like another, its axes in the order of a `Value`.

    Args:
        tensor: The symbolic tensor of the original.
        value: The `Value`, which needs no tensor yet.
    """
    if value.order == same_order(len(tensor.shape)):
        return new_inputs(tensor)
    shape = arrange(tensor.shape, value.order)
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor.name)
