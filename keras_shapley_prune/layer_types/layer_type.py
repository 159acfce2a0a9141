"""`LayerType`: what pruning has to know of a type of layer."""

import math
from collections.abc import Mapping


class LayerType:
    """What pruning knows of one type of layer: a method for each question.

    A subclass overrides `flow`, and whatever else is not as by default. An instance
    of it goes to `register_layer`. The steps of pruning ask these methods and never
    for the class of a layer: so yours is masked, cut, counted and repaired as Keras's.

    Attributes:
        sums_inputs: Boolean, whether it returns the sum of what it reads. Then a
            layer before it can make up for what the other inputs lost.
        follows: Boolean, whether its units are removed only with those of other
            layers.
        ties_inputs: Boolean, whether a layer with weights that is called several times
            reads the same channels in all calls.
        ends_time_masks: Boolean, whether it takes Keras's mask of time steps off the
            tensors that it reads, so that what is called after it finds none there.

    Example:

    ```python
    @keras.saving.register_keras_serializable()
    class Centre(keras.layers.Layer):
        def call(self, inputs):
            return inputs - keras.ops.mean(inputs, axis=-1, keepdims=True)


    class CentreType(keras_shapley_prune.LayerType):
        def flow(self, call, channels):
            channels.observe(call, 0)  # the mean depends on which channels there are
            return channels.ids(call.inputs[0])

        def masked(self, operation, masks, inputs):
            there = masks[0].along(inputs) * keras.ops.ones_like(inputs)
            count = keras.ops.maximum(keras.ops.sum(there, -1, keepdims=True), 1)
            return inputs - keras.ops.sum(inputs, -1, keepdims=True) / count


    keras_shapley_prune.register_layer(Centre, CentreType())
    ```
    """

    sums_inputs = False
    follows = False
    ties_inputs = True
    ends_time_masks = False

    def flow(self, call, channels):
        """Returns which unit sits at each position of the output's last axis.

        Args:
            call: The recorded `Call`.
            channels: The `ChannelTracer` at work. It knows the ids of what is read
                (`ids`, and `axes` of all axes), makes new units (`produce`), and notes
                where units are read (`consume`, `observe`, `enclose`), are tied
                together (`tie`), or cannot be removed (`lock`).

        Returns:
            Integer array of unit ids, or a dict: axis of the output -> unit ids, if it
            says all of them, and `flow_across` is not asked. Or a list of either, one
            for each output.

        Raises:
            NotImplementedError: If a subclass does not override it.
        """
        raise NotImplementedError

    def flow_across(self, call, channels):
        """Returns which units sit on other axes of the output than the last.

        It is asked where something read has units on other axes, as behind a transposed
        dense layer. By default they are locked: only the last axis is followed.

        Args:
            call: The recorded `Call`.
            channels: The `ChannelTracer` at work, see `flow`. What it read has these
                units: `across`.

        Returns:
            Dict: axis of the output -> unit ids, or a list of dicts, one for each
            output.
        """
        for tensor in call.inputs:
            channels.lock_axes(call, channels.across(tensor))
        return {}

    def is_for_all(self, call, read):
        """Returns whether what a call returns is one for all examples, as a weight is.

        Args:
            call: The recorded `Call`.
            read: List of booleans, whether each of its inputs is.
        """
        return self.follows or all(read)

    def weights(self, operation):
        """Returns what the axes of the weights are.

        Args:
            operation: The built layer.

        Returns:
            Dict: weight name -> one letter an axis, aligned to the right: `"i"` the
            input's channels, `"o"` the output's, `"."` an axis that is kept whole, or
            one that `letters` or the flow names. Where names do not tell the weights
            apart, as in a layer made of layers: pairs `(weight, letters)`.
        """
        return {}

    def letters(self, call, ids):
        """Returns the unit ids that other letters than `"i"` and `"o"` stand for.

        Args:
            call: The recorded `Call`.
            ids: Dict of `"i"`, `"o"`, and the letters that the flow has named.

        Returns:
            Dict: letter -> integer array.
        """
        return {}

    def resize(self, config, kept):
        """Changes the sizes in a layer's config, in place.

        Args:
            config: Dict, the config.
            kept: Dict: letter -> boolean array, which positions are kept.
        """

    def resize_call(self, args, kwargs, kept):
        """Returns what the smaller operation is called with.

        Args:
            args: Tuple, what the operation is called with.
            kwargs: Dict, the same by name.
            kept: Dict: letter -> boolean array, which positions are kept.

        Returns:
            Tuple of the new `args` and `kwargs`.
        """
        return args, kwargs

    def wrapped(self, operation):
        """Returns the layer within a wrapper, `None` of all others.

        Args:
            operation: The layer or raw operation.
        """
        return

    def unfit(self, call):
        """Returns why this very call cannot be pruned exactly, `None` if it can.

        Args:
            call: The recorded `Call`.

        Returns:
            String that goes on after the layer's class, such as `"is stateful"`.
        """

    def masked(self, operation, masks, *args, **kwargs):
        """Returns what an operation computes as if some channels were not there.

        Overridden where it is not enough that these channels are zero.

        Args:
            operation: The layer or raw operation.
            masks: Dict: input position, or `INSIDE` -> `Mask`.
            *args: What it is called with; what is read has been multiplied by its
                mask already.
            **kwargs: The same by name.
        """
        return operation(*args, **kwargs)

    def kernels(self, operation):
        """Lists the weights that inputs are multiplied with in a matrix product.

        By default those with an axis of input and one of output channels, and those
        whose name ends in "kernel".

        Args:
            operation: The layer or raw operation.

        Returns:
            List of pairs `(weight, letters)`; `None` for letters that are not known.
        """
        weights = getattr(operation, "weights", ())
        pairs = [(weight, self.axes_of(operation, weight)) for weight in weights]
        return [pair for pair in pairs if self._is_kernel(pair[0].name, pair[1] or "")]

    def _is_kernel(self, name, letters):
        # Of a layer that is not registered only the names are known.
        return name.endswith("kernel") or {"i", "o"} <= set(letters)

    def positions(self, call):
        """Returns how many times each kernel is applied to one example.

        By default once for each position of the output.

        Args:
            call: The recorded `Call`.

        Returns:
            Integer, or `None` if a size is not known.
        """
        return count_positions(call.outputs[0].shape[1:-1])

    def products(self, call):
        """Lists what is multiplied for one example: FLOPs are twice their number.

        Args:
            call: The recorded `Call`.

        Returns:
            List of tuples: the letters of the axes (`None` if they are not known; a
            pair `(input position, axis)` for an axis of what is read), their lengths,
            and how many times each entry is used, `None` if a size is not known.
        """
        kernels = self.kernels(call.operation)
        return [(found, w.shape, self.positions(call)) for w, found in kernels]

    def linear_form(self, operation):
        """Returns the `LinearForm` of a layer that mixes channels, or `None`.

        Args:
            operation: The built layer, linear up to its activation.
        """

    def depthwise_form(self, operation):
        """Returns the `DepthwiseForm` of a layer that keeps channels apart, or `None`.

        Args:
            operation: The built layer, linear up to its activation.
        """

    def add_bias(self, config):
        """Lets a layer that adds no bias add one, by its config, in place.

        It is asked of layers with a `linear_form` or `depthwise_form`, by
        `fold_normalization`. By default that is the entry `use_bias`, as in Keras.

        Args:
            config: Dict, the config.

        Returns:
            Boolean, whether a layer of that config adds a bias for each channel.
        """
        if "use_bias" in config:
            config["use_bias"] = True
        return "use_bias" in config

    def projection(self, call, position):
        """Returns what an input is multiplied with where no linear form tells.

        Args:
            call: The recorded `Call`.
            position: Integer, which of its inputs.

        Returns:
            Float array, shape `(channels, columns)`. `None` if the input itself is
            what should be as in the original.
        """

    def normalizes_channels(self, call):
        """Returns whether a call normalizes each channel by moving statistics.

        Then a constant that is added to what it reads is taken off its mean. The layer
        needs `moving_mean`, `moving_variance`, `epsilon`, `scale` and `gamma`, as a
        `BatchNormalization` has them.

        Args:
            call: The recorded `Call`.
        """
        return False

    def is_elementwise(self, operation):
        """Returns whether it can be another layer's activation.

        It can if it has no weights and computes each channel of that channel alone.

        Args:
            operation: The layer or raw operation.
        """
        return False

    def relu_ceiling(self, operation):
        """Returns the most that a ReLU returns, infinity if there is no limit.

        A ReLU is 0 up to 0, and from there on what it reads, up to its ceiling. `None`
        of what is not one.

        Args:
            operation: The layer or raw operation.
        """

    def output_activation(self, operation):
        """Returns the name of the function that comes last, or `None`.

        `"softmax"` and `"sigmoid"` tell that a model returns probabilities.

        Args:
            operation: The layer or raw operation.
        """
        return getattr(getattr(operation, "activation", None), "__name__", None)

    def axes_of(self, operation, weight):
        """Returns the letters of a weight's axes, see `weights`, or `None`.

        Args:
            operation: The layer.
            weight: One of its weights.
        """
        found = self.weights(operation)
        if isinstance(found, Mapping):
            return found.get(weight.name)
        return next((letters for known, letters in found if known is weight), None)

    @property
    def has_masked_form(self):
        """Boolean, whether `masked` does more than to call the operation."""
        return type(self).masked is not LayerType.masked

    @property
    def has_size(self):
        """Boolean, whether a smaller layer has another config."""
        return type(self).resize is not LayerType.resize


def count_positions(lengths):
    """Returns the product of lengths, `None` if one of them is.

    Args:
        lengths: Iterable of integers or `None`.
    """
    lengths = tuple(lengths)
    return None if None in lengths else math.prod(lengths)
