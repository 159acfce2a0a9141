"""Tests of the network whose mask is one variable."""

import models
import numpy as np
import pytest

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.report.masked_network import MaskedNetwork
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "builder", [models.two_ends, models.nested, models.attentive, models.recurrent]
)
def test_it_is_the_pruned_model(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    network, inputs = MaskedNetwork(model, channel_map), models.inputs_of(model)
    whole = models.outputs_of(network, inputs)
    original = models.outputs_of(model, inputs)
    assert models.relative_difference(whole, original) < 1e-5
    keep = models.random_keep(channel_map, 0.4)
    network.select(keep)
    masked = models.outputs_of(network, inputs)
    pruned = models.outputs_of(remove_channels(model, keep, channel_map), inputs)
    assert models.relative_difference(masked, pruned) < 1e-5
    assert models.relative_difference(masked, original) > 1e-3


def test_it_is_traced_once(monkeypatch):
    model, (x, y) = models.classifier(), models.labelled_images(16)
    channel_map = trace_channels(model)
    network, traced = MaskedNetwork(model, channel_map), []
    call = MaskedNetwork.call

    def count(self, *args, **kwargs):
        traced.append(self)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(MaskedNetwork, "call", count)
    losses = [network.evaluate(x, y, batch_size=8, verbose=0)[0]]
    after_first = len(traced)
    for fraction in (0.3, 0.5, 0.7):
        network.select(models.random_keep(channel_map, fraction))
        losses.append(network.evaluate(x, y, batch_size=8, verbose=0)[0])
    assert 0 < after_first == len(traced)
    assert len(set(losses)) == 4
    np.testing.assert_allclose(losses[0], model.evaluate(x, y, verbose=0)[0], rtol=1e-5)
