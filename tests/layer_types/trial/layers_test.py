"""Layers that nobody has registered: which a trial finds to keep channels apart."""

import random
import re
import warnings

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types.registry import find_letters
from keras_shapley_prune.layer_types.trial.layers import try_call
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels

WIDTH = 8


class LayerScale(layers.Layer):
    """A factor for each channel, as in ConvNeXt."""

    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma")

    def call(self, inputs):
        return inputs * self.gamma


class SizedScale(layers.Layer):
    """The same, told how many channels there are."""

    def __init__(self, projection_dim, init_values=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.projection_dim, self.init_values = projection_dim, init_values
        self.gamma = self.add_weight(
            shape=(projection_dim,),
            initializer=keras.initializers.Constant(init_values),
        )

    def call(self, inputs):
        return inputs * self.gamma

    def get_config(self):
        own = {"projection_dim": self.projection_dim, "init_values": self.init_values}
        return {**super().get_config(), **own}


class LearnableAffine(layers.Layer):
    """A factor and an offset for all channels, as in HGNetV2."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")

    def call(self, inputs):
        return self.scale * inputs + self.bias


class Affine(layers.Layer):
    """A factor and an offset for each channel, of the rank of the input."""

    def build(self, shape):
        shape = (*[1] * (len(shape) - 1), shape[-1])
        self.scale = self.add_weight(shape=shape, name="scale")
        self.offset = self.add_weight(shape=shape, name="offset")

    def call(self, inputs):
        return ops.nn.silu(inputs * self.scale + self.offset)


class Position(layers.Layer):
    """A number for each position and channel."""

    def build(self, shape):
        self.table = self.add_weight(shape=(1, *shape[1:]), name="table")

    def call(self, inputs):
        return inputs + self.table


class Rows(layers.Layer):
    """A factor for each row; there are as many rows as channels."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[1], 1, 1), name="factor")

    def call(self, inputs):
        return inputs * self.factor


class Taps(layers.Layer):
    """A depthwise convolution."""

    def build(self, shape):
        self.taps = self.add_weight(shape=(3, 3, shape[-1], 1), name="taps")

    def call(self, inputs):
        return ops.depthwise_conv(inputs, self.taps, padding="same")


class Frozen(layers.Layer):
    """A normalization by what was counted in training."""

    def build(self, shape):
        for name in ("mean", "variance"):
            weight = self.add_weight(shape=(shape[-1],), name=name, trainable=False)
            setattr(self, name, weight)
        self.variance.assign(ops.ones(shape[-1]))

    def call(self, inputs, training=False):
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = ops.moments(
                inputs, axes=list(range(len(inputs.shape) - 1))
            )
            self.mean.assign(0.9 * self.mean + 0.1 * mean)
        return (inputs - mean) / ops.sqrt(variance + 1e-3)


class DropPath(layers.Layer):
    """Drops whole examples in training."""

    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.seed_generator = rate, keras.random.SeedGenerator(0)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        shape = (ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        kept = keras.random.uniform(shape, seed=self.seed_generator) > self.rate
        return inputs * ops.cast(kept, inputs.dtype) / (1 - self.rate)


class TfDropPath(DropPath):
    def call(self, inputs, training=False):
        return inputs * tf.round(tf.random.uniform([])) if training else inputs


class OfLayers(layers.Layer):
    """A layer of layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization()
        self.activate = layers.Activation(tf.nn.silu)

    def build(self, shape):
        self.norm.build(shape)

    def call(self, inputs):
        return self.activate(self.norm(inputs))


class Fixed(layers.Layer):
    """Knows in which shape it was built."""

    def build(self, shape):
        self.positions = shape[1:-1]
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, inputs):
        flat = ops.reshape(inputs, (-1, int(np.prod(self.positions)), inputs.shape[-1]))
        return ops.reshape(flat * self.scale, (-1, *self.positions, inputs.shape[-1]))


class Rank4(layers.Layer):
    """Takes images only."""

    def call(self, inputs):
        return tf.nn.max_pool2d(inputs, 2, 1, "SAME")


class Square(keras.Operation):
    """A raw operation of a user's own."""

    def call(self, inputs):
        return inputs * inputs


def _lambda(function, **options):
    return lambda: layers.Lambda(function, **options)


KEEPING = {
    "LayerScale": LayerScale,
    "SizedScale": lambda: SizedScale(WIDTH),
    "LearnableAffine": LearnableAffine,
    "Affine": Affine,
    "Position": Position,
    "Rows": Rows,
    "Taps": Taps,
    "Frozen": Frozen,
    "DropPath": DropPath,
    "TfDropPath": TfDropPath,
    "OfLayers": OfLayers,
    "Fixed": Fixed,
    "Rank4": Rank4,
    "Operation": Square,
    "Lambda": _lambda(tf.math.sin),
    "Lambda with arguments": _lambda(
        lambda x, power: x**power, arguments={"power": 2.0}
    ),
    "Lambda of another size": _lambda(lambda x: tf.image.resize(x, (5, 7))),
    "Lambda of a known shape": _lambda(lambda x: x[:, ::2], output_shape=(4, 8, WIDTH)),
    "Lambda that pools": _lambda(lambda x: tf.reduce_mean(x, axis=[1, 2])),
    "Lambda that transposes": _lambda(lambda x: tf.transpose(x, [0, 2, 1, 3])),
    "float16": lambda: Affine(dtype="float16"),
    "mixed": lambda: LayerScale(dtype="mixed_float16"),
}


class Matrix(layers.Layer):
    """Mixes all channels, but not before it is trained."""

    def build(self, shape):
        self.kernel = self.add_weight(
            shape=(shape[-1], shape[-1]), initializer="identity", name="kernel"
        )

    def call(self, inputs):
        return ops.matmul(inputs, self.kernel)


class Zero(Matrix):
    """The same, added to what it reads."""

    def build(self, shape):
        self.kernel = self.add_weight(
            shape=(shape[-1], shape[-1]), initializer="zeros", name="kernel"
        )

    def call(self, inputs):
        return inputs + ops.matmul(inputs, self.kernel)


class Mean(LayerScale):
    """A factor a channel, relative to the mean of all."""

    def call(self, inputs):
        return inputs * self.gamma / ops.mean(self.gamma)


class Halves(layers.Layer):
    """A weight for half of the channels."""

    def build(self, shape):
        self.half = self.add_weight(shape=(shape[-1] // 2,), name="half")

    def call(self, inputs):
        return inputs * ops.mean(self.half)


class RowsOfChannels(Rows):
    """A factor for each row, of which there have to be as many as channels."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1], 1, 1), name="factor")


class Counter(layers.Layer):
    """Counts its calls."""

    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="zeros", name="count")

    def call(self, inputs):
        self.count.assign_add(1.0)
        return inputs * self.count


class PythonCounter(layers.Layer):
    """Counts its calls, where Keras does not see it."""

    count = 0

    def call(self, inputs):
        self.count += 1
        return inputs * self.count


class MonteCarlo(DropPath):
    """Drops at inference, too."""

    def call(self, inputs):
        return super().call(inputs, training=True)


class Centred(layers.Layer):
    """Mixes channels in training only."""

    def call(self, inputs, training=False):
        return inputs - ops.mean(inputs, -1, keepdims=True) if training else inputs


class Told(layers.Layer):
    """A constant for each channel, which is in no weight."""

    def build(self, shape):
        self.shift = np.arange(shape[-1], dtype="float32")

    def call(self, inputs):
        return inputs + self.shift


class Adapted(layers.Layer):
    """A constant that is neither weight nor config."""

    shift = 0.0

    def call(self, inputs):
        return inputs + self.shift


class NoConfig(layers.Layer):
    """Cannot be made anew."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.own = function

    def call(self, inputs):
        return self.own(inputs)


class Raising(layers.Layer):
    def call(self, inputs):
        if not isinstance(inputs, keras.KerasTensor) and tf.executing_eagerly():
            raise RuntimeError("not today")
        return inputs


class Reversed(keras.Operation):
    def call(self, inputs):
        return ops.flip(inputs, -1)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def _adapted():
    layer = Adapted()
    layer.shift = 3.0
    return layer


ONE_READS_ANOTHER = r"output channel \d changed when only input channel \d did"
REFUSED = {
    "Dense": (lambda: Matrix(), ONE_READS_ANOTHER),
    "Zero": (Zero, ONE_READS_ANOTHER),
    "Mean": (Mean, "something else than on all"),
    "Halves": (Halves, r"its weights have shapes \[\(4,\)\] for 8 channels and \["),
    "Rows": (RowsOfChannels, "it cannot be made anew for 5 of 8 channels: "),
    "Counter": (Counter, "it draws random numbers, or changes a variable, when it is"),
    "PythonCounter": (PythonCounter, "it returns other values each time it is called"),
    "MonteCarlo": (MonteCarlo, "it draws random numbers, or changes a variable"),
    "Centred": (Centred, f"in training {ONE_READS_ANOTHER}"),
    "Told": (Told, "something else than on all"),
    "Adapted": (_adapted, "something else than on all"),
    "NoConfig": (lambda: NoConfig(ops.relu), "it cannot be made anew: Object NoConf"),
    "Raising": (Raising, "it cannot be run: not today"),
    "Operation": (Reversed, ONE_READS_ANOTHER),
    "Lambda": (_lambda(lambda x: x[..., ::-1]), ONE_READS_ANOTHER),
    "softmax": (_lambda(tf.nn.softmax), ONE_READS_ANOTHER),
    "local response": (_lambda(tf.nn.lrn), ONE_READS_ANOTHER),
    "more channels": (
        _lambda(lambda x: tf.concat([x, x], -1)),
        "it returns 16 channels of 8",
    ),
    "noise": (
        _lambda(lambda x: x + tf.random.normal(tf.shape(x))),
        "it returns other values each time",
    ),
    "Masking": (lambda: layers.Masking(-1.0), "it makes a mask of time steps"),
}


def _model(layer, shape=(8, 8, 3)):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = layers.Dense(WIDTH, activation="tanh", name="a")(inputs)
    x = layers.Dense(5, name="b")(layer(x))
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", KEEPING)
def test_what_keeps_channels_apart_is_pruned(name):
    model = _model(KEEPING[name]())
    channel_map = trace_channels(model)
    assert set(channel_map.lock_reasons()) == {"last"}
    tolerance = 1e-2 if name in ("float16", "mixed") else 1e-5
    models.check_masks(models.randomize(model), tolerance=tolerance)
    (found,) = channel_map.trials.values()
    assert found in {(name.split()[0],), (type(model.layers[2]).__name__,), ("Square",)}


@pytest.mark.sweep(3)
@pytest.mark.parametrize("shape", [(3,), (6, 3), (4, 4, 4, 3), (None, None, 3)])
@pytest.mark.parametrize(
    "name", ["LayerScale", "LearnableAffine", "DropPath", "Lambda"]
)
def test_any_rank_will_do(name, shape):
    assert set(trace_channels(_model(KEEPING[name](), shape)).lock_reasons()) == {
        "last"
    }


@pytest.mark.sweep(4)
@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_is_locked_with_what_was_found(name):
    make, words = REFUSED[name]
    shape = (8, 3) if name == "Masking" else (8, 8, 3)
    reason = trace_channels(_model(make(), shape)).lock_reasons()["a"]
    what = "known operation" if name == "Operation" else "registered layer"
    assert f"is not a {what}, nor elementwise by trial: " in reason
    assert re.search(words, reason), reason


def test_axes_of_weights_are_found():
    expected = {
        "LayerScale": ["i"],
        "Affine": ["...i"] * 2,
        "LearnableAffine": [""] * 2,
    }
    expected |= {"Rows": ["..."], "Taps": ["..i."], "Position": ["...i"]}
    for name, letters in expected.items():
        model = _model(KEEPING[name]())
        trace_channels(model)
        layer = model.layers[2]
        assert [find_letters(layer, weight) for weight in layer.weights] == letters


@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", ["LayerScale", "Affine", "Taps", "Named", "Loud"])
def test_what_was_tried_is_counted(name):
    class Named(Taps):
        def build(self, shape):
            self.taps = self.add_weight(shape=(3, 3, shape[-1], 1), name="own_kernel")

    class Loud(layers.DepthwiseConv2D):
        def call(self, inputs):
            return 2 * super().call(inputs)

    own = {"Named": Named, "Loud": lambda: Loud(3)}
    model = _model((KEEPING | own)[name]())
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.4)
    smaller = remove_channels(model, keep, channel_map)
    assert CostModel(channel_map, "params").count(keep) == smaller.count_params()
    assert CostModel(channel_map, "flops").count(keep) == count_flops(smaller)


def _state_of(model):
    weights = [v.numpy() for layer in model.layers for v in layer.variables]
    attributes = [dict(vars(layer)) for layer in model.layers]
    losses = [list(layer.losses) for layer in model.layers]
    generators = random.getstate(), np.random.get_state()[1].tolist()
    return weights, attributes, losses, generators


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "make",
    [
        DropPath,
        Frozen,
        OfLayers,
        Counter,
        PythonCounter,
        MonteCarlo,
        lambda: LayerScale(activity_regularizer="l2"),
        lambda: layers.Lambda(lambda x: x + keras.random.normal(ops.shape(x))),
    ],
)
def test_a_trial_changes_nothing(make):
    model = _model(make())
    graph = record_graph(model)
    before = _state_of(model)
    try_call(graph.calls[1])
    after = _state_of(model)
    for ours, theirs in zip(after[0], before[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert after[1:] == before[1:]


@pytest.mark.slow
def test_names_and_seeds_are_those_without_a_trial():
    def build(traced):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(3)
        model = _model(OfLayers())
        if traced:
            trace_channels(model)
        after = layers.BatchNormalization(), layers.Dense(2)
        after[1].build((None, 3))
        draw = keras.random.normal((2,)).numpy(), np.random.normal(), random.random()
        return [layer.name for layer in after], after[1].kernel.numpy(), draw

    for ours, theirs in zip(build(True)[1:], build(False)[1:], strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    assert build(True)[0] == build(False)[0]


class Within(layers.Layer):
    """Counts where a layer within does."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.counter = PythonCounter()

    def call(self, inputs):
        return inputs + 0 * self.counter(inputs)


def test_counters_of_layers_within_are_put_back():
    model = _model(Within())
    graph = record_graph(model)
    before = model.layers[2].counter.count
    assert try_call(graph.calls[1]) is None
    assert model.layers[2].counter.count == before


class Compiled(LayerScale):
    """Its call is a `tf.function`."""

    @tf.function
    def call(self, inputs):
        return inputs * self.gamma


def test_a_compiled_layer_keeps_its_weights():
    """It is not traced with those of the trial."""
    model = _model(Compiled())
    (call,) = [c for c in record_graph(model).calls if c.name == model.layers[2].name]
    assert try_call(call) is None
    layer = model.layers[2]
    for shape in ((5, 5, 4, WIDTH), (5, 8, 8, WIDTH), (5, 2, 3, WIDTH)):
        np.testing.assert_allclose(layer(np.ones(shape)), np.ones(shape) * layer.gamma)
    assert not tf.config.functions_run_eagerly()


def test_a_layer_is_tried_once(monkeypatch):
    model = _model(LayerScale())
    (call,) = [c for c in record_graph(model).calls if c.name == model.layers[2].name]
    assert try_call(call) is None
    monkeypatch.setattr(LayerScale, "call", None)
    assert try_call(call) is None


def test_what_reads_no_units_is_not_tried():
    inputs = keras.Input((8, 8, 3))
    x = layers.Dense(4, name="a")(Raising()(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    channel_map = trace_channels(model)
    assert set(channel_map.lock_reasons()) == {"last"}
    assert channel_map.trials == {}


def test_a_shared_layer_is_tried_as_it_is_called():
    inputs = keras.Input((8, 8, 3))
    scale = LearnableAffine(name="scale")
    x = scale(layers.Dense(4, name="a")(inputs))
    x = layers.GlobalMaxPooling2D()(layers.Dense(6, name="b")(x))
    model = keras.Model(inputs, layers.Dense(2, name="last")(scale(x)))
    # What has weights reads the same channels in both of its calls.
    assert "scale" in trace_channels(model).lock_reasons()["a"]


class Positions(layers.Layer):
    """A vector for each position, of a layer that `build` does not build."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.positions = layers.Embedding(6, WIDTH)

    def call(self, inputs):
        return inputs + self.positions(ops.arange(6))


def test_a_trial_that_fails_warns_of_nothing():
    # A copy for fewer channels is called, and Keras warns before it fails.
    model = _model(Positions(), (6, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reasons = trace_channels(model).lock_reasons()
    assert "nor elementwise by trial" in reasons["a"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.fft2((x, ops.zeros_like(x)))[0],
        lambda x: ops.fft((x, x))[1],
        lambda x: ops.rfft(x)[0],
    ],
)
def test_a_fourier_transform_needs_no_trial(function):
    inputs = keras.Input((8, 3))
    x = layers.Dense(WIDTH, name="a")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(function(x)))
    assert "runs along the last axis" in trace_channels(model).lock_reasons()["a"]
