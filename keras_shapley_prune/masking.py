"""Masks: the network as it would be without some units, at its full size."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.channel_map import kept
from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.graph import new_inputs, run_calls
from keras_shapley_prune.namesakes import part_namesakes


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class ChannelMask(keras.layers.Layer):
    """Multiplies each channel by a mask: 1 keeps it, 0 removes it.

    The layer stands right before a layer that reads the channels, so after their
    normalization and activation: there, zero is what is read of a filter that is not
    in the network. The mask is the layer's own (a non-trainable weight of ones), or
    is given in the call, where each example of the batch can have one of its own.

    Args:
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, ..., channels)`, and for `channel_mask` either `(channels,)` or
        `(batch, channels)`.

    Output shape:
        That of the input.

    Example:

    >>> x = np.ones((2, 8, 8, 3), "float32")
    >>> one_each = np.array([[1, 0, 1], [0, 1, 1]], "float32")
    >>> y = ChannelMask()(x, channel_mask=one_each)
    >>> y.shape
    TensorShape([2, 8, 8, 3])
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape):
        self.mask = self.add_weight(
            shape=(input_shape[-1],), initializer="ones", trainable=False, name="mask"
        )

    def call(self, inputs, channel_mask=None):
        mask = self.mask if channel_mask is None else channel_mask
        mask = keras.ops.cast(mask, inputs.dtype)
        if len(mask.shape) == 2:
            middle = (1,) * (len(inputs.shape) - 2)
            mask = keras.ops.reshape(mask, (-1, *middle, mask.shape[-1]))
        return inputs * mask

    def compute_output_shape(self, input_shape):
        return input_shape


def mask_channels(model, keep, channel_map=None):
    """Returns `model` with a `ChannelMask` before every layer that reads units.

    Its outputs are those of the network that `remove_channels(model, keep)` returns.
    It shares its layers, and so its weights, with `model`. Nested models are taken
    apart.

    Args:
        model: A built Sequential or functional `keras.Model`.
        keep: Boolean array, shape `(num_units,)`, the units that stay.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.

    Returns:
        A functional `keras.Model`. The masks are the layers named
        `<layer that reads the units>_mask`.

    Raises:
        ValueError: If `keep` removes locked units, or all units of a group.
    """
    channel_map = channel_map or trace_channels(model)
    keep = channel_map.check_keep(keep)
    graph, taken = channel_map.graph, set()

    def insert_mask(call, position, tensor):
        ids = channel_map.sites.get((call.index, position))
        if ids is None:
            return tensor
        name, suffix = f"{call.operation.name}_mask", 2
        while name in taken:
            name, suffix = f"{call.operation.name}_mask_{suffix}", suffix + 1
        taken.add(name)
        layer = ChannelMask(name=name, dtype=tensor.dtype)
        masked = layer(tensor)
        layer.mask.assign(kept(keep, ids).astype("float32"))
        return masked

    inputs = new_inputs(graph.input_structure)
    values = dict(zip(graph.inputs, keras.tree.flatten(inputs), strict=True))
    run_calls(part_namesakes(graph.calls), values, insert_mask)
    outputs = [values[tensor] for tensor in graph.outputs]
    outputs = keras.tree.pack_sequence_as(graph.output_structure, outputs)
    return keras.Model(inputs, outputs, name=f"masked_{model.name}")


class GroupMasker:
    """Applies the masks of one group, given as one row a coalition of its units.

    Args:
        channel_map: A `ChannelMap`.
        group: One of its `ChannelGroup`s.
        keep: Boolean array, shape `(channel_map.num_units,)`: units of other groups
            that have been removed already are masked too. `None` if there are none.
    """

    def __init__(self, channel_map, group, keep=None):
        self.num_units = group.num_units
        position_of = np.full(channel_map.num_units + 1, self.num_units)
        if keep is not None:
            position_of[:-1][~keep] = self.num_units + 1
        position_of[group.units] = np.arange(self.num_units)
        columns = {site: position_of[ids] for site, ids in channel_map.sites.items()}
        self._columns = {
            site: found
            for site, found in columns.items()
            if (found != self.num_units).any()
        }
        self._layers = {site: ChannelMask() for site in self._columns}
        for site, layer in self._layers.items():
            layer.build((None, len(self._columns[site])))  # not in a compiled step

    @property
    def sites(self):
        """Tuple of `(call index, input position)` where the group is read."""
        return tuple(
            site for site, c in self._columns.items() if (c < self.num_units).any()
        )

    def columns(self, site):
        """Returns which unit of the group each channel at a site is.

        Integer array; `num_units` for a channel of another group, `num_units + 1`
        for one that has been removed.
        """
        return self._columns[site]

    def edit(self, coalitions, watch=None):
        """Returns the `edit_input` of `run_calls` under which the group is masked.

        Args:
            coalitions: Float tensor, shape `(batch, num_units)`, 1 for a unit that
                is in the coalition.
            watch: Optional callable `fn(columns, value)`, called with what is read at
                each site, and which unit of the group each channel is (see
                `columns`).
        """
        # Two columns more: for channels of other groups, and for removed ones.
        one_more = [[0, 0], [0, 1]]
        padded = tf.pad(coalitions, one_more, constant_values=1.0)
        padded = tf.pad(padded, one_more)

        def edit_input(call, position, value):
            site = call.index, position
            if site not in self._columns:
                return value
            mask = tf.gather(padded, self._columns[site], axis=1)
            masked = self._layers[site](value, channel_mask=mask)
            if watch is not None:
                watch(self._columns[site], masked)
            return masked

        return edit_input
