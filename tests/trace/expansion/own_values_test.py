"""Tests of weights and constants that only the code of a layer reads."""

import keras
import models
import numpy as np
import pytest
from keras import layers, ops

import keras_shapley_prune
from keras_shapley_prune import to_functional
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.trace.tracer import trace_channels


class TokensAndPositions(layers.Layer):
    """An embedding of constants, beside one of what is read."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tokens = layers.Embedding(20, 8, name="tokens")
        self.positions = layers.Embedding(6, 8, name="positions")

    def call(self, inputs):
        return self.tokens(inputs) + self.positions(ops.arange(ops.shape(inputs)[-1]))


class ClassToken(layers.Layer):
    """A token before the others, and a table of positions, as in a ViT."""

    def build(self, shape):
        _, length, width = shape
        self.token = self.add_weight(shape=(1, 1, width), name="token")
        self.table = self.add_weight(shape=(1, length + 1, width), name="table")

    def call(self, inputs):
        count, _, width = ops.shape(inputs)
        token = ops.broadcast_to(self.token, (count, 1, width))
        return ops.concatenate([token, inputs], axis=1) + self.table


class TiledTokens(layers.Layer):
    """The same by other operations; weights in a list and in a dict."""

    def build(self, shape):
        width = shape[-1]
        self.tokens = [self.add_weight(shape=(1, 1, width), name=n) for n in "ab"]
        self.scales = {"gamma": self.add_weight(shape=(width,), name="gamma")}

    def call(self, inputs):
        count = ops.shape(inputs)[0]
        first = ops.tile(self.tokens[0], (count, 1, 1))
        second = ops.repeat(self.tokens[1], count, axis=0)
        return ops.concatenate([first, second, inputs * self.scales["gamma"]], axis=1)


class Scaled(layers.Layer):
    """A branch with a scale of its own, and a number that all channels share."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(7, "gelu", name="hidden")
        self.back = layers.Dense(8, name="back")

    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma")
        self.temperature = self.add_weight(shape=(), name="temperature")
        self.hidden.build(shape)
        self.back.build((*shape[:-1], 7))

    def call(self, inputs):
        return inputs + self.back(self.hidden(inputs)) * self.gamma * self.temperature


class Queries(layers.Layer):
    """Learned queries that attend to what is read."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 4, name="attention")

    def build(self, shape):
        self.queries = self.add_weight(shape=(3, 8), name="queries")
        self.attention.build((None, 3, 8), shape)

    def call(self, inputs):
        count = ops.shape(inputs)[0]
        queries = ops.broadcast_to(ops.expand_dims(self.queries, 0), (count, 3, 8))
        return queries + self.attention(queries, inputs)


def tokens_around(layer):
    """A transformer block behind a layer that reads numbers of tokens."""
    inputs = keras.Input((6,), dtype="int32")
    x = layer(inputs)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    x = layers.Dense(8, name="narrow")(layers.Dense(9, "relu", name="wide")(x)) + x
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def features_around(layer):
    """A transformer block behind a layer that reads features."""
    inputs = keras.Input((5, 4))
    x = layer(layers.Dense(8, name="patches")(inputs))
    x = x + layers.Dense(8, name="narrow")(layers.Dense(9, "relu", name="wide")(x))
    x = layers.LayerNormalization()(x)
    return keras.Model(inputs, layers.Dense(2)(ops.mean(x, axis=1)))


BUILDERS = {
    "TokensAndPositions": lambda: tokens_around(TokensAndPositions(name="embed")),
    "ClassToken": lambda: features_around(ClassToken(name="embed")),
    "TiledTokens": lambda: features_around(TiledTokens(name="embed")),
    "Scaled": lambda: features_around(Scaled(name="embed")),
    "Queries": lambda: features_around(Queries(name="embed")),
}


def draw(model, num_examples=4):
    generator, tensor = np.random.default_rng(0), model.inputs[0]
    shape = (num_examples, *tensor.shape[1:])
    if "int" in tensor.dtype:
        return generator.integers(0, 20, shape)
    return generator.normal(size=shape).astype("float32")


@pytest.fixture(params=BUILDERS)
def pair(request):
    """A model, and its functional form."""
    keras.utils.set_random_seed(0)
    model = models.randomize(BUILDERS[request.param]())
    return model, to_functional(model)


def removable(channel_map):
    locked = set(channel_map.locks.values())
    return locked <= {"model output"}


def test_nothing_but_the_outputs_is_locked(pair):
    _, functional = pair
    assert removable(trace_channels(functional))


def test_it_returns_the_same_and_shares_the_weights(pair):
    model, functional = pair
    x = draw(model)
    np.testing.assert_allclose(functional(x), model(x), rtol=1e-5, atol=1e-6)
    assert {id(v) for v in functional.weights} >= {id(v) for v in model.weights}
    ids = [{id(v) for v in m.trainable_weights} for m in (model, functional)]
    assert ids[0] == ids[1]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.8])
def test_masked_equals_pruned(pair, ratio, tmp_path):
    _, functional = pair
    channel_map, x = trace_channels(functional), draw(functional)
    keep = models.random_keep(channel_map, ratio, 0)
    masked = keras_shapley_prune.mask_channels(functional, keep, channel_map)
    smaller = remove_channels(functional, keep, channel_map)
    assert smaller.count_params() < functional.count_params()
    np.testing.assert_allclose(smaller(x), masked(x), rtol=1e-4, atol=1e-5)
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras")
    np.testing.assert_allclose(loaded(x), smaller(x), rtol=1e-5, atol=1e-6)


@pytest.mark.sweep(1)
def test_the_pruned_model_trains_and_is_exported(pair, tmp_path):
    _, functional = pair
    x = draw(functional, 8)
    ranker = keras_shapley_prune.BaselineRanker("l1_norm")
    pruned = keras_shapley_prune.prune(functional, x, 0.5, ranker=ranker, verbose=0)
    before = [v.numpy() for v in pruned.trainable_weights]
    pruned.compile(keras.optimizers.SGD(1.0), "mse")
    pruned.fit(x, np.ones((8, 2)), verbose=0)
    for old, variable in zip(before, pruned.trainable_weights, strict=True):
        # Keys of an attention have a bias that changes nothing.
        fixed = "key/bias" in variable.path
        assert fixed or not np.array_equal(old, variable.numpy()), variable.path
    pruned.export(tmp_path / "served", verbose=False)


def test_the_default_ranking_takes_it():
    model = models.randomize(BUILDERS["ClassToken"]())
    functional = to_functional(model)
    pruned = keras_shapley_prune.prune(functional, draw(model, 20), 0.5, verbose=0)
    embed = pruned.get_layer("embed")
    assert embed.get_layer("token").weight.shape == (1, 1, 4)
    assert embed.get_layer("table").weight.shape == (1, 6, 4)


def test_a_group_has_the_name_of_what_makes_it():
    functional = to_functional(models.randomize(BUILDERS["ClassToken"]()))
    group = trace_channels(functional).groups[0]
    assert group.name == "patches"
    assert set(group.producers) == {
        "patches",
        "embed/token",
        "embed/table",
        "narrow",
    }


def test_a_weight_that_nothing_is_joined_with_is_no_group():
    class Lonely(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(8, name="dense")

        def build(self, shape):
            self.table = self.add_weight(shape=(5, 3), name="table")
            self.dense.build((5, 3))

        def call(self, inputs):
            return inputs + self.dense(self.table)

    functional = to_functional(models.randomize(features_around(Lonely(name="embed"))))
    channel_map = trace_channels(functional)
    assert {group.name for group in channel_map.groups} == {"patches", "wide"}
    assert "embed/table" not in channel_map.lock_reasons()
    models.check_masks(functional, tolerance=1e-4)


def test_a_weight_that_is_read_once_for_all_examples_locks_its_partners():
    class Normed(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.norm = layers.LayerNormalization(name="norm")

        def build(self, shape):
            self.table = self.add_weight(shape=(5, 8), name="table")
            self.norm.build((5, 8))

        def call(self, inputs):
            return inputs + self.norm(self.table)

    functional = to_functional(models.randomize(features_around(Normed(name="embed"))))
    channel_map = trace_channels(functional)
    assert [group.name for group in channel_map.groups] == ["wide"]
    reason = channel_map.lock_reasons()["patches"]
    assert "`embed/norm` reads it once for all examples" in reason
    models.check_masks(functional, tolerance=1e-4)


def test_weights_of_a_subclassed_model():
    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.stem, self.last = layers.Dense(8, name="stem"), layers.Dense(2)
            self.scale = self.add_weight(shape=(8,), initializer="ones", name="scale")

        def call(self, inputs):
            return self.last(ops.relu(self.stem(inputs)) * self.scale)

    model = Network()
    model(np.ones((2, 3), "float32"))
    functional = to_functional(model)
    assert [group.num_units for group in trace_channels(functional).groups] == [8]
    models.check_masks(functional, tolerance=1e-4)


def test_a_frozen_layer_remains_frozen_and_can_be_thawed():
    model = BUILDERS["Scaled"]()
    model.get_layer("embed").trainable = False
    functional = to_functional(model)
    embed = functional.get_layer("embed")
    assert not embed.get_layer("gamma").trainable_weights
    for layer in embed.layers:
        layer.trainable = True
    assert len(embed.get_layer("gamma").trainable_weights) == 1


def test_the_layer_has_its_weights_again_whatever_happens():
    class Fails(layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")

        def call(self, inputs):
            if isinstance(inputs, keras.KerasTensor):
                raise KeyError("not on symbols")
            return ops.roll(inputs * self.scale, 1, axis=-1)

    model = features_around(Fails(name="embed"))
    call = keras.Layer.__call__
    with pytest.warns(UserWarning, match="'embed', cannot be run on symbolic tensors"):
        to_functional(model)
    assert isinstance(model.get_layer("embed").scale, keras.Variable)
    assert keras.Layer.__call__ is call


def test_half_precision():
    layer = ClassToken(name="embed", dtype="mixed_float16")
    model = models.randomize(features_around(layer))
    functional = to_functional(model)
    table = functional.get_layer("embed").get_layer("table")
    assert table.weight.dtype == "float32" and table.output.dtype == "float16"
    x = draw(model)
    np.testing.assert_allclose(functional(x), model(x), rtol=1e-2, atol=1e-2)
