"""Recurrent layers: hidden units, which must not feed back when they are not there."""

import keras
import numpy as np
from keras import layers, ops
from keras.ops import convert_to_numpy

from keras_shapley_prune.layer_types.elementwise_activations import describe_mixing
from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.masked_calls import Mask
from keras_shapley_prune.layer_types.registry import (
    GATES,
    LAYER_TYPES,
    find_layer_type,
)
from keras_shapley_prune.layer_types.stock.constants import name_arguments
from keras_shapley_prune.layer_types.unit_ids import INSIDE, count_kept


class RecurrentType(LayerType):
    """An `LSTM`, `GRU` or `SimpleRNN`. Letter "u": the hidden units.

    Args:
        num_gates: Integer, how many gates each hidden unit has.

    Attributes:
        size: String, the config entry, and attribute, with the number of hidden units.
    """

    size = "units"

    def __init__(self, num_gates):
        self.num_gates = num_gates

    def count_units(self, layer):
        """Returns how many hidden units the layer of a direction has."""
        return getattr(layer, self.size)

    def directions(self, operation):
        """Returns the layers of an operation, one for each direction."""
        return (operation,)

    def flow(self, call, channels):
        """Hidden units are produced, read inside, and returned, as output and state."""
        first = self.directions(call.operation)[0]
        channels.consume(call, 0)
        units = channels.produce(call, "u", self.count_units(first))
        # A hidden unit is read again in the next step, and goes on as an output.
        channels.enclose(call, units, passing=True)
        # An initial state has an entry for each hidden unit.
        for state in _initial_states(call):
            reason = f"{channels.quote(call)} begins with a state of channels"
            channels.tie(units, channels.ids(state), reason)
        return [units] * len(call.outputs)

    def letters(self, call, ids):
        # The gates are side by side on one axis, each with all units.
        return {GATES: np.tile(ids["u"], self.num_gates)}

    def weights(self, operation):
        cells = [layer.cell for layer in self.directions(operation)]
        # (inputs, gates * units), (units, gates * units), and a bias whose last axis
        # are the gates: that of a `GRU` may have two rows.
        found = [(cell.kernel, "ig") for cell in cells]
        found += [(cell.recurrent_kernel, "ug") for cell in cells]
        return found + [(cell.bias, "g") for cell in cells if cell.use_bias]

    def resize(self, config, kept):
        config[self.size] = count_kept(kept["u"])

    def unfit(self, call):
        directions = self.directions(call.operation)
        if directions[0].stateful:
            return "is stateful, and its state would have to be cut"
        for layer in directions:
            # In the loop there are the positions of one step: in an LSTM none.
            rank = len(layer.cell.kernel.shape) - 2
            positions = call.outputs[0].shape[-1 - rank : -1]
            shape = (None, *positions, self.count_units(layer))
            mixing = describe_mixing(layer, shape)
            if mixing is not None:
                return f"cannot lose hidden units: {mixing}"
        states = _initial_states(call)
        if len(directions) > 1 and states:
            return "is given initial states"
        if not all(isinstance(state, keras.KerasTensor) for state in states):
            return "is given initial states that are constants"
        return None

    def masked(self, operation, masks, sequences, initial_state=None, **options):
        if INSIDE not in masks:
            return operation(sequences, initial_state=initial_state, **options)
        # What is masked in a loop cannot be watched.
        mask, steps = Mask(masks[INSIDE].values), options.get("mask")
        return _mask_direction(operation, mask, sequences, initial_state, steps)

    def projection(self, call, position):
        """The kernels of what is read: states are not multiplied but in the loop."""
        cells = [layer.cell for layer in self.directions(call.operation)]
        kernels = [convert_to_numpy(cell.kernel) for cell in cells]
        # Of a convolution, the taps are columns, too: (channels, taps * gates).
        by_channel = [np.moveaxis(kernel, -2, 0) for kernel in kernels]
        rows = [kernel.reshape(len(kernel), -1) for kernel in by_channel]
        return np.concatenate(rows, axis=1)

    def products(self, call):
        """The kernels, at every time step."""
        times = self.count_uses(call)
        return [
            (letters, weight.shape, times)
            for weight, letters in self.weights(call.operation)
            if len(letters) == 2
        ]

    def count_uses(self, call):
        """Returns how often each kernel is applied to an example, `None` if unknown."""
        return call.inputs[0].shape[1]


class BidirectionalType(RecurrentType):
    """A `Bidirectional`: two layers that lose the same hidden units.

    Keras builds both with the same number of them, from one entry of the config.
    """

    def __init__(self):
        super().__init__(num_gates=None)  # as many as the layers within have

    def wrapped(self, operation):
        return operation.forward_layer  # the other one is of the same kind

    def directions(self, operation):
        return operation.forward_layer, operation.backward_layer

    def count_units(self, layer):
        return find_layer_type(layer).count_units(layer)

    def count_uses(self, call):
        return find_layer_type(call.operation.forward_layer).count_uses(call)

    def flow(self, call, channels):
        outputs = super().flow(call, channels)
        if call.operation.merge_mode == "concat":
            # Any other merging, and the states, have the units of one direction.
            outputs[0] = np.concatenate([outputs[0], outputs[0]])
        return outputs

    def letters(self, call, ids):
        return find_layer_type(call.operation.forward_layer).letters(call, ids)

    def resize(self, config, kept):
        for name in ("layer", "backward_layer"):
            inner = config[name]["config"]
            size = next(key for key in _SIZES if key in inner)
            inner[size] = count_kept(kept["u"])
            # It would be built for the old input.
            config[name].pop("build_config", None)

    def unfit(self, call):
        directions = self.directions(call.operation)
        for layer in directions:
            if not isinstance(find_layer_type(layer), RecurrentType):
                return f"is of a {type(layer).__name__}, no registered recurrent layer"
        kinds = {(type(x), self.count_units(x)) for x in directions}
        if len(kinds) > 1:
            return "has two directions that differ"
        return super().unfit(call)

    def masked(self, operation, masks, sequences, **options):
        if INSIDE not in masks:
            return operation(sequences, **options)
        mask, steps = Mask(masks[INSIDE].values), options.get("mask")
        both = [
            _mask_direction(layer, mask, sequences, steps=steps)
            for layer in self.directions(operation)
        ]
        states = ()
        if operation.return_state:
            states = (*both[0][1:], *both[1][1:])
            both = [returned[0] for returned in both]
        forward, backward = (ops.cast(x, operation.compute_dtype) for x in both)
        if operation.return_sequences:
            # It has run from the last step to the first, and returns them in this
            # order.
            backward = ops.flip(backward, axis=1)
        outputs = _MERGES[operation.merge_mode](forward, backward)
        if operation.merge_mode is None:
            return (*outputs, *states)
        return (outputs, *states) if states else outputs


_SIZES = "units", "filters"
_MERGES = {
    "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "ave": lambda a, b: (a + b) / 2,
    "mul": lambda a, b: a * b,
    None: lambda a, b: (a, b),
}


class _MaskedCell:
    """The cell of a recurrent layer whose hidden units are not all read again.

    Args:
        cell: The layer's cell.
        mask: A `Mask`.
    """

    def __init__(self, cell, mask):
        self._cell, self._mask = cell, mask
        self.state_size = cell.state_size
        self.output_size = getattr(cell, "output_size", None)
        self.compute_dtype = cell.compute_dtype
        self.get_initial_state = cell.get_initial_state

    def call(self, inputs, states):
        """Runs a step; the first state is what the cell returned the step before."""
        # Other states, such as an LSTM's cell state, reach other units through the
        # first one only: to mask that one is enough.
        first, *others = states
        return self._cell(inputs, [self._mask(first), *others])

    __call__ = call


def _mask_direction(layer, mask, sequences, initial_state=None, steps=None):
    # A layer runs its own cell only; `RNN` runs any.
    options = ("return_sequences", "return_state", "go_backwards", "unroll")
    masked = layers.RNN(
        _MaskedCell(layer.cell, mask),
        zero_output_for_mask=layer.zero_output_for_mask,
        dtype=layer.dtype_policy,
        name=layer.name,
        **{name: getattr(layer, name) for name in options},
    )
    return masked(sequences, initial_state=initial_state, mask=steps)


def _initial_states(call):
    return keras.tree.flatten(name_arguments(call).get("initial_state", []))


LAYER_TYPES |= {
    layers.LSTM: RecurrentType(num_gates=4),
    layers.GRU: RecurrentType(num_gates=3),
    layers.SimpleRNN: RecurrentType(num_gates=1),
    layers.Bidirectional: BidirectionalType(),
}
