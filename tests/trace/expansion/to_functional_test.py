"""Tests of `to_functional`: the same numbers, now with a graph."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_shapley_prune
from keras_shapley_prune import to_functional
from keras_shapley_prune.cut.surgery import remove_channels
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


def test_within_nested_models():
    inputs = keras.Input((8, 8, 8))
    inner = keras.Model(inputs, Block(6, name="block")(inputs), name="inner")
    model = surrounded(inner)
    functional = to_functional(model)
    check_same(model, functional)
    check_pruning(functional, {"before", "inner/block/first"})


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
        self.used, self.unread = layers.Dense(8), layers.Dense(8)

    def build(self, shape):
        self.used.build(shape)
        self.unread.build(shape)

    def call(self, inputs):
        return self.used(inputs)


class OtherOnSymbols(layers.Layer):
    """Does something else while a graph is made."""

    def call(self, inputs):
        symbolic = isinstance(inputs, keras.KerasTensor)
        return ops.relu(inputs) if symbolic else ops.tanh(inputs)


@pytest.mark.parametrize(
    "layer_class, reason",
    [
        (Scale, r"weights of its own: \['scale'\]"),
        (DropPath, "does other things in training"),
        (PlainTensorFlow, "cannot be run on symbolic tensors: A KerasTensor"),
        (AddsLoss, r"cannot be run on symbolic tensors: `add_loss\(\)`"),
        (Regularized, "has an activity regularizer"),
        (Unread, "weights that no layer reads"),
        (OtherOnSymbols, "as a functional model returns outputs of up to .* differ by"),
    ],
)
def test_what_stays_as_it_is(layer_class, reason):
    model = surrounded(layer_class(name="odd"))
    with pytest.warns(UserWarning, match=f"kept layers as they are: 'odd', .*{reason}"):
        functional = to_functional(model)
    assert isinstance(functional.get_layer("odd"), layer_class)
    # It is tried: of these, what can be made anew keeps channels apart.
    apart = layer_class in (Scale, PlainTensorFlow, AddsLoss, OtherOnSymbols)
    assert bool(trace_channels(functional).groups) == apart
    check_same(model, functional)


def test_a_layer_called_in_two_ways_stays_as_it_is():
    class Powers(layers.Layer):
        def call(self, inputs, power):
            return inputs**power

    inputs, shared = keras.Input((8, 8, 3)), Powers(name="shared")
    x = layers.Conv2D(8, 3, name="conv")(inputs)
    x = shared(x, power=2) + shared(x, power=3)
    model = models.randomize(keras.Model(inputs, layers.Dense(3)(x)))
    with pytest.warns(UserWarning, match="'shared', is called in different ways"):
        functional = to_functional(model)
    assert isinstance(functional.get_layer("shared"), Powers)
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


def test_a_layer_called_on_two_lengths_stays_as_it_is():
    class Doubled(layers.Layer):
        def call(self, inputs):
            return ops.concatenate([inputs, inputs], axis=1)

    shared, inputs = Doubled(name="shared"), [keras.Input((n, 3)) for n in (None, 6)]
    outputs = [layers.Dense(2)(shared(x)) for x in inputs]
    model = models.randomize(keras.Model(inputs, outputs))
    with pytest.warns(UserWarning, match="'shared', is called in different ways"):
        functional = to_functional(model)
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
            self.scale = Scale(name="scale")

        def build(self, shape):
            self.scale.build(shape)

        def call(self, inputs):
            return self.scale(inputs)

    first, second = Scaled(name="first"), Scaled(name="second")
    with pytest.warns(UserWarning, match="'scale', .*; 'scale', "):
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
    with pytest.raises(ValueError, match="functional model returns outputs of up to"):
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

    class OwnWeight(keras.Model):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")

        def call(self, inputs):
            return inputs * self.scale

    model = OwnWeight()
    model(np.ones((2, 3), "float32"))
    with pytest.raises(ValueError, match=r"weights of its own: \['scale'\]"):
        to_functional(model)
