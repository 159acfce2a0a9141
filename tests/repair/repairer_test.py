import functools

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import copy_whole, cut_out, remove_channels
from keras_shapley_prune.repair import fits, layer_data, taken_rows
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.repair.ridge import RIDGE
from keras_shapley_prune.repair.targets import RecordedTargets
from keras_shapley_prune.trace.batches import rebatch
from keras_shapley_prune.trace.tracer import trace_channels


def batches_of(inputs, size=16):
    flat = keras.tree.flatten(inputs)
    starts = range(0, len(flat[0]), size)
    return [[tf.constant(x[start : start + size]) for x in flat] for start in starts]


def advance_all(model, keep, inputs, ridge=RIDGE, size=16, memory=None):
    """Returns a `Repairer` at the end of its walk, at the full size, with masks."""
    channel_map = trace_channels(model)
    targets = RecordedTargets(memory)
    batches = batches_of(inputs, size)
    whole = copy_whole(model, channel_map)
    found = Repairer(whole, batches, ridge=ridge, targets=targets)
    if keep is not None:
        found.remove(np.flatnonzero(~keep))
    found.advance(len(channel_map.graph.calls))
    return found


def repaired_by(walk):
    return remove_channels(walk.model, walk.keep)


def keep_without(model, **units):
    """Returns a `keep` without the named groups' units at these positions."""
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        keep[group.units[units.get(group.name, [])]] = False
    return keep


def functional(make, shape=(8, 8, 3), seed=0):
    """Returns a model with random weights from what its inputs become."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape)
    return models.randomize(keras.Model(inputs, make(inputs)), seed)


def error(model, expected, inputs):
    outputs = models.outputs_of(model, inputs)
    return sum(np.mean((a - b) ** 2) for a, b in zip(outputs, expected, strict=True))


def assert_same_weights(model, other, atol):
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=atol, err_msg=ours.path)


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "builder", [models.autoencoder, models.depthwise, models.nested, models.shared]
)
def test_the_masked_copy_is_the_smaller_model(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model, 16)
    keep = models.random_keep(trace_channels(model), 0.5)
    walk = advance_all(model, keep, inputs)
    values = walk.values(0)
    walked = [values[t].numpy() for t in walk.channel_map.graph.outputs]
    masked = mask_channels(walk.model, keep)
    expected = models.outputs_of(repaired_by(walk), inputs)
    assert models.relative_difference(walked, expected) < 1e-4
    masked = models.outputs_of(masked, inputs)
    assert models.relative_difference(masked, expected) < 1e-4


def test_repair_channels_is_the_whole_walk():
    model = models.build(models.residual)
    images = models.images(model, 32)
    keep = models.random_keep(trace_channels(model), 0.5)
    expected = repair_channels(model, keep, images, batch_size=16)
    channel_map = trace_channels(model)
    batches = rebatch(batches_of(images), channel_map.graph)
    walk = Repairer(cut_out(model, keep, channel_map), batches)
    walk.advance(len(channel_map.graph.calls))
    assert_same_weights(walk.model, expected, 0)


def test_nothing_is_removed_at_first():
    model = models.build(models.residual)
    images = models.images(model, 8)
    walk = advance_all(model, None, images)
    assert walk.keep.all()
    assert_same_weights(walk.model, model, 0)


def test_the_copy_has_the_size_and_units_of_the_original():
    model = models.build(models.branches)
    channel_map = trace_channels(model)
    walk = Repairer(copy_whole(model, channel_map), batches_of(models.images(model)))
    assert walk.model is not model
    assert [w.shape for w in walk.model.weights] == [w.shape for w in model.weights]
    for ours, theirs in zip(walk.channel_map.groups, channel_map.groups, strict=True):
        assert ours.name == theirs.name
        np.testing.assert_array_equal(ours.units, theirs.units)


def test_position_and_values_move_with_the_walk():
    model = models.build(models.chain)
    channel_map = trace_channels(model)
    images = models.images(model, 6)
    walk = Repairer(copy_whole(model, channel_map), batches_of(images, 4))
    assert (walk.position, walk.num_batches) == (0, 2)
    walk.advance(3)
    assert walk.position == 3
    ahead = walk.look_ahead(1, len(channel_map.graph.calls))
    (output,) = walk.channel_map.graph.outputs
    np.testing.assert_allclose(ahead[output], model(images[4:]), atol=1e-5)
    assert walk.position == 3
    walk.advance(2)
    assert walk.position == 3


def test_the_given_keep_is_not_changed():
    model = models.build(models.chain)
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    walk = Repairer(cut_out(model, keep, channel_map), batches_of(models.images(model)))
    walk.remove(channel_map.groups[0].units[:2])
    assert keep.all()
    assert (~walk.keep).sum() == 2


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", [models.chain, models.residual])
def test_units_can_leave_on_the_way(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    images = models.images(model, 16)
    keep = models.random_keep(channel_map, 0.5)
    walk = Repairer(copy_whole(model, channel_map), batches_of(images), ridge=RIDGE)
    for group in channel_map.groups:
        sites = [
            index
            for (index, _), ids in channel_map.sites.items()
            if np.isin(ids, group.units).any()
        ]
        walk.advance(min(sites))
        walk.remove([unit for unit in group.units if not keep[unit]])
    walk.advance(len(channel_map.graph.calls))
    np.testing.assert_array_equal(walk.keep, keep)
    assert_same_weights(walk.model, advance_all(model, keep, images).model, 1e-6)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("split", [5, 16])
def test_how_the_data_is_split_does_not_matter(split):
    model = models.build(models.residual)
    images = models.images(model, 16)
    keep = models.random_keep(trace_channels(model), 0.5)
    ours = advance_all(model, keep, images, size=split).model
    assert_same_weights(ours, advance_all(model, keep, images, size=8).model, 1e-4)


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", [models.residual, models.shared])
def test_memory_does_not_matter(builder):
    model = models.build(builder)
    images = models.images(model, 16)
    keep = models.random_keep(trace_channels(model), 0.5)
    expected = advance_all(model, keep, images, size=8).model
    small = advance_all(model, keep, images, size=8, memory=1)
    assert_same_weights(small.model, expected, 1e-5)


def solve(x, y, prior, centred):
    """Returns weights and bias of ridge regression towards `prior`, in float64."""
    x, y = x.astype("float64"), y.astype("float64")
    mean_x, mean_y = (a.mean(axis=0) * centred for a in (x, y))
    x, y = x - mean_x, y - mean_y
    strength = RIDGE * (x**2).mean()
    left = x.T @ x / len(x) + strength * np.eye(x.shape[1])
    weights = np.linalg.solve(left, x.T @ y / len(x) + strength * prior)
    return weights, mean_y - mean_x @ weights


@pytest.mark.parametrize("kind", ["bias", "normalization", "neither"])
def test_a_dense_layer_gets_the_weights_of_ridge_regression(kind):
    def make(inputs):
        x = layers.Dense(6, activation="relu", name="first")(inputs)
        x = layers.Dense(3, use_bias=kind == "bias", name="second")(x)
        last = layers.BatchNormalization if kind == "normalization" else layers.Identity
        return last(name="last")(x)

    model = functional(make, shape=(5,))
    images = models.images(model, 40)
    stays = [0, 2, 3, 5]
    keep = keep_without(model, first=[1, 4])
    pruned = repaired_by(advance_all(model, keep, images))
    hidden, second = model.get_layer("first")(images).numpy(), model.get_layer("second")
    target, prior = second(hidden).numpy(), second.kernel.numpy()[stays]
    weights, bias = solve(hidden[:, stays], target, prior, centred=kind != "neither")
    np.testing.assert_allclose(pruned.get_layer("second").kernel, weights, atol=1e-4)
    if kind == "bias":
        np.testing.assert_allclose(pruned.get_layer("second").bias, bias, atol=1e-4)
    if kind == "normalization":
        means = [m.get_layer("last").moving_mean.numpy() for m in (model, pruned)]
        np.testing.assert_allclose(means[0] - means[1], bias, atol=1e-4)
        for name in ("moving_variance", "gamma", "beta"):
            ours, theirs = (getattr(m.get_layer("last"), name) for m in (pruned, model))
            np.testing.assert_array_equal(ours, theirs)


def test_a_bias_cannot_pass_an_activation():
    def make(follow):
        def layers_of(inputs):
            x = layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
            x = layers.Conv2D(5, 3, use_bias=False, activation="relu", name="second")(x)
            return layers.BatchNormalization(name="norm")(x) if follow else x

        return layers_of

    kernels = []
    for follow in (False, True):
        model = functional(make(follow))
        images = models.images(model, 16)
        keep = keep_without(model, first=[0, 3, 5])
        pruned = repaired_by(advance_all(model, keep, images))
        kernels.append(pruned.get_layer("second").kernel.numpy())
    np.testing.assert_array_equal(
        pruned.get_layer("norm").moving_mean, model.get_layer("norm").moving_mean
    )
    np.testing.assert_allclose(kernels[1], kernels[0], atol=1e-5)


@pytest.mark.parametrize("channels", [8, 5])
def test_a_normalization_of_another_axis_takes_no_bias(channels):
    def make(inputs):
        x = layers.Conv2D(8, 3, padding="same", activation="relu", name="a")(inputs)
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name="b")(x)
        return layers.BatchNormalization(axis=1, name="norm")(x)

    model = functional(make)
    images = models.images(model, 16)
    walk = advance_all(model, keep_without(model, a=[0, 3, 5]), images)
    np.testing.assert_array_equal(
        walk.model.get_layer("norm").moving_mean, model.get_layer("norm").moving_mean
    )


@pytest.mark.parametrize("channels", [8, 5])
def test_a_skip_past_a_normalization_of_another_axis(channels):
    def make(inputs):
        x = layers.Conv2D(8, 3, padding="same", activation="relu", name="a")(inputs)
        x = layers.Conv2D(channels, 3, padding="same", name="b")(x)
        y = layers.Conv2D(channels, 3, padding="same", name="c")(x)
        return x + layers.BatchNormalization(axis=1)(y)

    model = functional(make)
    images = models.images(model, 16)
    keep = keep_without(model, a=[0, 3, 5])
    expected = models.outputs_of(model, images)
    pruned = error(remove_channels(model, keep), expected, images)
    assert (
        error(repaired_by(advance_all(model, keep, images)), expected, images) < pruned
    )


def test_a_layer_that_is_an_output_too_returns_what_it_did():
    def make(with_sum):
        def layers_of(inputs):
            x = layers.Conv2D(8, 3, padding="same", activation="relu", name="a")(inputs)
            x = layers.Conv2D(4, 3, padding="same", name="b")(x)
            y = layers.Conv2D(4, 3, padding="same", name="c")(layers.ReLU()(x))
            return [x + y, y] if with_sum else [x, y]

        return layers_of

    outputs = []
    for with_sum in (False, True):
        model = functional(make(with_sum))
        images = models.images(model, 16)
        keep = keep_without(model, a=[0, 3, 5])
        pruned = repaired_by(advance_all(model, keep, images))
        outputs.append(models.outputs_of(pruned, images)[1])
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-3)


@pytest.mark.parametrize("normalized", [False, True])
def test_the_end_of_a_block_makes_up_for_the_skip(monkeypatch, normalized):
    def make(inputs):
        x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
        x = layers.Conv2D(5, 3, padding="same", name="skip")(x)
        y = layers.Conv2D(24, 3, padding="same", activation="relu", name="inner")(x)
        y = layers.Conv2D(5, 3, padding="same", use_bias=not normalized, name="outer")(
            y
        )
        y = layers.BatchNormalization()(y) if normalized else y
        return layers.Add()([x, y])

    model = functional(make)
    images = models.images(model, 16)
    keep = keep_without(model, stem=[0, 3, 5, 6], inner=[1, 2])
    expected = models.outputs_of(model, images)
    ours = error(repaired_by(advance_all(model, keep, images)), expected, images)
    monkeypatch.setattr(layer_data.SkipCompensation, "__call__", lambda *_: None)
    without = error(repaired_by(advance_all(model, keep, images)), expected, images)
    pruned = error(remove_channels(model, keep), expected, images)
    assert ours < 0.9 * without
    assert without < 0.9 * pruned


def twins(model, *names):
    """Makes every second filter of layers a copy of the one before."""
    for name in names:
        layer = model.get_layer(name)
        transposed = isinstance(layer, layers.Conv2DTranspose)
        for weight in layer.weights:
            if weight.name == "depthwise_kernel":
                continue
            value = weight.numpy()
            axis = -2 if transposed and weight.name == "kernel" else -1
            value = np.moveaxis(value, axis, -1)
            value[..., 1::2] = value[..., 0::2]
            weight.assign(np.moveaxis(value, -1, axis))
    return model


READERS = {
    "conv": lambda x: layers.Conv2D(4, 3, name="last")(x),
    "same": lambda x: layers.Conv2D(4, 3, strides=2, padding="same", name="last")(x),
    "normalized": lambda x: layers.BatchNormalization()(
        layers.Conv2D(4, 3, use_bias=False, name="last")(x)
    ),
    "dense": lambda x: layers.Dense(4, name="last")(
        layers.Flatten()(layers.MaxPooling2D(3)(x))
    ),
    "transposed": lambda x: layers.Conv2DTranspose(4, 3, strides=2, name="last")(x),
    "separable": lambda x: layers.SeparableConv2D(4, 3, name="last")(x),
    "grouped": lambda x: layers.Conv2D(4, 3, groups=2, name="last")(x),
    "activated": lambda x: layers.Conv2D(4, 3, activation="tanh", name="last")(x),
}


@pytest.mark.sweep(1)
@pytest.mark.parametrize("reader", READERS)
def test_twins_leave_without_a_trace(reader):
    filters = 8 if reader == "grouped" else 6
    model = functional(
        lambda x: READERS[reader](
            layers.Conv2D(filters, 3, activation="relu", name="a")(x)
        )
    )
    twins(model, "a")
    if reader == "separable":
        kernel = model.get_layer("last").depthwise_kernel
        kernel.assign(np.repeat(kernel[:, :, ::2], 2, axis=2))
    images = models.images(model, 32)
    keep = keep_without(model, a=[1, 3] if reader == "grouped" else [1, 3, 5])
    expected = models.outputs_of(model, images)
    cut = models.outputs_of(remove_channels(model, keep), images)
    assert models.relative_difference(cut, expected) > 0.1
    walk = advance_all(model, keep, images, ridge=1e-7)
    found = models.outputs_of(repaired_by(walk), images)
    assert models.relative_difference(found, expected) < 1e-3
    fresh = models.images(model, 8, seed=1)
    found = models.outputs_of(repaired_by(walk), fresh)
    expected = models.outputs_of(model, fresh)
    assert models.relative_difference(found, expected) < 5e-3


def test_twins_leave_a_whole_network():
    def make(inputs):
        x = layers.Conv2D(6, 3, use_bias=False, name="a")(inputs)
        x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
        x = layers.Conv2DTranspose(4, 3, activation="relu", name="b")(x)
        x = layers.SeparableConv2D(6, 3, activation="elu", name="c")(x)
        x = layers.Flatten()(layers.AveragePooling2D(2)(x))
        x = layers.Dense(8, activation="tanh", name="d")(x)
        return layers.Dense(3, name="last")(x)

    model = twins(functional(make), "a", "norm", "b", "c", "d")
    depthwise = model.get_layer("c").depthwise_kernel
    depthwise.assign(np.repeat(depthwise[:, :, ::2], 2, axis=2))
    images = models.images(model, 96)
    keep = keep_without(model, a=[1, 3, 5], b=[1, 3], c=[1, 3, 5], d=[1, 3, 5, 7])
    expected = models.outputs_of(model, images)
    walk = advance_all(model, keep, images, ridge=1e-7)
    found = models.outputs_of(repaired_by(walk), images)
    assert models.relative_difference(found, expected) < 1e-3


def test_a_shared_layer_is_fitted_once_over_both_calls(monkeypatch):
    def make(inputs):
        x = layers.Conv2D(8, 3, padding="same", activation="relu", name="a")(inputs)
        x = layers.Conv2D(3, 3, padding="same", name="b")(x)
        shared = layers.Conv2D(4, 3, name="shared")
        return [shared(inputs), shared(x)]

    model = functional(make)
    images = models.images(model, 16)
    keep = keep_without(model, a=[0, 3, 5, 6])
    fitted = []
    refit = Repairer._repair
    monkeypatch.setattr(
        Repairer,
        "_repair",
        lambda self, calls: (fitted.append(calls), refit(self, calls)),
    )
    walk = advance_all(model, keep, images)
    assert [c[0].operation.name for c in fitted] == ["b", "shared"]
    assert [len(c) for c in fitted] == [1, 2]
    repaired = walk.model
    expected = models.outputs_of(model, images)
    before, after = (
        np.mean((a - b) ** 2)
        for a, b in zip(models.outputs_of(repaired, images), expected, strict=True)
    )
    assert before > 0 and after > 0
    layer = repaired.get_layer("shared")
    layer.set_weights(model.get_layer("shared").get_weights())
    # With its old weights the first call is exact and the second one worse.
    unfitted = models.outputs_of(repaired, images)
    assert np.mean((unfitted[1] - expected[1]) ** 2) > after
    assert np.mean((unfitted[1] - expected[1]) ** 2) > before + after


def test_twins_leave_a_shared_layer():
    def make(inputs):
        x = layers.Conv2D(6, 3, padding="same", activation="relu", name="a")(inputs)
        shared = layers.Conv2D(6, 3, padding="same", name="shared")
        y = layers.ReLU()(shared(x))
        return layers.Conv2D(3, 1, name="last")(layers.ReLU()(shared(y)) + x)

    model = twins(functional(make), "a", "shared")
    channel_map = trace_channels(model)
    (group,) = channel_map.groups
    keep = np.ones(channel_map.num_units, bool)
    keep[group.units[1::2]] = False
    images = models.images(model, 32)
    expected = models.outputs_of(model, images)
    walk = advance_all(model, keep, images, ridge=1e-7)
    pruned = repaired_by(walk)
    assert len(pruned.get_layer("shared")._inbound_nodes) == 2
    found = models.outputs_of(pruned, images)
    assert models.relative_difference(found, expected) < 1e-3


@pytest.mark.sweep(1)
@pytest.mark.parametrize("max_columns", [fits.MAX_COLUMNS, 4, 2])
def test_each_group_of_a_convolution_is_fitted_by_itself(monkeypatch, max_columns):
    def make(inputs):
        x = layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
        return layers.Conv2D(6, 1, groups=2, name="second")(x)

    model = functional(make)
    images = models.images(model, 40)
    keep = keep_without(model, first=[1])  # the second and the sixth filter
    monkeypatch.setattr(fits, "MAX_COLUMNS", max_columns)
    monkeypatch.setattr(taken_rows, "ROWS_A_COLUMN", 10**6)
    wide = functools.partial(fits.fit_wide, tolerance=1e-9)
    monkeypatch.setattr(fits, "fit_wide", wide)
    pruned = repaired_by(advance_all(model, keep, images))
    hidden = model.get_layer("first")(images).numpy()
    target = model.get_layer("second")(hidden).numpy()
    kernel = model.get_layer("second").kernel.numpy()
    found, found_bias = (w.numpy() for w in pruned.get_layer("second").weights)
    for group, stays in enumerate(([0, 2, 3], [4, 6, 7])):
        outputs = slice(3 * group, 3 * group + 3)
        weights, constant = solve(
            hidden[..., stays].reshape(-1, 3),
            target[..., outputs].reshape(-1, 3),
            kernel[0, 0, [0, 2, 3], outputs],
            centred=True,
        )
        np.testing.assert_allclose(found[0, 0, :, outputs], weights, atol=1e-4)
        np.testing.assert_allclose(found_bias[outputs], constant, atol=1e-4)
