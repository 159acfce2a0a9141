"""Every entry of the registry, used in a small network: masked is pruned is counted.

Entries that do the same to channels are branches of one network.
"""

import models
import numpy as np
import pytest
import registry_builders as builders
import registry_networks

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types import registry
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels

NETWORKS = registry_networks.networks()
LOCKED = [
    registry_networks.Use(name, number, rank, make)
    for name, uses in sorted(builders.LOCKED.items())
    if builders.is_in_keras(name)
    for number, (rank, make) in enumerate(uses)
]


def _names_of_operations(model):
    calls = record_graph(model, unwrap=False).calls
    return {type(call.operation).__name__ for call in calls}


def test_every_entry_has_a_use():
    stock = {
        c.__name__ for c in registry.LAYER_TYPES if c.__module__.startswith("keras.")
    }
    assert not stock - {*builders.LAYERS}
    uses = {*builders.OPERATIONS, *builders.LOCKED}
    assert not set(registry.OPERATION_TYPES) - uses
    assert not set(builders.OPERATIONS) - set(registry.OPERATION_TYPES)


@pytest.mark.sweep(9)
@pytest.mark.parametrize("key", NETWORKS)
def test_masked_is_pruned_is_counted(key):
    """A branch that fails is named: it is looked for in a network of its own."""
    try:
        _check(NETWORKS[key])
    except Exception as error:
        failing = [] if len(NETWORKS[key]) == 1 else _failing(NETWORKS[key])
        raise AssertionError(f"{', '.join(failing) or key}: {error}") from error


def _failing(uses):
    """Returns what is wrong with each use that fails by itself, too."""
    found = []
    for use in uses:
        try:
            _check([use])
        except Exception as error:
            found.append(f"{use} alone: {error!r}")
    return found


def _check(uses):
    model, owners = registry_networks.build(uses)
    assert {use.name for use in uses} <= _names_of_operations(model)
    channel_map = trace_channels(model)
    assert "a" not in channel_map.lock_reasons()
    inputs = models.images(model)
    original = models.outputs_of(model, inputs)
    for fraction, seed in ((0.4, 0), (0.7, 1)):
        keep = models.random_keep(channel_map, fraction, seed)
        masked = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
        smaller = remove_channels(model, keep, channel_map)
        pruned = models.outputs_of(smaller, inputs)
        for use, ours, theirs in zip(owners, pruned, masked, strict=True):
            assert np.isfinite(ours).all(), f"{use} is not finite"
            difference = models.relative_difference([ours], [theirs])
            assert difference < 1e-4, f"{use} is off by {difference:.1g}"
        assert models.relative_difference(pruned, original) > 1e-3
        assert smaller.count_params() < model.count_params()
        params, flops = (CostModel(channel_map, of) for of in ("params", "flops"))
        assert params.count(keep) == smaller.count_params()
        assert flops.count(keep) == count_flops(smaller)


@pytest.mark.slow
def test_branches_do_not_disturb_each_other():
    """A network of many branches has the groups of each: no branch ties or cuts."""
    for key, uses in NETWORKS.items():
        if len(uses) > 1:
            groups = trace_channels(registry_networks.build(uses)[0]).groups
            (read,) = [group for group in groups if "a" in group.producers]
            assert read.num_units == 8, key
            assert ("b" in read.producers) == ("joins" in key), key


@pytest.mark.slow
def test_a_failing_branch_is_named(monkeypatch):
    """One of thirty operations is declared wrongly: the failure says which."""
    key = next(k for k, uses in NETWORKS.items() if "Negative" in map(_name_of, uses))
    wrong = registry.OPERATION_TYPES["Conv"]
    monkeypatch.setitem(registry.OPERATION_TYPES, "Negative", wrong)
    with pytest.raises(AssertionError, match=r"^Negative-0 alone: ") as raised:
        test_masked_is_pruned_is_counted(key)
    assert str(raised.value).count(" alone: ") == 1


def _name_of(use):
    return use.name


@pytest.mark.sweep(13)
@pytest.mark.parametrize("use", LOCKED, ids=str)
def test_what_cannot_be_cut_is_locked(use):
    channel_map = trace_channels(registry_networks.build([use])[0])
    assert "a" in channel_map.lock_reasons()
    assert "a" not in [group.name for group in channel_map.groups]
