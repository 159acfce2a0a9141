"""Tests of copies of layers and raw operations."""

import keras
import numpy as np
import pytest

from keras_shapley_prune import Mimic, mimic, remove_channels, trace_channels


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Expected training to bring")  # in one step
@pytest.mark.parametrize(
    "operate",
    [
        lambda x: keras.ops.image.extract_patches(x, 2),  # its config has no name
        lambda x: keras.ops.roll(x, 1, axis=1),
    ],
)
def test_raw_operations_keep_their_names(operate):
    inputs = keras.Input((4, 4, 3))
    x = operate(keras.layers.Conv2D(6, 1, name="first")(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    channel_map = trace_channels(model)
    keep = channel_map.without(())
    keep[0] = False
    pruned = remove_channels(model, keep, channel_map)
    names = [operation.name for operation in model.operations]
    assert [operation.name for operation in pruned.operations] == names
    images = np.zeros((8, 4, 4, 3), "float32")
    assert mimic(pruned, model, images, Mimic(1, batch_size=4), keep, verbose=0)
