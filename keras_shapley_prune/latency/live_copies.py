"""Copies of models that int8 kernels take, whatever the weights are."""

import keras

from keras_shapley_prune.cut.model_copies import ModelCopier
from keras_shapley_prune.trace.recording import record_graph

_BIASES, _SMALL = ("bias", "beta"), 0.01


def copy_alive(model):
    """Returns a model that takes as long as a given one, with new weights.

    Before it is repaired, all that a layer of a cut network returns may be 0, for which
    there is no scale: XNNPACK refuses such an int8 file or ends the process. What a
    model takes does not depend on its weights. With biases of 1 and small kernels a
    layer returns about 1, also one of a single filter.

    Args:
        model: A `keras.Model`.
    """
    copy = ModelCopier(record_graph(model)).copy_model(model)
    for variable in copy.weights:
        if variable.path.endswith(_BIASES):
            variable.assign(keras.ops.ones_like(variable))
        elif len(variable.shape) > 1 and variable.dtype.startswith(("float", "bfloat")):
            variable.assign(_SMALL * variable)
    return copy
