"""Copies of a layer for fewer channels, to compare them with the layer."""

import itertools

import keras
import numpy as np

from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.stock.recreation import read_config, recreate_layer
from keras_shapley_prune.layer_types.trial.quiet_runs import NotElementwiseError
from keras_shapley_prune.layer_types.trial.trial_type import find_sizes, set_sizes


class Parts:
    """Copies of a layer for fewer channels.

    They are re-created from the config, as those of a pruned model will be.

    Args:
        call: A `Call` of the layer, which reads one tensor.
        counts: Sequence of integers, how many channels the copies have.

    Attributes:
        counts: Sequence of integers, as given.
        letters: List of strings, one for each weight: `"i"` for each axis along the
            channels, `"."` for any other.
        sizes: Tuple of strings, the entries of the config that are the number of
            channels.

    Raises:
        NotElementwiseError: If no such copies can be made, or their weights are of
            other shapes than along the channels.
    """

    def __init__(self, call, counts):
        self._call, self.counts, self._copies = call, counts, {}
        self._num_channels = call.inputs[0].shape[-1]
        self.sizes = self._find_sizes()
        self.letters = [
            self._find_letters(number, weight)
            for number, weight in enumerate(call.operation.weights)
        ]

    def copy_of(self, chosen):
        """Returns the copy that has as many channels as are chosen.

        Args:
            chosen: Integer array, the channels.
        """
        return self._copies[len(chosen)]

    def cut(self, values, chosen):
        """Returns the weights that a copy should have, a list of arrays.

        Args:
            values: List of arrays, the layer's weights.
            chosen: Integer array, the channels of the copy.
        """
        pairs = zip(self.letters, values, strict=True)
        return [_take(value, letters, chosen) for letters, value in pairs]

    def _find_sizes(self):
        """Returns the entries of the config to change: if that is enough, none."""
        try:
            config = read_config(self._call.operation)
        except Exception as error:
            reason = f"it cannot be made anew: {first_line(error)}"
            raise NotElementwiseError(reason) from error
        named = find_sizes(config, self._num_channels)
        attempts = dict.fromkeys([(), *((name,) for name in named), tuple(named)])
        faults = []
        for sizes in attempts:
            try:
                made = {count: self._make(count, sizes) for count in self.counts}
            except NotElementwiseError as fault:
                faults.append(fault)
            else:
                self._copies = made
                return sizes
        raise faults[0]

    def _make(self, num_channels, sizes):
        operation, (tensor,) = self._call.operation, self._call.inputs
        smaller = keras.Input(
            batch_shape=(*tensor.shape[:-1], num_channels), dtype=tensor.dtype
        )
        try:
            config = read_config(operation)
            set_sizes(config, sizes, num_channels)
            copied = recreate_layer(operation, config)
            args, kwargs = self._call.fill_in([smaller])
            returned = copied(*args, **kwargs)
        except Exception as error:  # whatever the user's code raises
            raise NotElementwiseError(
                f"it cannot be made anew for {num_channels} of {self._num_channels} "
                f"channels: {first_line(error)}"
            ) from error
        if returned.shape[-1] != num_channels:
            raise NotElementwiseError(
                f"made anew for {num_channels} of {self._num_channels} channels, it "
                f"returns {returned.shape[-1]}"
            )
        self._check_weights(copied, num_channels)
        return copied

    def _check_weights(self, copied, num_channels):
        """Raises an error unless each axis is as long as before, or as the channels."""
        whole = [tuple(weight.shape) for weight in self._call.operation.weights]
        part = [tuple(weight.shape) for weight in copied.weights]
        axes = zip(itertools.chain(*whole), itertools.chain(*part), strict=False)
        cut = self._num_channels, num_channels
        along = all(before == after or (before, after) == cut for before, after in axes)
        if not along or list(map(len, whole)) != list(map(len, part)):
            raise NotElementwiseError(
                f"its weights have shapes {whole} for {self._num_channels} channels "
                f"and {part} for {num_channels}"
            )

    def _find_letters(self, number, weight):
        found = {
            size: copied.weights[number].shape for size, copied in self._copies.items()
        }
        return "".join(
            "i" if all(shape[axis] == size for size, shape in found.items()) else "."
            for axis in range(len(weight.shape))
        )


class SameForAll:
    """The same for a raw operation, which has no weights and serves any channels.

    Args:
        call: A `Call` of the operation, which reads one tensor.
        counts: Sequence of integers, how many channels there may be.
    """

    def __init__(self, call, counts):
        self._operation, self.counts = call.operation, counts
        self.letters, self.sizes = [], ()
        (tensor,) = call.inputs
        for count in counts:
            smaller = keras.KerasTensor((*tensor.shape[:-1], count), tensor.dtype)
            args, kwargs = call.fill_in([smaller])
            returned = self._operation.compute_output_spec(*args, **kwargs)
            if returned.shape[-1] != count:
                raise NotElementwiseError(
                    f"it returns {returned.shape[-1]} channels of {count}"
                )

    def copy_of(self, chosen):
        """Returns the operation itself."""
        return self._operation

    def cut(self, values, chosen):
        """Returns no weights."""
        return []


def _take(value, letters, chosen):
    """Returns a weight with the chosen channels only."""
    for axis, letter in enumerate(letters):
        if letter == "i":
            value = np.take(value, chosen, axis)
    return value
