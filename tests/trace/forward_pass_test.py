import models
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.layer_types.masked_calls import Mask
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.recording import record_graph


def batches(model, count=3):
    generator = np.random.default_rng(0)
    shape = (4, *model.inputs[0].shape[1:])
    return [
        [tf.constant(generator.normal(size=shape), tf.float32)] for _ in range(count)
    ]


@pytest.mark.parametrize("memory", [2**30, 100_000, 1])
def test_the_outputs_are_the_models(memory):
    model = models.residual()
    data = batches(model)
    graph = record_graph(model)
    frontier = ForwardPass(graph, data, memory=memory)
    for position in range(0, len(graph.calls) + 1, 2):
        frontier.advance(position)
    frontier.advance(len(graph.calls))
    for batch, (x,) in enumerate(data):
        value = frontier.values(batch)[graph.outputs[0]]
        np.testing.assert_allclose(value, model(x), atol=1e-5)


def test_look_ahead_does_not_move():
    model = models.residual()
    data = batches(model)
    graph = record_graph(model)
    frontier = ForwardPass(graph, data)
    frontier.advance(2)
    ahead = frontier.look_ahead(1, len(graph.calls))
    np.testing.assert_allclose(ahead[graph.outputs[0]], model(data[1][0]), atol=1e-5)
    assert frontier.position == 2
    assert graph.outputs[0] not in frontier.values(1)


def test_what_no_later_call_reads_is_dropped():
    model = models.residual()
    graph = record_graph(model)
    frontier = ForwardPass(graph, batches(model, 1))
    frontier.advance(len(graph.calls))
    assert set(frontier.values(0)) == set(graph.outputs)


def test_calls_run_once_a_batch_within_the_memory():
    model = models.residual()
    graph = record_graph(model)
    seen = []

    def count(call):
        seen.append(call.index)
        return {}

    frontier = ForwardPass(graph, batches(model, 1), count)
    for position in range(len(graph.calls) + 1):
        frontier.advance(position)
        frontier.values(0)
    assert len(seen) == len(set(seen)) == len(graph.calls)


def test_masks_act_on_every_batch():
    model = models.residual()
    data = batches(model)
    graph = record_graph(model)

    def mask_everything(call):
        channels = (tensor.shape[-1] for tensor in call.inputs)
        return {i: Mask(np.zeros(count)) for i, count in enumerate(channels)}

    frontier = ForwardPass(graph, data, mask_everything, memory=1)
    frontier.advance(len(graph.calls))
    first, second = (frontier.values(b)[graph.outputs[0]].numpy() for b in (0, 1))
    np.testing.assert_allclose(first, second)


@pytest.mark.parametrize("count", [2, 6])
def test_a_batch_is_not_run_before_its_values_are_asked_for(count):
    model = models.residual()
    graph, asked = record_graph(model), []
    network = ForwardPass(
        graph, batches(model, count), lambda call: asked.append(call.index) or {}
    )
    network.advance(len(graph.calls))
    assert asked == []
    network.values(0)
    assert asked == list(range(len(graph.calls)))


def test_what_does_not_fit_goes_on_from_where_it_did():
    """Not from the input: that would be run again at every step of the way."""
    model = models.residual()
    graph, runs = record_graph(model), []
    sizes = [_bytes_at(graph, batches(model, 1)[0], p) for p in range(len(graph.calls))]
    first, last = 2, len(graph.calls) - 1
    memory = sizes[first]  # later cuts are larger, at least one of them
    assert max(sizes[first:last]) > memory
    data = [[lambda: runs.append("input") or batches(model, 1)[0]]]
    network = ForwardPass(graph, [data[0][0]], memory=memory)
    for position in range(first, last):
        network.advance(position)
        network.values(0)
    assert runs == ["input"]


def _bytes_at(graph, inputs, position):
    values = ForwardPass(graph, [inputs]).look_ahead(0, position).values()
    return sum(4 * int(np.prod(value.shape)) for value in values)
