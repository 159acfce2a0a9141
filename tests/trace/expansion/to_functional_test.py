"""Tests of `to_functional`: the same numbers, now with a graph."""

import warnings

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_shapley_prune
from keras_shapley_prune import to_functional
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.trace.expansion.equivalence import find_difference
from keras_shapley_prune.trace.tracer import trace_channels


class Block(layers.Layer):
    """A residual block, as users write it."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Conv2D(filters, 3, padding="same", name="first")
        self.norm = layers.BatchNormalization(name="norm")
        self.second = layers.Conv2D(8, 1, name="second")
        self.dropout = layers.Dropout(0.5)

    def build(self, shape):
        self.first.build(shape)
        self.norm.build(self.first.compute_output_shape(shape))
        self.second.build(self.first.compute_output_shape(shape))

    def call(self, inputs, training=False):
        x = ops.relu(self.norm(self.first(inputs), training=training))
        return inputs + self.dropout(self.second(x), training=training)


class Stage(layers.Layer):
    """Blocks in a layer, one of them twice."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Block(6, name="a"), Block(5, name="b")]

    def build(self, shape):
        for block in self.blocks:
            block.build(shape)

    def call(self, inputs):
        for block in (*self.blocks, self.blocks[0]):
            inputs = block(inputs)
        return inputs


class Network(keras.Model):
    """A subclassed model."""

    def __init__(self):
        super().__init__(name="network")
        self.stem = layers.Conv2D(8, 3, name="stem")
        self.stage = Stage(name="stage")
        self.pool = layers.GlobalAveragePooling2D()
        self.classes = layers.Dense(3, name="classes")

    def call(self, inputs):
        return self.classes(self.pool(self.stage(self.stem(inputs))))


def subclassed():
    network = Network()
    network(np.zeros((1, 8, 8, 3), "float32"))
    return models.randomize(network)


def surrounded(layer):
    """A functional model of a layer between others."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="before")(inputs)
    x = layers.GlobalAveragePooling2D()(layer(x))
    return models.randomize(keras.Model(inputs, layers.Dense(3, name="after")(x)))


def check_same(model, functional):
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    expected = models.outputs_of(model, images)
    found = models.outputs_of(functional, images)
    assert models.relative_difference(found, expected) < 1e-6


def check_pruning(model, names):
    channel_map = trace_channels(model)
    assert {group.name for group in channel_map.groups} == names
    models.check_masks(model, tolerance=1e-4)
    keep = models.random_keep(channel_map, 0.5, 0)
    smaller = remove_channels(model, keep, channel_map)
    assert smaller.count_params() < model.count_params()
    return smaller


def test_a_subclassed_model_is_pruned_within_its_layers(tmp_path):
    model = subclassed()
    weights = model.get_weights()
    functional = to_functional(model)
    check_same(model, functional)
    names = {"stem", "stage/a/first", "stage/b/first"}
    smaller = check_pruning(functional, names)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras")
    check_same(smaller, loaded)


@pytest.mark.eager
def test_prune_takes_the_result():
    model = subclassed()
    model.compile("sgd", "mse", metrics=["mae"])
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype("float32")
    pruned = keras_shapley_prune.prune(to_functional(model), images, 0.5, verbose=0)
    assert pruned.loss == "mse" and pruned.compiled
    assert pruned.get_layer("stage").get_layer("a").get_layer("first").filters == 3
    pruned.fit(images, np.zeros((20, 3)), epochs=1, verbose=0)


def test_layers_made_of_layers_in_a_functional_model():
    model = surrounded(Stage(name="stage"))
    functional = to_functional(model)
    check_same(model, functional)
    check_pruning(functional, {"before", "stage/a/first", "stage/b/first"})


def test_a_model_without_any_stays_what_it_is():
    model = models.build(models.nested)
    functional = to_functional(model)
    kinds = [type(layer) for layer in functional.layers]
    assert kinds == [type(layer) for layer in model.layers]
    assert functional.count_params() == model.count_params()
    images = models.images(model)
    expected, found = (models.outputs_of(m, images) for m in (model, functional))
    assert models.relative_difference(found, expected) < 1e-6


@pytest.mark.slow
class Gate(layers.Layer):
    """It reads two tensors, which may be the same."""

    def __init__(self):
        super().__init__(name="gate")
        self.value, self.gate = layers.Dense(4), layers.Dense(4)

    def call(self, values, gates):
        return self.value(values) * ops.sigmoid(self.gate(gates))


def test_a_layer_that_reads_one_tensor_twice():
    inputs = keras.Input((2,))
    hidden = layers.Dense(6, name="hidden")(inputs)
    outputs = layers.Dense(3, name="out")(Gate()(hidden, hidden))
    functional = to_functional(keras.Model(inputs, outputs))
    channel_map = trace_channels(functional)
    assert sum(group.num_units for group in channel_map.groups) == 10
    assert set(channel_map.locks.values()) == {"model output"}
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        keep[group.units[0]] = False
    pruned = remove_channels(functional, keep, channel_map)
    masked = mask_channels(functional, keep, channel_map)
    x = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(masked(x), pruned(x), rtol=1e-5, atol=1e-6)


def test_within_nested_models():
    inputs = keras.Input((8, 8, 8))
    inner = keras.Model(inputs, Block(6, name="block")(inputs), name="inner")
    model = surrounded(inner)
    functional = to_functional(model)
    check_same(model, functional)
    check_pruning(functional, {"before", "inner/block/first"})


@pytest.mark.eager
@pytest.mark.parametrize("training", [True, False])
def test_training_reaches_the_layers_as_before(training):
    model = surrounded(Block(6, name="block"))
    functional = to_functional(model)
    block, images = model.get_layer("block"), models.images(model)
    before = block.norm.moving_mean.numpy()
    first, second = (functional(images, training=training) for _ in range(2))
    assert np.allclose(first, second) != training  # dropout
    assert np.allclose(block.norm.moving_mean, before) != training


class TwoEnds(keras.Model):
    """Takes and returns dicts."""

    def __init__(self):
        super().__init__()
        self.hidden, self.last = layers.Dense(6, "relu"), layers.Dense(2)

    def call(self, inputs):
        x = self.hidden(ops.concatenate([inputs["a"], inputs["b"]], axis=-1))
        return {"classes": self.last(x), "hidden": x}


def test_structured_inputs_are_given_as_keras_inputs():
    model = TwoEnds()
    data = {"a": np.ones((2, 3), "float32"), "b": np.ones((2, 4), "float32")}
    expected = model(data)
    inputs = {name: keras.Input(v.shape[1:], name=name) for name, v in data.items()}
    found = to_functional(model, inputs)(data)
    assert set(found) == {"classes", "hidden"}
    np.testing.assert_allclose(found["classes"], expected["classes"], rtol=1e-5)
    with pytest.raises(ValueError, match=r"`inputs` should be the `keras.Input`s"):
        to_functional(model)


class Heads(layers.Layer):
    """Reshapes with the number of examples, as attention layers do."""

    def call(self, inputs):
        x = ops.reshape(inputs, (ops.shape(inputs)[0], 64, 8))
        return ops.reshape(x, (ops.shape(inputs)[0], 8, 8, 8))


def test_the_number_of_examples_in_a_reshape():
    model = surrounded(Heads(name="heads"))
    functional = to_functional(model)
    check_same(model, functional)
    check_pruning(functional, {"before"})


class Scale(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, inputs):
        return inputs * self.scale


class DropPath(layers.Layer):
    def call(self, inputs, training=False):
        return inputs * keras.random.uniform((1, 1, 1, 8)) if training else inputs


class PlainTensorFlow(layers.Layer):
    def call(self, inputs):
        return tf.nn.relu(inputs)


class AddsLoss(layers.Layer):
    def call(self, inputs):
        self.add_loss(ops.mean(inputs))
        return ops.relu(inputs)


class Regularized(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(activity_regularizer="l1", **kwargs)

    def call(self, inputs):
        return ops.relu(inputs)


class Unread(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.used = layers.Dense(8, name="dense")
        self.unread = layers.Dense(8, name="unread")

    def build(self, shape):
        self.used.build(shape)
        self.unread.build(shape)

    def call(self, inputs):
        return self.used(inputs)


class MixesInNumPy(layers.Layer):
    def call(self, inputs):
        return inputs - np.mean(np.asarray(inputs), axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return input_shape


class MakesAnother(layers.Layer):
    """Makes a new layer, with new weights, in every call."""

    def call(self, inputs):
        return layers.Dense(8)(inputs)


class Normalizes(layers.Layer):
    """Keeps a running mean over all channels, which its call assigns to."""

    def build(self, shape):
        self.mean = self.add_weight(shape=(), name="mean", trainable=False)

    def call(self, inputs, training=False):
        if training:
            self.mean.assign(0.9 * self.mean + 0.1 * ops.mean(inputs))
        return ops.roll(inputs, 1, axis=-1) - self.mean


class ReadsKernel(layers.Layer):
    """Reads the kernel of a layer that it never calls."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(8, name="inner")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs):
        return ops.matmul(inputs, self.inner.kernel)


class DrawsAlways(layers.Layer):
    def call(self, inputs):
        return ops.roll(inputs, 1, -1) * keras.random.uniform((8,))


class OtherOnSymbols(layers.Layer):
    """Does something else while a graph is made."""

    def call(self, inputs):
        symbolic = isinstance(inputs, keras.KerasTensor)
        return ops.relu(inputs) if symbolic else ops.tanh(inputs)


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "layer_class, reason",
    [
        (Regularized, "has an activity regularizer"),
        (MixesInNumPy, "cannot be run on symbolic tensors: A KerasTensor"),
        (Normalizes, r"changes weights when it is called: \['mean'\]"),
        (ReadsKernel, r"reads weights that no layer returns: \['odd/inner/kernel'\]"),
        (DrawsAlways, "draws random numbers in inference"),
    ],
)
def test_what_stays_as_it_is(layer_class, reason):
    model = surrounded(layer_class(name="odd"))
    with pytest.warns(UserWarning, match=f"kept layers as they are: 'odd', .*{reason}"):
        functional = to_functional(model)
    assert isinstance(functional.get_layer("odd"), layer_class)
    if layer_class is not DrawsAlways:
        check_same(model, functional)


class Sampling(layers.Layer):
    """A sampling layer as of a VAE, that draws by no seed of Keras.

    Args:
        normal: Callable `fn(shape)` that draws.
    """

    def __init__(self, normal, **kwargs):
        super().__init__(**kwargs)
        self.normal = normal

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + ops.exp(0.5 * log_variance) * self.normal((4,))


def _encoder(normal):
    inputs = keras.Input((8, 8, 3))
    x = Block(8, name="block")(layers.Conv2D(8, 3, name="before")(inputs))
    x = layers.GlobalAveragePooling2D()(x)
    ends = [layers.Dense(4, name=name)(x) for name in ("mean", "log_variance")]
    outputs = [*ends, Sampling(normal, name="sample")(ends)]
    return models.randomize(keras.Model(inputs, outputs))


def test_draws_by_no_seed_of_keras_are_not_compared():
    model = _encoder(lambda shape: tf.random.normal(shape))
    with pytest.warns(UserWarning, match="'sample', .*the same in every run"):
        functional = to_functional(model)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    for found, expected in zip(functional(images)[:2], model(images)[:2], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert any("block" in g.name for g in trace_channels(functional).groups)
    outputs = [model.output[0] + 1, *model.output[1:]]
    different = keras.Model(model.input, outputs)
    assert "differ by up to 1" in find_difference(model, different, (model.input,), {})


def test_a_draw_that_would_be_a_constant_is_found():
    generator = np.random.default_rng(0)
    model = _encoder(lambda shape: generator.normal(size=shape).astype("float32"))
    constant = keras.Model(model.input, [*model.output[:2], model.output[0]])
    difference = find_difference(model, constant, (model.input,), {})
    assert difference == "returns the same in every run, unlike the layer"


def test_a_layer_that_a_call_makes_anew_is_named():
    model = surrounded(MakesAnother(name="odd"))
    with pytest.warns(UserWarning, match=r"'odd', makes layers .* \['dense"):
        functional = to_functional(model)
    assert isinstance(functional.get_layer("odd"), MakesAnother)


@pytest.mark.parametrize("layer_class", [PlainTensorFlow, AddsLoss, OtherOnSymbols])
def test_what_channels_pass_as_it_is_needs_no_warning(layer_class):
    model = surrounded(layer_class(name="odd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        functional = to_functional(model)
    assert isinstance(functional.get_layer("odd"), layer_class)
    assert trace_channels(functional).groups
    check_same(model, functional)


def test_weights_that_change_nothing_are_dropped():
    model = surrounded(Unread(name="odd"))
    functional = to_functional(model)
    check_same(model, functional)
    assert len(functional.weights) == len(model.weights) - 2
    check_pruning(functional, {"before", "odd/dense"})


class Powers(layers.Layer):
    def call(self, inputs, power):
        return inputs**power


class DensePowers(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(8)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, inputs, power):
        return self.dense(inputs**power)


def called_twice(shared):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(shared(x, power=2) + shared(x, power=3))
    return models.randomize(keras.Model(inputs, layers.Dense(3)(x)))


def test_a_layer_without_weights_called_in_two_ways():
    model = called_twice(Powers(name="shared"))
    functional = to_functional(model)
    check_same(model, functional)
    check_pruning(functional, {"conv"})


def test_a_layer_with_weights_called_in_two_ways_stays_as_it_is():
    model = called_twice(DensePowers(name="shared"))
    with pytest.warns(UserWarning, match="'shared', is called in different ways"):
        functional = to_functional(model)
    assert isinstance(functional.get_layer("shared"), DensePowers)
    check_same(model, functional)


@pytest.mark.parametrize("make", [np.asarray, tf.constant, tf.Variable])
def test_a_constant_that_a_layer_reads_locks_what_it_meets(make):
    constant = make(np.linspace(1, 2, 8, dtype="float32"))

    class Reads(layers.Layer):
        def call(self, inputs):
            return inputs * constant

    class IsGiven(layers.Layer):
        def call(self, inputs, factor):
            return inputs * factor

    given = IsGiven(name="given")
    for layer in (Reads(name="reads"), lambda x: given(x, constant)):
        model = surrounded(layer)
        functional = to_functional(model)
        check_same(model, functional)
        # An array is cut with the channels; a variable may be another layer's too.
        locks = make is tf.Variable
        assert bool(trace_channels(functional).groups) != locks


def test_a_registered_layer_is_left_to_its_registration():
    class Registered(Scale):
        pass

    keras_shapley_prune.register_layer(Registered, "keep", weights={"scale": "i"})
    functional = to_functional(surrounded(Registered(name="scaled")))
    assert isinstance(functional.get_layer("scaled"), Registered)
    assert trace_channels(functional).groups


def test_a_layer_without_weights_called_on_two_lengths():
    class Doubled(layers.Layer):
        def call(self, inputs):
            return ops.concatenate([inputs, inputs], axis=1)

    shared, inputs = Doubled(name="shared"), [keras.Input((n, 3)) for n in (None, 6)]
    outputs = [layers.Dense(2)(shared(x)) for x in inputs]
    model = models.randomize(keras.Model(inputs, outputs))
    functional = to_functional(model)
    assert not any(isinstance(layer, Doubled) for layer in functional.layers)
    data = [np.ones((2, length, 3), "float32") for length in (4, 6)]
    expected, found = (models.outputs_of(m, data) for m in (model, functional))
    assert models.relative_difference(found, expected) < 1e-6


def test_a_model_that_changes_its_mind_is_found():
    class Changing(layers.Layer):
        calls = 0

        def call(self, inputs):
            self.calls += 1
            return ops.relu(inputs) if self.calls <= 2 else ops.tanh(inputs)

    layer = Changing(name="changing")
    model = surrounded(layer)
    layer.calls = 0  # the trace is the first, its check the second
    with pytest.raises(RuntimeError, match=r"returns outputs of up to .* differ by"):
        to_functional(model)


def test_layers_of_one_name_are_all_named_in_the_warning():
    class Scaled(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = Regularized(name="inner")

        def call(self, inputs):
            return self.inner(inputs)

    first, second = Scaled(name="first"), Scaled(name="second")
    with pytest.warns(UserWarning, match="'inner', .*; 'inner', "):
        functional = to_functional(surrounded(lambda x: second(first(x))))
    assert isinstance(functional.get_layer("first"), keras.Model)


def test_the_result_is_checked():
    class Counting(keras.Model):
        """Returns something else each time."""

        def __init__(self):
            super().__init__()
            self.dense, self.count = layers.Dense(2), 0

        def call(self, inputs):
            self.count += 1
            return self.dense(inputs) * self.count

    model = Counting()
    model(np.ones((2, 3), "float32"))
    with pytest.raises(
        ValueError, match="returns the same in every run, unlike the layer"
    ):
        to_functional(model)


def test_half_precision_is_cast_where_the_layer_casts():
    class Half(layers.Layer):
        def call(self, inputs):
            return ops.relu(inputs) * 1.001

    model = surrounded(Half(name="half", dtype="mixed_float16"))
    functional = to_functional(model)
    assert functional.get_layer("half").outputs[0].dtype == "float16"
    check_same(model, functional)


def test_models_that_cannot_be_made_functional():
    with pytest.raises(ValueError, match=r"should be a `keras.Model` that is built"):
        to_functional(Network())
    with pytest.raises(ValueError, match=r"should be a `keras.Model` that is built"):
        to_functional(layers.Dense(2))
    with pytest.raises(ValueError, match="`inputs` should be `None`"):
        to_functional(models.build(models.residual), keras.Input((8, 8, 3)))
