"""Tests of the blocks that tracing finds."""

import block_models
import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.cut.verification import verify_removal
from keras_shapley_prune.trace.tracer import trace_channels


def _blocks(model):
    channel_map = trace_channels(model, granularity="both")
    return {b.name: channel_map.locks.get(b.unit) for b in channel_map.blocks}


def test_filters_alone_by_default():
    model = models.build(block_models.chain_of_blocks)
    channel_map = trace_channels(model)
    assert channel_map.blocks == () and channel_map.presence == {}
    assert all(group.kind == "channels" for group in channel_map.groups)


def test_units_of_blocks_stand_behind_those_of_channels():
    model = models.build(block_models.chain_of_blocks)
    alone, both = trace_channels(model), trace_channels(model, granularity="both")
    assert [b.unit - alone.num_units for b in both.blocks] == [0, 1, 2]
    assert [b.name for b in both.blocks] == ["a_add", "b_add", "c_add"]
    assert both.blocks[1].layers == ("b1", "b1_norm", "b2", "b2_norm")
    assert [g.name for g in both.groups] == [*[g.name for g in alone.groups], "blocks"]


def test_the_side_with_less_work_stays():
    model = models.build(block_models.chain_of_blocks)
    block = trace_channels(model, granularity="both").blocks[1]
    ((_, position),) = block.places
    assert position == 0  # the shortcut is added second
    assert block.work > 0


NUMBERS = {
    block_models.shared_by_blocks: 3,
    block_models.blocks_in_blocks: 8,
    block_models.blocks_and_models: 5,
    block_models.blocks_over_time: 3,
    block_models.vision_transformer: 4,
}


@pytest.mark.parametrize("builder", NUMBERS)
def test_number(builder):
    found = _blocks(models.build(builder))
    assert len(found) == NUMBERS[builder] and not any(found.values())


def test_calls_of_a_nested_model_are_one_block():
    channel_map = trace_channels(
        models.build(block_models.blocks_and_models), granularity="both"
    )
    blocks = {block.name: block for block in channel_map.blocks}
    assert len(blocks["inner/first"].places) == 2
    assert len(blocks["fourth"].places) == 1


def test_masks_of_time_steps():
    found = _blocks(block_models.masked_words())
    assert found.pop("lost") == "adds tensors with different masks of time steps"
    assert found == {"attended": None, "dense": None}


def test_an_attention_that_ends_a_mask_stays():
    """Keras's takes the mask off its query: what is called later finds none."""
    words = keras.Input((9,), dtype="int32")
    x = layers.Embedding(20, 8, mask_zero=True)(words)
    for name in ("first", "second"):
        y = layers.MultiHeadAttention(2, 4, name=f"{name}_attention")(x, x)
        x = layers.LayerNormalization()(layers.Add(name=name)([x, y]))
    model = models.randomize(keras.Model(words, layers.Dense(3)(x)), 0)
    reason = "`first_attention` takes the mask of time steps off what stays"
    assert _blocks(model) == {"first": reason, "second": None}
    pruned = remove_channels(model, remove={"second": [0]})
    keep = {"blocks": np.zeros(1, bool)}
    channel_map = trace_channels(model, granularity="both")
    inputs = np.random.default_rng(0).integers(0, 20, (4, 9))
    verify_removal(model, pruned, keep, inputs, channel_map)


def test_numbers_of_different_types():
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(x)
    y = layers.Conv2D(4, 3, padding="same", dtype="float16")(x)
    x = layers.Add(name="mixed", dtype="float16")([x, y])
    reason = _blocks(keras.Model(inputs, x))["mixed"]
    assert reason == "adds numbers of types float32, float16"


def test_no_block():
    assert _blocks(models.build(models.chain)) == {}
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(x)
    gate = layers.Dense(4)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Add()([x, gate])  # spread over the positions
    x = layers.Add()([x, layers.ReLU()(x)])  # without weights
    assert _blocks(keras.Model(inputs, x)) == {}
    channel_map = trace_channels(models.build(models.chain), granularity="block")
    with pytest.raises(ValueError, match=r"only, and no addition has a branch with"):
        channel_map.select_groups()


def test_too_many_ways():
    """Blocks in a block that share a layer would make the costs a long sum."""
    inputs = x = keras.Input((4, 4, 4))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    for number in range(9):
        y = layers.Conv2D(4, 3, padding="same")(x)
        y = layers.Add(name=f"inner{number}")([y, shared(y)])
        x = layers.Add(name=f"outer{number}")([x, y])
    found = _blocks(keras.Model(inputs, x))
    assert set(found.values()) == {
        "`shared` is needed by too many blocks within blocks"
    }


def test_wrong_granularity():
    model = models.build(models.residual)
    with pytest.raises(ValueError, match="granularity='layers'"):
        trace_channels(model, granularity="layers")


def test_presence():
    channel_map = trace_channels(
        models.build(block_models.blocks_in_blocks), granularity="both"
    )
    units = {block.name: block.unit for block in channel_map.blocks}
    calls = {call.name: call for call in channel_map.graph.calls}

    def clauses(name):
        found = channel_map.presence_of([calls[name]])
        names = {unit: name for name, unit in units.items()}
        return {frozenset(names[unit] for unit in clause) for clause in found}

    assert clauses("stem") == {frozenset()}
    assert clauses("in3") == {frozenset({"outer", "inner2"})}
    assert clauses("gate") == {frozenset({"gated1"}), frozenset({"gated2"})}
    keep = np.ones(channel_map.num_units, bool)
    keep[units["gated1"]] = False
    assert calls["gate"].index not in channel_map.absent_calls(keep)
    keep[units["gated2"]] = False
    assert calls["gate"].index in channel_map.absent_calls(keep)
