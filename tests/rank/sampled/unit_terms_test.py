"""Tests of what single units contribute to a layer."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.rank.sampled.unit_terms import UnitTerms

CASES = {
    "dense": (layers.Dense(5), (6,)),
    "positions": (layers.Dense(5), (3, 2, 6)),
    "valid": (layers.Conv2D(5, 3), (6, 5, 4)),
    "strided": (layers.Conv2D(5, (3, 2), strides=2, padding="same"), (7, 6, 4)),
    "dilated": (layers.Conv2D(5, 3, dilation_rate=2, padding="same"), (7, 6, 4)),
    "causal": (layers.Conv1D(5, 3, padding="causal"), (7, 4)),
    "volume": (layers.Conv3D(5, 2), (4, 3, 3, 2)),
    "grouped": (layers.Conv2D(6, 3, groups=2), (5, 5, 4)),
    "separable": (layers.SeparableConv2D(5, 3, depth_multiplier=2), (5, 5, 4)),
    "transposed": (layers.Conv2DTranspose(5, 3, strides=2), (4, 3, 4)),
    "einsum": (layers.EinsumDense("abc,bcd->ad", 5), (3, 4)),
}


def _open(case):
    layer, shape = case
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(3, *shape)).astype("float32")
    layer(inputs)
    return find_linear_form(layer), tf.constant(inputs), generator


@pytest.mark.sweep(8)
@pytest.mark.parametrize("units", [1, 2], ids=["one channel", "two channels"])
@pytest.mark.parametrize("name", CASES)
def test_terms_are_those_of_the_rows(name, units):
    form, inputs, generator = _open(CASES[name])
    channels = generator.permutation(inputs.shape[-1]).reshape(-1, units)
    columns_of = np.stack(
        [np.flatnonzero(np.isin(form.channel_of, some)) for some in channels]
    )
    terms = UnitTerms(form, columns_of)
    # Each example has a unit of its own.
    chosen = generator.integers(0, len(channels), 3)
    found = terms.of(terms.split(inputs), tf.constant(chosen, tf.int32))
    rows = form.rows(inputs).numpy()
    for example, unit in enumerate(chosen):
        columns = columns_of[unit]
        expected = rows[example][:, columns] @ form.matrix[columns]
        np.testing.assert_allclose(found[example], expected, rtol=1e-4, atol=1e-5)


def test_patches_are_not_held_for_all_units():
    form, inputs, _ = _open(CASES["valid"])
    columns_of = np.stack([np.flatnonzero(form.channel_of == c) for c in range(4)])
    parts = UnitTerms(form, columns_of).split(inputs)
    assert tf.size(parts) == tf.size(inputs)


def test_a_batch_of_any_size():
    form, inputs, _ = _open(CASES["strided"])
    columns_of = np.stack([np.flatnonzero(form.channel_of == c) for c in range(4)])
    terms = UnitTerms(form, columns_of)
    specs = tf.TensorSpec([None, *inputs.shape[1:]]), tf.TensorSpec([None], tf.int32)

    @tf.function(input_signature=specs)
    def run(inputs, units):
        return terms.of(terms.split(inputs), units)

    for size in (1, 3):
        units = tf.zeros(size, tf.int32)
        whole = terms.of(terms.split(inputs[:size]), units)
        np.testing.assert_allclose(run(inputs[:size], units), whole, rtol=1e-5)
