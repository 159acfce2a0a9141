"""Tests of the check that what was cut computes what was masked."""

import dataclasses

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_shapley_prune
from keras_shapley_prune.cut.surgery import cut_out, remove_channels
from keras_shapley_prune.cut.verification import verify_cut, verify_removal
from keras_shapley_prune.layer_types import registry
from keras_shapley_prune.layer_types.registration import register_layer
from keras_shapley_prune.pruning import prune
from keras_shapley_prune.repair import repair_channels as repair_channels_module
from keras_shapley_prune.repair.repair_channels import repair_channels, repair_layers
from keras_shapley_prune.trace.tracer import trace_channels


@keras.saving.register_keras_serializable(package="verification_test")
class Neighbours(layers.Layer):
    """Adds to every channel the one before it: no channel is by itself."""

    def call(self, inputs):
        return inputs + tf.roll(inputs, 1, axis=-1)


@pytest.fixture
def wrongly_registered(monkeypatch):
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))
    register_layer(Neighbours, flow="keep")
    keras.utils.set_random_seed(0)
    steps = [layers.Conv2D(8, 3), Neighbours(), layers.Flatten(), layers.Dense(3)]
    return keras.Sequential([keras.Input((6, 6, 2)), *steps])


@pytest.mark.sweep(1)
@pytest.mark.parametrize("repair", ["least_squares", "mean", None])
def test_a_wrong_network_is_never_returned(wrongly_registered, repair):
    x = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype("float32")
    with pytest.raises(RuntimeError, match="`register_layer`, its `flow`"):
        prune(wrongly_registered, x, 0.5, repair=repair, verbose=0)
    pruned = prune(wrongly_registered, x, 0.5, repair=repair, verify=False, verbose=0)
    assert pruned.layers[0].filters == 4


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "builder",
    [
        models.two_ends,
        models.nested,
        models.normalized,
        models.attentive,
        models.recurrent,
    ],
)
def test_every_graph_passes(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    inputs = models.inputs_of(model)
    pruned = remove_channels(model, keep, channel_map)
    verify_removal(model, pruned, keep, [(inputs,)], channel_map)


def _cut(model):
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    inputs = models.images(model, 4)
    return remove_channels(model, keep, channel_map), keep, inputs, channel_map


def test_a_small_difference_is_found():
    model = models.build(models.chain)
    pruned, *rest = _cut(model)
    verify_removal(model, pruned, *rest)
    bias = pruned.layers[-1].bias
    largest = np.abs(model(rest[1])).max()
    bias[0].assign(bias[0] + 5e-3 * largest)
    with pytest.raises(RuntimeError, match="that differ by up to"):
        verify_removal(model, pruned, *rest)
    bias.assign(bias * np.nan)
    with pytest.raises(RuntimeError):
        verify_removal(model, pruned, *rest)


def test_another_shape_is_found():
    model = models.build(models.chain)
    pruned, *rest = _cut(model)
    wider = keras.Sequential([pruned, layers.Dense(7)])
    with pytest.raises(RuntimeError, match=r"\(4, 7\) instead of"):
        verify_removal(model, wider, *rest)


def test_what_is_not_finite_in_both_is_right():
    model = models.fresh(models.chain)
    model.layers[-1].bias.assign(model.layers[-1].bias * np.nan)
    pruned, *rest = _cut(model)
    verify_removal(model, pruned, *rest)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_rounds_more(policy):
    keras.utils.set_random_seed(0)
    with_policy = {"dtype": policy}
    steps = [
        layers.Conv2D(16, 3, activation="relu", **with_policy),
        layers.Conv2D(16, 3, activation="relu", **with_policy),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5),
    ]
    model = keras.Sequential([keras.Input((9, 9, 3)), *steps])
    pruned, *rest = _cut(model)
    verify_removal(model, pruned, *rest)
    bias = pruned.layers[-1].bias
    bias.assign(bias + 10.0)
    with pytest.raises(RuntimeError):
        verify_removal(model, pruned, *rest)


def test_without_repair_one_batch_is_read():
    model = models.build(models.chain)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    read = []

    def batches():
        for number in range(5):
            read.append(number)
            yield models.images(model, 4)

    repair_channels(model, keep, batches(), repair=None)
    assert read == [0]
    repair_channels(model, keep, None, repair=None, verify=False)
    assert read == [0]


def test_in_the_public_form():
    """Traced by itself, data as `predict` takes it, and no more of it than needed."""
    model = models.build(models.chain)
    pruned, keep, x, _ = _cut(model)
    keras_shapley_prune.verify_removal(model, pruned, keep, x)
    batches = [x, "is not read"]
    keras_shapley_prune.verify_removal(model, pruned, keep, batches, batch_size=2)
    with pytest.raises(ValueError, match="Argument `dataset`"):
        keras_shapley_prune.verify_removal(model, pruned, keep, x[..., :1, :])
    with pytest.raises(ValueError, match="Argument `keep`"):
        keras_shapley_prune.verify_removal(model, pruned, keep[1:], x)


@pytest.mark.eager
def test_prune_checks_what_it_has_repaired(monkeypatch):
    checked = []
    monkeypatch.setattr(
        repair_channels_module, "verify_cut", lambda *args: checked.append(args)
    )
    model = models.build(models.chain)
    x = models.images(model, 16)
    pruned = prune(model, x, 0.5, ranker="l1_norm", verbose=0)
    ((cut, *_),) = checked
    assert cut.model is pruned
    prune(model, x, 0.5, ranker="l1_norm", verify=False, verbose=0)
    assert len(checked) == 1


@pytest.mark.sweep(2)
@pytest.mark.parametrize("batch_size", [0, -4, True, None])
def test_sizes_of_no_example(batch_size):
    model = models.build(models.chain)
    keep = models.random_keep(trace_channels(model), 0.5)
    smaller = remove_channels(model, keep)
    with pytest.raises(ValueError, match="`batch_size` should be an integer"):
        verify_removal(model, smaller, keep, models.images(model), None, batch_size)


def test_an_empty_batch_shows_nothing():
    model = models.build(models.chain)
    keep = models.random_keep(trace_channels(model), 0.5)
    smaller, images = remove_channels(model, keep), models.images(model)
    with pytest.raises(ValueError, match="an empty batch"):
        verify_removal(model, smaller, keep, [images[:0], images])


@pytest.mark.sweep(2)
@pytest.mark.parametrize("names", [("r", "s"), ("p",), None])
def test_outputs_in_other_places_are_noticed(names):
    def build(names):
        inputs = keras.Input((3,))
        first = layers.Dense(4, name="first")(inputs)
        heads = [layers.Dense(2, name=f"head{i}")(first) for i in range(2)]
        outputs = heads if names is None else dict(zip(names, heads, strict=False))
        return keras.Model(inputs, outputs)

    model, other = models.randomize(build(("p", "q"))), build(names)
    for layer in other.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    keep = np.ones(trace_channels(model).num_units, bool)
    verify_removal(model, remove_channels(model, keep), keep, models.images(model))
    with pytest.raises(RuntimeError, match=r"outputs at .* instead of"):
        verify_removal(model, other, keep, models.images(model))


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", [models.residual, models.nested, models.attentive])
def test_a_cut_is_right_whatever_its_weights_are_now(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    cut = cut_out(model, keep, channel_map)
    data = [(models.inputs_of(model),)]
    generator = np.random.default_rng(0)
    for weight in cut.model.trainable_weights:
        noise = generator.normal(scale=0.1, size=weight.shape)
        weight.assign(weight + noise.astype("float32"))
    verify_cut(cut, data)
    with pytest.raises(RuntimeError):  # the original has other weights
        verify_removal(model, cut.model, keep, data, channel_map)


def test_slices_of_other_channels_than_those_masked_are_found():
    """Repair makes a good network of them, but not the one that was ranked."""
    model = models.build(models.chain)
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups("conv1")
    keep = np.ones(channel_map.num_units, bool)
    keep[group.units[:3]] = False
    data = [(models.inputs_of(model),)]
    cut = cut_out(model, keep, channel_map)
    repair_layers(cut, [(list(data[0]),)], "least_squares")
    verify_cut(cut, data)
    layer_ids = dict(channel_map.layer_ids)
    reader = model.get_layer("conv2")
    letters = dict(layer_ids[reader])
    letters["c"] = np.roll(letters["c"], 1)  # the axis of its kernel that reads
    layer_ids[reader] = letters
    wrong = dataclasses.replace(channel_map, layer_ids=layer_ids)
    cut = cut_out(model, keep, wrong)
    repair_layers(cut, [(list(data[0]),)], "least_squares")
    with pytest.raises(RuntimeError):
        verify_cut(cut, data)


@pytest.mark.parametrize("outer", [list, tuple, lambda x: {"only": x[0]}])
def test_a_list_of_one_output(outer):
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = models.randomize(keras.Model([inputs], outer([outputs])))
    pruned = prune(model, models.images(model, 8), 0.5, verbose=0)
    assert pruned.layers[1].filters == 4


def test_outputs_that_are_finite_in_the_original_only():
    """Both networks have the same repaired weights, and so the same NaN."""
    model = models.fresh(models.chain)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    cut = cut_out(model, keep, channel_map)
    data = [(models.images(model, 4),)]
    verify_cut(cut, data)
    bias = cut.model.layers[-1].bias
    for number in (np.nan, np.inf):  # of which the activation makes NaN
        bias.assign(np.full(bias.shape, number))
        with pytest.raises(RuntimeError, match=r"finite where .* model: NaN in output"):
            verify_cut(cut, data)
    # Where the original's are not finite either, nothing is said.
    model.layers[-1].bias.assign(model.layers[-1].bias * np.inf)
    verify_cut(cut, data)


def test_a_model_that_takes_the_logarithm_of_zero():
    inputs = keras.Input((4,))
    x = layers.Dense(6, "relu", kernel_initializer="ones", name="units")(inputs)
    model = keras.Model(inputs, ops.log(ops.relu(layers.Dense(3)(x))))
    data = np.zeros((4, 4), "float32")
    assert np.isinf(model(data)).all()
    smaller = prune(model, data, ranker="l1_norm", repair="mean", verbose=0)
    assert np.isinf(smaller(data)).all()
