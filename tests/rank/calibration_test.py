"""Tests of what a ranking is made on."""

import keras
import models
import numpy as np
import pytest
from datasets import Exploding
from keras import layers

from keras_shapley_prune.inputs.evaluation import check_labels
from keras_shapley_prune.rank.baseline_ranker import BaselineRanker
from keras_shapley_prune.rank.calibration import Calibration
from keras_shapley_prune.rank.estimators import Permutation
from keras_shapley_prune.rank.games import Loss
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.rank.sources import Network
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels


def _calibrate(
    model, dataset, layers=None, channel_map=None, ratio=0.5, needs_labels=True
):
    return Calibration(model, dataset, layers, channel_map, ratio, 8, needs_labels)


class Counted:
    """An iterable of batches that counts how often it is read."""

    def __init__(self, batches):
        self.batches, self.reads, self.given = batches, 0, 0

    def __iter__(self):
        self.reads += 1
        for batch in self.batches:
            self.given += 1
            yield batch


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "ranker",
    [
        ShapleyRanker("loss", Permutation(2)),
        ShapleyRanker(Loss(replacement="mean"), stages=2, sequential=True),
        ShapleyRanker("reconstruction", stages=2, sequential=True),
        ShapleyRanker("loss", "corrected_gradient"),
    ],
    ids=str,
)
def test_data_is_read_once(ranker):
    dataset = Counted([models.labelled_images(4, seed) for seed in range(3)])
    ranking = ranker.rank(models.classifier(), dataset, verbose=0)
    assert ranking.num_examples == 12
    assert (dataset.reads, dataset.given) == (1, 3)


def test_batches_are_kept_as_they_come():
    x, y = models.labelled_images(20)
    calibration = _calibrate(models.classifier(), (x, y, np.arange(20)))
    assert calibration.batch_sizes == [8, 8, 4]
    (inputs,), labels, weights = calibration.batches[1]
    np.testing.assert_array_equal(inputs, x[8:16])
    np.testing.assert_array_equal(labels, y[8:16])
    np.testing.assert_array_equal(weights, np.arange(8, 16))


def test_labels_are_needed_or_not():
    model, (x, _) = models.classifier(), models.labelled_images(20)
    calibration = _calibrate(model, x, needs_labels=False)
    assert calibration.batch_sizes == [8, 8, 4]
    with pytest.raises(ValueError, match="should hold labels"):
        _calibrate(model, x)


def _late_reader():
    """The unit that is produced first is read last."""
    inputs = keras.Input((4,))
    late = layers.Dense(3, activation="relu", name="late")(inputs)
    x = layers.Dense(4, activation="relu", name="early")(inputs)
    x = layers.Dense(5, activation="relu", name="middle")(x)
    x = layers.Concatenate()([late, x])
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


def test_groups_come_in_the_order_in_which_they_are_read():
    model = _late_reader()
    calibration = _calibrate(model, np.ones((2, 4)), needs_labels=False)
    names = [group.name for group in calibration.groups]
    assert names[0] == "early"
    assert set(names) == {"early", "late", "middle"}
    assert [g.name for g in calibration.selected] == [
        g.name for g in calibration.channel_map.groups
    ]


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_first_sites_never_go_backwards(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model, 2)
    calibration = _calibrate(model, [(inputs, None)], needs_labels=False)
    sites = [calibration.first_site(group) for group in calibration.groups]
    assert sites == sorted(sites)
    for group, site in zip(calibration.groups, sites, strict=True):
        call = calibration.channel_map.graph.calls[site]
        assert call.name in group.consumers


def test_rankings_keep_the_order_of_the_channel_map():
    model = _late_reader()
    calibration = _calibrate(model, np.ones((2, 4)), needs_labels=False)
    scores = {
        group.name: GroupScores(np.zeros(group.num_units), np.zeros(group.num_units), 1)
        for group in calibration.groups
    }
    ranking = calibration.make_ranking(scores, "Some values")
    assert list(ranking) == [g.name for g in calibration.channel_map.groups]
    assert ranking.method == "Some values"
    assert ranking.num_examples == 2
    assert ranking.locks == calibration.channel_map.lock_reasons()


def test_layers_and_channel_map():
    model = models.classifier()
    channel_map = trace_channels(model)
    calibration = _calibrate(
        model, models.labelled_images(4), "hid*", channel_map=channel_map
    )
    assert calibration.channel_map is channel_map
    assert [group.name for group in calibration.groups] == ["hidden"]
    assert calibration.num_removed == {"hidden": 4}


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.0, (0, 0)), (0.25, (2, 2)), (0.5, (3, 4)), (0.99, (5, 7))],
)
def test_how_many_units_will_be_removed(ratio, expected):
    calibration = _calibrate(
        models.classifier(), models.labelled_images(4), ratio=ratio
    )
    conv, hidden = expected
    assert calibration.num_removed == {"conv": conv, "hidden": hidden}


def test_outputs_are_those_of_the_model():
    model = models.build(models.two_ends)
    inputs = models.inputs_of(model, 6)
    dataset = [({k: v[i : i + 3] for k, v in inputs.items()},) for i in (0, 3)]
    calibration = _calibrate(model, dataset, needs_labels=False)
    expected = models.outputs_of(model, dataset[1][0])
    for found, wanted in zip(calibration.outputs(1), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_networks_open_at_their_input():
    model = models.classifier()
    calibration = _calibrate(model, models.labelled_images(12))
    network = calibration.open_network(repaired=False)
    assert isinstance(network, ForwardPass)
    copy = calibration.open_network(repaired=True)
    assert isinstance(copy, Repairer)
    assert copy.model is not model
    for opened in (network, copy):
        assert isinstance(opened, Network)
        assert opened.position == 0
        assert opened.num_batches == 2


# --- errors before the data is read ------------------------------------------------


@pytest.mark.parametrize("game", ["loss", "kl", "reconstruction"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": "dense_9"}, "Argument `layers`.*'dense_9'"),
        ({"ratio": 1.0}, r"Argument `ratio`.*ratio=1\.0"),
        ({"ratio": "half"}, r"Argument `ratio`.*ratio='half'"),
        ({"verbose": "yes"}, "Argument `verbose`.*verbose='yes'"),
    ],
)
def test_wrong_arguments(game, arguments, message):
    with pytest.raises(ValueError, match=message):
        ShapleyRanker(game).rank(
            models.classifier(), Exploding(), **{"verbose": 0, **arguments}
        )


def test_no_loss_and_no_graph():
    with pytest.raises(ValueError, match="or a loss by itself"):
        ShapleyRanker("loss").estimate_cost(
            models.classifier(compiled=False), Exploding()
        )
    with pytest.raises(ValueError, match="a subclassed model"):
        ShapleyRanker().estimate_cost(models.Subclassed(), Exploding())


def test_nothing_to_remove():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="last")(inputs))
    with pytest.raises(ValueError, match="removable units"):
        ShapleyRanker("kl").rank(model, Exploding(), verbose=0)


def test_no_examples():
    with pytest.raises(ValueError, match="at least one example"):
        _calibrate(models.classifier(), [])


def test_ratios_of_groups_that_are_not_there():
    model = models.classifier()
    with pytest.raises(ValueError, match=r"\['conv', 'hidden'\].*\['typo'\]"):
        _calibrate(model, models.labelled_images(8), ratio={"conv": 0.2, "typo": 0.5})


@pytest.mark.parametrize("ranker", ["apoz", "mean_activation", "taylor"])
def test_data_that_is_not_finite(ranker):
    """A ReLU may make 0 of what is not a number: the share of zeros was finite."""
    model, (x, y) = models.classifier(), models.labelled_images(40)
    x[34, 2, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"nan for input .* in example 34 "):
        BaselineRanker(ranker).rank(model, (x, y), verbose=0)
    with pytest.raises(ValueError, match=r"nan for input .* in example 34 "):
        ShapleyRanker("loss").rank(model, (x, y), verbose=0)


@pytest.mark.parametrize("criterion", ["l1_norm", "geometric_median", "apoz"])
def test_weights_that_are_not_finite(criterion):
    model = models.classifier()
    kernel = model.get_layer("conv").kernel
    kernel.assign(np.where(np.arange(kernel.shape[-1]) == 1, np.inf, kernel))
    message = r"inf in variable '.*/kernel' of layer 'conv', at \[0, 0, 0, 1\]"
    with pytest.raises(ValueError, match=message):
        BaselineRanker(criterion).rank(model, models.labelled_images(8), verbose=0)
    BaselineRanker("random").rank(model)  # which reads none


def test_scores_of_weights_that_overflow():
    model = models.classifier()
    kernel = model.get_layer("conv").kernel
    kernel.assign(np.full(kernel.shape, 1e38))
    with pytest.raises(ValueError, match=r"finite scores .* of group 'conv'"):
        BaselineRanker("l1_norm").rank(model)


def test_activations_that_overflow():
    """They count as positive, or not, but say nothing."""
    model, (x, y) = models.classifier(), models.labelled_images(8)
    model.get_layer("conv").kernel.assign(model.get_layer("conv").kernel * 1e20)
    with pytest.raises(ValueError, match="not finite, in group 'conv', batch 0"):
        BaselineRanker("apoz").rank(model, (x * 1e20, y), verbose=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(40), "`sample_weight` above 0 for some example"),
        (np.where(np.arange(40) == 35, -1.0, 1.0), "at least 0 .* Received: -1.0"),
        (np.where(np.arange(40) == 35, np.nan, 1.0), "finite .* Received: nan"),
    ],
    ids=["zero", "negative", "nan"],
)
def test_sample_weights(weights, message):
    model, (x, y) = models.classifier(), models.labelled_images(40)
    with pytest.raises(ValueError, match=message):
        _calibrate(model, (x, y, weights))
    with pytest.raises(ValueError, match=message):
        check_labels((x, y, weights), trace_channels(model).graph)
    _calibrate(model, (x, y, weights), needs_labels=False)  # then they are not read
    _calibrate(model, (x, y, np.arange(40) > 36))
