"""Tests of the baseline criteria."""

import json

import keras
import models
import numpy as np
import pytest

import keras_shapley_prune
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.pruning import prune
from keras_shapley_prune.rank.baseline_ranker import BASELINE_NAMES, BaselineRanker
from keras_shapley_prune.rank.games import Loss
from keras_shapley_prune.trace.tracer import trace_channels

NUM_EXAMPLES = 12


@pytest.fixture(scope="module")
def chain():
    model = models.fresh(models.chain)
    model.compile("sgd", "sparse_categorical_crossentropy")
    data = models.images(model, NUM_EXAMPLES), np.arange(NUM_EXAMPLES) % 4
    return model, data


def _rank(criterion, model, data=None, **arguments):
    return BaselineRanker(criterion, **arguments).rank(model, data, verbose=0)


def _activations(model, name, images):
    """What the layer after `name`'s group reads, `(examples, positions, channels)`."""
    layer = keras.Model(model.inputs, model.get_layer(name).output)
    values = layer.predict(images, verbose=0)
    return values.reshape(len(images), -1, values.shape[-1])


@pytest.mark.eager
@pytest.mark.sweep(3)
@pytest.mark.parametrize("criterion", [n for n in BASELINE_NAMES if n != "bn_gamma"])
@pytest.mark.parametrize("builder", [models.residual, models.autoencoder])
def test_every_criterion_scores_every_group(criterion, builder):
    model = models.build(builder)
    x = models.images(model, 6)
    y = np.ones((6, *model.output_shape[1:]), "float32")
    ranking = _rank(criterion, model, (x, y), game=Loss("mse"))
    groups = trace_channels(model).groups
    assert list(ranking) == [group.name for group in groups]
    for group in groups:
        values = ranking[group.name].values
        assert values.shape == (group.num_units,)
        assert np.isfinite(values).all()
        assert values.std() > 0


def test_norms_of_the_weights(chain):
    model, _ = chain
    kernel = model.get_layer("conv2").kernel.numpy().reshape(-1, 12)
    for criterion, order in (("l1_norm", 1), ("l2_norm", 2)):
        values = _rank(criterion, model)["conv2"].values
        np.testing.assert_allclose(
            values, np.linalg.norm(kernel, order, axis=0), rtol=1e-5
        )


def test_a_coupled_group_averages_over_its_producers():
    model = models.build(models.residual)
    norms = [
        np.abs(model.get_layer(name).kernel.numpy()).sum(axis=(0, 1, 2))
        for name in ("stem", "outer1")
    ]
    values = _rank("l1_norm", model)["stem"].values
    np.testing.assert_allclose(values, np.mean(norms, axis=0), rtol=1e-5)


def test_distances_to_the_other_filters(chain):
    model, _ = chain
    filters = model.get_layer("conv1").kernel.numpy().reshape(-1, 8).T
    distances = np.linalg.norm(filters[:, np.newaxis] - filters, axis=-1)
    values = _rank("geometric_median", model)["conv1"].values
    np.testing.assert_allclose(values, distances.sum(axis=1), rtol=1e-3)


def test_gammas(chain):
    model, _ = chain
    ranker = BaselineRanker("bn_gamma")
    values = ranker.rank(model, layers="conv1", verbose=0)["conv1"].values
    np.testing.assert_allclose(values, np.abs(model.get_layer("bn1").gamma))
    with pytest.raises(ValueError, match=r"BatchNormalization.*'conv2'"):
        ranker.rank(model, verbose=0)


def test_random_numbers_come_from_the_seed(chain):
    model, _ = chain
    one, again, other = (_rank("random", model, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one["conv1"].values, again["conv1"].values)
    assert (one["conv1"].values != other["conv1"].values).all()
    assert (one["conv1"].values[:8] != one["conv2"].values[:8]).all()


def test_statistics_of_the_activations(chain):
    model, data = chain
    activations = _activations(model, "dense1", data[0])
    expected = {
        "mean_activation": np.abs(activations).mean(axis=(0, 1)),
        "apoz": (activations > 0).mean(axis=(0, 1)),
    }
    for criterion, values in expected.items():
        ranking = _rank(criterion, model, data[0], batch_size=5)
        np.testing.assert_allclose(ranking["dense1"].values, values, rtol=1e-4)


def _losses(model, keep, channel_map, data):
    masked = mask_channels(model, keep, channel_map)
    x, y = data
    predictions = masked.predict(x, verbose=0)
    return keras.losses.sparse_categorical_crossentropy(y, predictions).numpy()


@pytest.mark.slow
def test_leave_one_out_is_the_rise_of_the_loss(chain):
    model, data = chain
    channel_map = trace_channels(model)
    everything = np.ones(channel_map.num_units, bool)
    whole = _losses(model, everything, channel_map, data)
    for size in (5, 100):
        ranking = _rank("leave_one_out", model, data, batch_size=size)
        (group,) = channel_map.select_groups("conv2")
        for position in (0, 7):
            keep = everything.copy()
            keep[group.units[position]] = False
            rise = (_losses(model, keep, channel_map, data) - whole).mean()
            found = ranking["conv2"].values[position]
            assert found == pytest.approx(rise, abs=1e-5)
        assert ranking["conv2"].num_evaluations == NUM_EXAMPLES * 13


@pytest.mark.eager
def test_taylor_forms_belong_together(chain):
    model, (x, y) = chain
    data = [(x[i : i + 1], y[i : i + 1]) for i in range(4)]
    signed = [_rank("taylor_signed", model, [one])["conv1"].values for one in data]
    for criterion, form in (("taylor", np.abs), ("taylor_squared", np.square)):
        values = _rank(criterion, model, data)["conv1"].values
        np.testing.assert_allclose(values, form(signed).mean(axis=0), rtol=1e-4)


def test_taylor_and_sensitivity_of_a_linear_end(chain):
    """In front of a linear layer both are known in closed form."""
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, activation="tanh", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="last")(hidden))
    models.randomize(model)
    x = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")

    def value(labels, outputs):
        return -outputs[:, 0]

    slope = model.get_layer("last").kernel.numpy()[:, 0]
    activations = keras.Model(inputs, hidden).predict(x, verbose=0)
    data = x, np.zeros(9)
    values = _rank("taylor_signed", model, data, game=value)["hidden"].values
    np.testing.assert_allclose(values, -(activations * slope).mean(axis=0), atol=1e-5)
    values = _rank("sensitivity", model, data, game=value)["hidden"].values
    np.testing.assert_allclose(values, np.abs(slope), atol=1e-5)


def test_prune_takes_a_baseline(chain):
    model, data = chain
    pruned = prune(model, data, ranker=BaselineRanker("l1_norm"), verbose=0)
    norms = _rank("l1_norm", model)["conv1"].values
    highest = np.sort(np.argsort(norms)[4:])
    kernel = model.get_layer("conv1").kernel.numpy()[..., highest]
    np.testing.assert_array_equal(pruned.get_layer("conv1").kernel, kernel)


def test_an_unknown_criterion():
    with pytest.raises(ValueError, match=r"`criterion`.*'l1_norm'.*'best'"):
        BaselineRanker("best")
    with pytest.raises(ValueError, match=r"`batch_size`.*batch_size=0"):
        BaselineRanker("taylor", batch_size=0)
    with pytest.raises(ValueError, match=r"`game`.*game='reconstruction'"):
        BaselineRanker("taylor", "reconstruction")
    with pytest.raises(ValueError, match=r"`game`.*game='los'"):
        BaselineRanker("taylor", "los")


@pytest.mark.eager
def test_activations_need_neither_a_loss_nor_labels(chain):
    _, (x, y) = chain
    model = models.build(models.chain)  # which is not compiled
    for criterion, words in (
        ("apoz", "Share of positive activations"),
        ("mean_activation", "Mean absolute activation"),
    ):
        alone = _rank(criterion, model, x)
        assert alone.method == words
        labelled = _rank(criterion, model, (x, y))
        for name, scores in alone.items():
            np.testing.assert_array_equal(scores.values, labelled[name].values)
    for criterion in ("sensitivity", "taylor"):
        with pytest.raises(ValueError, match="not compiled"):
            _rank(criterion, model, x)


def test_settings_are_shown():
    ranker = BaselineRanker("taylor", Loss("mse"), seed=2)
    again = eval(repr(ranker), vars(keras_shapley_prune))
    assert again.get_config() == ranker.get_config()
    assert json.loads(json.dumps(ranker.get_config()))["criterion"] == "taylor"


def test_methods_name_criterion_and_game(chain):
    model, data = chain
    for criterion, words in (
        ("taylor", "Absolute first-order Taylor expansion of the loss"),
        ("greedy_backward", "Leave-one-out change of the loss, one unit a stage"),
        ("reconstruction", "Greedy cost of removal in the reconstruction game"),
        ("sensitivity", "Mean absolute gradient of the loss"),
    ):
        ranker = BaselineRanker(criterion)
        ranking = ranker.rank(model, data, layers="conv1", verbose=0)
        assert ranking.method.startswith(words)
