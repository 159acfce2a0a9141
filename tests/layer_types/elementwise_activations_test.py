import functools
import math

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import trace_channels
from keras_shapley_prune.layer_types import elementwise_activations


def test_an_activation_with_weights_locks_its_layer():
    inputs = keras.Input((4,))
    x = layers.Dense(3, activation=layers.PReLU(), name="first")(inputs)
    channel_map = trace_channels(keras.Model(inputs, layers.Dense(2)(x)))
    assert "first" not in [group.name for group in channel_map.groups]


@pytest.mark.parametrize("name", elementwise_activations.ELEMENTWISE_NAMES)
def test_the_listed_activations_are_elementwise(name):
    function = getattr(keras.activations, name)
    if name == "threshold":
        function = functools.partial(function, threshold=0.1, default_value=0.0)
    x = np.random.default_rng(0).normal(size=(3, 7)).astype("float32")
    together = keras.ops.convert_to_numpy(function(x))
    alone = [keras.ops.convert_to_numpy(function(x[:, i : i + 1])) for i in range(7)]
    np.testing.assert_allclose(together, np.concatenate(alone, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sparsemax", "glu"])
def test_activations_that_mix_are_not_listed(name):
    function = getattr(keras.activations, name)
    assert function not in elementwise_activations.ELEMENTWISE
    layer = layers.Dense(4, activation=function)
    found = elementwise_activations.describe_mixing(layer, (None, 4))
    assert found.startswith(f"activation {name} is not elementwise: ")


@pytest.mark.parametrize(
    ("activation", "ceiling"),
    [
        (keras.activations.relu, math.inf),
        (keras.activations.relu6, 6.0),
        (layers.ReLU(), math.inf),
        (layers.ReLU(max_value=2), 2.0),
        (layers.Activation("relu6"), 6.0),
        (layers.Activation(layers.ReLU(3)), 3.0),
        (layers.ReLU(max_value=0), None),
        (layers.ReLU(negative_slope=0.1), None),
        (layers.ReLU(threshold=0.1), None),
        (layers.LeakyReLU(), None),
        (layers.Activation("gelu"), None),
        (functools.partial(keras.activations.relu, max_value=3), None),
        (None, None),
    ],
)
def test_relus_are_told_from_what_is_like_them(activation, ceiling):
    assert elementwise_activations.find_ceiling(activation) == ceiling
