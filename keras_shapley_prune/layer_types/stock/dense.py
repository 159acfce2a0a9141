"""Dense layers and embeddings."""

import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.einsum_axes import find_einsum_axes
from keras_shapley_prune.layer_types.flows import look_up, mix, pass_across
from keras_shapley_prune.layer_types.layer_type import count_positions
from keras_shapley_prune.layer_types.linear_forms import DenseForm, EinsumForm
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.unit_ids import count_kept


class DenseType(DeclaredType):
    """A matrix, at each position."""

    def linear_form(self, operation):
        return DenseForm(operation)

    def products(self, call):
        """The kernel, at each position of the axes in between."""
        shape = call.inputs[0].shape
        axes = [(0, axis) for axis in range(1, len(shape) - 1)]
        found = super().products(call)
        if None in shape[1:-1] or not all(letters for letters, _, _ in found):
            return found
        # Named one by one, as on any of them there may be units.
        return [((*a, *axes), (*b, *shape[1:-1]), 1) for a, b, _ in found]


class EinsumDenseType(DeclaredType):
    """An `EinsumDense`, where its equation has the last axes of a dense layer."""

    def weights(self, operation):
        axes = find_einsum_axes(operation)
        letters = {
            "kernel": axes.letters_of(axes.kernel),
            "bias": axes.letters_of(operation.bias_axes or ""),
        }
        return [(weight, letters.get(weight.name)) for weight in operation.weights]

    def resize(self, config, kept):
        shape = np.atleast_1d(np.array(config["output_shape"], object))
        if shape[-1] is not None:
            shape[-1] = count_kept(kept["o"])
        config["output_shape"] = tuple(shape)

    def unfit(self, call):
        operation = call.operation
        if find_einsum_axes(operation).is_dense:
            return None
        return (
            f"has the equation {operation.equation!r}, in which the last axes are not "
            "those of a dense layer"
        )

    def linear_form(self, operation):
        """Returns a form where the layer is one matrix and a bias for each row."""
        axes = find_einsum_axes(operation)
        # A bias along another axis differs from row to row.
        plain = (operation.bias_axes or axes.outputs[-1]) == axes.outputs[-1]
        return EinsumForm(operation) if axes.is_matrix and plain else None

    def add_bias(self, config):
        # One for each entry of the last axis, as `linear_form` has it.
        config["bias_axes"] = config["equation"].strip()[-1]
        return True

    def flow_across(self, call, channels):
        """Axes that the kernel does not have are kept apart."""
        axes, found = find_einsum_axes(call.operation), {}
        for axis, ids in channels.across(call.inputs[0]).items():
            letter = axes.inputs[axis]
            if letter in axes.kernel or letter not in axes.outputs:
                channels.lock_axes(call, {axis: ids})
            else:
                found[axes.outputs.index(letter)] = ids
        return found

    def products(self, call):
        """The kernel, once for each combination of the axes it lacks."""
        axes, shape = find_einsum_axes(call.operation), call.inputs[0].shape
        places = [i for i, a in enumerate(axes.inputs) if i and a not in axes.kernel]
        found = self.kernels(call.operation)
        lengths = [shape[place] for place in places]
        if None in lengths or not all(letters for _, letters in found):
            return [(a, w.shape, count_positions(lengths)) for w, a in found]
        named = [(0, place) for place in places]
        return [((*a, *named), (*w.shape, *lengths), 1) for w, a in found]


LAYER_TYPES |= {
    layers.Dense: DenseType(
        mix,
        size="units",
        weights={"kernel": "io", "bias": "o"},
        across=pass_across,
    ),
    layers.EinsumDense: EinsumDenseType(mix),
    layers.Embedding: DeclaredType(
        look_up, size="output_dim", weights={"embeddings": ".o"}
    ),
}
