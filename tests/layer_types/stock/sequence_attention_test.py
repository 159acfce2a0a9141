"""Tests of `Attention` and `AdditiveAttention`: what they lock, what they cost."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.tracer import trace_channels


def _model(attend, **embedding):
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, name="embedding", **embedding)(inputs)
    return keras.Model(inputs, layers.Dense(2, name="last")(attend(x)))


@pytest.mark.parametrize("kind", [layers.Attention, layers.AdditiveAttention])
def test_channels_of_queries_are_those_of_keys(kind):
    model = _model(lambda x: kind()([x, x]))
    (group,) = trace_channels(model).groups
    assert group.num_units == 4
    smaller = remove_channels(model, remove={"embedding": [1]})
    assert smaller.get_layer("last").kernel.shape == (3, 2)


def test_a_scale_for_each_channel_is_cut():
    layer = layers.AdditiveAttention(name="attention")
    model = _model(lambda x: layer([x, x]))
    smaller = remove_channels(model, remove={"embedding": [1]})
    np.testing.assert_array_equal(
        smaller.get_layer("attention").scale, np.delete(layer.scale, 1)
    )


@pytest.mark.parametrize(
    ("attend", "options", "words"),
    [
        (
            lambda x: layers.Attention()([x, x], return_attention_scores=True)[0],
            {},
            "returns its attention scores",
        ),
        (
            lambda x: layers.Attention()([x, x]),
            {"mask_zero": True},
            "a mask of time steps",
        ),
    ],
)
def test_what_is_not_exact_is_locked(attend, options, words):
    reasons = trace_channels(_model(attend, **options)).lock_reasons()
    assert words in reasons["embedding"]


def test_flops():
    """Scores of 6 x 6 pairs over 4 channels, their sums of values; the last layer."""
    model = _model(lambda x: layers.Attention()([x, x]))
    assert count_flops(model) == 2 * (2 * 36 * 4 + 6 * 4 * 2)
