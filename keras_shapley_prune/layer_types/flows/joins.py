"""Flows of what joins several tensors, on each axis by itself."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.flows.across import merge_axes
from keras_shapley_prune.layer_types.unit_ids import fixed, has_units


def join(call, channels):
    """Channels at the same position of several tensors are removed together.

    Tensors are spread over the output as NumPy does it: their axes are aligned to the
    right, and an axis of length 1 is repeated.
    """
    axes = _join_axes(call, channels)
    for axis, ids in axes.items():
        if any(_length_at(call, x, axis) != 1 for x in array_constants(call)):
            # It has an entry for each channel, and nothing would cut it.
            channels.lock(ids, f"{channels.quote(call)} joins it with a constant")
    return axes


def join_cut(call, channels):
    """As `join`, but arrays among the arguments are cut with the channels."""
    rank = len(call.outputs[0].shape)
    # Their axes of examples would be at different places; a weight has none.
    lower = [tensor for tensor in call.inputs if len(tensor.shape) != rank]
    if any(None in x.shape[:1] and not channels.is_for_all(x) for x in lower):
        ranks = " and ".join(map(str, sorted({len(x.shape) for x in call.inputs})))
        what = f"joins tensors of {ranks} axes, whose examples are on different ones"
        reason = f"{channels.quote(call)} {what}"
        return channels.lock_all(call, reason)
    axes = _join_axes(call, channels)
    for axis, ids in axes.items():
        for constant in array_constants(call):
            # A copy of a variable would go its own way.
            if _is_variable(constant) and _length_at(call, constant, axis) != 1:
                what = "joins it with a weight, which nothing would cut"
                channels.lock(ids, f"{channels.quote(call)} {what}")
    return axes


def cut_constants(args, kwargs, kept):
    """Returns the arguments of a join with arrays of the channels that are kept.

    Args:
        args: Tuple, of the call.
        kwargs: Dict, of the call.
        kept: Dict: `"o"`, `"o-2"` and so on -> boolean array, see `letter_of`.
    """

    def cut(value):
        if not _is_array(value) or _is_variable(value):
            return value
        for letter, mask in kept.items():
            axis = -1 if letter == "o" else int(letter[1:] or 0)
            inside = letter[0] == "o" and axis < 0 and -axis <= np.ndim(value)
            if inside and np.shape(value)[axis] == len(mask) and not mask.all():
                value = np.compress(mask, value, axis)
        return value

    return keras.tree.map_structure(cut, (tuple(args), dict(kwargs)))


def concatenate(call, channels):
    """Channels side by side on one axis; joined on the others."""
    rank = len(call.outputs[0].shape)
    along = call.operation.axis % rank
    if array_constants(call):
        return channels.lock_all(
            call, f"{channels.quote(call)} joins it with a constant"
        )
    several = [channels.axes(tensor) for tensor in call.inputs]
    found = {}
    for axis in merge_axes(several):
        each = _ids_on(axis, several, call.inputs)
        if axis == along:
            found[axis] = np.concatenate(each)
        else:
            found[axis] = _tie(call, channels, each, axis - rank)
    return found


def stack(call, channels):
    """Tensors on a new axis, joined on the others."""
    rank = len(call.outputs[0].shape)
    if array_constants(call):
        return channels.lock_all(
            call, f"{channels.quote(call)} joins it with a constant"
        )
    new, several = call.operation.axis % rank, [channels.axes(t) for t in call.inputs]
    return {
        axis + (axis >= new): _tie(call, channels, each, axis - (rank - 1))
        for axis in merge_axes(several)
        for each in [_ids_on(axis, several, call.inputs)]
    }


def join_halves(call, channels):
    """The first half of an axis with the second, as a gated linear unit."""
    axes = channels.axes(call.inputs[0])
    rank = len(call.inputs[0].shape)
    axis = call.operation.axis % rank
    if axis in axes:
        axes[axis] = _tie(call, channels, np.split(axes[axis], 2), axis - rank)
    return axes


def array_constants(call):
    """Returns the arrays among the arguments of a call."""
    return [x for x in keras.tree.flatten((call.args, call.kwargs)) if _is_array(x)]


def _is_variable(value):
    return isinstance(value, (keras.Variable, tf.Variable))


def _is_array(value):
    return not isinstance(value, keras.KerasTensor) and bool(np.ndim(value))


def _join_axes(call, channels):
    """Returns a dict: axis of the output -> unit ids, tied."""
    shape, found = call.outputs[0].shape, {}
    several = [
        {axis + len(shape) - len(tensor.shape): ids for axis, ids in axes.items()}
        for tensor in call.inputs
        for axes in [channels.axes(tensor)]
    ]
    for axis in merge_axes(several):
        wide = []
        for axes, tensor in zip(several, call.inputs, strict=True):
            length = _length_at(call, tensor, axis)
            if length == shape[axis]:
                wide.append(axes.get(axis, fixed(length)))
            elif axis in axes:
                # A tensor of one channel is spread over all others: it has to be there.
                channels.lock(axes[axis], f"{channels.quote(call)} broadcasts it")
        if wide and any(map(has_units, wide)):
            found[axis] = _tie(call, channels, wide, axis - len(shape))
    return found


def _length_at(call, value, axis):
    """Returns how long a tensor or array is along an axis of the output."""
    own = axis - len(call.outputs[0].shape) + len(value.shape)
    return value.shape[own] if own >= 0 else 1


def _ids_on(axis, several, tensors):
    """Returns the ids of tensors of one rank on an axis."""
    return [
        axes.get(axis, fixed(tensor.shape[axis]))
        for axes, tensor in zip(several, tensors, strict=True)
    ]


def _tie(call, channels, several, axis):
    """Returns the ids of several tensors on one axis, counted from behind, tied."""
    # On other axes than the last are positions or heads, which are no channels.
    what = "channels" if axis == -1 else f"an axis of {len(several[0])} entries"
    for ids in several[1:]:
        channels.tie(several[0], ids, f"{channels.quote(call)} joins it with {what}")
    return next((ids for ids in several if has_units(ids)), several[0])
