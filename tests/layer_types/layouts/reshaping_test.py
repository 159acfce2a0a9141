"""Tests of how reshapings are made where axes are in another order."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_shapley_prune.layer_types.layouts.orders import channels_last, same_order
from keras_shapley_prune.layer_types.layouts.recipe import Placed
from keras_shapley_prune.layer_types.layouts.reshaping import match_axes
from keras_shapley_prune.layer_types.stock.layouts import find_rule
from keras_shapley_prune.trace.recording import record_graph


@pytest.mark.parametrize(
    ("before", "after", "blocks"),
    [
        ((None, 6, 4), (None, 6, 4), [([0], [0]), ([1], [1]), ([2], [2])]),
        ((None, 6), (None, 6, 1, 1), [([0], [0]), ([1], [1]), ([], [2]), ([], [3])]),
        ((None, 6, 1, 1), (None, 6), [([0], [0]), ([1], [1]), ([2], []), ([3], [])]),
        ((None, 6, 4, 5), (None, 6, 20), [([0], [0]), ([1], [1]), ([2, 3], [2])]),
        ((None, 6, 4), (None, 2, 3, 4), [([0], [0]), ([1], [1, 2]), ([2], [3])]),
        ((None, 6, 4), (None, 8, 3), [([0], [0]), ([1, 2], [1, 2])]),
        (
            (None, 6, None, None),
            (None, 6, None),
            [([0], [0]), ([1], [1]), ([2, 3], [2])],
        ),
        ((None, 6, None), (None, None, 6), None),
        ((None, None, 4), (None, 2, None), None),
    ],
)
def test_which_axes_become_which(before, after, blocks):
    assert match_axes(before, after) == blocks


def _call(shape, step):
    """Returns the one recorded call of a step."""
    inputs = keras.Input(shape)
    (call,) = record_graph(keras.Model(inputs, step(inputs))).calls
    return call


@pytest.mark.parametrize(
    "step",
    [
        layers.Flatten(),
        layers.Reshape((120,)),
        layers.Reshape((6, -1)),
        layers.Reshape((2, 3, 4, 5)),
        layers.Reshape((6, 4, 5, 1)),
        layers.Reshape((6, 2, 2, 5)),
        layers.Reshape((3, 2, 20)),
        layers.Reshape((24, 5)),
        layers.Reshape((5, 24)),
        lambda x: ops.reshape(x, (-1, 6, 20)),
        lambda x: ops.reshape(x, (-1, 120)),
        lambda x: ops.expand_dims(x, 1),
        lambda x: ops.expand_dims(x, -1),
        layers.Permute((3, 1, 2)),
        lambda x: ops.swapaxes(x, 1, 3),
        lambda x: ops.moveaxis(x, 1, -1),
        lambda x: x[:, 1:, 0, ::2],
        lambda x: x[..., -1],
        lambda x: ops.max(x, axis=(1, -1)),
        lambda x: ops.mean(x, axis=2, keepdims=True),
        lambda x: ops.flip(x, axis=1),
        lambda x: ops.repeat(x, 2, axis=1),
        lambda x: ops.roll(x, 1, axis=-1),
        lambda x: ops.split(x, 2, axis=1)[1],
        layers.Softmax(axis=1),
        layers.UnitNormalization(axis=[1, 2]),
        layers.LayerNormalization(axis=2),
        layers.PReLU(shared_axes=[2]),
        lambda x: x * np.arange(6.0).reshape(6, 1, 1),
        lambda x: x + np.arange(5.0),
    ],
)
def test_the_numbers_are_the_same(step):
    call = _call((6, 4, 5), step)
    array = np.random.default_rng(0).normal(size=(2, 6, 4, 5)).astype("float32")
    placed = [Placed((None, 6, 4, 5), channels_last(4))]
    recipe = find_rule(call.operation)(call, placed)
    assert recipe is not None
    expected = _run(call.operation, call, array)
    here = array.transpose(recipe.orders[0])
    if recipe.is_free:
        received = here
    elif recipe.function is not None:
        received = np.array(recipe.function(here))
    else:
        config = call.operation.get_config() | recipe.config
        changed = type(call.operation).from_config(config)
        received = _run(changed, call, here, recipe.arguments)
    order = recipe.outputs(received.ndim)
    if recipe.rows_out is not None:
        expected = expected[:, recipe.rows_out]
    assert np.allclose(expected.transpose(order), received, atol=1e-6)


def _run(operation, call, array, arguments=None):
    """Returns the first output of an operation, called as it was but on an array."""
    inputs = keras.Input(array.shape[1:])
    args, kwargs = call.fill_in([inputs])
    if arguments is not None:
        args, kwargs = arguments(args, kwargs)
    (output, *_) = keras.tree.flatten(operation(*args, **kwargs))
    return np.array(keras.Model(inputs, output)(array))


def test_what_is_as_before_remains_so():
    for step in (layers.Flatten(), layers.Reshape((24, 5)), layers.Permute((1, 3, 2))):
        call = _call((6, 4, 5), step)
        placed = [Placed((None, 6, 4, 5), same_order(4))]
        assert find_rule(call.operation)(call, placed) is None
