"""`keras.ops.dot_product_attention`: heads are on an axis of its tensors."""

from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.registry import OPERATION_TYPES
from keras_shapley_prune.layer_types.stock.constants import name_arguments
from keras_shapley_prune.layer_types.unit_ids import fixed

_HEADS = 2  # (batch, positions, heads, size of a head)


class DotProductAttentionType(LayerType):
    """Queries, keys and values of shape `(batch, positions, heads, size)`.

    A head is removed whole from all three. Its size is kept, for the scale of the
    scores is computed from it.
    """

    def flow(self, call, channels):
        named = name_arguments(call)
        tensors = [named[name] for name in ("query", "key", "value")]
        several = []
        for tensor in tensors:
            axes = channels.axes(tensor)
            several.append(axes.pop(_HEADS, None))
            for axis, ids in axes.items():
                what = f"loses whole heads, on axis {_HEADS}; these are on axis {axis}"
                channels.lock(ids, f"{channels.quote(call)} {what}")
        for tensor in call.inputs:
            if not any(tensor is known for known in tensors):
                channels.lock_tensor(tensor, f"{channels.quote(call)} is masked by it")
        found = next((ids for ids in several if ids is not None), None)
        if found is None:
            return {}
        if any(tensor.shape[_HEADS] != len(found) for tensor in tensors):
            # Several heads of queries have one of keys.
            reason = f"{channels.quote(call)} has fewer heads of keys than of queries"
            return channels.lock_all(call, reason)
        for ids, tensor in zip(several, tensors, strict=True):
            ids = fixed(tensor.shape[_HEADS]) if ids is None else ids
            reason = f"{channels.quote(call)} multiplies it with heads"
            channels.tie(found, ids, reason)
        channels.note_heads(found)
        return {_HEADS: found}

    def unfit(self, call):
        named = name_arguments(call)
        if any(name in named for name in ("bias", "mask")):
            return "is given a bias or a mask"
        return None

    def products(self, call):
        """Queries with keys, and scores with values."""
        _, queries, heads, size = call.inputs[0].shape
        attended = call.inputs[1].shape[1]
        if None in (queries, attended):
            return [(None, (), None)]
        return [(((0, _HEADS),), (heads,), 2 * queries * attended * size)]


OPERATION_TYPES["DotProductAttention"] = DotProductAttentionType()
