"""Tests of recurrent layers that lose hidden units."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import BaselineRanker, ShapleyRanker, games, prune
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.rank.weight_scores import filters_of
from keras_shapley_prune.trace.tracer import trace_channels


def _model(*steps, shape=(5, 3)):
    """Dense -> steps -> Dense."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = layers.Dense(6, activation="tanh", name="before")(inputs)
    for step in steps:
        x = step(x)
    if isinstance(x, (list, tuple)):
        x = layers.Concatenate()([y for y in x if len(y.shape) == len(x[0].shape)])
    return models.randomize(keras.Model(inputs, layers.Dense(3, name="after")(x)))


def _both(layer, **arguments):
    return layers.Bidirectional(layer, **arguments)


STEPS = [
    lambda: [layers.LSTM(6, return_sequences=True), layers.LSTM(5)],
    lambda: [layers.LSTM(6, go_backwards=True, use_bias=False)],
    lambda: [layers.LSTM(6, return_state=True)],
    lambda: [layers.LSTM(6, recurrent_dropout=0.2, dropout=0.1)],
    lambda: [layers.GRU(6, return_sequences=True), layers.GRU(5, reset_after=False)],
    lambda: [layers.GRU(6, unroll=True, return_state=True)],
    lambda: [layers.SimpleRNN(6, activation="relu", return_sequences=True)],
    lambda: [_both(layers.LSTM(4, return_sequences=True)), _both(layers.GRU(4))],
    lambda: [_both(layers.LSTM(6), merge_mode="sum")],
    lambda: [_both(layers.GRU(6, return_sequences=True), merge_mode="ave")],
    lambda: [_both(layers.SimpleRNN(6), merge_mode="mul")],
    lambda: [_both(layers.LSTM(4), merge_mode=None)],
    lambda: [_both(layers.LSTM(4, return_state=True))],
    lambda: [_both(layers.GRU(4, return_state=True), merge_mode=None)],
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("make", STEPS)
def test_masked_equals_pruned(make):
    models.check_masks(_model(*make()))


@pytest.mark.sweep(1)
@pytest.mark.parametrize("make", STEPS)
def test_costs_are_those_of_the_cut_model(make):
    model = _model(*make())
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    smaller = remove_channels(model, keep, channel_map)
    for of, count in (("params", keras.Model.count_params), ("flops", count_flops)):
        cost = CostModel(channel_map, of)
        assert cost.count(np.ones(channel_map.num_units, bool)) == count(model)
        assert cost.count(keep) == count(smaller)


def test_flops_of_a_recurrent_layer():
    inputs = keras.Input((7, 3))
    model = keras.Model(inputs, layers.LSTM(5)(inputs))
    assert count_flops(model) == 2 * 7 * (3 * 20 + 5 * 20)
    inputs = keras.Input((None, 3))
    assert count_flops(keras.Model(inputs, layers.LSTM(5)(inputs))) is None


def test_the_state_of_an_encoder_ties_it_to_the_decoder():
    keras.utils.set_random_seed(0)
    one, other = keras.Input((5, 3)), keras.Input((4, 2))
    _, *states = layers.LSTM(6, return_state=True, name="encoder")(one)
    x = layers.LSTM(6, name="decoder")(other, initial_state=states)
    model = models.randomize(keras.Model([one, other], layers.Dense(3)(x)))
    (group,) = trace_channels(model).groups
    assert group.producers == ("encoder", "decoder")
    models.check_masks(model)


def test_a_removed_hidden_unit_does_not_feed_back():
    """To multiply what the layer returns is not enough: the network is another."""
    model = _model(layers.SimpleRNN(6, name="rnn"))
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups("rnn")
    keep = np.ones(channel_map.num_units, bool)
    keep[group.units[:3]] = False
    x = models.images(model)
    (pruned,) = models.outputs_of(remove_channels(model, keep), x)
    kernel = model.get_layer("after").kernel.numpy()
    kernel[:3] = 0
    model.get_layer("after").kernel.assign(kernel)
    (multiplied,) = models.outputs_of(model, x)
    assert models.relative_difference([multiplied], [pruned]) > 0.01


def test_filters_are_what_computes_a_unit():
    model = _model(layers.LSTM(4, name="lstm"))
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups("lstm")
    (filters,) = filters_of(channel_map, group)
    cell = model.get_layer("lstm").cell
    assert filters.shape == (4, 4 * (6 + 4))
    rows = [cell.kernel.numpy()[:, 2::4], cell.recurrent_kernel.numpy()[:, 2::4]]
    expected = np.sort(np.concatenate(rows).ravel())
    np.testing.assert_array_equal(np.sort(filters[2]), expected)


def _softmax(x):
    return keras.activations.softmax(x)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (
            lambda: layers.LSTM(4, name="rnn", recurrent_activation=_softmax),
            "recurrent activation _softmax is not",
        ),
        (
            lambda: layers.GRU(4, name="rnn", activation="softmax"),
            "activation softmax is not elem",
        ),
        (
            lambda: layers.RNN(layers.LSTMCell(4), name="rnn"),
            "RNN is not a registered layer",
        ),
        (
            lambda: layers.Bidirectional(layers.RNN(layers.GRUCell(4)), name="rnn"),
            "is of a RNN, no registered recurrent layer",
        ),
        (
            lambda: layers.Bidirectional(
                layers.LSTM(4),
                backward_layer=layers.GRU(4, go_backwards=True),
                name="rnn",
            ),
            "directions that differ",
        ),
    ],
)
def test_what_is_not_exact_is_locked(layer, words):
    assert words in trace_channels(_model(layer())).lock_reasons()["rnn"]


def test_stateful_layers_are_locked():
    inputs = keras.Input((5, 3), batch_size=2)
    x = layers.LSTM(4, stateful=True, name="stateful")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    expected = "LSTM is stateful, and its state would have to be cut"
    assert trace_channels(model).lock_reasons()["stateful"] == expected


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("kind", "return_sequences"),
    [(layers.LSTM, True), (layers.GRU, False), (layers.SimpleRNN, False)],
)
def test_steps_that_are_masked_are_skipped(kind, return_sequences):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True, name="words")(inputs)
    x = layers.Bidirectional(kind(5, return_sequences=True), name="both")(x)
    x = kind(6, return_sequences=return_sequences, name="last")(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(3)(x)))
    assert {g.name for g in trace_channels(model).groups} == {"words", "both", "last"}
    words = np.random.default_rng(0).integers(1, 9, (3, 6)).astype("int32")
    skipped = words.copy()
    skipped[0, 2:] = skipped[1, :2] = 0
    outputs = (models.outputs_of(model, x) for x in (words, skipped))
    assert models.relative_difference(*outputs) > 0.01
    models.check_masks(model, inputs=skipped)


def test_a_state_that_is_an_input_locks_the_units():
    one, state = keras.Input((5, 3)), keras.Input((4,))
    x = layers.GRU(4, name="gru")(one, initial_state=state)
    model = keras.Model([one, state], layers.Dense(2)(x))
    expected = "`gru` begins with a state of channels that cannot be removed"
    assert trace_channels(model).lock_reasons()["gru"] == expected


def _reader():
    """A small classifier of sequences of words, and data for it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 6, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True), name="both")(x)
    x = layers.GRU(8, name="gru")(x)
    x = layers.Dense(6, activation="relu", name="hidden")(x)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    models.randomize(model)
    generator = np.random.default_rng(0)
    words = generator.integers(0, 20, (16, 7)).astype("int32")
    return model, (words, generator.integers(0, 3, 16))


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "ranker",
    [
        None,
        ShapleyRanker(games.Loss(replacement="mean")),
        ShapleyRanker("loss", "gradient"),
        BaselineRanker("mean_activation"),
    ],
)
def test_a_reader_is_pruned_end_to_end(ranker):
    model, data = _reader()
    pruned = prune(model, data, 0.5, ranker=ranker, verbose=0)  # which verifies
    assert pruned.get_layer("both").forward_layer.units == 3
    assert pruned.get_layer("both").backward_layer.units == 3
    assert (pruned.get_layer("gru").units, pruned.get_layer("hidden").units) == (4, 3)


def test_a_unit_that_nothing_reads_is_worth_nothing():
    model, data = _reader()
    cell = model.get_layer("gru").cell
    for weight in (cell.recurrent_kernel, model.get_layer("hidden").kernel):
        value = weight.numpy()
        value[5] = 0
        weight.assign(value)
    ranking = ShapleyRanker("loss").rank(model, data, layers="gru", verbose=0)
    values = np.abs(ranking["gru"].values)
    assert values[5] < 1e-6 < np.delete(values, 5).min()
