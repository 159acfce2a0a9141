"""Tests of removal costs in units of the outputs."""

import cut_readers
import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.plan.planner import plan_pruning
from keras_shapley_prune.pruning import prune
from keras_shapley_prune.rank.games import Reconstruction
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.output_costs.removal_costs import (
    measure_removal_costs,
    with_costs,
)
from keras_shapley_prune.rank.ranking import Ranking
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.repair.moments import InputMoments
from keras_shapley_prune.trace.tracer import trace_channels

GAME = Reconstruction(costs="outputs")


def rank(model, data, game=GAME, **arguments):
    return ShapleyRanker(game, seed=1).rank(
        model, data, ratio=0.9, verbose=0, **arguments
    )


def two_layers(num_units=5, num_outputs=1):
    """Returns a model that is linear in what its reader returns, and its data."""
    inputs = keras.Input((6,))
    x = layers.Dense(num_units, activation="tanh", name="units")(inputs)
    x = layers.Dense(num_outputs, name="reader")(x)
    model = models.randomize(keras.Model(inputs, x))
    data = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    return model, data


def opened(model, data):
    """Returns moments, scores with one order for all, and batches."""
    channel_map, batches = trace_channels(model), cut_readers.to_batches(model, data, 7)
    moments = InputMoments(channel_map, channel_map.groups, batches, hold_out=True)
    scores = {
        group.name: GroupScores(
            np.arange(group.num_units)[::-1].astype(float),
            np.zeros(group.num_units),
            0,
        )
        for group in channel_map.groups
    }
    return moments, scores, batches


def refitted(model, data, removed):
    """Returns the squared change of the outputs once a fit is without some units."""
    held_out = np.arange(len(data)) % 5 == 0
    units, reader = model.get_layer("units"), model.get_layer("reader")
    rows = units(data).numpy().astype("float64")
    stay = np.setdiff1d(np.arange(rows.shape[1]), removed)
    fitted = rows[~held_out]
    mean, x = fitted.mean(axis=0), fitted - fitted.mean(axis=0)
    kernel = reader.kernel.numpy().astype("float64")
    xx = x[:, stay].T @ x[:, stay] / len(x)
    strength = 1e-2 * np.trace(xx) / len(xx)
    wanted = x[:, stay].T @ (x @ kernel) / len(x) + strength * kernel[stay]
    fit = np.linalg.solve(xx + strength * np.eye(len(stay)), wanted)
    # The network with the refitted reader, run.
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    kernel_now = np.zeros_like(kernel)
    kernel_now[stay] = fit
    bias = reader.bias.numpy() + mean @ (kernel - kernel_now)
    copy.get_layer("reader").set_weights([kernel_now, bias])
    change = copy(data[held_out]) - model(data[held_out])
    return float(tf.reduce_sum(change**2)) / held_out.sum()


def test_they_are_those_of_the_network_that_is_really_refitted():
    """One output, linear in its reader: neither first order nor signs are inexact."""
    model, data = two_layers()
    moments, scores, batches = opened(model, data)
    found = measure_removal_costs(moments, scores, batches)["units"]
    order = found.order
    assert list(order) == [4, 3, 2, 1, 0]
    total = np.cumsum(found.removal_costs[order])
    measured = [refitted(model, data, order[:count]) for count in (1, 2, 4)]
    rising = np.maximum.accumulate(measured)
    np.testing.assert_allclose(total[[0, 1, 3]], rising, rtol=1e-3)
    # Between two depths the curve goes on, behind the last the last step is repeated.
    assert rising[1] < total[2] < rising[2]
    assert total[4] - total[3] == pytest.approx(total[3] - total[2], rel=1e-3)


def test_costs_change_smoothly_between_depths():
    """With one step for all units between two depths, all of them would go at once."""
    counts, costs = [4, 8, 16, 32], np.array([1.0, 4.0, 16.0, 64.0])
    scores = GroupScores(np.arange(40.0), np.zeros(40), 0)
    steps = with_costs(scores, counts, costs).removal_costs
    np.testing.assert_allclose(np.cumsum(steps)[np.array(counts) - 1], costs)
    assert (np.diff(steps[:32]) > 0).all()


def test_only_costs_are_new():
    model, data = two_layers(8, 4)
    moments, scores, batches = opened(model, data)
    found = measure_removal_costs(moments, scores, batches)
    assert list(found) == list(scores)
    np.testing.assert_array_equal(found["units"].values, scores["units"].values)
    assert scores["units"].removal_costs is None


def test_the_seed_decides_the_signs():
    model, data = two_layers(8, 4)
    opening = opened(model, data)
    costs = [
        measure_removal_costs(*opening, seed=seed)["units"].removal_costs
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(costs[0], costs[1])
    assert not np.allclose(costs[0], costs[2], rtol=1e-3)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", [models.chain, models.residual, models.two_ends])
def test_they_rise_in_the_order_of_removal(builder):
    model = models.build(builder)
    ranking = rank(model, models.inputs_of(model, 20))
    for scores in ranking.values():
        costs = scores.removal_costs
        assert np.isfinite(costs).all()
        assert (costs >= 0).all()
        assert costs.any()


def test_examples_that_are_held_out_are_not_fitted():
    """They change the costs, but not the fits, nor the values."""
    model, data = two_layers()
    other = data.copy()
    other[::5] += 1
    fits, costs, values = [], [], []
    for x in (data, other):
        moments, scores, batches = opened(model, x)
        call, position = moments.channel_map.graph.calls[-1], 0
        fits.append(moments.collect(call, position)[1][0])
        costs.append(
            measure_removal_costs(moments, scores, batches)["units"].removal_costs
        )
        values.append(rank(model, x)["units"].values)
    np.testing.assert_array_equal(*fits)
    np.testing.assert_array_equal(*values)
    assert not np.allclose(*costs, rtol=0.05)
    fewer = np.delete(data, np.s_[::5], axis=0)
    found = InputMoments(moments.channel_map, moments.channel_map.groups, [[fewer]])
    expected = found.collect(moments.channel_map.graph.calls[-1], 0)[1][0]
    np.testing.assert_allclose(fits[0], expected, rtol=1e-4)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("count", [1, 3, 9])
def test_few_examples_are_fitted_and_measured(count):
    model, data = two_layers()
    moments, scores, batches = opened(model, data[:count])
    assert not moments.holds_out
    found = measure_removal_costs(moments, scores, batches)["units"].removal_costs
    assert np.isfinite(found).all()
    ranking = rank(models.build(models.chain), models.images(models.chain(), count))
    assert all(np.isfinite(s.removal_costs).all() for s in ranking.values())


def test_groups_of_two_units_and_of_one():
    inputs = keras.Input((6,))
    x = layers.Dense(2, activation="tanh", name="two")(inputs)
    x = layers.Dense(1, activation="tanh", name="one")(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(3)(x)))
    _, data = two_layers()
    ranking = rank(model, data)
    lowest = ranking["two"].order[0]
    costs = ranking["two"].removal_costs
    assert costs[lowest] > 0
    assert costs[0] == costs[1]  # of the second nothing is known
    assert ranking["one"].removal_costs is not None


def test_a_model_of_single_units():
    inputs = keras.Input((6,))
    x = layers.Dense(1, activation="tanh", name="one")(inputs)
    model = models.randomize(keras.Model(inputs, layers.Dense(3)(x)))
    assert list(rank(model, two_layers()[1])) == ["one"]


def test_images_of_different_sizes():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="units")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(2)(x)))
    generator = np.random.default_rng(0)
    data = [
        generator.normal(size=(n, s, s, 3)).astype("float32")
        for n, s in ((5, 7), (3, 5), (1, 6), (6, 7))
    ]
    costs = rank(model, data)["units"].removal_costs
    assert (costs[rank(model, data)["units"].order] > 0).any()


def test_a_model_that_takes_batches_of_one_size():
    inputs = keras.Input(batch_shape=(8, 6))
    x = layers.Dense(5, activation="tanh", name="units")(inputs)
    model = models.randomize(keras.Model(inputs, layers.Dense(2)(x)))
    _, data = two_layers()
    batches = [data[start : start + 8] for start in range(0, 40, 8)]
    assert rank(model, batches)["units"].removal_costs.any()


@pytest.mark.parametrize("head", ["argmax", "nan"])
def test_outputs_without_derivatives(head):
    """What the readers lose is what is left to go by, and that is said."""
    inputs = keras.Input((6,))
    x = layers.Dense(5, activation="relu", name="units")(inputs)
    x = layers.Dense(4)(x)
    if head == "argmax":
        outputs = keras.ops.argmax(x, axis=-1)
    else:  # the derivative of a root at 0
        outputs = keras.ops.sqrt(keras.ops.relu(x) * 0)
    model = models.randomize(keras.Model(inputs, outputs))
    _, data = two_layers()
    with pytest.warns(UserWarning, match="derivatives"):
        costs = rank(model, data)["units"].removal_costs
    assert np.isfinite(costs).all()
    assert costs.any()


def test_the_bar_says_what_is_measured(capsys):
    model, data = two_layers()
    for game, expected in ((GAME, True), (Reconstruction(), False)):
        ShapleyRanker(game).rank(model, data, verbose=1)
        shown = capsys.readouterr().out
        assert ("measuring the outputs" in shown) == expected


def test_they_are_saved(tmp_path):
    model, data = two_layers()
    ranking = rank(model, data)
    ranking.save(tmp_path / "ranking.json")
    loaded = Ranking.load(tmp_path / "ranking.json")
    np.testing.assert_array_equal(
        loaded["units"].removal_costs, ranking["units"].removal_costs
    )
    plan = plan_pruning(model, loaded, 0.4, scope="global")
    assert plan.keep.sum() == 3 + 1  # and the output


def test_a_global_budget_spares_the_layer_that_matters():
    """Two branches of the same rows, one of which counts for little in the output."""
    inputs = keras.Input((6,))
    loud = layers.Dense(6, activation="tanh", name="loud")(inputs)
    quiet = layers.Dense(6, activation="tanh", name="quiet")(inputs)
    x = layers.Dense(3, name="read_loud")(loud)
    y = layers.Dense(3, name="read_quiet")(quiet)
    outputs = layers.Add()([x, layers.Rescaling(1e-2)(y)])
    model = models.randomize(keras.Model(inputs, outputs))
    _, data = two_layers()
    pruned = prune(model, data, 0.41, scope="global", verbose=0)
    assert [pruned.get_layer(n).units for n in ("loud", "quiet")] == [6, 1]
