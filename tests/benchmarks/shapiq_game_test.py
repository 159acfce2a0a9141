"""Tests that a group of filters, as a game of shapiq, is the game that is ranked."""

import sys

import keras
import numpy as np
import pytest
from keras import layers
from scripts import ROOT, load

import keras_shapley_prune as ksp

shapiq = pytest.importorskip("shapiq")
datasets = pytest.importorskip("sklearn.datasets")

NUM_EXAMPLES = 60
GROUPS = {"first": 4, "second": 6}
GAMES = {
    "loss": "loss",
    "kl": "kl",
    "mean": ksp.games.Loss(replacement="mean"),
    "custom": lambda labels, outputs: outputs[:, 0] * outputs[:, 1],
}


@pytest.fixture(scope="module")
def shapiq_game():
    path = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield load(ROOT / "benchmarks" / "shapiq_game.py")
    sys.path[:] = path


@pytest.fixture(scope="module")
def digits():
    images, labels = datasets.load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8, 1).astype("float32") / 16, labels


@pytest.fixture(scope="module")
def model(digits):
    """A CNN that has seen the digits for a few seconds: its filters differ."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for name, width in GROUPS.items():
        model.add(layers.Conv2D(width, 3, padding="same", use_bias=False, name=name))
        model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(*(array[NUM_EXAMPLES:] for array in digits), epochs=3, verbose=0)
    return model


@pytest.fixture(scope="module")
def data(digits):
    return tuple(array[:NUM_EXAMPLES] for array in digits)


@pytest.fixture(scope="module")
def tables(shapiq_game, model, data):
    """The values of all coalitions: what is shown of estimators needs no network."""
    found = {}
    for group, width in GROUPS.items():
        game = shapiq_game.GroupGame(model, data, group)
        game.precompute()
        assert game.access_counter == 2**width
        found[group] = game
    return found


def exact(game):
    return first_order(shapiq.ExactComputer(game, game.n_players)("SV", 1))


def first_order(found):
    return np.array([found[(unit,)] for unit in range(found.n_players)])


def rank(model, data, group, game, estimator, **arguments):
    ranker = ksp.ShapleyRanker(game, estimator, **arguments)
    return ranker.rank(model, data, layers=group, verbose=0)[group]


@pytest.mark.parametrize(
    ("group", "game"), [("first", "loss"), *(("second", game) for game in GAMES)]
)
def test_exact_values_are_ours(shapiq_game, model, data, group, game):
    # Batches of 32 and 28 examples, of which one and two are evaluated at once.
    played = shapiq_game.GroupGame(model, data, group, GAMES[game], batch_size=32)
    ours = rank(model, data, group, GAMES[game], "exact").values
    np.testing.assert_allclose(exact(played), ours, atol=1e-5)
    assert played.access_counter == 2 ** GROUPS[group]


def test_values_are_those_of_masked_networks(shapiq_game, model, data):
    (images, labels), channel_map = data, ksp.trace_channels(model)
    game = shapiq_game.GroupGame(model, data, "second", normalize=False)
    (group,) = channel_map.select_groups("second")
    coalitions = np.random.default_rng(0).random((2, 6)) < 0.5
    for coalition, value in zip(coalitions, game(coalitions), strict=True):
        keep = np.ones(channel_map.num_units, bool)
        keep[group.units] = coalition
        masked = ksp.mask_channels(model, keep, channel_map)
        masked.compile("sgd", model.loss)
        loss = masked.evaluate(images, labels, verbose=0)
        assert value == pytest.approx(-loss, abs=1e-4)


def test_batches_and_folds_change_nothing(shapiq_game, model, data):
    coalitions = np.random.default_rng(1).random((7, 6)) < 0.5
    values = [
        shapiq_game.GroupGame(model, data, "second", batch_size=size)(coalitions)
        for size in (7, 60, 500)
    ]
    np.testing.assert_allclose(values[1:], values[:1] * 2, atol=1e-5)


def test_the_game_keeps_the_contract_of_shapiq(shapiq_game, model, data):
    game = shapiq_game.GroupGame(model, data, "first")
    assert game.n_players == 4
    assert game.access_counter == 0
    assert game.is_normalized
    assert game(game.empty_coalition) == pytest.approx([0.0])
    assert game.access_counter == 2
    coalitions = np.eye(4, dtype=bool)
    values = game(coalitions)
    assert values.shape == (4,)
    assert game.access_counter == 6
    for unit, value in enumerate(values):
        assert game((unit,)) == pytest.approx([value], abs=1e-6)
    plain = shapiq_game.GroupGame(model, data, "first", normalize=False)
    assert plain(coalitions) == pytest.approx(values + game.normalization_value)
    assert plain(plain.empty_coalition) == pytest.approx([game.normalization_value])


class Counted:
    """A table with a counter."""

    def __init__(self, game):
        self.game, self.count = game, 0

    def __call__(self, coalitions):
        self.count += len(np.atleast_2d(coalitions))
        return self.game(coalitions)


def approximators():
    """Some estimators of Shapley values, as far as the installed shapiq has them."""
    names = "PermutationSamplingSV KernelSHAP UnbiasedKernelSHAP SVARM LeverageSHAP"
    for name in names.split():
        if make := getattr(shapiq.approximator, name, None):
            yield pytest.param(make, id=name)


@pytest.mark.parametrize("make", list(approximators()))
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.filterwarnings("ignore:Not all budget is required")
def test_estimators_of_shapiq_keep_their_contract(tables, make, group, seed):
    num_units, truth = GROUPS[group], exact(tables[group])
    errors = []
    for budget in (2 * num_units, 8 * num_units, 2**14):
        game = Counted(tables[group])
        values = make(num_units, random_state=seed).approximate(budget, game)
        assert game.count <= budget
        errors.append(np.sum((first_order(values) - truth) ** 2))
    spread = np.sum((truth - truth.mean()) ** 2)
    assert errors[-1] < 0.05 * spread
    assert errors[-1] < max(errors[0], 1e-9)
    if make.__name__ in ("PermutationSamplingSV", "KernelSHAP", "LeverageSHAP"):
        everybody = tables[group](np.ones(num_units, bool))[0]
        assert first_order(values).sum() == pytest.approx(everybody, abs=1e-4)


@pytest.mark.parametrize("group", GROUPS)
def test_permutations_are_within_their_errors_of_the_exact_values(
    tables, model, data, group
):
    scores = rank(model, data, group, "loss", ksp.estimators.Permutation(2), seed=3)
    distance = np.abs(scores.values - exact(tables[group])) / scores.standard_errors
    # The examples are the same, so that only part of the standard errors is at work.
    assert distance.max() < 3
    assert np.all(scores.standard_errors > 0)


@pytest.mark.parametrize("game", ["reconstruction", ksp.games.Loss(reduction="rms")])
def test_games_that_are_no_mean_of_outputs_are_refused(shapiq_game, model, data, game):
    with pytest.raises(ValueError, match=r"Argument `game` should be played on"):
        shapiq_game.GroupGame(model, data, "first", game)


def test_the_group_has_to_be_one_that_is_read(shapiq_game, model, data):
    with pytest.raises(ValueError, match=r"Argument `group` should be the name of one"):
        shapiq_game.GroupGame(model, data, "*")
