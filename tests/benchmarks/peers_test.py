import sys

import keras
import numpy as np
import pytest
from keras import layers
from scripts import ROOT, load


@pytest.fixture(scope="module")
def export():
    path = list(sys.path)
    yield load(ROOT / "benchmarks" / "peers" / "export.py")
    sys.path[:] = path


def test_arrays_are_what_pytorch_multiplies_with(export):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 5, 3))
    hidden = layers.Conv2D(4, 3, bias_initializer="normal", name="conv")(inputs)
    hidden = layers.BatchNormalization(epsilon=1e-3, name="norm")(hidden)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    outputs = layers.Dense(2, bias_initializer="normal", name="dense")(hidden)
    model = keras.Model(inputs, outputs)
    for weight in model.get_layer("norm").weights:
        weight.assign(np.random.default_rng(0).uniform(0.5, 1.5, weight.shape))
    images = np.random.default_rng(1).normal(size=(2, 5, 5, 3)).astype("float32")

    arrays = export.to_torch_arrays(model)

    channels_first = images.transpose(0, 3, 1, 2)
    windows = np.lib.stride_tricks.sliding_window_view(channels_first, (3, 3), (2, 3))
    hidden = np.einsum("bihwyx,oiyx->bohw", windows, arrays["conv.weight"])
    hidden += arrays["conv.bias"][:, None, None]
    scale = arrays["norm.weight"] / np.sqrt(arrays["norm.running_var"] + 1e-3)
    shift = arrays["norm.bias"] - arrays["norm.running_mean"] * scale
    hidden = hidden * scale[:, None, None] + shift[:, None, None]
    received = hidden.mean((2, 3)) @ arrays["dense.weight"].T + arrays["dense.bias"]
    expected = keras.ops.convert_to_numpy(model(images))
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_other_layers_with_weights_are_refused(export):
    model = keras.Sequential([keras.Input((4, 3)), layers.LSTM(2, name="memory")])
    with pytest.raises(ValueError, match="Received: memory of type LSTM"):
        export.to_torch_arrays(model)
