"""Tests of the comparison of a model with its pruned copy."""

import keras
import models
import pytest
from keras import layers

from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.costs import count_flops
from keras_shapley_prune.report import compare
from keras_shapley_prune.surgery import remove_channels


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
    reason = "LayerNormalization normalizes axis [1] (`layer_norm`)"
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
