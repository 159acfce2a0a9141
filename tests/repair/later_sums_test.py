"""Tests of what layers before removed blocks aim at."""

import block_models
import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.cut.surgery import cut_out
from keras_shapley_prune.repair.later_sums import find_later_sums
from keras_shapley_prune.repair.mimic import mimic
from keras_shapley_prune.repair.mimic_settings import Mimic
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.trace.tracer import trace_channels

REPAIRED = [
    block_models.chain_of_blocks,
    block_models.vision_transformer,
    block_models.blocks_in_blocks,
    block_models.blocks_and_models,
]


def absorbable(before):
    """A linear block that the layer before it can do as well, behind it a ReLU."""
    inputs = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", name="stem")(inputs)
    if before == "normalization":
        x = layers.BatchNormalization(name="norm")(x)
    x = layers.Add(name="gone")([x, layers.Conv2D(5, 1, name="block")(x)])
    x = layers.GlobalAveragePooling2D()(layers.ReLU(name="behind")(x))
    outputs = layers.Dense(2, name="logits")(x)
    return models.randomize(keras.Model(inputs, outputs, name="absorbable"))


def _cut(model, *names):
    channel_map = trace_channels(model, granularity="both")
    keep = np.ones(channel_map.num_units, bool)
    units = {block.name: block.unit for block in channel_map.blocks}
    keep[[units[name] for name in names]] = False
    return cut_out(model, keep, channel_map)


@pytest.mark.parametrize("before", ["nothing", "normalization"])
def test_the_layer_before_does_the_work_of_a_linear_block(before):
    model = absorbable(before)
    images = models.inputs_of(model, 100)
    keep = _cut(model, "gone").keep
    repaired = repair_channels(model, keep, images, verbose=0)
    expected = models.outputs_of(model, images)
    means = repair_channels(model, keep, images, "mean", verbose=0)
    found = [models.outputs_of(network, images) for network in (repaired, means)]
    errors = [models.relative_difference(outputs, expected) for outputs in found]
    # A sum below 0 may be anything there: what is fitted is not quite linear.
    assert errors[0] < 0.1 * errors[1]


def _names(cut):
    calls = cut.channel_map.graph.calls
    return {calls[index].name: later for index, later in find_later_sums(cut).items()}


def test_who_aims_at_what():
    model = models.build(block_models.chain_of_blocks)
    for cut, writer, summed, wanted in (
        (_cut(model, "a_add"), "stem", "stem_norm", "a_add"),
        # The projection of a shortcut that stays, and where it is added to a block:
        # there it comes last, and makes up for the other.
        (_cut(model, "b_add"), "b_shortcut", "b_shortcut", "b_add"),
        (_cut(model, "c_add"), "b_shortcut", "b_add", "c_add"),
        (_cut(model, "b_add", "c_add"), "b_shortcut", "b_shortcut", "c_add"),
    ):
        calls = {call.name: call for call in cut.channel_map.graph.calls}
        ((name, later),) = _names(cut).items()
        assert name == writer and later.is_rectified
        assert later.summed is calls[summed].outputs[0]
        assert later.wanted is calls[wanted].outputs[0]


def test_a_stream_that_others_read_too_is_left_as_it_is():
    model = models.build(models.residual)
    assert set(_names(_cut(model, "add"))) <= {"stem"}
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(5, 3, padding="same", name="stem")(inputs)
    y = layers.Add(name="gone")([x, layers.Conv2D(5, 1, name="block")(x)])
    both = keras.Model(inputs, [layers.Conv2D(2, 1)(x), layers.Conv2D(2, 1)(y)])
    assert _names(_cut(both, "gone")) == {}


@pytest.mark.parametrize("method", ["least_squares", "mean", "batchnorm", None])
@pytest.mark.parametrize("builder", REPAIRED)
@pytest.mark.sweep(2)
def test_repaired_networks_are_checked(builder, method):
    """Weights that were repaired are masked, too: it would raise an error."""
    model = models.build(builder)
    images = models.inputs_of(model, 24)
    channel_map = trace_channels(model, granularity="both")
    keep = block_models.random_blocks(channel_map, 1)
    repaired = repair_channels(model, keep, images, method, channel_map, verbose=0)
    assert np.isfinite(models.outputs_of(repaired, images)[0]).all()


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "builder", [block_models.chain_of_blocks, block_models.shared_by_blocks]
)
def test_mimic(builder):
    model = models.build(builder)
    images = models.inputs_of(model, 40)
    channel_map = trace_channels(model, granularity="both")
    keep = block_models.random_blocks(channel_map, 0, of_filters=0)
    repaired = repair_channels(model, keep, images, None, channel_map, verbose=0)
    settings = Mimic(num_steps=30)
    trained = mimic(repaired, model, images, settings, keep, channel_map)
    expected = models.outputs_of(model, images)
    found = [models.outputs_of(network, images) for network in (repaired, trained)]
    errors = [models.relative_difference(outputs, expected) for outputs in found]
    assert errors[1] < errors[0]
