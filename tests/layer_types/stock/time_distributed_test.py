"""Tests of layers, and models, at every time step: they are pruned as by themselves."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import (
    count_flops,
    mask_channels,
    prune,
    repair_channels,
    to_functional,
)
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels

FRAMES, ROWS = (2, 7, 6, 2), (2, 6, 4)


def at(layer, name=None):
    return layers.TimeDistributed(layer, name=name)


def _sequence(shape, *steps):
    """Steps -> Flatten -> Dense."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(shape)
    for step in steps:
        x = step(x)
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return models.randomize(keras.Model(inputs, layers.Dense(3, name="last")(x)))


def _encoder():
    """A model of a graph with branches, raw operations, and a model within."""
    inner = keras.Sequential(
        [keras.Input((5, 4, 8)), layers.Conv2D(5, 2, name="conv"), layers.ReLU()],
        name="inner",
    )
    image = keras.Input(FRAMES[1:])
    x = y = layers.Conv2D(8, 3, activation="relu", name="stem")(image)
    y = layers.BatchNormalization(name="norm")(layers.DepthwiseConv2D(1)(y))
    x = keras.ops.relu(x + layers.Conv2D(8, 1, name="branch")(y))
    x = inner(x * keras.ops.convert_to_tensor(np.float32(2)))
    x = layers.Concatenate()([x[..., 1:], layers.Dropout(0.5)(x)])
    return keras.Model(image, layers.GlobalMaxPooling2D()(x), name="encoder")


def _attention():
    tokens = keras.Input(ROWS[1:])
    x = layers.MultiHeadAttention(4, 3, name="heads")(tokens, tokens)
    x = layers.LayerNormalization(name="norm")(x + tokens)
    return keras.Model(tokens, x, name="attention")


BUILDERS = {
    "convolutions of rows": lambda: _sequence(
        ROWS,
        at(layers.Conv1D(8, 3, activation="relu")),
        at(layers.BatchNormalization()),
        at(layers.MaxPooling1D(2)),
        at(layers.Flatten()),
        layers.LSTM(5),
    ),
    "convolutions of frames": lambda: _sequence(
        FRAMES,
        at(layers.Conv2D(6, 3, use_bias=False)),
        at(layers.DepthwiseConv2D(2, depth_multiplier=2)),
        at(layers.SeparableConv2D(5, 2)),
        at(layers.LayerNormalization()),
        at(layers.PReLU(shared_axes=[1, 2])),
        at(layers.Conv2DTranspose(4, 2)),
        at(layers.GlobalAveragePooling2D()),
    ),
    "groups": lambda: _sequence(
        FRAMES,
        at(layers.Conv2D(8, 3)),
        at(layers.Conv2D(8, 1, groups=2)),
        at(layers.GroupNormalization(2)),
        at(layers.Reshape((-1, 8))),
        at(layers.Conv1D(5, 1, activation="relu")),
    ),
    "volumes": lambda: _sequence(
        (2, 4, 4, 4, 2), at(layers.Conv3D(5, 2)), at(layers.GlobalMaxPooling3D())
    ),
    "dense": lambda: _sequence(
        (5, 4),
        layers.LSTM(6, return_sequences=True),
        at(layers.Dense(7, activation="relu")),
        at(layers.Softmax()),
        layers.GRU(4),
    ),
    "memory": lambda: _sequence(
        ROWS,
        at(layers.Dense(5)),
        at(layers.LSTM(6, return_sequences=True)),
        at(layers.Bidirectional(layers.GRU(4))),
    ),
    "steps of steps": lambda: _sequence(
        (2, *FRAMES),
        at(at(layers.Conv2D(5, 3, activation="relu"))),
        at(at(layers.GlobalAveragePooling2D())),
        at(layers.LSTM(4)),
    ),
    "a model": lambda: _sequence(FRAMES, at(_encoder(), "encode"), layers.LSTM(4)),
    "attention": lambda: _sequence(ROWS, at(layers.Dense(4)), at(_attention())),
    "repeated": lambda: _sequence(
        (5, 4),
        layers.LSTM(6),
        layers.RepeatVector(5),
        layers.LSTM(7, return_sequences=True),
        at(layers.Dense(4)),
    ),
}


@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", BUILDERS)
def test_masked_equals_pruned_and_costs_are_those_of_the_cut_model(name):
    model = BUILDERS[name]()
    models.check_masks(model)
    channel_map = trace_channels(model)
    assert set(channel_map.lock_reasons()) == {"last"}
    keep = models.random_keep(channel_map, 0.5)
    smaller = remove_channels(model, keep, channel_map)
    for of, count in (("params", keras.Model.count_params), ("flops", count_flops)):
        assert CostModel(channel_map, of).count(keep) == count(smaller)
    kinds = [(type(layer), layer.name) for layer in model.layers[1:]]
    assert [(type(layer), layer.name) for layer in smaller.layers[1:]] == kinds


@pytest.mark.slow
def test_what_enters_a_model_at_every_step_is_cut():
    tokens = keras.Input(ROWS[1:])
    x = layers.Permute((2, 1))(tokens)
    x = layers.Permute((2, 1))(layers.Dense(ROWS[1])(layers.Dense(5, "relu")(x)))
    mixer = keras.Model(tokens, layers.LayerNormalization()(x + tokens), name="mixer")
    twice = at(mixer, "each")
    swap = layers.Permute((3, 2, 1))
    for enter in (
        [layers.Dense(4, name="before")],
        [layers.Dense(4), twice, layers.Dense(4), twice],
        [layers.Dense(4, name="before"), swap, layers.Permute((3, 2, 1))],
    ):
        model = _sequence(ROWS, *enter, twice)
        models.check_masks(model)
        keep = models.random_keep(trace_channels(model), 0.5)
        smaller = remove_channels(model, keep)
        width = smaller.get_layer("each").layer.input_shape[-1]
        assert width == smaller.get_layer(model.layers[1].name).units < 4


@pytest.mark.sweep(1)
@pytest.mark.parametrize("name", BUILDERS)
def test_the_recorded_graph_computes_what_the_model_does(name):
    model = BUILDERS[name]()
    images = models.images(model)
    received = record_graph(model).run([images])
    np.testing.assert_allclose(received, model(images), rtol=1e-4, atol=1e-5)


def test_names_lead_through_the_wrapper():
    model = BUILDERS["a model"]()
    model.get_layer("encode").layer.get_layer("branch").trainable = False
    channel_map = trace_channels(model)
    names = {name for group in channel_map.groups for name in group.producers}
    assert names == {"encode/stem", "encode/branch", "encode/inner/conv", "lstm"}
    kept = np.array([True, True, False, True, False])
    smaller = remove_channels(model, {"encode/inner/conv": kept})
    inner = smaller.get_layer("encode").layer
    assert inner.get_layer("inner").get_layer("conv").filters == 3
    assert not inner.get_layer("branch").trainable
    assert inner.get_layer("stem").trainable


def test_flops_are_those_of_all_steps():
    for shape, expected in (((7, 9, 3), 2 * 7 * 9 * 3 * 5), ((None, 9, 3), None)):
        inputs = keras.Input(shape)
        assert count_flops(keras.Model(inputs, at(layers.Dense(5))(inputs))) == expected


def _documents(end):
    words = keras.Input((4,), dtype="int32")
    x = layers.Embedding(9, 5, mask_zero=True, name="embed")(words)
    x = layers.Dense(4, activation="relu", name="dense")(end(x))
    sentences = keras.Model(words, x, name="sentences")
    inputs = keras.Input((2, 4), dtype="int32")
    x = layers.GRU(4, name="document")(at(sentences, "each")(inputs))
    return models.randomize(keras.Model(inputs, layers.Dense(2, name="last")(x)))


@pytest.mark.slow
def test_masks_of_words_within_a_step():
    model = _documents(layers.Bidirectional(layers.LSTM(4), name="read"))
    assert set(trace_channels(model).lock_reasons()) == {"last"}
    words = np.random.default_rng(0).integers(0, 4, (3, 2, 4))
    models.check_masks(model, inputs=words)
    other = words.copy()
    other[words == 0] = 0
    np.testing.assert_array_equal(model(words), model(other))


def test_masks_of_steps():
    inputs = keras.Input((4, 4))
    x = layers.Masking()(inputs)
    x = at(layers.Dense(6, activation="relu"), "each")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.LSTM(4)(x)))
    rows = np.random.default_rng(0).normal(size=(3, 4, 4)).astype("float32")
    rows[:, 2:] = 0
    models.check_masks(models.randomize(model), inputs=rows)


@pytest.mark.eager
@pytest.mark.sweep(2)
@pytest.mark.parametrize("repair", ["least_squares", "mean", None])
@pytest.mark.parametrize("name", ["a model", "convolutions of frames"])
def test_repaired_saved_and_trained(name, repair, tmp_path):
    model = BUILDERS[name]()
    model.compile("sgd", "mse")
    images = models.images(model, 20)
    pruned = prune(model, images, 0.4, repair=repair, verbose=0)
    pruned.fit(images, np.zeros((20, 3)), verbose=0)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    np.testing.assert_allclose(loaded(images), pruned(images), atol=1e-5)


def test_a_layer_is_repaired_as_that_of_a_network_of_single_frames():
    stack = [layers.Conv2D(8, 3, activation="relu"), layers.Conv2D(4, 3)]
    frames = models.randomize(keras.Sequential([keras.Input(FRAMES[1:]), *stack]))
    steps = keras.Sequential([keras.Input(FRAMES), *map(at, stack)])
    images = models.images(steps, 90)
    folded, errors = images.reshape(-1, *FRAMES[1:]), []
    for model, data in ((steps, images), (frames, folded)):
        keep = np.ones(12, bool)
        keep[[1, 3, 6]] = False
        for repair in ("least_squares", None):
            repaired = repair_channels(model, keep, data, repair)
            received = repaired.predict(data, verbose=0).reshape(-1, 3, 2, 4)
            expected = frames.predict(folded, verbose=0)
            errors.append(np.mean((received - expected) ** 2))
    repaired, plain, single, _ = errors
    assert repaired < 0.6 * plain
    assert repaired == pytest.approx(single, rel=0.05)


@keras.saving.register_keras_serializable("time_distributed_test")
class Scaled(layers.Layer):
    """Found by trial to keep channels apart."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), name="factor")

    def call(self, inputs):
        return inputs * self.factor

    def compute_output_shape(self, input_shape):
        return input_shape


def test_what_a_trial_finds():
    model = _sequence((3, 4), at(layers.Dense(6)), at(Scaled(), "scaled"))
    models.check_masks(model)
    assert [*trace_channels(model).trials.values()] == [("Scaled",)]


def _shared(*ways):
    layer = layers.Dense(6, name="shared", activation="relu")
    inputs, x = [], []
    for way in ways:
        inputs.append(keras.Input((3, 4)))
        x.append(layers.Flatten()(way(layer)(inputs[-1])))
    model = keras.Model(inputs, layers.Dense(2, name="last")(layers.Concatenate()(x)))
    return models.randomize(model)


def test_one_layer_in_two_wrappers_is_cut_once():
    model = _shared(at, at)
    models.check_masks(model)
    channel_map = trace_channels(model)
    smaller = remove_channels(model, models.random_keep(channel_map, 0.5), channel_map)
    first, second = [x.layer for x in smaller.layers if hasattr(x, "layer")]
    assert first is second


def test_a_layer_at_every_step_and_by_itself_is_locked():
    model = _shared(at, lambda layer: layer)
    channel_map = trace_channels(model)
    assert not channel_map.groups
    reason = "Dense is called at every time step, and elsewhere"
    assert channel_map.lock_reasons()["shared"].startswith(reason)


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (
            layers.Dense(4, dtype="mixed_bfloat16"),
            "TimeDistributed computes in float32, and the layer in it by itself in",
        ),
        (
            keras.Sequential([keras.Input((4,)), layers.Dense(4)]),
            "TimeDistributed gives a mask of time steps to the layers of a model",
        ),
    ],
)
def test_what_is_not_followed_is_locked(inner, words):
    dense = layers.Dense(4, name="before")
    steps = layers.Masking(), dense, at(inner, "wrapper"), layers.LSTM(3)
    model = _sequence((3, 5), *steps)
    assert trace_channels(model).lock_reasons()["before"].startswith(words)
    images, channel_map = models.images(model), trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    outputs = [
        models.outputs_of(made, images)
        for made in (mask_channels(model, keep), remove_channels(model, keep))
    ]
    assert models.relative_difference(*outputs) < 1e-4


def test_a_state_from_step_to_step_is_locked():
    inputs = keras.Input(batch_shape=(4, 3, 5, 2))
    x = at(layers.Dense(4), "before")(inputs)
    x = at(layers.LSTM(3, stateful=True), "wrapper")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    reason = trace_channels(model).lock_reasons()["before"]
    assert reason.startswith("TimeDistributed goes on from step to step with the state")


def test_to_functional_leaves_wrappers_as_they_are():
    model = BUILDERS["dense"]()
    assert to_functional(model).count_params() == model.count_params()
