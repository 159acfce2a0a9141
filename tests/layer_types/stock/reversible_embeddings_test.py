"""Tests of the embedding that also reads what it returns."""

import keras
import models
import numpy as np
import pytest
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.trace.tracer import trace_channels


def language_model(tie_weights=True, reverse=True):
    inputs = keras.Input((5,), dtype="int32")
    embedding = layers.ReversibleEmbedding(
        11, 8, tie_weights=tie_weights, name="embedding"
    )
    x = embedding(inputs)
    x = x + layers.Dense(8, name="narrow")(layers.Dense(9, "relu", name="wide")(x))
    outputs = embedding(x, reverse=True) if reverse else layers.Dense(2)(x)
    return models.randomize(keras.Model(inputs, outputs))


@pytest.mark.sweep(2)
@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_masked_equals_pruned(tie_weights, reverse):
    model = language_model(tie_weights, reverse)
    channel_map = trace_channels(model)
    groups = {group.name: group.num_units for group in channel_map.groups}
    assert groups == {"embedding": 8, "wide": 9}
    tokens = np.random.default_rng(0).integers(0, 11, (4, 5))
    for seed in range(3):
        keep = models.random_keep(channel_map, 0.5, seed)
        masked = keras_shapley_prune.mask_channels(model, keep, channel_map)
        smaller = remove_channels(model, keep, channel_map)
        assert smaller.get_layer("embedding").output_dim < 8
        np.testing.assert_allclose(
            smaller(tokens), masked(tokens), rtol=1e-4, atol=1e-5
        )


def test_flops_of_what_reads_in_reverse():
    model = language_model()
    flops = keras_shapley_prune.count_flops(model)
    assert flops == 2 * 5 * (8 * 9 + 9 * 8 + 8 * 11)
