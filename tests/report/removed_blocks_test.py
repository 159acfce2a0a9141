"""Tests of reports on models that have lost whole blocks."""

import block_models
import models
import pytest

from keras_shapley_prune import (
    ShapleyRanker,
    compare,
    inspect,
    measure_ablation,
    remove_channels,
    trace_channels,
)


def test_compare():
    model = models.build(block_models.chain_of_blocks)
    pruned = remove_channels(model, remove={"b_add": [0], "a1": [0, 1]})
    found = compare(model, pruned, verbose=0)
    assert found.units["a1"] == (8, 6) and found.units["b1"] == (12, 0)
    assert found.units["b_shortcut"] == (12, 12)
    assert found.parameters == (model.count_params(), pruned.count_params())
    blocks = {group.name: group.units for group in found.groups}["blocks"]
    assert blocks == (3, 2)
    assert "blocks           3 →      2" in str(found)


def test_compare_with_a_ranking_of_blocks():
    model = models.build(block_models.chain_of_blocks)
    channel_map = trace_channels(model, granularity="block")
    images = models.inputs_of(model, 16)
    ranking = ShapleyRanker().rank(model, images, channel_map=channel_map, verbose=0)
    found = compare(model, remove_channels(model, remove={"blocks": []}), None, ranking)
    group = found.groups[-1]
    assert (
        group.units == found.units["blocks"] == (3, 3)
        and group.scores is ranking["blocks"]
    )
    (curve,) = measure_ablation(model, ranking, images, lambda m: 1.0, num_points=3)
    assert curve.group == "blocks"


def test_a_layer_that_no_block_explains():
    model = models.build(block_models.chain_of_blocks)
    other = models.build(block_models.shared_by_blocks)
    with pytest.raises(ValueError, match="layers of the same names"):
        compare(model, other)


def test_channel_report():
    model = models.build(block_models.chain_of_blocks)
    channel_map = trace_channels(model, granularity="both")
    text = str(inspect(model, channel_map))
    assert "blocks: 3 blocks\n    a_add: a1, a1_norm, a2, a2_norm\n" in text
