"""Tests of unit ids, groups and locks."""

import keras
import models
import numpy as np
import pytest
from keras import layers, ops

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types.unit_ids import FIXED, kept
from keras_shapley_prune.plan.planner import plan_pruning
from keras_shapley_prune.rank.baseline_ranker import BaselineRanker
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.trace.tracer import map_of, trace_channels


def _trace(builder):
    return trace_channels(models.build(builder))


def _groups(builder):
    return {
        group.name: (group.num_units, group.producers, group.consumers)
        for group in _trace(builder).groups
    }


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        (
            models.chain,
            {
                "conv1": (8, ("conv1",), ("conv2",)),
                "conv2": (12, ("conv2",), ("dense1",)),
                "dense1": (10, ("dense1",), ("dense2",)),
            },
        ),
        (
            models.residual,
            {
                "stem": (8, ("stem", "outer1"), ("inner1", "inner2", "projection")),
                "inner1": (6, ("inner1",), ("outer1",)),
                "inner2": (6, ("inner2",), ("outer2",)),
                "projection": (10, ("outer2", "projection"), ("logits",)),
            },
        ),
        (
            models.branches,
            {
                "a": (6, ("a",), ("mixed", "side")),
                "b": (4, ("b",), ("mixed",)),
                "mixed": (8, ("mixed", "excite", "side"), ("squeeze", "logits")),
                "squeeze": (3, ("squeeze",), ("excite",)),
            },
        ),
        (
            models.depthwise,
            {
                "conv": (5, ("conv",), ("separable", "logits")),
                "separable": (7, ("separable",), ("logits",)),
            },
        ),
        (
            models.autoencoder,
            {
                "encode": (6, ("encode",), ("code",)),
                "code": (9, ("code",), ("decode",)),
                "decode": (5, ("decode",), ("up1",)),
                "up1": (7, ("up1",), ("pixels",)),
            },
        ),
        (
            models.shared,
            {
                "stem": (6, ("stem", "conv"), ("conv", "tail", "side")),
                "tail": (4, ("tail", "side"), ("logits",)),
            },
        ),
        (
            models.locked,
            {
                "free1": (8, ("free1",), ("normalized",)),
                "into_groups": (4, ("into_groups",), ("grouped",)),
                "grouped": (4, ("grouped",), ("free2",)),
                "free2": None,
            },
        ),
        (
            models.pointwise,
            {"left": (6, ("left", "right"), ("hidden",)), "hidden": None},
        ),
        (
            models.two_ends,
            {
                "conv": (6, ("conv",), ("joint",)),
                "side": (5, ("side",), ("joint",)),
                "joint": (7, ("joint",), ("classes", "size")),
            },
        ),
        (
            models.scaled_addition,
            {
                "stem": (6, ("stem", "outer"), ("inner", "logits")),
                "inner": (4, ("inner",), ("outer",)),
            },
        ),
        (
            models.nested,
            {
                "before1": (6, ("before1",), ("before2",)),
                "before2": (5, ("before2",), ("inner/inner_conv",)),
                "inner/inner_conv": (4, ("inner/inner_conv",), ("after",)),
                "after": (6, ("after",), ("logits",)),
            },
        ),
        (
            models.normalized,
            {
                "first": (12, ("first",), ("layer_norm", "second")),
                "second": None,
                "third": (4, ("third",), ("within_groups", "fourth")),
                "fourth": (6, ("fourth",), ("fifth",)),
                "fifth": (8, ("fifth",), ("shares", "logits")),
            },
        ),
        (models.scaled, {"stem": None, "wide0": None, "wide1": None}),
        (
            models.attentive,
            {
                "patches": None,
                "self_attention/heads": (4, ("self_attention",), ("self_attention",)),
                "wide": (10, ("wide",), ("narrow",)),
                "memory": (6, ("memory",), ("cross_attention",)),
                "cross_attention/heads": None,
                "cross_attention": (
                    7,
                    ("cross_attention", "grouped_attention"),
                    ("grouped_attention", "logits"),
                ),
                "grouped_attention/heads": (
                    2,
                    ("grouped_attention",),
                    ("grouped_attention",),
                ),
            },
        ),
        (
            models.recurrent,
            {
                "before": (5, ("before",), ("both_ways",)),
                "both_ways": (4, ("both_ways",), ("both_ways", "lstm")),
                "lstm": (
                    6,
                    ("lstm", "continued"),
                    ("lstm", "continued", "gru", "logits"),
                ),
                "gru": (5, ("gru",), ("gru", "simple")),
                "simple": (4, ("simple",), ("simple", "logits")),
            },
        ),
    ],
)
def test_groups(builder, expected):
    groups = _groups(builder)
    assert set(groups) == set(expected)
    for name, group in expected.items():
        if group is not None:
            size, producers, consumers = groups[name]
            assert size == group[0]
            assert set(producers) == set(group[1])
            assert set(consumers) == set(group[2])


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_units_are_numbered_without_gaps_and_each_is_in_a_group_or_locked(builder):
    channel_map = _trace(builder)
    units = [unit for group in channel_map.groups for unit in group.units]
    assert len(units) == len(set(units))
    assert not set(units) & set(channel_map.locks)
    assert set(units) | set(channel_map.locks) == set(range(channel_map.num_units))
    for ids in channel_map.ids.values():
        assert np.all((ids >= FIXED) & (ids < channel_map.num_units))


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_every_unit_that_can_go_is_read_somewhere(builder):
    channel_map = _trace(builder)
    read = set(np.concatenate(list(channel_map.sites.values())))
    for group in channel_map.groups:
        assert group.consumers
        assert read.issuperset(group.units)


def test_lock_reasons_of_the_locked_builder():
    channel_map = _trace(models.locked)
    reasons = channel_map.lock_reasons()
    expected = {
        "layer_norm": ("LayerNormalization", "axis [1]"),
        "row_norm": ("BatchNormalization", "axis 1"),
        "normalized": ("LayerNormalization", "normalizes axis [1]", "layer_norm"),
        "softmaxed": ("activation softmax is not elementwise: output channel",),
        "odd_axis": ("BatchNormalization", "axis 1", "row_norm"),
        "attention": ("broadcasts it",),
        "custom": ("activation _divisive is not elementwise: output channel",),
        "logits": ("model output",),
    }
    assert reasons.keys() == expected.keys()
    for name, words in expected.items():
        assert all(word in reasons[name] for word in words), reasons[name]
    text = channel_map.describe_locks()
    assert all(name in text and reason in text for name, reason in reasons.items())
    assert f"row_norm, odd_axis: {reasons['odd_axis']}" in text  # for the same reason


def _over_rows(x):
    return x - ops.mean(x, axis=1, keepdims=True)


def _on_both_axes(x):
    """The channels on the first axis, those of another layer on the last one."""
    return layers.Dense(5)(ops.swapaxes(x, 1, 3))


def _without_length_1(x):
    return ops.squeeze(ops.mean(x, axis=(1, 2), keepdims=True)[:, :, 0])


def _as_number(x):
    return ops.cast(ops.mean(x, axis=(1, 2, 3)), "int32")


def _rows(x):
    return layers.Reshape((64, 4))(x)


def _through(*steps, shape=(8, 8, 3), filters=4):
    """Conv -> steps -> Dense; returns the lock reason of the conv, or `None`."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(filters, 1, name="conv")(inputs)
    for step in steps:
        x = step(x)
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    return trace_channels(model).lock_reasons().get("conv")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            layers.Activation("softmax"),
            "activation softmax is not elementwise: output channel",
        ),
        (layers.Activation(lambda x: x[..., ::-1]), "activation <lambda>"),
        (layers.GroupNormalization(2, axis=1), "normalizes axis 1"),
        (layers.LayerNormalization(axis=[1, 2]), "normalizes axis [1, 2]"),
        (layers.UnitNormalization(axis=0), "normalizes over the examples"),
        (layers.RMSNormalization(axis=1), "normalizes axis [1]"),
        (
            lambda x: ops.layer_normalization(x),
            "LayerNorm is not a known operation",
        ),
        (layers.Permute((3, 1, 2)), "model output"),
        (_without_length_1, "removes every axis of length 1, the channels' too if one"),
        (
            lambda x: x + layers.Dense(4)(layers.Flatten()(x)),
            "joins tensors of 2 and 4 axes, whose examples are on different ones",
        ),
        (lambda x: ops.reshape(x, (-1, 512)), "makes one example of several, with"),
        (lambda x: ops.take(x, _as_number(x), axis=1), "positions that a tensor names"),
        (
            lambda x: ops.take(np.ones((5, 3)), ops.cast(x, "int32"), axis=0),
            "reads it as numbers to look up",
        ),
        (
            lambda x: layers.Embedding(5, 3)(ops.cast(x, "int32")),
            "reads it as numbers to look up",
        ),
        (lambda x: ops.take(x, [[0, 1]], axis=-1), "takes channels by number, not as"),
        (
            lambda x: ops.einsum("abdc->abc", ops.swapaxes(x, 2, 3)),
            "sums over the channels, which are not on the last axis",
        ),
        (lambda x: ops.einsum("abcd,abcd,abcd->ad", x, x, x), "more than two tensors"),
        (lambda x: ops.einsum("abbd->abd", x), "takes a diagonal"),
        (lambda x: layers.Dot(2, normalize=True)([_rows(x)] * 2), "` normalizes what"),
        (lambda x: ops.dot(x, ops.ones((4, 3))), "channels of what it multiplies"),
        (lambda x: ops.matmul(x, x[0, 0, 0]), "multiplies it with a vector"),
        (lambda x: ops.norm(x, ord=3, axis=-1), "has ord=3 and axis=[-1], which is no"),
        (lambda x: ops.rfft(x)[0], "runs along the last axis"),
        (
            lambda x: layers.MaxPooling2D()(ops.swapaxes(x, 2, 3)),
            "may work along axis 2, on which these channels are",
        ),
        (
            lambda x: ops.dot_product_attention(x, x, x),
            "loses whole heads, on axis 2; these are on axis 3",
        ),
        (
            lambda x: layers.TimeDistributed(layers.Dense(3))(ops.swapaxes(x, 1, 3)),
            "takes each channel for a time step",
        ),
        (lambda x: x[..., ::2], "skips channels"),
        (lambda x: x[..., 2], "takes one channel"),
        (lambda x: ops.cumsum(x, axis=-1), "along the channels"),
        (lambda x: ops.median(x, axis=-1, keepdims=True), "along the channels"),
        (lambda x: ops.logsumexp(x, axis=(1, -1)), "along the channels"),
        (lambda x: x + keras.Variable(np.arange(4.0)), "with a weight"),
        (lambda x: layers.Conv2D(3, 1)(ops.swapaxes(x, 2, 3)), "along axis 2"),
        (lambda x: ops.mean(ops.swapaxes(x, 1, 3), 1), "along the chan"),
        (lambda x: ops.softmax(ops.swapaxes(x, 1, 3), 1), "along the"),
        (lambda x: ops.pad(x, [[0, 0], [0, 0], [0, 0], [1, 1]]), "pads the"),
        (lambda x: layers.Flatten()(_on_both_axes(x)), "merges it with other channels"),
        (
            lambda x: ops.swapaxes(
                layers.Activation(_over_rows)(_on_both_axes(x)), 1, 3
            ),
            "may mix axes",
        ),
        (layers.Rescaling(1.0, offset=np.ones((8, 1))), "array of constants"),
        (
            layers.MaxPooling2D(data_format="channels_first"),
            "data_format='channels_first'",
        ),
        (
            layers.Dropout(0.5, noise_shape=(None, 1, 1, 4)),
            "has a noise_shape for 4 channels",
        ),
        (
            lambda x: ops.clip(x, np.zeros(4), np.arange(4.0)),
            "an array of constants",
        ),
    ],
)
def test_what_is_not_exact_is_locked(step, words):
    assert words in _through(step)


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x + np.float32(2),
        lambda x: 1.0 - x,
        lambda x: x * np.ones((1, 1, 1, 1), "float32"),
        lambda x: ops.mean(x, axis=1),
        lambda x: ops.sum(x, axis=(1, 2), keepdims=True),
        layers.PReLU(shared_axes=[1]),
        layers.PReLU(shared_axes=[1, 2, 3]),
        layers.Rescaling([1.0, 2.0, 3.0, 4.0]),
        layers.Rescaling(1.0, offset=np.arange(4.0)),
        layers.Conv2D(8, 1, groups=2),
        layers.Conv2D(4, 1, groups=4),
        layers.Permute((2, 1, 3)),
        lambda x: x[..., ::-1],
        lambda x: x[:, 1:, 0],
        lambda x: ops.swapaxes(x[:, 0, 0, :, None, None], 1, 3),
        lambda x: ops.einsum("abcd->cbad", x)[0],
        lambda x: ops.einsum("a...d->ad", x),
        lambda x: ops.einsum("abcd->abc", x),
        lambda x: ops.norm(x, ord=3, axis=1),
        lambda x: ops.norm(x, axis=(1, 3)),
        layers.Activation(layers.ReLU(6.0)),
        layers.Reshape((-1, 8)),
        layers.Reshape((4, 16, 4)),
        layers.BatchNormalization(axis=3),
        layers.LayerNormalization(axis=[1, 2, 3]),
        layers.UnitNormalization(axis=[1, 2]),
        layers.GroupNormalization(2, axis=3),
        layers.Softmax(axis=[1, 2]),
        layers.Dropout(0.5, noise_shape=(None, 1, 1, 1)),
        lambda x: ops.clip(x, -1.0, 1.0),
    ],
)
def test_what_is_exact_is_not_locked(step):
    assert _through(step) is None


def test_channels_tied_to_the_input_are_locked():
    inputs = keras.Input((8, 8, 3))
    x = layers.Add(name="add")([layers.Conv2D(3, 1, name="conv")(inputs), inputs])
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert (
        "`add` joins it with channels" in trace_channels(model).lock_reasons()["conv"]
    )


def test_what_is_joined_with_positions_says_so():
    inputs = keras.Input((5, 3))
    x = layers.Dense(5, name="over_positions")(ops.swapaxes(inputs, 1, 2))
    x = layers.Add(name="add")([ops.swapaxes(x, 1, 2), inputs])
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    reason = trace_channels(model).lock_reasons()["over_positions"]
    assert reason == "`add` joins it with an axis of 5 entries that cannot be removed"


def test_joining_tensors_of_different_rank_is_locked():
    inputs = keras.Input((8, 4, 3))
    x = layers.Conv2D(4, 1, name="conv")(inputs)
    y = layers.Dense(4, name="dense")(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="last")(x + y))
    reasons = trace_channels(model).lock_reasons()
    assert set(reasons) == {"conv", "dense", "last"}


def test_a_locked_channel_locks_what_is_tied_to_it():
    inputs = keras.Input((8,))
    x = layers.Dense(4, name="seen")(inputs)
    y = layers.Dense(4, name="tied")(inputs)
    model = keras.Model(inputs, [layers.Dense(2, name="last")(x + y), x])
    reasons = trace_channels(model).lock_reasons()
    assert reasons == dict.fromkeys(("seen", "tied", "last"), "model output")


def test_only_the_channels_that_are_locked_are_locked():
    inputs = keras.Input((8,))
    wide = layers.Dense(6, name="wide")(inputs)
    narrow = layers.Dense(2, name="narrow")(inputs)
    both = layers.Concatenate()([wide, narrow])
    x = layers.Dense(4, name="next")(both)
    y = layers.UnitNormalization(axis=0)(narrow)
    model = keras.Model(inputs, layers.Dense(1, name="last")(x + layers.Dense(4)(y)))
    channel_map = trace_channels(model)
    assert "wide" in [group.name for group in channel_map.groups]
    assert "narrow" in channel_map.lock_reasons()


def test_flatten_and_reshape_follow_each_channel():
    channel_map = _trace(models.chain)
    letters = {op.name: ids for op, ids in channel_map.layer_ids.items()}
    expected = np.tile(letters["conv2"]["o"], 4)
    np.testing.assert_array_equal(letters["dense1"]["i"], expected)


def test_scalars_for_inputs_do_not_stop_the_trace():
    inputs = keras.Input((), name="day")
    x = layers.Reshape((1,))(inputs)
    x = layers.Dense(6, activation="relu", name="hidden")(x)
    channel_map = trace_channels(keras.Model(inputs, layers.Dense(2)(x)))
    assert [group.name for group in channel_map.groups] == ["hidden"]


def test_scalars_in_mid_network_are_made_of_what_is_kept():
    inputs = keras.Input((8,))
    x = layers.Dense(6, activation="relu", name="hidden")(inputs)
    a, b = layers.Dense(4, name="a")(x), layers.Dense(4, name="b")(x)
    score = 2.0 * ops.sum(a * b, axis=-1)
    model = models.randomize(keras.Model(inputs, score))
    assert [group.name for group in trace_channels(model).groups] == ["hidden", "a"]
    models.check_masks(model, tolerance=1e-4)


def test_a_reshape_layer_called_on_two_shapes_does_not_stop_the_trace():
    inputs = keras.Input((4, 4, 3))
    reshape = layers.Reshape((-1, 4), name="reshape")
    rows = [reshape(layers.Conv2D(n, 1, name=f"conv{n}")(inputs)) for n in (4, 8)]
    x = layers.Concatenate(axis=1)(rows)
    x = layers.Dense(6, name="hidden")(x)
    channel_map = trace_channels(keras.Model(inputs, layers.Dense(2)(x)))
    assert "hidden" in [group.name for group in channel_map.groups]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (None, ["stem", "inner1", "inner2", "projection"]),
        ("inner1", ["inner1"]),
        ("inner*", ["inner1", "inner2"]),
        ("outer2", ["projection"]),
        (["stem", "inner2"], ["stem", "inner2"]),
        (("outer1", "stem"), ["stem"]),
    ],
)
def test_select_groups(selection, expected):
    groups = _trace(models.residual).select_groups(selection)
    assert sorted(group.name for group in groups) == sorted(expected)


def test_select_groups_names_the_unknown_pattern():
    with pytest.raises(ValueError, match="Argument `layers`") as info:
        _trace(models.chain).select_groups(["conv1", "block_*"])
    assert "'block_*'" in str(info.value)
    assert "['conv1', 'conv2', 'dense1']" in str(info.value)


def test_select_groups_says_why_a_layer_is_locked():
    with pytest.raises(ValueError, match="which is locked: LayerNormalization norm"):
        _trace(models.locked).select_groups("normalized")


def test_select_groups_of_a_model_without_any():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="only")])
    with pytest.raises(ValueError, match="only: model output"):
        trace_channels(model).select_groups()
    empty = keras.Sequential([keras.Input((3,)), layers.ReLU()])
    with pytest.raises(ValueError, match="no layer produces channels"):
        trace_channels(empty).select_groups()


def test_a_channel_map_in_an_error_message_is_one_line():
    channel_map = _trace(models.residual)
    expected = f"{channel_map.num_units} units, {len(channel_map.locks)} of them locked"
    assert expected in repr(channel_map) and len(repr(channel_map)) < 100


def test_check_keep():
    channel_map = _trace(models.chain)
    keep = np.ones(channel_map.num_units, bool)
    np.testing.assert_array_equal(channel_map.check_keep(list(keep)), keep)
    with pytest.raises(ValueError, match=rf"\({len(keep)},\).*\(3,\)"):
        channel_map.check_keep(keep[:3])
    with pytest.raises(ValueError, match=r"boolean array.*dtype=int"):
        channel_map.check_keep(keep.astype(int))
    locked = keep.copy()
    locked[next(iter(channel_map.locks))] = False
    with pytest.raises(ValueError, match="locked: model output"):
        channel_map.check_keep(locked)
    none_left = keep.copy()
    none_left[channel_map.groups[0].units] = False
    with pytest.raises(ValueError, match="all 8 units of 'conv1' removed"):
        channel_map.check_keep(none_left)


def test_kept_keeps_what_is_no_unit():
    keep = np.array([True, False, True])
    ids = np.array([1, FIXED, 2, 0, 1])
    np.testing.assert_array_equal(kept(keep, ids), [False, True, True, True, False])


def test_without():
    channel_map = trace_channels(models.build(models.chain))
    first, *others = channel_map.groups
    keep = channel_map.without([first])
    assert not keep[first.units].any()
    assert all(keep[group.units].all() for group in others)
    assert channel_map.without([]).all()


def test_the_map_of_another_model_is_refused():
    model, twin = models.fresh(models.chain), models.fresh(models.chain)
    channel_map = trace_channels(model)
    assert map_of(model, channel_map) is channel_map
    assert map_of(model).num_units == channel_map.num_units
    for other in (trace_channels(twin), "map"):
        with pytest.raises(ValueError, match="`channel_map` should be `trace_channels"):
            map_of(model, other)
    nested = models.build(models.nested)
    assert map_of(nested, trace_channels(nested))
    ranker = BaselineRanker("l1_norm")
    for ask in (
        lambda wrong: plan_pruning(model, ranker.rank(model), channel_map=wrong),
        lambda wrong: ranker.rank(model, channel_map=wrong),
        lambda wrong: ShapleyRanker().estimate_cost(
            model, pytest.fail, channel_map=wrong
        ),
        lambda wrong: remove_channels(model, wrong.without([]), wrong),
    ):
        with pytest.raises(ValueError, match="`channel_map` should be"):
            ask(trace_channels(twin))
