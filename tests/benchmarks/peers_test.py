import sys

import keras
import numpy as np
import pytest
from keras import layers
from scripts import ROOT, load

import keras_shapley_prune as ksp

PEERS = ROOT / "benchmarks" / "peers"


@pytest.fixture(scope="module")
def export():
    path = list(sys.path)
    yield load(PEERS / "export.py")
    sys.path[:] = path


@pytest.fixture(scope="module")
def equal_latency():
    path = list(sys.path)
    sys.path.insert(0, str(PEERS.parent))
    yield load(PEERS / "equal_latency.py")
    sys.path[:] = path


def build_model(widths=(4, 2)):
    """A convolution, a normalization and a dense layer; no value is an initial one."""
    inputs = keras.Input((5, 5, 3))
    hidden = layers.Conv2D(widths[0], 3, name="a_conv")(inputs)
    hidden = layers.BatchNormalization(epsilon=1e-3, name="a_bn")(hidden)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    outputs = layers.Dense(widths[1], name="dense")(hidden)
    model = keras.Model(inputs, outputs)
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(np.random.default_rng(0).uniform(0.5, 1.5, weight.shape))
    return model


def test_arrays_are_what_pytorch_multiplies_with(export):
    model = build_model()
    images = np.random.default_rng(1).normal(size=(2, 5, 5, 3)).astype("float32")

    arrays = export.to_torch_arrays(model)

    channels_first = images.transpose(0, 3, 1, 2)
    windows = np.lib.stride_tricks.sliding_window_view(channels_first, (3, 3), (2, 3))
    hidden = np.einsum("bihwyx,oiyx->bohw", windows, arrays["a_conv.weight"])
    hidden += arrays["a_conv.bias"][:, None, None]
    scale = arrays["a_bn.weight"] / np.sqrt(arrays["a_bn.running_var"] + 1e-3)
    shift = arrays["a_bn.bias"] - arrays["a_bn.running_mean"] * scale
    hidden = hidden * scale[:, None, None] + shift[:, None, None]
    received = hidden.mean((2, 3)) @ arrays["dense.weight"].T + arrays["dense.bias"]
    expected = keras.ops.convert_to_numpy(model(images))
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_other_layers_with_weights_are_refused(export):
    model = keras.Sequential([keras.Input((4, 3)), layers.LSTM(2, name="memory")])
    with pytest.raises(ValueError, match="Received: memory of type LSTM"):
        export.to_torch_arrays(model)


def test_arrays_of_fewer_channels_come_back_to_keras(export, equal_latency):
    narrow = build_model(widths=(3, 2))
    arrays = export.to_torch_arrays(narrow)
    carried = equal_latency.from_torch_arrays(build_model(), arrays)
    images = np.random.default_rng(1).normal(size=(2, 5, 5, 3)).astype("float32")
    np.testing.assert_array_equal(carried(images), narrow(images))
    assert carried.get_layer("a_conv").filters == 3


def test_the_channels_that_were_removed_are_found(equal_latency):
    model = build_model()
    smaller = ksp.remove_channels(model, remove={"a_conv": [0, 2]})
    assert equal_latency.find_removed(model, smaller) == {"a_conv": [0, 2]}
    smaller.get_layer("a_bn").gamma.assign([7.0, 8.0])
    with pytest.raises(ValueError, match="Received: a_bn"):
        equal_latency.find_removed(model, smaller)


@pytest.mark.parametrize("wanted", [0, 3, 9])
def test_the_network_nearest_to_half_of_the_time_is_found(equal_latency, wanted):
    shares = {number: 0.5 - 0.03 * (number - wanted) for number in range(10)}
    found = equal_latency.find_equal(list(shares), shares.get)
    assert found == (wanted, 0.5)


def test_the_page_shows_the_networks_of_equal_latency():
    page = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
    table = load(PEERS / "latency_table.py")
    for line in table.make_lines(ROOT / "benchmarks" / "results"):
        assert f"\n{line}\n" in page, line
    for row in table.read(ROOT / "benchmarks" / "results" / "peers_latency.csv"):
        assert abs(float(row["measured"]) - 0.5) <= 0.02, row
