"""Dense layers and embeddings."""

import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.einsum_axes import find_einsum_axes
from keras_shapley_prune.layer_types.flows import look_up, mix
from keras_shapley_prune.layer_types.linear_forms import DenseForm, EinsumForm
from keras_shapley_prune.layer_types.registry import SPECS, LayerSpec


def _not_dense(call):
    operation = call.operation
    if find_einsum_axes(operation).is_dense:
        return None
    return (
        f"has the equation {operation.equation!r}, in which the last axes are not "
        "those of a dense layer"
    )


def _name_einsum_axes(operation):
    axes = find_einsum_axes(operation)
    letters = {
        "kernel": axes.letters_of(axes.kernel),
        "bias": axes.letters_of(operation.bias_axes or ""),
    }
    return [(weight, letters.get(weight.name)) for weight in operation.weights]


def _resize_output(config, kept):
    shape = np.atleast_1d(np.array(config["output_shape"], object))
    if shape[-1] is not None:
        shape[-1] = int(np.count_nonzero(kept["o"]))
    config["output_shape"] = tuple(shape)


def _find_einsum_form(operation):
    """Returns an `EinsumForm` where the layer is one matrix and a bias for each row."""
    axes = find_einsum_axes(operation)
    plain = (operation.bias_axes or axes.outputs[-1]) == axes.outputs[-1]
    return EinsumForm(operation) if axes.is_matrix and plain else None


SPECS[layers.Dense] = LayerSpec(
    mix, size="units", weights={"kernel": "io", "bias": "o"}, linear_form=DenseForm
)
SPECS[layers.EinsumDense] = LayerSpec(
    mix,
    size=_resize_output,
    weights=_name_einsum_axes,
    unfit=_not_dense,
    linear_form=_find_einsum_form,
)
SPECS[layers.Embedding] = LayerSpec(
    look_up, size="output_dim", weights={"embeddings": ".o"}
)
