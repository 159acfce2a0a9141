"""Tests of the estimators against exact values."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.rank.estimators import (
    Adaptive,
    ClosedFormPermutation,
    CorrectedGradient,
    Exact,
    Gradient,
    Permutation,
    SharedPermutation,
)
from keras_shapley_prune.rank.games import Loss
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.trace.tracer import trace_channels

NUM_EXAMPLES = 96


@pytest.fixture(scope="module")
def problem():
    model = models.fresh(models.residual)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    data = models.images(model, NUM_EXAMPLES), np.arange(NUM_EXAMPLES) % 4
    return model, data, _rank(model, data, "exact")


def _rank(model, data, estimator, layers=None, game="loss", **arguments):
    ranker = ShapleyRanker(game, estimator, **arguments)
    return ranker.rank(model, data, layers=layers, verbose=0)


def _error(estimate, truth):
    spread = np.sum((truth - truth.mean()) ** 2)
    return np.sum((estimate - truth) ** 2) / spread


@pytest.mark.slow
def test_exact_values_are_efficient(problem):
    model, (x, y), exact = problem
    channel_map = trace_channels(model)
    for group in channel_map.groups:
        keep = np.ones(channel_map.num_units, bool)
        keep[group.units[1:]] = False
        # One unit has to stay in a network: compare with the game of that one.
        masked = mask_channels(model, keep, channel_map)
        masked.compile("sgd", model.loss)
        assert np.isfinite(masked.evaluate(x, y, verbose=0))
        walked = _rank(model, (x, y), "permutation", layers=group.name)
        total = walked[group.name].values.sum()
        assert exact[group.name].values.sum() == pytest.approx(total, abs=1e-4)


@pytest.mark.slow
def test_exact_values_are_what_many_walks_find(problem):
    model, data, exact = problem
    walked = _rank(model, data, Permutation(30))
    for name, scores in exact.items():
        assert _error(walked[name].values, scores.values) < 2e-3
        assert scores.num_evaluations == NUM_EXAMPLES * 2 ** len(scores.values)


def test_exact_values_do_not_depend_on_the_batches(problem):
    model, data, exact = problem
    again = _rank(model, data, "exact", layers="inner1", batch_size=13)
    np.testing.assert_allclose(
        again["inner1"].values, exact["inner1"].values, rtol=1e-3, atol=1e-5
    )


def test_exact_values_of_a_large_group_are_refused():
    inputs = keras.Input((4,))
    x = layers.Dense(17, activation="relu", name="large")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(x))
    with pytest.raises(ValueError, match=r"up to 16 units.*17 units"):
        _rank(model, (np.ones((2, 4)), np.ones((2, 1))), "exact", game=Loss("mse"))


@pytest.mark.slow
def test_shared_permutations_are_unbiased_but_noisier(problem):
    model, data, exact = problem
    errors = {Permutation: [], SharedPermutation: []}
    means = []
    for estimator, found in errors.items():
        for seed in range(12):
            ranking = _rank(model, data, estimator(2), layers="stem", seed=seed)
            found.append(_error(ranking["stem"].values, exact["stem"].values))
            if estimator is SharedPermutation:
                means.append(ranking["stem"].values)
    assert np.mean(errors[Permutation]) < np.mean(errors[SharedPermutation]) / 5
    assert _error(np.mean(means, axis=0), exact["stem"].values) < 0.2


def test_all_examples_share_a_permutation():
    estimator, active = SharedPermutation(3), np.ones(6, bool)
    first = estimator.draw([0, 2, 0, 1, 0], 4, active)
    later = estimator.draw([0, 2, 0, 1, 1], 5, active)
    assert first.shape == (4, 6)
    np.testing.assert_array_equal(first[0], later[4])
    np.testing.assert_array_equal(first, np.tile(first[0], (4, 1)))
    assert (first[0] != estimator.draw([0, 2, 0, 2, 0], 4, active)[0]).any()


@pytest.mark.slow
def test_gradients_rank_at_a_fraction_of_the_cost(problem):
    model, data, exact = problem
    ranking = _rank(model, data, Gradient(8))
    for name, scores in exact.items():
        estimate = ranking[name]
        total = scores.values.sum()
        assert estimate.values.sum() == pytest.approx(total, abs=1e-4)
        assert np.corrcoef(estimate.values, scores.values)[0, 1] > 0.9
        assert estimate.num_evaluations == NUM_EXAMPLES * 8 * 5
        assert estimate.standard_errors.max() > 0


def test_gradients_of_an_additive_game_are_exact():
    inputs = keras.Input((6,))
    x = layers.Dense(6, name="players")(inputs)
    model = keras.Model(inputs, layers.Dense(1, name="sum")(x))
    models.randomize(model)
    x = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    data = x, np.zeros((20, 1), "float32")

    def value(labels, outputs):
        return outputs[:, 0]

    exact = _rank(model, data, "exact", game=value)["players"].values
    plain = Gradient(control_variate=False)
    gradients = _rank(model, data, plain, game=value)["players"].values
    np.testing.assert_allclose(gradients, exact, atol=1e-5)


def test_coalitions_are_stratified_by_density():
    active = np.arange(800) % 2 == 0
    drawn = Gradient().draw([0, 0, 0, 0, 0], 100, active)
    assert (drawn[:, ~active] == -1).all()
    densities = np.sort(drawn[:, active].mean(axis=1))
    np.testing.assert_allclose(densities, (np.arange(100) + 0.5) / 100, atol=0.1)
    drawn = Gradient(window=0.25).draw([0, 0, 0, 0, 0], 100, active)
    densities = np.sort(drawn[:, active].mean(axis=1))
    wanted = 0.75 + (np.arange(100) + 0.5) / 400
    np.testing.assert_allclose(densities, wanted, atol=0.1)


def test_folding_changes_nothing(problem):
    model, data, _ = problem
    small = tuple(array[:10] for array in data)
    one, many = (
        _rank(model, [small], "permutation", batch_size=size, layers="inner1")
        for size in (1, 1000)
    )
    np.testing.assert_allclose(
        one["inner1"].values, many["inner1"].values, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (Exact, {"num_draws": 2}),
        (Exact, {"window": 0.5}),
        (Adaptive, {"window": 0.5}),
        (Adaptive, {"decay": 0.5}),
        (CorrectedGradient, {"window": 0.5}),
        (CorrectedGradient, {"decay": 0.5}),
        (ClosedFormPermutation, {"window": 0.5}),
        (Permutation, {"candidates": 2}),
    ],
)
def test_what_an_estimator_does_not_take_is_no_argument_of_it(make, arguments):
    (name,) = arguments
    with pytest.raises(TypeError, match=name):
        make(**arguments)


@pytest.mark.parametrize(
    "make", [Permutation, Gradient, SharedPermutation, ClosedFormPermutation]
)
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("num_draws", 0, "an integer, at least 1"),
        ("num_draws", 1.5, "an integer"),
        ("num_draws", True, "an integer"),
        ("num_draws", None, "an integer"),
        ("window", 0, r"a float in \(0, 1\]"),
        ("window", 1.1, "a float"),
        ("window", "0.5", "a float"),
        ("window", True, "a float"),
        ("decay", -0.1, r"a float in \[0, 1\]"),
        ("decay", 2, "a float"),
        ("decay", float("nan"), "a float"),
    ],
)
def test_wrong_arguments(make, name, value, expected):
    if name == "window" and make is ClosedFormPermutation:
        pytest.skip("it has no window")
    with pytest.raises(ValueError, match=f"`{name}` should be {expected}") as info:
        make(**{name: value})
    assert f"Received: {name}={value!r}" in str(info.value)


@pytest.mark.parametrize(
    "estimator", [Permutation(), Adaptive(), CorrectedGradient(), SharedPermutation()]
)
def test_a_group_of_one_unit_is_worth_all(estimator):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(1, activation="tanh", name="one"),
            layers.Dense(3),
            layers.Dense(2),
        ]
    )
    model.compile(loss="mse")
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    found, exact = [
        _rank(model, (x, x[:, :2]), e, ["one"])["one"] for e in (estimator, "exact")
    ]
    np.testing.assert_allclose(found.values, exact.values, atol=1e-5)


def test_defaults_are_in_the_signature():
    assert repr(Permutation()) == (
        "estimators.Permutation(num_draws=1, window=1.0, decay=0.8, "
        "control_variate=True)"
    )
    assert repr(Exact()) == "estimators.Exact()"
    assert Gradient(2) == Gradient(num_draws=2) != Gradient()
    assert CorrectedGradient(3).get_config() == {"num_draws": 3}
