"""Tests of the comparison of a model with its pruned copy."""

import keras
import models
import numpy as np
import pytest
from bars import check_whole, labels_of
from keras import layers

from keras_shapley_prune import BaselineRanker, apply_plan, plan_pruning
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.latency.runtime import Runtime
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.report.compare import compare
from keras_shapley_prune.report.comparison import Comparison
from keras_shapley_prune.trace.tracer import trace_channels


def _pair(builder, fraction=0.5):
    model = models.build(builder)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, fraction)
    return model, remove_channels(model, keep, channel_map)


def test_what_changed():
    model, pruned = _pair(models.chain)
    comparison = compare(model, pruned)
    assert comparison.units == {
        "conv1": (8, 4),
        "conv2": (12, 6),
        "dense1": (10, 5),
        "dense2": (4, 4),
    }
    assert comparison.parameters == (model.count_params(), pruned.count_params())
    assert comparison.flops == (count_flops(model), count_flops(pruned))
    assert comparison.locks == {"dense2": "model output"}


def _count(network, name):
    """Returns how many units a layer has, or how many of a part of it."""
    layer = models.get_layer(network, name.removesuffix("/heads"))
    if name.endswith("/heads"):
        return getattr(layer, "num_key_value_heads", None) or layer.num_heads
    layer = getattr(layer, "forward_layer", layer)
    layer = getattr(layer, "output_dense", getattr(layer, "_output_dense", layer))
    sizes = [getattr(layer, size, None) for size in ("filters", "units")]
    return sizes[0] or sizes[1] or layer.kernel.shape[-1]


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_every_producer_is_listed_with_its_size_and_lock(builder):
    model, pruned = _pair(builder)
    comparison = compare(model, pruned)
    for name, (before, after) in comparison.units.items():
        for network, count in ((model, before), (pruned, after)):
            assert count == _count(network, name)
    others = set(comparison.locks) - set(comparison.units)
    assert all(models.get_layer(model, name).weights for name in others)
    for name in set(comparison.locks) - others:
        assert comparison.units[name][0] == comparison.units[name][1]
    assert comparison.parameters[1] < comparison.parameters[0]


def test_it_prints_what_it_returns(capsys):
    model, pruned = _pair(models.locked)
    comparison = compare(model, pruned)
    assert capsys.readouterr().out == f"{comparison}\n"
    lines = str(comparison).splitlines()
    (free,) = [line for line in lines if line.startswith("free1 ")]
    assert free.split() == ["free1", "8", "→", "4"]
    (locked,) = [line for line in lines if line.startswith("normalized ")]
    where = "not that of the channels, the last one"
    reason = f"LayerNormalization normalizes axis [1], {where} (`layer_norm`)"
    assert locked.endswith(f"8 →      8  locked: {reason}")
    before, after = comparison.parameters
    parameters = f"{before:,} → {after:,} ({after / before - 1:+.1%})"
    assert any(line.endswith(parameters) for line in lines)
    before, after = comparison.flops
    flops = f"{before:,} → {after:,} ({after / before - 1:+.1%})"
    assert any(line.startswith("FLOPs ") and line.endswith(flops) for line in lines)


def test_the_same_model():
    model = models.build(models.chain)
    comparison = compare(model, model)
    assert all(before == after for before, after in comparison.units.values())
    assert "(+0.0%)" in str(comparison)


def test_unknown_flops():
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    comparison = compare(model, model)
    assert comparison.flops == (None, None)
    assert "unknown" in str(comparison)


def test_another_model_is_refused():
    with pytest.raises(ValueError, match="same names") as info:
        compare(models.build(models.chain), models.build(models.residual))
    assert "'conv1'" in str(info.value)
    assert "'stem'" in str(info.value)


def test_nothing_changes():
    model, pruned = _pair(models.residual)
    inputs = models.inputs_of(model)
    before = [models.snapshot(m, inputs) for m in (model, pruned)]
    compare(model, pruned)
    assert [models.snapshot(m, inputs) for m in (model, pruned)] == before


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", models.BUILDERS)
@pytest.mark.parametrize("fraction", [0.5, 0.99])
def test_units_of_every_group(builder, fraction):
    model = models.build(builder)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, fraction)
    pruned = remove_channels(model, keep, channel_map)
    comparison = compare(model, pruned, verbose=0)
    for found, group in zip(comparison.groups, channel_map.groups, strict=True):
        assert found.name == group.name
        assert found.units == (group.num_units, keep[group.units].sum())
        assert found.producers == group.producers
        assert found.consumers == group.consumers
    for name, (before, after) in comparison.units.items():
        assert 0 < after <= before, name


@pytest.fixture
def ranked():
    """A model, what a ranking has left of it, the ranking, and data."""
    model, data = models.classifier(), models.labelled_images(24)
    ranking = BaselineRanker("l1_norm").rank(model)
    plan = plan_pruning(model, ranking, 0.5)
    return model, apply_plan(model, plan, data[0]), ranking, data


@pytest.mark.eager
def test_with_data_everything_is_measured(ranked, tmp_path):
    model, pruned, ranking, (x, y) = ranked
    comparison = compare(model, pruned, (x, y), ranking, verbose=0)
    before, after = comparison.file_size
    assert 0 < after < before
    before, after = comparison.activations
    assert before == 4 * (36 + 4 * 4 * 6)  # the image and what the convolution returns
    assert after == 4 * (36 + 4 * 4 * 3)
    assert list(comparison.latency) == [1, 32]
    assert comparison.environment["keras"] == keras.__version__
    for network, position in ((model, 0), (pruned, 1)):
        found = network.evaluate(x, y, verbose=0, return_dict=True)
        for name, value in found.items():
            measured = comparison.metrics[name][position]
            np.testing.assert_allclose(measured, value, rtol=1e-5)
    for group in comparison.groups:
        assert group.scores is ranking[group.name]
        assert group.num_removed == group.units[0] // 2
    assert comparison.method == ranking.method
    comparison.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{comparison.parameters[1]:,}" in page


@pytest.mark.eager
def test_how_it_came_about(ranked):
    model, pruned, ranking, (x, y) = ranked
    plan = plan_pruning(model, ranking, 0.5)
    found = compare(model, pruned, (x, y), ranking, ["metrics"], 0, plan=plan).origin
    assert list(found) == ["date", "data", "ranked by", "budget"]
    assert found["data"] == "24 examples of 6 × 6 × 1, with labels"
    assert found["ranked by"] == "l1_norm"  # which looks at no example
    assert found["budget"].startswith("asked: 50.0% of the units")
    assert "reached: 50.0%" in found["budget"]
    assert list(compare(model, pruned, verbose=0).origin) == ["date"]
    with pytest.raises(ValueError, match=r"`plan` .*keep 5 units of 'conv', of which"):
        compare(model, pruned, plan=plan.resize({"conv": 5}), verbose=0)


def test_models_in_the_wrong_order_are_noticed(ranked):
    model, pruned, *_ = ranked
    message = r"`original` and `pruned` .*original='classifier' of .* fewer than the"
    with pytest.warns(UserWarning, match=message) as caught:
        compare(pruned, model, verbose=0)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.eager
def test_one_bar_over_all_that_is_measured(ranked, capsys):
    model, pruned, _, data = ranked
    comparison = compare(model, pruned, data, measure=["metrics", "agreement"])
    out = capsys.readouterr().out
    assert out.endswith(f"\n{comparison}\n")
    bar = out.removesuffix(f"{comparison}\n")
    check_whole(bar)
    assert labels_of(bar) == [
        "reading the data",
        "evaluating the original model",
        "evaluating the pruned model",
        "comparing outputs",
        "",
    ]
    compare(model, pruned, data, measure=["metrics", "agreement"], verbose=2)
    lines = capsys.readouterr().out.removesuffix(f"{comparison}\n").splitlines()
    steps = ["metrics measured", "outputs compared"]
    assert [line.partition(",")[0] for line in lines] == steps


@pytest.mark.eager
def test_what_is_asked_for_is_measured(ranked):
    model, pruned, _, (x, y) = ranked
    found = compare(model, pruned, measure="activations", verbose=0)
    assert found.activations and found.file_size is None
    assert not found.latency and not found.metrics
    found = compare(model, pruned, (x, y), measure=["metrics"], verbose=0)
    assert found.metrics and found.activations is None
    found = compare(model, pruned, iter([(x, y)]), measure=["metrics"], verbose=0)
    accuracy = model.evaluate(x, y, verbose=0)[1]
    assert found.metrics["accuracy"][0] == pytest.approx(accuracy)
    found = compare(model, pruned, x, measure=["latency", "metrics"], verbose=0)
    assert found.latency and not found.metrics  # there are no labels
    assert found.agreement is None
    found = compare(model, pruned, x, measure="agreement", verbose=0)
    assert found.agreement.num_examples == 24 and not found.metrics


@pytest.mark.slow
def test_a_runtime_is_measured_whatever_else_is(ranked, tmp_path):
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")
    model, pruned, _, (x, _) = ranked
    for data, measure in ((None, None), (x, []), (x, ["activations"])):
        found = compare(model, pruned, data, measure=measure, runtime="litert")
        assert found.runtime.name == "LiteRT" and found.runtime.batch_size == 1
        assert found.runtime.file_size[1] < found.runtime.file_size[0]
        assert all(0 < seconds < 5 for seconds in found.runtime.seconds)
        assert not found.latency
    found.to_json(tmp_path / "report.json")
    assert Comparison.load(tmp_path / "report.json") == found
    found.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "latency, LiteRT, batch 1" in page and "(XNNPACK), float32" in page


def test_a_runtime_of_models_of_a_fixed_batch():
    inputs = keras.Input(batch_shape=(3, 6))
    x = layers.Dense(4, "relu")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    found = compare(model, model, runtime="tensorflow", verbose=0)
    assert found.runtime.batch_size == 3
    with pytest.raises(ValueError, match=r"`batch_size` should be 3, .*batch_size=1"):
        compare(model, model, runtime=Runtime(), verbose=0)


def test_nothing_changes_by_a_runtime():
    model, pruned = _pair(models.residual)
    inputs = models.inputs_of(model)
    before = [models.snapshot(network, inputs) for network in (model, pruned)]
    for runtime in ("tensorflow", lambda network: float(network.count_params())):
        compare(model, pruned, runtime=runtime, verbose=0)
    assert [models.snapshot(network, inputs) for network in (model, pruned)] == before


def test_silence(ranked, capsys):
    model, pruned, *_ = ranked
    compare(model, pruned, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.eager
def test_nothing_changes_by_measuring(ranked):
    model, pruned, ranking, (x, y) = ranked
    before = [models.snapshot(network, x) for network in (model, pruned)]
    compare(model, pruned, (x, y), ranking, verbose=0)
    assert [models.snapshot(network, x) for network in (model, pruned)] == before


def test_wrong_arguments(ranked):
    model, pruned, _, _ = ranked
    with pytest.raises(ValueError, match="measure='speed'"):
        compare(model, pruned, measure="speed")
    with pytest.raises(ValueError, match="labelled examples"):
        compare(model, pruned, measure=["metrics"])
    with pytest.raises(ValueError, match="examples to run both models on"):
        compare(model, pruned, measure=["agreement"])
    with pytest.raises(ValueError, match="verbose=3"):
        compare(model, pruned, verbose=3)
    of_another = BaselineRanker("l1_norm").rank(pruned)
    with pytest.raises(ValueError, match="3 values for 'conv'"):
        compare(model, pruned, ranking=of_another)


def test_flops_are_those_of_the_data(tmp_path):
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    channel_map = trace_channels(model)
    pruned = remove_channels(model, models.random_keep(channel_map, 0.5), channel_map)
    images = np.zeros((4, 9, 7, 3), "float32")
    found = compare(model, pruned, images, measure=["activations"], verbose=0)
    assert found.flops == tuple(count_flops(m, (9, 7, 3)) for m in (model, pruned))
    assert None not in found.activations
    assert str(found).count("for image of (9, 7, 3)") == 2
    found.to_html(tmp_path / "known.html")
    page = (tmp_path / "known.html").read_text("utf-8")
    assert "FLOPs for image of (9, 7, 3)" in page
    found.to_json(tmp_path / "a.json")
    assert Comparison.load(tmp_path / "a.json") == found
    without = compare(model, pruned, verbose=0)
    assert "image of (?, ?, 3); data or" in str(without)
    without.to_html(tmp_path / "a.html")
    assert "image of (?, ?, 3); data or" in (tmp_path / "a.html").read_text("utf-8")


def test_a_grouped_convolution_that_kept_one_group():
    """It is a plain convolution then, which produces units by itself."""
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(8, 1, name="before")(inputs)
    x = layers.Conv2D(8, 3, groups=4, name="grouped")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    channel_map = trace_channels(model)
    keep = channel_map.without(channel_map.groups)
    keep[channel_map.groups[0].units[:1]] = True
    keep[list(channel_map.locks)] = True
    pruned = remove_channels(model, keep, channel_map)
    assert pruned.get_layer("grouped").groups == 1
    comparison = compare(model, pruned, verbose=0)
    assert comparison.units["before"] == (8, 2)
    assert [group.units for group in comparison.groups] == [(4, 1)]
    others = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs)))
    with pytest.raises(ValueError, match="should have layers of the same names"):
        compare(model, others, verbose=0)
