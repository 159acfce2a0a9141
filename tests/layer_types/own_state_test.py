"""Tests of what layers save beside their weights: it is taken over, or locks."""

import pathlib

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune import (
    compare,
    prune,
    prune_until,
    register_layer,
    verify_removal,
)
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.deploy.float32_copy import copy_in_float32
from keras_shapley_prune.layer_types import registry as layer_registry
from keras_shapley_prune.layer_types.own_state import describe_own_state
from keras_shapley_prune.trace.tracer import trace_channels

WORDS = np.array([["the film was good"], ["the plot was thin"], ["good plot"]] * 8)
LETTERS = np.array([["a"], ["b"], ["c"]] * 8, object)
NUMBERS = np.array([[3], [5], [9]] * 8)
REALS = np.linspace(-2, 2, 96, dtype="float32").reshape(24, 4)


def _text(**options):
    layer = layers.TextVectorization(20, **options)
    layer.adapt(WORDS)
    return layer, WORDS


def _adapted(layer, data):
    layer.adapt(data)
    return layer, data


PREPROCESSING = {
    "words": lambda: _text(output_sequence_length=4),
    "multi-hot words": lambda: _text(output_mode="multi_hot"),
    "weighted words": lambda: _text(output_mode="tf_idf"),
    "pairs of words": lambda: _text(output_mode="count", ngrams=2),
    "adapted": lambda: _adapted(layers.StringLookup(), LETTERS),
    "adapted, one-hot": lambda: _adapted(
        layers.StringLookup(output_mode="one_hot"), LETTERS
    ),
    "given": lambda: (layers.StringLookup(vocabulary=["a", "b"]), LETTERS),
    "given, one-hot": lambda: (
        layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot"),
        LETTERS,
    ),
    "numbers": lambda: _adapted(layers.IntegerLookup(output_mode="count"), NUMBERS),
    "given numbers": lambda: (
        layers.IntegerLookup(vocabulary=[3, 5], output_mode="one_hot"),
        NUMBERS,
    ),
    "standardized": lambda: _adapted(layers.Normalization(), REALS),
    "bins": lambda: _adapted(layers.Discretization(num_bins=5), REALS),
    "given bins": lambda: (layers.Discretization([-1.0, 0.5]), REALS),
    "categories": lambda: (layers.CategoryEncoding(10), NUMBERS),
    "hashed": lambda: (layers.Hashing(6, output_mode="multi_hot"), LETTERS),
}


def _model(layer, data):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(data.shape[1:], dtype=tf.constant(data).dtype.name)
    x = layer(inputs)
    if x.dtype.startswith("int"):
        x = layers.Flatten()(layers.Embedding(20, 6, name="embedding")(x))
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


@pytest.mark.sweep(3)
@pytest.mark.parametrize("name", PREPROCESSING)
def test_state_is_taken_over(name, tmp_path):
    layer, data = PREPROCESSING[name]()
    model, inputs = _model(layer, data), tf.constant(data)
    before = model(inputs)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    smaller = remove_channels(model, keep, channel_map)
    verify_removal(model, smaller, keep, data, channel_map)
    pruned = prune(model, data, 0.5, ranker="l1_norm", verbose=0)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    np.testing.assert_allclose(loaded(inputs), pruned(inputs), atol=1e-6)
    assert pruned.get_layer("hidden").units == 4
    np.testing.assert_array_equal(model(inputs), before)


@pytest.mark.slow
def test_strings_are_compared_and_pruned_until(few_trials):
    model = _model(*PREPROCESSING["words"]())
    model.compile("sgd", "mse")
    for words in (WORDS, WORDS.astype(object), tf.constant(WORDS)):
        data = words, np.zeros((24, 2), "float32")
        pruned = prune(model, data, 0.5, ranker="l1_norm", verbose=0)
        found = compare(model, pruned, data, verbose=0).metrics["loss"]
        assert found[0] == pytest.approx(model.evaluate(tf.constant(words), data[1]))
    smaller = prune_until(
        model,
        words,
        10.0,
        "loss",
        validation_data=data,
        ranker="l1_norm",
        verbose=0,
    )
    assert smaller.count_params() < model.count_params()


def test_a_pruned_vocabulary_is_not_the_original_one():
    layer, data = PREPROCESSING["adapted"]()
    model = _model(layer, data)
    pruned = prune(model, data, 0.5, ranker="l1_norm", verbose=0)
    pruned.get_layer(layer.name).set_vocabulary(["x", "y", "z"])
    assert layer.get_vocabulary()[1:] == ["c", "b", "a"]


def test_copies_in_float32_have_the_vocabulary():
    layer, data = PREPROCESSING["words"]()
    model = _model(layer, data)
    inputs = tf.constant(data)
    np.testing.assert_allclose(copy_in_float32(model)(inputs), model(inputs), atol=1e-6)


@pytest.mark.slow
def test_strings_are_read_from_any_form_of_data(tmp_path):
    layer, _ = _text(output_sequence_length=4)
    model = _model(layer, WORDS)
    data = [
        WORDS.astype(object),
        tf.data.Dataset.from_tensor_slices(WORDS).batch(5),
        (tf.constant(WORDS), np.zeros(24)),
    ]
    for dataset in data:
        pruned = prune(model, dataset, 0.5, repair="mean", verbose=0)
        assert pruned.get_layer("hidden").units == 4
    pruned.export(str(tmp_path / "served"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    inputs = tf.constant(WORDS)
    np.testing.assert_allclose(served.serve(inputs), pruned(inputs), atol=1e-5)


@keras.saving.register_keras_serializable("own_state_test")
class Table(layers.Layer):
    """Scales by a table that it saves itself."""

    def __init__(self, how="variables", **kwargs):
        super().__init__(**kwargs)
        self.how, self.table = how, np.ones(1, "float32")

    def call(self, inputs):
        return inputs * self.table

    def get_config(self):
        return {**super().get_config(), "how": self.how}

    def save_own_variables(self, store):
        if self.how == "variables":
            store["table"] = self.table

    def load_own_variables(self, store):
        if self.how == "variables":
            self.table = np.asarray(store["table"])


@keras.saving.register_keras_serializable("own_state_test")
class FileTable(Table):
    """The same, in a file."""

    def save_own_variables(self, store):
        pass

    def save_assets(self, folder):
        np.save(pathlib.Path(folder) / "table.npy", self.table)

    def load_assets(self, folder):
        self.table = np.load(pathlib.Path(folder) / "table.npy")


@pytest.mark.parametrize("kind", [Table, FileTable])
def test_state_of_third_parties_is_taken_over(kind):
    layer = kind()
    layer.table = np.array([1.0, 2.0, -3.0, 0.5], "float32")
    model = _model(layer, REALS)
    pruned = prune(model, REALS, 0.5, ranker="l1_norm", verbose=0)
    copied = pruned.get_layer(layer.name)
    assert copied is not layer
    np.testing.assert_array_equal(copied.table, layer.table)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Table, "saves variables that are not its weights, which cannot be cut"),
        (FileTable, "saves files of its own, which cannot be cut"),
    ],
)
def test_state_that_would_have_to_be_cut_locks(monkeypatch, kind, words):
    known = dict(layer_registry.LAYER_TYPES)
    monkeypatch.setattr(layer_registry, "LAYER_TYPES", known)
    register_layer(kind, flow="keep")
    inputs = keras.Input((4,))
    layer = kind(name="table")
    x = layer(layers.Dense(6, name="locked")(inputs))
    layer.table = np.arange(6, dtype="float32")
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    assert words in trace_channels(model).lock_reasons()["locked"]


def test_weights_by_other_names_are_no_state():
    class Renamed(layers.Dense):
        def save_own_variables(self, store):
            store["matrix"], store["offset"] = self.kernel, self.bias

    layer = Renamed(3)
    layer.build((None, 2))
    assert describe_own_state(layer) is None
    assert describe_own_state(layers.Dense(3)) is None
    assert describe_own_state(keras.Operation()) is None


def test_a_number_is_stored_as_files_store_it():
    class Sized(layers.Layer):
        """Reads its size as from a file: an array, by `[...]`."""

        def __init__(self, size, **kwargs):
            super().__init__(**kwargs)
            self.size = size

        def call(self, inputs):
            return inputs * self.size

        def save_own_variables(self, store):
            store["size"] = self.size

        def load_own_variables(self, store):
            self.size = int(store["size"][...])

        def get_config(self):
            return {**super().get_config(), "size": 1}

    inputs = keras.Input((3,))
    x = layers.Dense(6)(Sized(4, name="sized")(inputs))
    model = models.randomize(keras.Model(inputs, layers.Dense(2)(x)))
    models.check_masks(model, tolerance=1e-5)
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    assert remove_channels(model, keep, channel_map).get_layer("sized").size == 4
