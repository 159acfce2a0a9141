"""Tests of rankings by samples: sequences, stages, reductions, arguments."""

import games
import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.surgery import copy_whole
from keras_shapley_prune.rank.estimators import Gradient, Permutation
from keras_shapley_prune.rank.games import Custom, Loss
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.trace.tracer import trace_channels


def _rank(model, data, *game_and_estimator, layers=None, ratio=0.5, **arguments):
    ranker = ShapleyRanker(*(game_and_estimator or ("loss",)), **arguments)
    return ranker.rank(model, data, layers=layers, ratio=ratio, verbose=0)


# --- one group after the other -----------------------------------------------------


def _trained_like():
    model = models.randomize(models.classifier())
    model.get_layer("classes").kernel.assign(3 * model.get_layer("classes").kernel)
    return model, models.labelled_images(16)


def _log_softmax(logits):
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.sweep(1)
@pytest.mark.parametrize("game", ["loss", "kl"])
def test_later_groups_are_ranked_on_what_is_left_of_earlier_ones(game):
    model, (x, y) = _trained_like()
    weights = [array.copy() for array in model.get_weights()]
    exact = game, "exact"
    alone = _rank(model, (x, y), *exact, layers="conv", batch_size=6)["conv"]
    ranking = _rank(model, (x, y), *exact, sequential=True, batch_size=6)
    np.testing.assert_allclose(ranking["conv"].values, alone.values, rtol=1e-5)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    channel_map = trace_channels(model)
    (conv,) = channel_map.select_groups("conv")
    flat = [[tf.constant(x[i : i + 6])] for i in (0, 6, 12)]
    network = Repairer(copy_whole(model, channel_map), flat)
    network.remove(conv.units[ranking["conv"].order[:3]])
    network.advance(3)
    copy = network.model
    hidden = keras.Model(copy.inputs, copy.get_layer("hidden").output)(x).numpy()
    kernel, bias = model.get_layer("classes").get_weights()
    reference = np.log(model(x).numpy())

    def value_of(coalition):
        found = _log_softmax((hidden * coalition) @ kernel + bias)
        if game == "loss":
            return found[np.arange(16), y].mean()
        # The reference is the original network, not what is left of it.
        return -(np.exp(reference) * (reference - found)).sum(axis=-1).mean()

    exact = games.exact_values(value_of, 8)
    np.testing.assert_allclose(
        ranking["hidden"].values, exact, rtol=1e-2, atol=1e-3 * np.abs(exact).max()
    )
    total = value_of(np.ones(8, bool)) - value_of(np.zeros(8, bool))
    assert ranking["hidden"].values.sum() == pytest.approx(total, rel=1e-3)


def test_sequential_walks_subtract_as_well():
    model, data = _trained_like()
    exact = _rank(model, data, "loss", "exact", sequential=True)["hidden"]
    # Draws enough for the same filters of the first layer to be removed.
    many = Permutation(num_draws=8)
    scores = _rank(model, data, "loss", many, sequential=True)["hidden"]
    assert scores.values.sum() == pytest.approx(exact.values.sum(), rel=1e-3)
    np.testing.assert_allclose(
        scores.values, exact.values, atol=0.05 * np.abs(exact.values).max()
    )


# --- stages ------------------------------------------------------------------------


def _constant_units(num_units=4):
    """A model that returns its units, which are 1."""
    inputs = keras.Input((2,))
    x = layers.Dense(num_units, name="units")(inputs)
    model = keras.Model(inputs, layers.Dense(num_units, name="reader")(x))
    model.get_layer("units").set_weights([np.zeros((2, num_units)), np.ones(num_units)])
    model.get_layer("reader").set_weights([np.eye(num_units), np.zeros(num_units)])
    return model, (np.ones((24, 2)), np.zeros(24))


def _twins(labels, outputs):
    """Units 0 and 1 do the same work, worth 1; the others add 0.6 and 0.7."""
    together = tf.maximum(outputs[:, 0], outputs[:, 1])
    return together + 0.6 * outputs[:, 2] + 0.7 * outputs[:, 3]


def test_one_stage_drops_both_of_two_redundant_units():
    scores = _rank(*_constant_units(), _twins)["units"]
    np.testing.assert_allclose(scores.values, [0.5, 0.5, 0.6, 0.7], atol=1e-5)
    assert set(scores.order[:2]) == {0, 1}


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "estimator",
    [
        Permutation(window=0.5),
        Permutation(window=1.0, decay=0.0),
        Gradient(num_draws=30, window=0.5),
    ],
    ids=str,
)
def test_staged_play_keeps_one_of_two_redundant_units(estimator):
    scores = _rank(*_constant_units(), _twins, estimator, stages="units")["units"]
    assert set(scores.order[2:]) & {0, 1}
    assert 3 in scores.order[2:]
    assert sorted(scores.stages) == [0, 1, 1, 1]
    assert set(scores.stages[[0, 1]]) == {0, 1}


def test_the_last_values_are_of_those_that_are_left():
    forgetful = Permutation(decay=0.0)
    scores = _rank(*_constant_units(), _twins, forgetful, stages=2, ratio=0.75)["units"]
    np.testing.assert_array_equal(scores.stages, [0, 0, 1, 1])
    np.testing.assert_allclose(scores.values, [0.5, 0.5, 0.6, 0.7], atol=1e-5)
    scores = _rank(*_constant_units(), _twins, forgetful, stages=4, ratio=0.75)["units"]
    first, second = sorted([0, 1], key=lambda unit: scores.stages[unit])
    assert scores.values[first] == pytest.approx(0.5, abs=0.15)
    assert scores.values[second] == pytest.approx(1.0, abs=1e-5)
    assert scores.stages.tolist().count(2) == 2


# --- reductions --------------------------------------------------------------------


def test_reductions_are_of_the_values_of_each_example():
    model, data = _trained_like()
    seen = []

    def keep(samples):
        seen.append(samples)
        return samples.mean(axis=0)

    def reduced(reduction):
        game, rest = Loss(reduction=reduction), {"layers": "hidden", "batch_size": 5}
        return _rank(model, data, game, "exact", **rest)["hidden"]

    mean, kept = reduced("mean"), reduced(keep)
    samples = seen[0]
    assert samples.shape == (16, 8)
    np.testing.assert_allclose(kept.values, mean.values, rtol=1e-5)
    np.testing.assert_allclose(kept.standard_errors, mean.standard_errors, rtol=1e-4)
    for reduction, expected in (
        ("rms", np.sqrt((samples**2).mean(axis=0))),
        ("mean+0.5std", samples.mean(axis=0) + 0.5 * samples.std(axis=0)),
    ):
        scores = reduced(reduction)
        np.testing.assert_allclose(scores.values, expected, rtol=1e-5)
        varies = samples.std(axis=0) > 1e-6
        assert (scores.standard_errors[varies] > 0).all()


def test_a_reduction_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"for each unit, shape \(8,\)"):
        _rank(*_trained_like(), Loss(reduction=np.mean), layers="hidden")


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("reduction", ["rms", "mean+std"])
def test_reductions_of_stages_that_remember_nothing(reduction):
    scores = _rank(
        *_constant_units(),
        Custom(_twins, reduction=reduction),
        Permutation(window=0.5, decay=0.0),
        ratio=0.75,
        stages=2,
    )["units"]
    assert np.isfinite(scores.values).all()
