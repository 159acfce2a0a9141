"""Every entry of the registry, used in a small network: masked is pruned is counted."""

import keras
import models
import numpy as np
import pytest
import registry_builders as builders
from keras import layers, ops

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types import registry
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels

REGISTERED = {layer_class.__name__ for layer_class in registry.LAYER_TYPES}


def _list(table):
    return [
        pytest.param(name, *use, id=f"{name}-{number}")
        for name, uses in sorted(table.items())
        if table is not builders.LAYERS or name in REGISTERED  # not in Keras 3.12
        for number, use in enumerate(uses)
    ]


def _build(rank, use):
    """Returns a network that has a use of an entry between convolutions."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(builders.SHAPES[rank])
    a = layers.Dense(8, activation="sigmoid", name="a")(inputs)
    b = layers.Dense(8, activation="sigmoid", name="b")(inputs)
    used = use(a, b)
    used = used if isinstance(used, list) else [used]
    used = [ops.cast(tensor, "float32") for tensor in used]
    outputs = [layers.Dense(3)(t) if t.shape[-1] else t for t in used]
    outputs += [layers.Dense(2)(tensor) for tensor in (a, b)]
    return models.randomize(keras.Model(inputs, outputs))


def _names_of_operations(model):
    return {type(call.operation).__name__ for call in record_graph(model).calls}


def test_every_entry_has_a_use():
    stock = {
        c.__name__ for c in registry.LAYER_TYPES if c.__module__.startswith("keras.")
    }
    assert not stock - {*builders.LAYERS, "Dot"}
    uses = {*builders.OPERATIONS, *builders.LOCKED}
    assert not set(registry.OPERATION_TYPES) - uses
    assert not set(builders.OPERATIONS) - set(registry.OPERATION_TYPES)


@pytest.mark.parametrize(
    ("name", "rank", "use"), _list(builders.LAYERS) + _list(builders.OPERATIONS)
)
def test_masked_is_pruned_is_counted(name, rank, use):
    model = _build(rank, use)
    assert name in _names_of_operations(model)
    channel_map = trace_channels(model)
    assert "a" not in channel_map.lock_reasons()
    inputs = models.images(model)
    original = models.outputs_of(model, inputs)
    for fraction, seed in ((0.4, 0), (0.7, 1)):
        keep = models.random_keep(channel_map, fraction, seed)
        masked = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
        smaller = remove_channels(model, keep, channel_map)
        pruned = models.outputs_of(smaller, inputs)
        assert all(np.isfinite(output).all() for output in pruned)
        assert models.relative_difference(pruned, masked) < 1e-4
        assert models.relative_difference(pruned, original) > 1e-3
        assert smaller.count_params() < model.count_params()
        params, flops = (CostModel(channel_map, of) for of in ("params", "flops"))
        assert params.count(keep) == smaller.count_params()
        assert flops.count(keep) == count_flops(smaller)


@pytest.mark.parametrize(("name", "rank", "use"), _list(builders.LOCKED))
def test_what_cannot_be_cut_is_locked(name, rank, use):
    channel_map = trace_channels(_build(rank, use))
    assert "a" in channel_map.lock_reasons()
    assert "a" not in [group.name for group in channel_map.groups]
