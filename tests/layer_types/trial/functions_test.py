"""Functions as activations: which a trial finds elementwise, and why others are not."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_shapley_prune.layer_types import elementwise_activations
from keras_shapley_prune.layer_types.trial.functions import try_function

SHAPES = (None, 6), (None, 8, 8, 16), (None, None, 7), (None, 4, 4, 4, 5)


def mish(x):
    return x * ops.tanh(ops.softplus(x))


class Swish:
    """An object that is called."""

    def __call__(self, x):
        return x * ops.sigmoid(2.0 * x)


class Bend:
    """An object whose method is called."""

    slope = 0.3

    def bend(self, x):
        return tf.where(x > 0, x, self.slope * x)


SLOPE = keras.Variable(0.2, name="slope")
ELEMENTWISE = {
    "mish": mish,
    "lambda": lambda x: ops.minimum(ops.relu(x), 6.0),
    "partial": functools.partial(keras.activations.gelu, approximate=True),
    "object": Swish(),
    "method": Bend().bend,
    "tf.function": tf.function(lambda x: tf.nn.relu(x) ** 2),
    "sine": tf.math.sin,
    "exponential": tf.exp,
    "not finite": tf.math.log,
    "far from zero at zero": lambda x: ops.cos(x) + 2,
    "steps": tf.round,
    "constant": lambda x: ops.zeros_like(x) + 1,
    "variable": lambda x: x * SLOPE,
    "numbers": lambda x: x * np.float32(2) + np.ones((1,), "float32"),
    "per example": lambda x: x / (1 + ops.max(ops.abs(x), axis=0, keepdims=True)),
}
SHIFT = np.linspace(-1, 1, 16, dtype="float32")
STATE = keras.Variable(0.0, name="state")


def _count(x):
    STATE.assign_add(1.0)
    return x * STATE


def _noise(x):
    return x + keras.random.normal(ops.shape(x))


def _tf_noise(x):
    return x + tf.random.normal(tf.shape(x))


def _numpy_noise(x):
    return x * np.random.default_rng().normal()


class Counter:
    calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * self.calls


def _only_large(x):
    """Softmax, but only where something is large."""
    return tf.where(tf.reduce_max(x, -1, keepdims=True) > 500, tf.nn.softmax(x), x)


MIXING = {
    "softmax": (tf.nn.softmax, "output channel .* changed when only input channel"),
    "log softmax": (keras.activations.log_softmax, "changed when only input channel"),
    "centred": (
        lambda x: x - ops.mean(x, axis=-1, keepdims=True),
        r"output channel \d+ changed when only input channel \d+ did",
    ),
    "normalized": (lambda x: tf.math.l2_normalize(x, -1), "changed when only"),
    "cumulated": (
        lambda x: tf.cumsum(x, axis=-1),
        r"output channel 2 changed when only input channel \d did",
    ),
    "backwards": (
        lambda x: tf.reverse(x, [-1]),
        "output channel 0 changed when only input channel 15 did",
    ),
    "sorted": (lambda x: tf.sort(x, axis=-1), "changed when only"),
    "rolled": (lambda x: tf.roll(x, 1, -1), "output channel .* changed when only"),
    "gated by one": (lambda x: x * tf.sigmoid(x[..., :1]), "only input channel 0 did"),
    "where all are zero": (
        lambda x: x + tf.cast(tf.reduce_any(x != 0, -1, keepdims=True), x.dtype),
        "changed when only input channel",
    ),
    "where one is large": (_only_large, "changed when only input channel"),
    "local": (tf.nn.lrn, "output channel .* changed when only input channel"),
    "an array": (lambda x: x + SHIFT, r"on \d+ of 16 channels it cannot be run: "),
    "an array of its own size": (
        lambda x: x * SHIFT[: x.shape[-1]],
        r"on \d+ of 16 channels it returns something else than on all",
    ),
    "their number": (
        lambda x: x / x.shape[-1],
        r"on \d+ of 16 channels it returns something else than on all",
    ),
    "their positions": (
        lambda x: x * (-1.0) ** np.arange(x.shape[-1], dtype="float32"),
        "something else than on all",
    ),
    "the first one": (
        lambda x: tf.concat([2 * x[..., :1], x[..., 1:]], -1),
        "something else than on all",
    ),
    "noise": (_noise, "it draws random numbers, or changes a variable"),
    "noise of tf": (_tf_noise, "it returns other values each time it is called"),
    "noise of numpy": (_numpy_noise, "it returns other values each time it is called"),
    "counted": (_count, "it draws random numbers, or changes a variable"),
    "counted in Python": (Counter(), "it returns other values each time it is called"),
    "half as many": (keras.activations.glu, "it returns 8 channels of 16"),
    "whole numbers": (lambda x: ops.cast(x, "int32"), "it returns int32"),
    "no tensor": (lambda x: [x], "it returns list, not a tensor"),
    "no numbers": (lambda x: x * np.nan, "it returns no numbers"),
    "a sum": (lambda x: tf.reduce_sum(x), r"it returns shape \(\)"),
    "an error": (lambda x: x / None, "it cannot be run: "),
}


@pytest.mark.sweep(3)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_functions_are_found(name):
    for shape in SHAPES:
        assert try_function(ELEMENTWISE[name], shape, "float32") is None


@pytest.mark.sweep(4)
@pytest.mark.parametrize("name", elementwise_activations.ELEMENTWISE_NAMES)
def test_a_trial_agrees_with_what_is_known(name):
    for module in (keras.activations, ops, tf.nn, tf.math):
        function = getattr(module, name, None)
        if function is not None:
            assert function in elementwise_activations.ELEMENTWISE
            if name == "threshold":
                function = functools.partial(function, threshold=0.1, default_value=0.0)
            for shape in SHAPES[:2]:
                assert try_function(function, shape, "float32") is None


@pytest.mark.sweep(1)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_types_are_tried_as_they_are(dtype):
    for function in (mish, tf.math.sin, keras.activations.gelu):
        assert try_function(function, (None, 8, 8, 16), dtype) is None
    for name in ("softmax", "centred", "an array", "their number", "noise"):
        assert try_function(MIXING[name][0], (None, 8, 8, 16), dtype) is not None


@pytest.mark.sweep(5)
@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_or_cannot_be_cut_is_refused_with_what_was_found(name):
    function, words = MIXING[name]
    found = try_function(function, (None, 8, 8, 16), "float32")
    assert found is not None
    assert re.search(words, found), found
