"""Tests of units on other axes than the last: they are removed, or locked, exactly."""

import axis_models
import keras
import models
import numpy as np
import pytest
from keras import layers, ops

import keras_shapley_prune
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.cut.verification import verify_removal
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.tracer import trace_channels


def _sizes(model):
    return {g.name: g.num_units for g in trace_channels(model).groups}


@pytest.mark.sweep(3)
@pytest.mark.parametrize("name", axis_models.BUILDERS)
def test_masked_is_pruned_is_counted(name):
    model = models.randomize(axis_models.BUILDERS[name]())
    channel_map, inputs = trace_channels(model), models.images(model)
    costs = {of: CostModel(channel_map, of) for of in ("params", "flops")}
    for fraction, seed in ((0.3, 0), (0.7, 1)):
        keep = models.random_keep(channel_map, fraction, seed)
        smaller = remove_channels(model, keep, channel_map)
        masked = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
        pruned = models.outputs_of(smaller, inputs)
        assert models.relative_difference(pruned, masked) < 1e-5
        verify_removal(model, smaller, keep, inputs, channel_map)
        assert costs["params"].count(keep) == smaller.count_params()
        assert costs["flops"].count(keep) == count_flops(smaller)
        assert count_flops(smaller) < count_flops(model)


@pytest.mark.sweep(3)
@pytest.mark.parametrize("swap", axis_models.SWAPS)
def test_the_channels_of_a_mixer_come_back(swap):
    expected = {"stem": 12, "tokens0": 7, "hidden0": 24, "tokens1": 7, "hidden1": 24}
    assert _sizes(axis_models.mixer(swap)) == expected


@pytest.mark.sweep(3)
@pytest.mark.parametrize("split", axis_models.SPLITS)
def test_whole_heads_are_units_however_they_are_split(split):
    model = axis_models.vision_transformer(split)
    assert _sizes(model) == {"stem": 12, "qkv": 4, "hidden": 24}


@pytest.mark.sweep(3)
@pytest.mark.parametrize("attend", axis_models.ATTENDS)
def test_whole_heads_are_units_however_they_attend(attend):
    model = axis_models.vision_transformer(attend=attend)
    assert _sizes(model) == {"stem": 12, "qkv": 4, "hidden": 24}
    (group,) = (g for g in trace_channels(model).groups if g.name == "qkv")
    assert group.consumers == ("projection",)


def test_a_head_is_cut_from_queries_keys_values_and_their_reader():
    model = axis_models.vision_transformer("slice heads")
    smaller = remove_channels(model, remove={"qkv": np.arange(4) == 1})
    # (4 heads, 3 parts, 3 channels); the reader has those of the values.
    kernel = model.get_layer("qkv").get_weights()[0].reshape(12, 4, 9)
    cut = smaller.get_layer("qkv").get_weights()[0]
    np.testing.assert_array_equal(cut, kernel[:, [0, 2, 3]].reshape(12, 27))
    kernel = model.get_layer("projection").get_weights()[0].reshape(4, 3, 12)
    cut = smaller.get_layer("projection").get_weights()[0]
    np.testing.assert_array_equal(cut, kernel[[0, 2, 3]].reshape(9, 12))


def test_without_heads_queries_are_tied_to_keys():
    model = axis_models.single_head("matmul")
    producers = [{*group.producers} for group in trace_channels(model).groups]
    assert {"q", "k"} in producers
    assert {"v"} in producers


def test_a_reshape_without_a_product_ties_what_is_at_one_place():
    inputs = keras.Input((6, 3))
    x = layers.Dense(8, name="split")(inputs)
    x = layers.Dense(5)(ops.transpose(ops.reshape(x, (-1, 6, 4, 2)), (0, 2, 1, 3)))
    assert _sizes(keras.Model(inputs, x)) == {"split": 2}


def test_units_enter_a_nested_model_on_another_axis():
    model = axis_models.nested_tokens()
    assert [*_sizes(model).values()] == [8, 5]
    smaller = remove_channels(model, remove={"stem": [0, 5]})
    assert smaller.get_layer("tokens").input_shape == (None, 6, 6)


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize("ratio", [0.3, 0.7])
@pytest.mark.parametrize(
    "builder", [axis_models.mixer, axis_models.gated_mlp, axis_models.windows]
)
def test_what_is_on_other_axes_is_ranked_cut_and_repaired(builder, ratio):
    """`prune` verifies the result, which is refitted on the positions that are kept."""
    model = models.randomize(builder())
    images = models.images(model, 24)
    pruned = keras_shapley_prune.prune(model, images, ratio=ratio, verbose=0)
    assert pruned.count_params() < model.count_params()
    by_mean = keras_shapley_prune.prune(
        model, images, ratio=ratio, verbose=0, repair="mean"
    )
    assert by_mean.count_params() == pruned.count_params()


def test_repair_compares_the_positions_that_are_kept():
    """Where dead channels are removed, the rows of the others are still alike."""
    model = models.randomize(axis_models.mixer())
    for number in range(2):
        kernel, bias = model.get_layer(f"channels{number}").get_weights()
        kernel[:, :4], bias[:4] = 0, 0
        model.get_layer(f"channels{number}").set_weights([kernel, bias])
    stem = model.get_layer("stem")
    stem.set_weights([w * (np.arange(12) >= 4) for w in stem.get_weights()])
    images = models.images(model, 40)
    remove = {"tokens0": [0], "stem": [0, 1, 2]}
    plain = remove_channels(model, remove=remove)
    repaired = keras_shapley_prune.repair_channels(model, None, images, remove=remove)
    original, ours, theirs = (
        models.outputs_of(m, images)[0] for m in (model, repaired, plain)
    )
    assert np.square(ours - original).mean() < np.square(theirs - original).mean()
