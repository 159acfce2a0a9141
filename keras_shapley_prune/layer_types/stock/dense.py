"""Dense layers and embeddings."""

import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.einsum_axes import find_einsum_axes
from keras_shapley_prune.layer_types.flows import look_up, mix
from keras_shapley_prune.layer_types.layer_type import count_positions
from keras_shapley_prune.layer_types.linear_forms import DenseForm, EinsumForm
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.unit_ids import count_kept


class DenseType(DeclaredType):
    """A matrix, at each position."""

    def linear_form(self, operation):
        return DenseForm(operation)


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

    def positions(self, call):
        """The kernel is applied once for each combination of the axes it lacks."""
        axes = find_einsum_axes(call.operation)
        sizes = dict(zip(axes.inputs, call.inputs[0].shape, strict=True))
        others = [a for a in axes.inputs[1:] if a not in axes.kernel]
        return count_positions(sizes[axis] for axis in others)


LAYER_TYPES |= {
    layers.Dense: DenseType(mix, size="units", weights={"kernel": "io", "bias": "o"}),
    layers.EinsumDense: EinsumDenseType(mix),
    layers.Embedding: DeclaredType(
        look_up, size="output_dim", weights={"embeddings": ".o"}
    ),
}
