"""Recurrent layers: hidden units, which must not feed back when they are not there."""

import keras
import numpy as np
from keras import layers, ops
from keras.ops import convert_to_numpy

from keras_shapley_prune.layer_types.elementwise_activations import ELEMENTWISE
from keras_shapley_prune.layer_types.masked_calls import Mask
from keras_shapley_prune.layer_types.registry import GATES, SPECS, LayerSpec
from keras_shapley_prune.layer_types.stock.call_arguments import name_arguments
from keras_shapley_prune.layer_types.unit_ids import INSIDE

_NUM_GATES = {layers.LSTM: 4, layers.GRU: 3, layers.SimpleRNN: 1}


def _directions(operation):
    """Returns the layers of an operation, one for each direction."""
    if isinstance(operation, layers.Bidirectional):
        return operation.forward_layer, operation.backward_layer
    return (operation,)


def _flow(call, channels):
    """Hidden units are produced, read inside, and returned, as output and as state."""
    operation = call.operation
    channels.consume(call, 0)
    units = channels.produce(call, "u", _directions(operation)[0].units)
    channels.enclose(call, units, passing=True)
    for state in keras.tree.flatten(name_arguments(call).get("initial_state", [])):
        reason = f"{channels.quote(call)} joins it with channels"
        channels.tie(units, channels.ids(state), reason)
    outputs = [units] * len(call.outputs)
    # Both directions lose the same units: Keras builds them with the same number.
    if getattr(operation, "merge_mode", None) == "concat":
        outputs[0] = np.concatenate([units, units])
    return outputs


def _letters(call, ids):
    return {GATES: np.tile(ids["u"], _NUM_GATES[type(_directions(call.operation)[0])])}


def _weights(operation):
    cells = [layer.cell for layer in _directions(operation)]
    found = [(cell.kernel, "ig") for cell in cells]
    found += [(cell.recurrent_kernel, "ug") for cell in cells]
    return found + [(cell.bias, "g") for cell in cells if cell.use_bias]


def _resize_directions(config, kept):
    for name in ("layer", "backward_layer"):
        config[name]["config"]["units"] = int(np.count_nonzero(kept["u"]))
        config[name].pop("build_config", None)  # it would be built for the old input


def _resize(config, kept):
    config["units"] = int(np.count_nonzero(kept["u"]))


def _unfit(call):
    directions = _directions(call.operation)
    first = directions[0]
    if any(type(layer) not in _NUM_GATES for layer in directions):
        return "is of a layer that is not registered"
    if any((type(x), x.units) != (type(first), first.units) for x in directions):
        return "has two directions that differ"
    if first.stateful:
        return "is stateful"
    for layer in directions:
        for name in ("activation", "recurrent_activation"):
            if getattr(layer, name, None) not in {*ELEMENTWISE, None}:
                return f"has a {name} that may mix channels"
    states = keras.tree.flatten(name_arguments(call).get("initial_state", []))
    if len(directions) > 1 and states:
        return "is given initial states"
    if not all(isinstance(state, keras.KerasTensor) for state in states):
        return "is given initial states that are constants"
    return None


class _MaskedCell:
    """The cell of a recurrent layer whose hidden units are not all read again.

    Args:
        cell: The layer's cell.
        mask: A `Mask`.
    """

    def __init__(self, cell, mask):
        self._cell, self._mask = cell, mask
        self.state_size, self.output_size = cell.state_size, cell.output_size
        self.compute_dtype = cell.compute_dtype
        self.get_initial_state = cell.get_initial_state

    def call(self, inputs, states):
        """Runs a step; the first state is what the cell returned the step before."""
        first, *others = states
        return self._cell(inputs, [self._mask(first), *others])

    __call__ = call


def _mask_direction(layer, mask, sequences, initial_state=None, steps=None):
    options = ("return_sequences", "return_state", "go_backwards", "unroll")
    masked = layers.RNN(
        _MaskedCell(layer.cell, mask),
        zero_output_for_mask=layer.zero_output_for_mask,
        dtype=layer.dtype_policy,
        name=layer.name,
        **{name: getattr(layer, name) for name in options},
    )
    return masked(sequences, initial_state=initial_state, mask=steps)


def _mask_states(layer, masks, sequences, initial_state=None, **options):
    """The masked form of `LSTM`, `GRU` and `SimpleRNN`."""
    if INSIDE not in masks:
        return layer(sequences, initial_state=initial_state, **options)
    # What is masked in a loop cannot be watched.
    mask, steps = Mask(masks[INSIDE].values), options.get("mask")
    return _mask_direction(layer, mask, sequences, initial_state, steps)


def _mask_directions(layer, masks, sequences, **options):
    """The masked form of `Bidirectional`."""
    if INSIDE not in masks:
        return layer(sequences, **options)
    mask, steps = Mask(masks[INSIDE].values), options.get("mask")
    both = [
        _mask_direction(x, mask, sequences, steps=steps) for x in _directions(layer)
    ]
    states = ()
    if layer.return_state:
        states = (*both[0][1:], *both[1][1:])
        both = [returned[0] for returned in both]
    forward, backward = (ops.cast(x, layer.compute_dtype) for x in both)
    if layer.return_sequences:
        backward = ops.flip(backward, axis=1)
    outputs = _MERGES[layer.merge_mode](forward, backward)
    if layer.merge_mode is None:
        return (*outputs, *states)
    return (outputs, *states) if states else outputs


_MERGES = {
    "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "ave": lambda a, b: (a + b) / 2,
    "mul": lambda a, b: a * b,
    None: lambda a, b: (a, b),
}


def _project(call, position):
    """The kernels of what is read: states are not multiplied but in the loop."""
    cells = [layer.cell for layer in _directions(call.operation)]
    return np.concatenate([convert_to_numpy(cell.kernel) for cell in cells], axis=1)


def _products(call):
    """The kernels, at every time step."""
    num_steps = call.inputs[0].shape[1]
    return [
        (letters, weight.shape, num_steps)
        for weight, letters in _weights(call.operation)
        if len(letters) == 2
    ]


for kind in _NUM_GATES:
    SPECS[kind] = LayerSpec(
        _flow,
        size=_resize,
        weights=_weights,
        letters=_letters,
        unfit=_unfit,
        projection=_project,
        masked=_mask_states,
        products=_products,
    )
SPECS[layers.Bidirectional] = LayerSpec(
    _flow,
    size=_resize_directions,
    weights=_weights,
    letters=_letters,
    unfit=_unfit,
    projection=_project,
    masked=_mask_directions,
    products=_products,
)
