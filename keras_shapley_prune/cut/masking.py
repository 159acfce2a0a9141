"""Masks: the network as it would be without some units, at its full size."""

import keras

from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.masked_calls import Mask
from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.trainable_flags import take_own_flag
from keras_shapley_prune.layer_types.twins import Twins
from keras_shapley_prune.layer_types.unit_ids import INSIDE, kept
from keras_shapley_prune.trace.functional_models import new_inputs
from keras_shapley_prune.trace.named_units import resolve_keep
from keras_shapley_prune.trace.unique_names import UniqueNames, part_namesakes
from keras_shapley_prune.trace.wanted_units import map_for_units


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class ChannelMask(keras.layers.Layer):
    """Multiplies each channel by a mask: 1 keeps it, 0 removes it.

    The layer stands right before a layer that reads the channels, so after their
    normalization and activation: there, a removed filter is read as zero. The mask is
    the layer's own (a non-trainable weight of ones), or is given in the call, where
    each example of the batch can have one of its own.

    Args:
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, ..., channels)`, and for `channel_mask` either `(channels,)` or
        `(batch, channels)`.

    Output shape:
        That of the input.

    Example:

    ```python
    x = np.ones((2, 8, 8, 3), "float32")
    one_each = np.array([[1, 0, 1], [0, 1, 1]], "float32")
    y = keras_shapley_prune.ChannelMask()(x, channel_mask=one_each)
    print(y.shape)  # (2, 8, 8, 3)
    ```
    """

    def __init__(self, **kwargs):
        # Autocasting would change the dtype of what the next layer reads.
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True  # of positions, such as an Embedding's

    def build(self, input_shape):
        self.mask = self.add_weight(
            shape=(input_shape[-1],), initializer="ones", trainable=False, name="mask"
        )

    def call(self, inputs, channel_mask=None):
        mask = self.mask if channel_mask is None else channel_mask
        return inputs * Mask(mask).along(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class MaskedCall(keras.layers.Layer):
    """Runs an operation that depends on which channels there are, without some.

    A `LayerNormalization` takes its statistics over all channels, and an attention has
    heads within: multiplying what they read by a mask is not enough. The masks are the
    layer's own (weights of ones that are not trained), one for each input position
    where units are read.

    Args:
        operation: A built layer, or a raw operation, with a masked form. The layer's
            weights are shared.
        sizes: Dict: input position, or `INSIDE` -> the number of channels.
        options: Dict, arguments of the operation's call that are no tensors.
        **kwargs: Base layer arguments, such as `name` and `dtype`.
    """

    def __init__(self, operation, sizes, options=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.operation, self.options = operation, options or {}
        self.masks = {}
        for position, size in dict(sizes).items():
            name = "inside" if position == INSIDE else str(position)
            self.masks[str(position)] = self.add_weight(
                shape=(size,), initializer="ones", trainable=False, name=f"mask_{name}"
            )
        # Its weights are there now, and those of the operation have been.
        self.built = True

    def call(self, *args, **kwargs):
        masks = {int(place): Mask(mask) for place, mask in self.masks.items()}
        layer_type = find_layer_type(self.operation)
        return layer_type.masked(self.operation, masks, *args, **kwargs, **self.options)

    def compute_output_spec(self, *args, **kwargs):
        return self.operation.compute_output_spec(*args, **kwargs, **self.options)

    def compute_mask(self, inputs, previous_mask=None):
        # A recurrent layer, such as one that returns its last step, may end a mask.
        if isinstance(self.operation, keras.Layer):
            return self.operation.compute_mask(inputs, previous_mask)
        return previous_mask

    def get_config(self):
        config = super().get_config()
        config["operation"] = keras.saving.serialize_keras_object(self.operation)
        config["sizes"] = [[int(p), m.shape[0]] for p, m in self.masks.items()]
        config["options"] = self.options
        return config

    @classmethod
    def from_config(cls, config):
        operation = keras.saving.deserialize_keras_object(config.pop("operation"))
        return cls(operation, **config)


@undisturbed
def mask_channels(model, keep=None, channel_map=None, remove=None):
    """Returns `model` with a `ChannelMask` before every layer that reads units.

    A layer whose computation depends on which channels there are, or that has units
    within, is wrapped in a `MaskedCall`. The outputs are those of the network that
    `remove_channels(model, keep)` returns. The weights, and all else that the layers
    hold, are shared with `model`, whose layers do not know of this graph. Nested models
    are inlined.

    Args:
        model: A built Sequential or functional `keras.Model`.
        keep: The units to keep, see `remove_channels`.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        remove: In place of `keep`, the units to remove, see `remove_channels`.

    Returns:
        A functional `keras.Model`. The masks are the layers named
        `<layer that reads the units>_mask` and `<layer>_masked`. Keras loads a saved
        one where `keras_shapley_prune.ChannelMask` has been imported.

    Raises:
        ValueError: If locked units, or all units of a group, are removed, or a name,
            mask or position does not fit.

    Example:

    ```python
    plan = keras_shapley_prune.plan_pruning(model, ranking, ratio=0.5)
    masked = keras_shapley_prune.mask_channels(model, plan.keep)
    smaller = keras_shapley_prune.remove_channels(model, plan.keep)
    np.testing.assert_allclose(masked(images), smaller(images), atol=1e-4)
    ```
    """
    channel_map = map_for_units(model, channel_map, keep, remove)
    keep = resolve_keep(channel_map, keep, remove)
    graph, names, twins = channel_map.graph, UniqueNames(), Twins()

    def insert_mask(call, tensor, mask):
        name = names.take(f"{call.operation.name}_mask")
        layer = ChannelMask(name=name, dtype=tensor.dtype)
        masked = layer(tensor)
        layer.mask.assign(mask)
        return masked

    def run(call, read):
        operation, masks = call.operation, {}
        for position, ids in channel_map.sites_at(call).items():
            # What a call reads from outside is multiplied before it; units within it
            # can only be masked by its own masked form.
            masks[position] = kept(keep, ids).astype("float32")
            if position != INSIDE:
                read[position] = insert_mask(call, read[position], masks[position])
        args, kwargs = call.fill_in(read)
        if masks and find_layer_type(operation).has_masked_form:
            sizes = {position: len(mask) for position, mask in masks.items()}
            name = names.take(f"{operation.name}_masked")
            # Constants go into the layer's config, tensors are read in the call.
            options = {k: v for k, v in kwargs.items() if not _holds_tensors(v)}
            kwargs = {k: v for k, v in kwargs.items() if k not in options}
            operation = MaskedCall(operation, sizes, options, name=name)
            for position, mask in masks.items():
                operation.masks[str(position)].assign(mask)
        else:  # the layers of the model do not learn of this graph
            operation = twins.of(operation)
        return keras.tree.flatten(operation(*args, **kwargs))

    inputs = new_inputs(graph.input_structure)
    values = graph.feed(inputs)
    for call in part_namesakes(graph.calls):
        values.update(zip(call.outputs, run(call, call.read(values)), strict=True))
    masked = keras.Model(inputs, graph.collect(values), name=f"masked_{model.name}")
    take_own_flag(model, masked)
    return masked


def _holds_tensors(value):
    leaves = keras.tree.flatten(value)
    return any(isinstance(leaf, keras.KerasTensor) for leaf in leaves)
