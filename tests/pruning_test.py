"""Tests of `prune`: the whole line, and every bad input it refuses."""

import functools
import re
import time

import datasets
import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from bars import check_whole, drawn, labels_of, split_closing
from datasets import Exploding
from keras import layers
from odd_losses import OddMetric, SizedMetric, odd_loss, odd_metric

import keras_shapley_prune
from keras_shapley_prune import ShapleyRanker, estimators, games, prune, trace_channels
from keras_shapley_prune.cut.verification import verify_cut
from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.ranking import Ranking
from keras_shapley_prune.repair import repair_channels as repair_channels_module


@pytest.fixture(scope="module")
def trained():
    """Returns a classifier that has learned its data, not to be changed."""
    model = models.classifier()
    model.fit(*models.labelled_images(256), batch_size=16, epochs=20, verbose=0)
    return model


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize(("ratio", "conv", "hidden"), [(0.25, 4, 6), (0.9, 1, 1)])
def test_every_group_loses_its_share(trained, ratio, conv, hidden):
    pruned = prune(trained, models.labelled_images(16), ratio, verbose=0)
    assert pruned.get_layer("conv").filters == conv
    assert pruned.get_layer("hidden").units == hidden
    assert pruned.get_layer("classes").units == 4
    assert type(pruned) is keras.Sequential


def test_the_steps_one_by_one_give_the_same_model(trained):
    data = models.labelled_images(16)
    pruned = prune(trained, data, 0.5, verbose=0)
    channel_map = keras_shapley_prune.trace_channels(trained)
    ranker = ShapleyRanker()
    ranking = ranker.rank(trained, data, verbose=0)
    keep = keras_shapley_prune.plan_pruning(trained, ranking, 0.5, channel_map).keep
    by_hand = keras_shapley_prune.repair_channels(trained, keep, data)
    for ours, theirs in zip(pruned.weights, by_hand.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.eager
def test_without_repair_the_pruned_model_is_the_masked_one(trained):
    data = models.labelled_images(16)
    ranker = ShapleyRanker("loss")
    pruned = prune(trained, data, 0.5, ranker=ranker, repair=None, verbose=0)
    ranking = ranker.rank(trained, data, verbose=0)
    keep = keras_shapley_prune.plan_pruning(trained, ranking, 0.5).keep
    masked = keras_shapley_prune.mask_channels(trained, keep)
    outputs = [models.outputs_of(m, data[0]) for m in (pruned, masked)]
    assert models.relative_difference(*outputs) < 1e-4


def test_no_labels_are_needed(trained):
    x, y = models.labelled_images(16)
    with_labels = prune(trained, (x, y), 0.5, verbose=0)
    for data in (x, tf.data.Dataset.from_tensor_slices(x).batch(16), iter([x])):
        without = prune(trained, data, 0.5, verbose=0)
        for ours, theirs in zip(without.weights, with_labels.weights, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("repair", ["least_squares", "mean", "batchnorm", None])
def test_repair_by_name(repair):
    model = models.build(models.residual)
    images = models.images(model, 48)
    expected = models.outputs_of(model, images)

    def error(way):
        ranker = keras_shapley_prune.BaselineRanker("l1_norm")
        pruned = prune(model, images, 0.5, ranker=ranker, repair=way, verbose=0)
        return models.relative_difference(models.outputs_of(pruned, images), expected)

    if repair is None:
        assert error("least_squares") < error("mean") < error(None)
    else:
        assert 0 < error(repair) < np.inf


def test_it_prunes_better_than_the_reverse(trained):
    """The least valuable units leave: the loss rises less than without the best."""
    data = models.labelled_images(64)

    class Reversed(ShapleyRanker):
        def rank(self, *args, **kwargs):
            ranking = super().rank(*args, **kwargs)
            groups = {
                name: GroupScores(-s.values, s.standard_errors, s.num_evaluations)
                for name, s in ranking.items()
            }
            return Ranking(groups, "reversed", ranking.num_examples)

    held_out = models.labelled_images(256, seed=1)
    losses = [
        prune(trained, data, 0.25, ranker=ranker, verbose=0).evaluate(
            *held_out, verbose=0
        )[0]
        for ranker in (
            ShapleyRanker("loss", estimators.Permutation(num_draws=4)),
            Reversed(),
        )
    ]
    assert losses[0] < losses[1]


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "builder",
    [
        models.shared,
        models.two_ends,
        models.nested,
        models.normalized,
        models.attentive,
        models.recurrent,
    ],
)
def test_the_argument_is_not_changed(builder):
    model = models.fresh(builder)
    for layer in model.layers[1::3]:
        layer.trainable = False
    model.compile("adam", "mse", run_eagerly=True)
    inputs = models.inputs_of(model, 4)
    labels = [np.zeros((4, *t.shape[1:]), "float32") for t in model.outputs]
    labels = labels[0] if len(labels) == 1 else labels
    model.train_on_batch(inputs, labels)
    before = models.snapshot(model, inputs)
    pruned = prune(model, (inputs, labels), 0.5, verbose=0)
    assert models.snapshot(model, inputs) == before
    assert pruned.compiled
    assert pruned.count_params() < model.count_params()
    pruned.train_on_batch(inputs, labels)
    assert models.snapshot(model, inputs) == before


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("loss", "metrics"),
    [
        ("sparse_categorical_crossentropy", ["accuracy"]),
        (odd_loss, [odd_metric, OddMetric(name="odd")]),
    ],
)
def test_fit_works_at_once_and_improves(loss, metrics):
    x, y = models.labelled_images(128)
    model = models.classifier(compiled=False)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=metrics)
    model.fit(x, y, epochs=5, verbose=0)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(50)
    pruned = prune(model, data, 0.5, verbose=0)
    before = pruned.evaluate(x, y, verbose=0, return_dict=True)
    assert set(before) == set(model.evaluate(x, y, verbose=0, return_dict=True))
    pruned.fit(data, epochs=10, verbose=0)
    assert pruned.evaluate(x, y, verbose=0, return_dict=True)["loss"] < before["loss"]


def test_an_uncompiled_model_stays_uncompiled():
    model = models.classifier(compiled=False)
    assert not prune(model, models.labelled_images(8), verbose=0).compiled


def test_layers_limit_what_leaves(trained):
    pruned = prune(trained, models.labelled_images(8), 0.5, layers="hid*", verbose=0)
    assert pruned.get_layer("conv").filters == 6
    assert pruned.get_layer("hidden").units == 4


@pytest.mark.parametrize(
    "selected",
    [re.compile("^hid"), lambda layer: isinstance(layer, keras.layers.Dense)],
)
def test_an_expression_or_function_limits_what_leaves(trained, selected):
    x, names = models.labelled_images(8), ("conv", "hidden")
    quick = {"ranker": "l1_norm", "repair": None, "verbose": 0}
    limited = prune(trained, x, 0.5, layers=selected, **quick)
    ignored = prune(trained, x, 0.5, ignore=[selected], **quick)
    for pruned, sizes in ((limited, [6, 4]), (ignored, [3, 8])):
        assert [_width(pruned.get_layer(name)) for name in names] == sizes


def _width(layer):
    return getattr(layer, "filters", None) or layer.units


def test_a_ranker_of_ones_own(trained):
    asked = []

    class Last:
        """The later a unit stands, the less it is worth."""

        def rank(self, model, dataset, layers, channel_map, ratio, verbose):
            asked.append((model, dataset, layers, ratio, verbose))
            groups = {
                g.name: GroupScores(-np.arange(g.num_units), np.zeros(g.num_units), 0)
                for g in channel_map.select_groups(layers)
            }
            return Ranking(groups, "last first", 0)

    arguments = {"layers": "conv", "ranker": Last(), "repair": None, "verbose": 0}
    pruned = prune(trained, None, 0.5, verify=False, **arguments)
    assert asked == [(trained, None, ["conv"], 0.5, 0)]
    kernel = trained.get_layer("conv").kernel.numpy()
    np.testing.assert_array_equal(pruned.get_layer("conv").kernel, kernel[..., :3])


@pytest.mark.eager
def test_the_rankers_loss_is_used():
    model = models.classifier()
    calls = []

    def own(labels, predictions):
        calls.append(1)
        return odd_loss(labels, predictions)

    prune(
        model,
        models.labelled_images(8),
        ranker=ShapleyRanker(games.Loss(own)),
        verbose=0,
    )
    assert calls


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2"])
def test_a_model_of_keras_applications(name):
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(32, 32, 3), classes=4, alpha=0.35
    )
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
    pruned = prune(model, (x, np.arange(4)), 0.5, layers="block_1_*", verbose=0)
    assert pruned.get_layer("block_1_expand").filters == 24
    assert pruned(x).shape == (4, 4)


CLOSING = ["asked:", "parameters", "FLOPs", "agrees", "accuracy"]
RANKED = ["ranking conv, 1 of 2", "ranking hidden, 2 of 2"]


# --- progress ----------------------------------------------------------------------


@pytest.mark.parametrize("ranker", [None, "leave_one_out", "l1_norm"])
def test_one_bar_from_the_ranking_to_the_check(trained, capsys, monkeypatch, ranker):
    at_check = []

    def verify(*args):
        at_check.append(capsys.readouterr().out)
        return verify_cut(*args)

    monkeypatch.setattr(repair_channels_module, "verify_cut", verify)
    prune(trained, models.labelled_images(16), 0.5, ranker=ranker)
    assert max(percent for percent, _ in drawn(at_check[0])) < 100
    out, closing = split_closing(at_check[0] + capsys.readouterr().out)
    check_whole(out)
    assert [line.split()[0] for line in closing] == CLOSING
    first = {None: ["running the network"], "leave_one_out": ["ranking"]}.get(ranker)
    ranking = [*first, *RANKED] if first else []
    repair = ["repairing", "repairing hidden", "repairing classes"]
    assert labels_of(out) == [*ranking, "cutting", *repair, "checking", "comparing", ""]


def test_without_repair_and_check_the_bar_ends_with_the_cut(trained, capsys):
    data = models.labelled_images(16)
    prune(trained, data, ranker="apoz", repair=None, verify=False, verbose=1)
    out, closing = split_closing(capsys.readouterr().out)
    check_whole(out)
    assert labels_of(out) == ["ranking", *RANKED, "cutting", "comparing", ""]
    assert [line.split()[0] for line in closing] == CLOSING


@pytest.mark.sweep(1)
@pytest.mark.parametrize("verbose", ["auto", 0, 2])
def test_a_ranker_that_knows_of_no_progress_is_one_step(trained, capsys, verbose):
    asked = []

    class Own(ShapleyRanker):
        def rank(self, *args, targets, verbose, **options):
            asked.append(verbose)
            time.sleep(0.3)
            return super().rank(*args, verbose=0, targets=targets, **options)

    prune(trained, models.labelled_images(8), ranker=Own(), verbose=verbose)
    out = capsys.readouterr().out
    assert asked == [verbose]
    if verbose == "auto":
        out, _ = split_closing(out)
        check_whole(out)
        assert drawn(out)[0][0] > 10  # its time counts
        assert drawn(out)[0][1] == "cutting"
    else:
        assert out.count("\n") == verbose * 3.5  # repaired, checked, what changed


def test_a_line_a_group_and_a_step(trained, capsys):
    prune(trained, models.labelled_images(16), verbose=2)
    printed = capsys.readouterr().out.splitlines()
    lines, closing = printed[:-5], printed[-5:]
    expected = [
        r"asked: 50\.0% of the units, layer scope; reached: 50\.0%",
        r"parameters  152 → 66 \(-56\.6%\)",
        r"FLOPs       1,888 → 920 \(-51\.3%\)",
        r"agrees with the original on \d+% of 16 varied images",
        r"accuracy    0\.\d{4} → 0\.\d{4} \(.{7}\) on 16 examples .* fitted to",
    ]
    for pattern, line in zip(expected, closing, strict=True):
        assert re.fullmatch(pattern, line) and len(line) <= 80
    starts = [
        re.sub(r"(: [\d,]+ evaluations)?, \d+\.\d s so far", "", x) for x in lines
    ]
    assert starts == ["conv", "hidden", "repaired", "checked"]


def test_silence(trained, capsys):
    for repair in ("least_squares", None):
        prune(trained, models.labelled_images(16), repair=repair, verbose=0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "100/100" not in captured.err


def test_an_error_on_the_way_ends_the_line(trained, capsys, monkeypatch):
    def fail(*args):
        raise RuntimeError("differs")

    monkeypatch.setattr(repair_channels_module, "verify_cut", fail)
    with pytest.raises(RuntimeError, match="differs"):
        prune(trained, models.labelled_images(16))
    out = capsys.readouterr().out
    percent, label = drawn(out)[-1]
    assert percent < 100
    assert label == "checking"
    assert out.endswith("\n")


def test_a_plan_is_carried_out_with_a_bar(trained, capsys):
    x = models.images(trained, 16)
    ranking = keras_shapley_prune.BaselineRanker("l1_norm").rank(trained)
    plan = keras_shapley_prune.plan_pruning(trained, ranking, 0.5)
    assert capsys.readouterr().out == ""
    keras_shapley_prune.apply_plan(trained, plan, x)
    out, closing = split_closing(capsys.readouterr().out)
    check_whole(out)
    assert "repairing classes" in labels_of(out)
    assert [line.split()[0] for line in closing] == CLOSING[:4]  # there is no label
    keras_shapley_prune.apply_plan(trained, plan, x, verbose=2)
    assert capsys.readouterr().out.splitlines()[2:] == closing
    keras_shapley_prune.apply_plan(trained, plan, x, verbose=0)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="Argument `verbose`"):
        keras_shapley_prune.apply_plan(trained, plan, Exploding(), verbose="loud")


# --- bad input ---------------------------------------------------------------------


def _refused(model, words, *args, error=ValueError, **kwargs):
    """Checks that `prune` refuses, says why, and changes nothing before."""
    built = isinstance(model, keras.Model) and bool(getattr(model, "inputs", None))
    inputs = models.inputs_of(model) if built else None
    before = models.snapshot(model, inputs) if built else None
    with pytest.raises(error, match=words) as info:
        prune(model, *args, **{"verbose": 0, **kwargs})
    if built:
        assert models.snapshot(model, inputs) == before
    return str(info.value)


@pytest.mark.parametrize("ratio", [1, 1.5, -0.1, 50, np.nan, "0.5", None, True])
def test_bad_ratios(trained, ratio):
    words = r"Argument `ratio` should be a float in \[0, 1\)"
    message = _refused(trained, words, Exploding(), ratio)
    assert f"Received: ratio={ratio!r}" in message
    assert ("mean 0.5, 50 percent?" in message) == (ratio == 50)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: keras.Sequential([layers.Dense(3)], name="mine"), "unbuilt.*'mine'"),
        (models.Subclassed, "a subclassed model named 'mine'"),
        (lambda: layers.Dense(3), "Received: model=<Dense"),
        (lambda: None, "Received: model=None"),
        (lambda: "model.keras", "Received: model='model.keras'"),
    ],
)
def test_bad_models(make, words):
    message = _refused(make(), "Argument `model` should be a built", Exploding())
    assert re.search(words, message)


@pytest.mark.parametrize("case", datasets.BAD_DATA)
def test_bad_data(trained, case):
    make, words = datasets.BAD_DATA[case]
    _refused(trained, words, make(), ranker=ShapleyRanker("loss"))


def test_images_that_are_not_finite(trained):
    x = models.images(trained, 8)
    x[3, 2, 2] = np.nan
    message = _refused(trained, "Expected finite values", x)
    assert "for input" in message


@pytest.mark.parametrize(
    "dataset",
    [datasets.EndlessBatches, lambda a: datasets.FORMS["tf.data"](a).repeat()],
)
def test_endless_data_is_refused_before_any_is_read(trained, dataset, monkeypatch):
    def explode(*args):
        raise AssertionError("the data was read")

    monkeypatch.setattr(CalibrationData, "__iter__", explode)
    _refused(trained, "should be finite", dataset(models.labelled_images(8)))


def test_an_uncompiled_model_without_a_loss():
    model = models.classifier(compiled=False)
    words = "compiled with a loss, or a loss by itself"
    message = _refused(model, words, Exploding(), ranker=ShapleyRanker("loss"))
    assert "'classifier', which is not compiled" in message


def test_a_loss_that_is_not_finite(trained):
    x, y = models.labelled_images(16)
    y[9] = 99
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)

    def loss(labels, outputs):
        return keras.ops.where(labels == 99, np.nan, outputs[:, 0])

    ranker = ShapleyRanker(loss)
    message = _refused(trained, "Expected a finite loss", batches, ranker=ranker)
    assert "group 'conv', batch 1" in message


@pytest.mark.parametrize("pattern", ["block_*", ["conv", "nothing"], "", "conv1"])
def test_unknown_layers(trained, pattern):
    message = _refused(trained, "Argument `layers`", Exploding(), layers=pattern)
    unknown = pattern if isinstance(pattern, str) else pattern[-1]
    assert f"Received: {unknown!r}" in message
    assert "['conv', 'hidden']" in message


@pytest.mark.parametrize("layers_argument", [[], ()])
def test_no_layers(trained, layers_argument):
    _refused(trained, "layers", Exploding(), layers=layers_argument)


def test_a_locked_layer(trained):
    message = _refused(trained, "Argument `layers`", Exploding(), layers="classes")
    assert "'classes', which is locked: model output" in message


def test_nothing_that_can_be_removed():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="only")])
    message = _refused(model, "removable units", Exploding())
    assert "only: model output" in message


def test_another_backend(trained, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: "torch")
        with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow") as info:
            prune(trained, Exploding(), verbose=0)
    assert "'torch'" in str(info.value)


def test_unknown_repair(trained):
    message = _refused(trained, "Argument `repair`", Exploding(), repair="glue")
    assert "'least_squares'" in message and "'glue'" in message


def test_bad_verbose(trained):
    message = _refused(trained, "Argument `verbose`", Exploding(), verbose="loud")
    assert "verbose='loud'" in message


def test_unknown_ranker(trained):
    message = _refused(trained, "Argument `ranker`", Exploding(), ranker="l1")
    assert "'l1_norm'" in message and "ranker='l1'" in message


def test_a_string_is_a_baseline(trained):
    x = models.images(trained, 16)
    by_name = prune(trained, x, ranker="l1_norm", verbose=0)
    ranker = keras_shapley_prune.BaselineRanker("l1_norm")
    by_ranker = prune(trained, x, ranker=ranker, verbose=0)
    for ours, theirs in zip(by_name.weights, by_ranker.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_metric_that_cannot_be_made_anew_is_named_before_the_work():
    model = models.classifier(compiled=False)
    model.compile("adam", "mse", metrics=[SizedMetric(2.0)])
    _refused(model, "SizedMetric", Exploding(), error=(TypeError, ValueError))


def test_nothing_is_written(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prune(trained, models.labelled_images(8), verbose=0)
    _refused(trained, "at least one example", [])
    assert list(tmp_path.iterdir()) == []


def test_labels_that_do_not_fit_the_outputs():
    model = models.build(models.two_ends)
    x = models.inputs_of(model, 4)
    ranker = ShapleyRanker(games.Loss("mse"))
    message = _refused(
        model, "Argument `dataset` should give labels", (x, np.zeros(4)), ranker=ranker
    )
    assert "['classes', 'size']" in message
    assert "1 entries" in message


def test_trace_channels_is_what_prune_sees(trained):
    locks = trace_channels(trained).lock_reasons()
    comparison = keras_shapley_prune.compare(
        trained, prune(trained, models.labelled_images(8), verbose=0)
    )
    assert comparison.locks == locks


# --- budgets -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def wider():
    """A network whose single filters are less than 1 % of it."""
    keras.utils.set_random_seed(0)
    steps = [keras.Input((10, 10, 1))]
    for width in (48, 64, 48):
        steps += [layers.Conv2D(width, 3, padding="same"), layers.ReLU()]
    steps += [layers.GlobalAveragePooling2D(), layers.Dense(5)]
    return keras.Sequential(steps)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("of", ["params", "flops", "bytes"])
def test_budgets_are_met(wider, of, scope):
    x = np.random.default_rng(0).normal(size=(24, 10, 10, 1)).astype("float32")
    pruned = prune(
        wider, x, 0.4, of=of, scope=scope, ranker="l1_norm", repair=None, verbose=0
    )
    left = {
        "params": pruned.count_params() / wider.count_params(),
        "bytes": pruned.count_params() / wider.count_params(),
        "flops": count_flops(pruned) / count_flops(wider),
    }
    assert abs(left[of] - 0.6) < 0.01


def _filters(model):
    return [layer.filters for layer in model.layers if hasattr(layer, "filters")]


def test_what_may_leave(wider):
    ranker = keras_shapley_prune.BaselineRanker("l1_norm")
    by_norm = functools.partial(
        prune, wider, models.images(wider, 8), ranker=ranker, repair=None, verbose=0
    )
    names = [layer.name for layer in wider.layers if hasattr(layer, "filters")]
    assert _filters(by_norm(0.3, round_to=8)) == [32, 48, 32]
    with pytest.warns(UserWarning, match="min_units=20 allow no nearer number"):
        assert _filters(by_norm(0.9, min_units=20)) == [20, 20, 20]
    assert _filters(by_norm(0.5, ignore=names[0])) == [48, 32, 24]
    assert _filters(by_norm({names[1]: 0.25, "*": 0.75})) == [12, 48, 12]


def test_a_plan_gives_the_same_model(wider):
    x = models.images(wider, 16)
    ranker = keras_shapley_prune.BaselineRanker("l1_norm")
    pruned = prune(wider, x, 0.4, of="flops", ranker=ranker, verbose=0)
    ranking = ranker.rank(wider)
    plan = keras_shapley_prune.plan_pruning(wider, ranking, 0.4, of="flops")
    replayed = keras_shapley_prune.apply_plan(wider, plan, x)
    for ours, theirs in zip(pruned.weights, replayed.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert plan.costs["flops"][1] == count_flops(pruned)


def test_a_budget_out_of_reach(wider):
    ranker = keras_shapley_prune.BaselineRanker("l1_norm")
    x, name = models.images(wider, 4), wider.layers[0].name
    with pytest.raises(ValueError, match="`ratio` should be at most"):
        prune(wider, x, 0.9, of="flops", layers=name, ranker=ranker, verbose=0)


def test_a_budget_in_the_place_of_the_ratio(wider):
    x, ranker = models.images(wider, 8), keras_shapley_prune.BaselineRanker("l1_norm")
    by_norm = functools.partial(prune, wider, x, ranker=ranker, repair=None, verbose=0)
    fields = {"of": "flops", "scope": "global", "round_to": 4}
    pruned = by_norm(keras_shapley_prune.PruningBudget(0.4, **fields))
    expected = by_norm(0.4, **fields)
    for ours, theirs in zip(pruned.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="`prune` should not say again"):
        by_norm(keras_shapley_prune.PruningBudget(0.4), of="flops")


def test_a_string_is_a_baseline_ranker(wider):
    x, ranker = models.images(wider, 8), keras_shapley_prune.BaselineRanker("l1_norm")
    pruned, expected = (
        prune(wider, x, 0.4, ranker=one, repair=None, verbose=0)
        for one in ("l1_norm", ranker)
    )
    for ours, theirs in zip(pruned.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="'l3_norm'"):
        prune(wider, Exploding(), 0.4, ranker="l3_norm", verbose=0)
