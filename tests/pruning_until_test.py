"""Tests of pruning within an allowed drop."""

import re

import keras
import models
import numpy as np
import pytest
from bars import check_whole, labels_of, split_closing

import keras_shapley_prune
from keras_shapley_prune import PruningBudget, prune_until
from keras_shapley_prune.devices.workers import Workers
from keras_shapley_prune.plan.flops import count_flops

# Each trial is measured once: tracing would take most of the time.
pytestmark = [pytest.mark.eager, pytest.mark.usefixtures("few_trials")]


@pytest.fixture(scope="module")
def trained():
    """A small classifier that is right almost always."""
    keras.utils.set_random_seed(0)
    x, y = _data(300, seed=0)
    steps = [
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.Conv2D(24, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *steps])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    model.fit(x, y, epochs=12, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.95
    return model


def _data(count, seed):
    """Stripes along one axis, the other, or both."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 3, count)
    wave = np.sin(np.arange(8) * 2.0)
    across, along = np.meshgrid(wave, wave)
    patterns = np.stack([across, along, across + along])
    x = patterns[y] + generator.normal(0, 0.4, (count, 8, 8))
    return x[..., np.newaxis].astype("float32"), y


def _by_norm(model, data, *args, **arguments):
    """Calls `prune_until` with a ranker that takes no time, measured on the data."""
    settings = {"ranker": "l1_norm", "verbose": 0, "validation_data": data}
    return prune_until(model, data, *args, **settings | arguments)


def _accuracy(model, data):
    return model.evaluate(*data, verbose=0, return_dict=True)["accuracy"]


@pytest.mark.all_trials
@pytest.mark.graph
@pytest.mark.sweep(1)
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("max_drop", [0.02])
def test_as_much_as_possible_within_the_drop(trained, scope, max_drop):
    data, held_out = _data(60, seed=1), _data(200, seed=2)
    pruned = prune_until(
        trained, data, max_drop, validation_data=held_out, scope=scope, verbose=0
    )
    assert _accuracy(pruned, held_out) >= _accuracy(trained, held_out) - max_drop - 1e-6
    assert count_flops(pruned) < 0.8 * count_flops(trained)
    assert pruned.compiled


@pytest.mark.slow
def test_more_is_removed_where_more_may_be_lost(trained):
    data = _data(60, seed=1)
    sizes = [
        count_flops(_by_norm(trained, data, drop, metric="loss")) for drop in (0.0, 1.0)
    ]
    assert sizes[1] < sizes[0]


def test_it_prints_its_trials_and_what_is_left(trained, capsys):
    data, held_out = _data(60, seed=1), _data(60, seed=2)
    pruned = prune_until(
        trained, data, 0.02, of="params", verbose=2, validation_data=held_out
    )
    lines = capsys.readouterr().out.splitlines()
    trials = [line for line in lines if " of the params removed: accuracy " in line]
    assert len(trials) == 3
    assert all(", within 0." in line or ", beyond 0." in line for line in trials)
    removed, parameters, flops, agreement, metric = lines[-5:]
    assert re.fullmatch(r"\d+\.\d% of the params removed, in 3 trials", removed)
    assert f" → {pruned.count_params():,} (" in parameters
    assert flops.startswith("FLOPs       ") and agreement.startswith("agrees with the")
    before, after = (_accuracy(model, held_out) for model in (trained, pruned))
    assert metric.startswith(f"accuracy    {before:.4f} → {after:.4f} (")
    assert metric.endswith(f" on `validation_data` (allowed: {before - 0.02:.4g})")
    assert max(map(len, lines[-5:])) <= 80


def test_one_bar_over_ranking_and_trials(trained, capsys):
    data, settings = _data(60, seed=1), {"of": "params", "ranker": "apoz"}
    prune_until(trained, data, 0.02, metric=_loss, mode="min", **settings)
    bar, closing = split_closing(capsys.readouterr().out)
    check_whole(bar)
    labels = labels_of(bar)
    assert re.match(r"ranking conv2d\w*, 1 of ", labels[1])
    for number in (1, 2, 3):
        steps = [one for one in labels if one.startswith(f"trial {number} of 3, ")]
        assert steps[0].endswith(", cutting") and steps[-1].endswith(", measuring")
    assert closing[0].endswith("of the params removed, in 3 trials")
    assert re.fullmatch(r"_loss {7}.* → .*\) \(allowed: \S+\)", closing[-1])


def test_the_calibration_set_flatters(trained):
    data = _data(60, seed=1)
    with pytest.warns(
        UserWarning, match="none, so 'accuracy' is measured on"
    ) as caught:
        prune_until(trained, data, 0.05, ranker="l1_norm", verbose=0)
    (ours,) = [one for one in caught if "validation_data" in str(one.message)]
    assert ours.filename == __file__


def test_a_ranking_serves_all_trials(trained):
    data = _data(60, seed=1)
    ranking = keras_shapley_prune.BaselineRanker("l1_norm").rank(trained)
    pruned, expected = (
        _by_norm(trained, data, 0.1, ranker=ranker) for ranker in (ranking, "l1_norm")
    )
    for ours, theirs in zip(pruned.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    half = keras_shapley_prune.ShapleyRanker().rank(trained, data, verbose=0)
    with pytest.warns(UserWarning, match=r"has looked at 9 of the 16 .*ratio=0\.95`"):
        _by_norm(trained, data, 0.1, ranker=half)


def test_ranked_once(trained, monkeypatch):
    ranked = []
    ranker = keras_shapley_prune.BaselineRanker("l1_norm")

    def rank(*args, **kwargs):
        ranked.append(1)
        return keras_shapley_prune.BaselineRanker.rank(ranker, *args, **kwargs)

    monkeypatch.setattr(ranker, "rank", rank)
    _by_norm(trained, _data(60, seed=1), 0.05, ranker=ranker)
    assert len(ranked) == 1


def test_what_was_measured_is_not_repaired_again(trained, capsys):
    """All that may go is the same plan for every larger share."""
    data, (first, *_) = _data(60, seed=1), trained.layers
    settings = {"layers": first.name, "min_units": first.filters - 1, "verbose": 2}
    prune_until(trained, data, 9.0, lambda model: 1.0, mode="max", **settings)
    lines = capsys.readouterr().out.splitlines()
    shares = [line for line in lines if "of the flops removed: " in line]
    assert len(shares) == len(set(shares)) >= 1


@pytest.mark.sweep(1)
@pytest.mark.parametrize("metric", ["loss", lambda model: -_loss(model)])
def test_other_metrics(trained, metric):
    data = _data(60, seed=1)
    pruned = _by_norm(trained, data, 0.05, metric=metric)
    assert _loss(pruned) <= _loss(trained) + 0.05 + 1e-6
    assert count_flops(pruned) < count_flops(trained)


def _loss(model):
    return model.evaluate(*_data(60, seed=1), verbose=0, return_dict=True)["loss"]


def test_nothing_can_be_removed(trained):
    data = _data(60, seed=1)
    whole = count_flops(trained)
    expected = trained.predict(data[0], verbose=0)

    def fragile(model):
        return float(count_flops(model) == whole)

    with pytest.warns(UserWarning, match="Nothing can be removed"):
        same = _by_norm(trained, data, 0.5, metric=fragile)
    assert same is not trained
    np.testing.assert_allclose(same.predict(data[0], verbose=0), expected, atol=1e-5)
    assert same.compiled


@pytest.fixture(scope="module")
def regression():
    """A small network that returns a number, trained to nearly no error."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(200, 6)).astype("float32")
    y = x @ np.arange(6.0)[:, np.newaxis]
    steps = [keras.layers.Dense(24, "relu"), keras.layers.Dense(24, "relu")]
    model = keras.Sequential([keras.Input((6,)), *steps, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(1e-2), "mse", metrics=["mae", _own_score])
    model.fit(x, y, epochs=20, verbose=0)
    return model, (x, y)


def _own_score(labels, outputs):
    """Minus the squared error: the higher the better."""
    return -keras.ops.square(labels - outputs)


def test_an_error_is_better_when_it_is_lower(regression):
    model, data = regression
    before = model.evaluate(*data, verbose=0, return_dict=True)
    pruned = _by_norm(model, data, 0.2, metric="mae")
    after = pruned.evaluate(*data, verbose=0, return_dict=True)
    assert after["mae"] <= before["mae"] + 0.2
    assert pruned.count_params() < model.count_params()


@pytest.mark.slow
def test_a_mode_is_asked_for_where_it_is_not_known(regression):
    model, data = regression
    with pytest.raises(ValueError, match="`mode` should be 'min' or 'max' for metric"):
        _by_norm(model, data, 0.5, metric="_own_score")
    with pytest.raises(ValueError, match="`mode` should be one of"):
        _by_norm(model, data, 0.5, metric=pytest.fail, mode="lower")
    pruned = _by_norm(model, data, 0.5, metric="_own_score", mode="max")
    scores = [m.evaluate(*data, verbose=0)[-1] for m in (model, pruned)]
    assert scores[1] >= scores[0] - 0.5
    # As if it were better when it is lower: everything may be removed.
    ruined = _by_norm(model, data, 0.5, metric="_own_score", mode="min")
    assert ruined.count_params() < pruned.count_params()


def test_the_mode_of_a_callable(trained):
    data = _data(60, seed=1)
    pruned = _by_norm(trained, data, 0.05, metric=_loss, mode="min")
    assert _loss(pruned) <= _loss(trained) + 0.05 + 1e-6
    assert count_flops(pruned) < count_flops(trained)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_metric_that_is_not_finite_before(trained, number):
    with pytest.raises(ValueError, match=f"before anything is removed.* is {number}"):
        _by_norm(trained, _data(8, seed=1), 0.5, metric=lambda model: number)


def test_a_metric_that_is_not_finite_after(trained):
    whole, data = count_flops(trained), _data(8, seed=1)

    def whole_only(model):
        return 1.0 if count_flops(model) == whole else np.nan

    with pytest.raises(ValueError, match=r"finite metric of the pruned .* \[nan\]"):
        _by_norm(trained, data, 0.5, metric=whole_only)

    def not_too_small(model):
        return 1.0 if count_flops(model) > whole / 2 else np.nan

    with pytest.warns(UserWarning, match=r"\[nan\] in . of 3 trials"):
        pruned = _by_norm(trained, data, 0.5, metric=not_too_small)
    assert whole / 2 < count_flops(pruned) < whole


@pytest.mark.parametrize("settings", [{"min_units": 64}, {"round_to": 32}])
def test_settings_that_let_nothing_go_are_no_fall(trained, settings):
    with pytest.raises(ValueError, match="should let a group lose units"):
        _by_norm(trained, _data(8, seed=1), 0.5, metric=pytest.fail, **settings)


@pytest.mark.slow
def test_other_forms_of_data(trained):
    import tensorflow as tf

    x, y = _data(64, seed=1)
    batched = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    sizes = set()
    for data in ((x, y), batched, list(batched), iter(list(batched))):
        pruned = _by_norm(trained, data, 0.1, validation_data=(x, y))
        sizes.add(count_flops(pruned))
    assert len(sizes) == 1


@pytest.mark.parametrize("max_drop", [-0.1, "0.1", None, True, np.nan])
def test_bad_drops(trained, max_drop):
    with pytest.raises(ValueError, match="`max_drop` should be a number of at least 0"):
        prune_until(trained, _data(8, seed=1), max_drop)


@pytest.mark.parametrize(("max_drop", "meant"), [(2, 0.02), (50, 0.5), (1.5, None)])
def test_a_percentage_of_what_is_at_most_one(trained, max_drop, meant):
    with pytest.raises(ValueError, match=f"Received: max_drop={max_drop}") as caught:
        prune_until(trained, _data(8, seed=1), max_drop)
    question = f". Did you mean {meant}, {max_drop} percent?"
    assert str(caught.value).endswith(question) == (meant is not None)


def test_bad_metrics(trained):
    with pytest.raises(ValueError, match=r"`metric` should be one of \['accuracy'"):
        prune_until(trained, _data(8, seed=1), metric="auc", verbose=0)
    plain = models.build(models.chain)
    data = models.images(plain, 8), np.zeros(8)
    with pytest.raises(ValueError, match="should be compiled with metric 'accuracy'"):
        prune_until(plain, data, verbose=0)


def test_labels_are_needed_to_measure(trained):
    x, y = _data(16, seed=1)
    with pytest.raises(ValueError, match="should hold labels"):
        prune_until(trained, x, verbose=0)
    pruned = _by_norm(trained, x, 0.5, validation_data=(x, y))
    assert count_flops(pruned) < count_flops(trained)


def test_a_budget_says_where(trained):
    data = _data(60, seed=1)
    budget = PruningBudget(of="params", scope="global", layers="conv2d*", min_units=3)
    pruned = _by_norm(trained, data, 0.5, budget=budget)
    conv = keras.layers.Conv2D
    layers = [re.compile("^conv2d_"), lambda layer: isinstance(layer, conv)]
    others = {"scope": "global", "layers": layers, "min_units": 3}
    expected = _by_norm(trained, data, 0.5, of="params", **others)
    for ours, theirs in zip(pruned.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_bad_budgets(trained):
    data = _data(8, seed=1)
    with pytest.raises(TypeError, match=r"^prune_until\(\) got .* argument 'scop'"):
        prune_until(trained, data, scop="global")
    with pytest.raises(ValueError, match="should not say again"):
        prune_until(trained, data, budget=PruningBudget(), of="params")
    for budget in (0.5, PruningBudget({"*": 0.5})):
        with pytest.raises(ValueError, match="`budget` should be a `PruningBudget`"):
            prune_until(trained, data, budget=budget)
    with pytest.raises(ValueError, match="`repair` should be one of"):
        prune_until(trained, data, metric=pytest.fail, repair="all")


def test_several_processes_are_refused_before_any_work(monkeypatch):
    several = Workers(None, 2, 1)
    place = "keras_shapley_prune.pruning_until.current_workers"
    monkeypatch.setattr(place, lambda: several)
    with pytest.raises(ValueError, match=r"Received: the scope of one of 2\. Rank in"):
        prune_until(models.classifier(), models.labelled_images(8), 0.1)
