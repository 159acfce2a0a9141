import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.layer_types.bias_folding import find_normalization
from keras_shapley_prune.repair.skip_compensation import SkipCompensation
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.recording import record_graph


def convolution(name, **arguments):
    return layers.Conv2D(4, 3, padding="same", name=name, **arguments)


def call_of(graph, name):
    return next(c for c in graph.calls if c.operation.name == name)


def pair_of(make):
    """Returns a model and a copy whose layer `stem` has other weights."""
    inputs = keras.Input((6, 6, 3))
    model = models.randomize(keras.Model(inputs, make(inputs)))
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    models.randomize(other.get_layer("stem"), seed=1)
    return model, other


def compensate(model, other, name="branch"):
    """Returns what is added to a layer's target, and what `stem` returns in both."""
    graphs = record_graph(model), record_graph(other)
    call = call_of(graphs[0], name)
    batches = [[tf.constant(models.images(model))]]
    values = [ForwardPass(g, batches).look_ahead(0, call.index) for g in graphs]
    stems = [
        v[call_of(g, "stem").outputs[0]] for g, v in zip(graphs, values, strict=True)
    ]
    return lacking(graphs, call.index, values), *stems


def lacking(graphs, index, values):
    """Returns what the original adds more than the other, `None` for nothing."""
    ours, theirs = (
        SkipCompensation(graph, graph.calls[index])(value)
        for graph, value in zip(graphs, values, strict=True)
    )
    return None if ours is None and theirs is None else ours - theirs


def is_zero(lacking):
    return lacking is None or not np.any(np.asarray(lacking))


def add_layer(x, y):
    return layers.Add()([x, y])


def add_raw(x, y):
    return x + y


@pytest.mark.sweep(3)
@pytest.mark.parametrize("add", [add_layer, add_raw])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("activation", [None, "linear"])
def test_a_convolution_before_an_addition_gives_what_the_skip_lacks(
    add, swap, activation
):
    def make(inputs):
        x = convolution("stem")(inputs)
        y = convolution("branch", activation=activation)(x)
        return add(y, x) if swap else add(x, y)

    lacking, before, after = compensate(*pair_of(make))
    assert np.abs(before - after).max() > 0.1
    np.testing.assert_allclose(lacking, before - after, atol=1e-6)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("add", [add_layer, add_raw])
@pytest.mark.parametrize("scale", [True, False])
def test_through_a_normalization_the_sum_comes_out_right(add, scale):
    def make(inputs):
        x = convolution("stem")(inputs)
        y = convolution("branch", use_bias=False)(x)
        return add(x, layers.BatchNormalization(scale=scale, name="norm")(y))

    model, other = pair_of(make)
    norm = model.get_layer("norm")
    if scale:
        norm.gamma.assign([1.2, -0.7, 0.4, 2.0])
        other.get_layer("norm").set_weights(norm.get_weights())
    lacking, before, after = compensate(model, other)
    outputs = np.random.default_rng(0).normal(size=before.shape).astype("float32")
    np.testing.assert_allclose(
        norm(outputs + lacking) + after, norm(outputs) + before, atol=1e-5
    )


@pytest.mark.parametrize("dead", [0.0, 1e-8, -1e-8])
def test_a_channel_that_is_switched_off_is_left_alone(dead):
    def make(inputs):
        x = convolution("stem")(inputs)
        y = convolution("branch")(x)
        return x + layers.BatchNormalization(name="norm")(y)

    model, other = pair_of(make)
    norm = model.get_layer("norm")
    norm.gamma.assign([1.0, dead, -1.0, 0.5])
    other.get_layer("norm").set_weights(norm.get_weights())
    lacking, before, after = compensate(model, other)
    assert is_zero(lacking[..., 1])
    lives = [0, 2, 3]
    difference = (norm(lacking) - norm(tf.zeros_like(lacking))).numpy()
    np.testing.assert_allclose(
        difference[..., lives], (before - after).numpy()[..., lives], atol=1e-5
    )


def test_a_normalization_that_is_switched_off_altogether():
    def make(inputs):
        x = convolution("stem")(inputs)
        y = convolution("branch")(x)
        return x + layers.BatchNormalization(name="norm")(y)

    model, other = pair_of(make)
    for network in (model, other):
        network.get_layer("norm").gamma.assign(np.zeros(4))
    assert is_zero(compensate(model, other)[0])


def test_all_known_sides_of_an_addition_count():
    def make(inputs):
        x = convolution("stem")(inputs)
        side = layers.ReLU()(x)
        return layers.Add()([x, convolution("branch")(side), side])

    lacking, before, after = compensate(*pair_of(make))
    expected = before - after + tf.nn.relu(before) - tf.nn.relu(after)
    np.testing.assert_allclose(lacking, expected, atol=1e-5)


def with_activation(inputs):
    x = convolution("stem")(inputs)
    return layers.Add()([x, convolution("branch", activation="relu")(x)])


def with_activation_layer(inputs):
    x = convolution("stem")(inputs)
    return layers.Add()([x, layers.ReLU()(convolution("branch")(x))])


def concatenation(inputs):
    x = convolution("stem")(inputs)
    return layers.Concatenate()([x, convolution("branch")(x)])


def subtraction(inputs):
    x = convolution("stem")(inputs)
    return layers.Subtract()([x, convolution("branch")(x)])


def broadcast(inputs):
    x = convolution("stem")(inputs)
    y = convolution("branch")(x)
    return [layers.GlobalAveragePooling2D(keepdims=True)(x) + y, x]


def two_readers(inputs):
    x = convolution("stem")(inputs)
    y = convolution("branch")(x)
    return layers.Concatenate()([x + y, layers.ReLU()(y)])


def two_readers_of_the_normalization(inputs):
    x = convolution("stem")(inputs)
    y = layers.BatchNormalization()(convolution("branch")(x))
    return layers.Concatenate()([x + y, layers.ReLU()(y)])


def with_itself(inputs):
    y = convolution("branch")(convolution("stem")(inputs))
    return y + y


def constant(inputs):
    return convolution("branch")(convolution("stem")(inputs)) + 1.0


def an_output(inputs):
    x = convolution("stem")(inputs)
    y = convolution("branch")(x)
    return [x + y, y]


def a_normalization_as_output(inputs):
    x = convolution("stem")(inputs)
    y = layers.BatchNormalization()(convolution("branch")(x))
    return [x + y, y]


@pytest.mark.sweep(4)
@pytest.mark.parametrize(
    "make",
    [
        with_activation,
        with_activation_layer,
        concatenation,
        subtraction,
        broadcast,
        two_readers,
        two_readers_of_the_normalization,
        with_itself,
        constant,
        an_output,
        a_normalization_as_output,
    ],
)
def test_nothing_is_made_up_for(make):
    lacking, before, after = compensate(*pair_of(make))
    assert np.abs(before - after).max() > 0.1
    assert is_zero(lacking)


def test_a_side_that_is_not_known_yet_does_not_count():
    def make(inputs):
        x = convolution("stem")(inputs)
        return layers.Add()([convolution("one")(x), convolution("two")(x)])

    inputs = keras.Input((6, 6, 3))
    graph = record_graph(keras.Model(inputs, make(inputs)))
    first, second = sorted(("one", "two"), key=lambda name: call_of(graph, name).index)
    assert is_zero(compensate(*pair_of(make), first)[0])
    assert not is_zero(compensate(*pair_of(make), second)[0])


def test_equal_networks_lack_nothing():
    model = models.build(models.residual)
    graph = record_graph(model)
    call = call_of(graph, "outer1")
    values = ForwardPass(graph, [[tf.constant(models.images(model))]]).look_ahead(
        0, call.index
    )
    assert is_zero(lacking([graph, graph], call.index, [values, values]))


def test_the_normalization_after_a_layer_is_found():
    inputs = keras.Input((6, 6, 3))
    x = layers.BatchNormalization(name="norm")(convolution("conv")(inputs))
    graph = record_graph(keras.Model(inputs, layers.ReLU()(x)))
    found = find_normalization(graph, call_of(graph, "conv"))
    assert found is call_of(graph, "norm")


def _shared_norm(x):
    norm = layers.BatchNormalization()
    return norm(norm(x))


def _norm_beside(x):
    return layers.Add()([layers.BatchNormalization()(x), x])


def _norm_and_output(x):
    return [layers.BatchNormalization()(x), x]


def _norm_after_activation(x):
    return layers.BatchNormalization()(layers.ReLU()(x))


def _two_norms(x):
    return [layers.BatchNormalization()(x), layers.BatchNormalization()(x)]


def _other_norm(x):
    return layers.LayerNormalization()(x)


def _output(x):
    return x


@pytest.mark.parametrize(
    "following",
    [
        _shared_norm,
        _norm_beside,
        _norm_and_output,
        _norm_after_activation,
        _two_norms,
        _other_norm,
        _output,
    ],
)
def test_no_normalization_is_found(following):
    inputs = keras.Input((6, 6, 3))
    outputs = following(convolution("conv")(inputs))
    graph = record_graph(keras.Model(inputs, outputs))
    assert find_normalization(graph, call_of(graph, "conv")) is None
