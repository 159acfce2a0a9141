"""Keras's masks of time steps: which tensors carry one when they are read."""

import keras

from keras_shapley_prune.layer_types.registry import ends_time_masks, sums_inputs

_DEFAULT = keras.layers.Layer.compute_mask


def find_time_masks(graph):
    """Returns a dict: `(call index, position)` -> the mask of time steps of a tensor.

    A position is that of an input, or -1 for the first output. Two tensors have the
    same mask if they have the same object. Tensors without one are not in it.

    Args:
        graph: A `Graph`.
    """
    masks, found = {}, {}
    for call in graph.calls:
        read = {(call.index, at): masks.get(x) for at, x in enumerate(call.inputs)}
        if isinstance(call.operation, keras.layers.Layer):
            made = _masks_of(call, masks)
            if ends_time_masks(call.operation):
                for tensor in call.inputs:
                    masks.pop(tensor, None)
            for tensor, mask in zip(call.outputs, made, strict=False):
                if mask is not None:
                    masks[tensor] = mask
        found |= read | {(call.index, -1): masks.get(call.outputs[0])}
    return {place: mask for place, mask in found.items() if mask is not None}


def _masks_of(call, masks):
    """Returns the masks of what a layer returns, a list."""
    layer = call.operation
    # As in Keras: that of the first argument, unless another one is given.
    first = next(iter([*call.args, *call.kwargs.values()]), ())
    read = [x for x in keras.tree.flatten(first) if isinstance(x, keras.KerasTensor)]
    before = [masks.get(tensor) for tensor in read]
    if call.kwargs.get("mask") is not None:
        before = [object()]
    if not getattr(layer, "supports_masking", False):
        return []
    if _passes_on(layer) and all(mask is before[0] for mask in before[1:]):
        return before[:1] * len(call.outputs)
    try:
        mask = keras.tree.map_structure(_stand_in, before)
        found = layer.compute_mask(first, mask if len(mask) > 1 else mask[0])
    except Exception:  # of a layer of the user's
        found = object()
    if found is None:
        return []
    # What it is made of is not known, only that it is another one.
    return [None if m is None else object() for m in keras.tree.flatten(found)]


def _passes_on(layer):
    """Returns whether a layer gives the mask of what it reads to what it returns."""
    return sums_inputs(layer) or type(layer).compute_mask is _DEFAULT


def _stand_in(mask):
    return None if mask is None else keras.KerasTensor((None, None), "bool")
