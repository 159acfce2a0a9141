"""Tests of what surgery carries over. That it is exact is in `masking_test.py`."""

import json

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.cut.layer_copies import (
    check_copies,
    cut_weight,
    embed_weight,
)
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import cut_out, remove_channels
from keras_shapley_prune.trace.tracer import trace_channels


def _halve(model):
    """Returns `(pruned, keep, channel map)` with random halves removed."""
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    return remove_channels(model, keep, channel_map), keep, channel_map


def _check_exact(model):
    """Cuts and masks a model; returns the pruned one, which must be the same."""
    inputs = models.inputs_of(model)
    pruned, keep, channel_map = _halve(model)
    masked = mask_channels(model, keep, channel_map)
    outputs = [models.outputs_of(m, inputs) for m in (pruned, masked)]
    assert models.relative_difference(*outputs) < 1e-4
    return pruned


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_the_argument_is_not_changed(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    pruned, *_ = _halve(model)
    for variable in pruned.variables:
        variable.assign(keras.ops.zeros_like(variable))
    assert models.snapshot(model, inputs) == before


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_removing_nothing_gives_an_equal_copy(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    pruned = remove_channels(model, np.ones(trace_channels(model).num_units, bool))
    outputs = [models.outputs_of(m, inputs) for m in (pruned, model)]
    assert models.relative_difference(*outputs) < 1e-6
    assert len(pruned.weights) == len(model.weights)
    for copy, original in zip(pruned.weights, model.weights, strict=True):
        assert copy is not original
        np.testing.assert_array_equal(copy, original)
    assert not {id(x) for x in pruned.layers} & {id(x) for x in model.layers}


SIZES = {"filters", "units", "target_shape", "groups", "projection_dim", "num_heads"}
SIZES |= {"output_shape", "num_query_heads", "num_key_value_heads"}
SIZES |= {"layer", "backward_layer"}  # of Bidirectional: their configs


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_names_kinds_and_structure_are_carried_over(builder):
    model = models.build(builder)
    pruned, *_ = _halve(model)
    assert pruned.name == model.name
    assert [x.name for x in pruned.layers] == [x.name for x in model.layers]
    assert [type(x) for x in pruned.layers] == [type(x) for x in model.layers]
    # A weight that a layer gives no name is `variable`, `variable_1`, ...
    named = [[w.name.split("variable")[0] for w in m.weights] for m in (pruned, model)]
    assert named[0] == named[1]
    assert isinstance(pruned, keras.Sequential) == isinstance(model, keras.Sequential)
    assert [x.name for x in pruned.inputs] == [x.name for x in model.inputs]
    if not isinstance(model, keras.Sequential):
        assert pruned.output_names == model.output_names
        keras.tree.assert_same_structure(pruned.input, model.input)
        keras.tree.assert_same_structure(pruned.output, model.output)
    assert [x.shape for x in pruned.outputs] == [x.shape for x in model.outputs]
    assert not pruned.compiled
    functional = type(keras.Model(pruned.inputs, pruned.outputs))
    assert type(pruned) in (keras.Sequential, functional)
    for copy, original in zip(pruned.layers, model.layers, strict=True):
        assert type(copy).__module__.startswith("keras.")  # stock classes only
        if not isinstance(original, keras.Model):
            ours, theirs = copy.get_config(), original.get_config()
            changed = {name for name in theirs if str(ours[name]) != str(theirs[name])}
            assert changed <= SIZES


def test_weights_are_the_kept_slices():
    model = models.build(models.chain)
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    conv1, conv2 = channel_map.groups[:2]
    keep[conv1.units[[0, 3]]] = False
    keep[conv2.units[[1]]] = False
    pruned = remove_channels(model, keep, channel_map)
    in1, in2 = np.r_[1:3, 4:8], np.r_[0:1, 2:12]
    kernel1 = model.get_layer("conv1").kernel.numpy()
    kernel2 = model.get_layer("conv2").kernel.numpy()
    dense = model.get_layer("dense1").kernel.numpy().reshape(4, 12, 10)[:, in2]
    variance = model.get_layer("bn1").moving_variance.numpy()
    for ours, theirs in (
        (pruned.get_layer("conv1").kernel, kernel1[..., in1]),
        (pruned.get_layer("bn1").moving_variance, variance[in1]),
        (pruned.get_layer("conv2").kernel, kernel2[:, :, in1][..., in2]),
        (pruned.get_layer("dense1").kernel, dense.reshape(44, 10)),
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("builder", [models.chain, models.residual])
def test_trainable_flags_are_carried_over(builder):
    model = models.fresh(builder)
    for layer in model.layers[1::2]:
        layer.trainable = False
    pruned, *_ = _halve(model)
    flags = {layer.name: layer.trainable for layer in model.layers}
    assert {layer.name: layer.trainable for layer in pruned.layers} == flags
    assert [w.path for w in pruned.trainable_weights] == [
        w.path for w in model.trainable_weights
    ]


@pytest.mark.parametrize("builder", [models.chain, models.residual])
def test_a_frozen_model_stays_frozen(builder):
    model = models.fresh(builder)
    model.trainable = False
    pruned, *_ = _halve(model)
    assert not pruned.trainable_weights
    assert pruned.trainable is False


def test_trainable_flags_inside_a_nested_model_are_carried_over():
    model = models.fresh(models.nested)
    model.get_layer("inner").get_layer("inner_norm").trainable = False
    pruned, *_ = _halve(model)
    inner = pruned.get_layer("inner")
    assert inner.get_layer("inner_conv").trainable
    assert not inner.get_layer("inner_norm").trainable


def test_dtype_policies_are_carried_over():
    inputs = keras.Input((8, 8, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255, dtype="mixed_bfloat16")(inputs)
    x = layers.Conv2D(6, 3, dtype="mixed_bfloat16", name="mixed")(x)
    x = layers.GlobalAveragePooling2D(dtype="mixed_bfloat16")(x)
    x = layers.Dense(6, dtype="float64", name="double")(x)
    model = keras.Model(inputs, layers.Dense(3, dtype="float32", name="last")(x))
    pruned, keep, channel_map = _halve(model)
    policies = [layer.dtype_policy.name for layer in model.layers]
    assert [layer.dtype_policy.name for layer in pruned.layers] == policies
    assert pruned.inputs[0].dtype == "uint8"
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), "uint8")
    masked = mask_channels(model, keep, channel_map)
    outputs = [models.outputs_of(m, x) for m in (pruned, masked)]
    assert models.relative_difference(*outputs) < 2e-2  # bfloat16


def test_a_global_policy_is_not_needed_to_cut_a_mixed_model():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.build(models.chain)
    finally:
        keras.config.set_dtype_policy("float32")
    pruned, keep, channel_map = _halve(model)
    assert {x.dtype_policy.name for x in pruned.layers} == {"mixed_bfloat16"}
    assert {w.dtype for w in pruned.weights} == {"float32"}
    inputs = models.inputs_of(model)
    masked = mask_channels(model, keep, channel_map)
    outputs = [models.outputs_of(m, inputs) for m in (pruned, masked)]
    assert models.relative_difference(*outputs) < 5e-2


def test_regularizers_constraints_and_initializers_are_carried_over():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(
        4,
        3,
        kernel_regularizer=keras.regularizers.L2(0.03),
        bias_regularizer="l1",
        kernel_constraint=keras.constraints.MaxNorm(2.0),
        kernel_initializer=keras.initializers.HeNormal(seed=4),
        activity_regularizer=keras.regularizers.L1(0.1),
        name="conv",
    )(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    pruned = _check_exact(model)
    conv, original = pruned.get_layer("conv"), model.get_layer("conv")
    assert json.dumps(conv.get_config()) == json.dumps(
        {**original.get_config(), "filters": 2}
    )
    assert float(conv.kernel.regularizer(np.ones(1))) == pytest.approx(0.03)
    assert conv.kernel.constraint is not None
    pruned(models.images(model))
    assert len(pruned.losses) == 3


def _swish_like(x):
    return x * keras.ops.sigmoid(1.5 * x)


def _squares(weights):
    return 0.01 * keras.ops.sum(weights**2)


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dense(6, activation=_swish_like, name="odd"),
        lambda: layers.Dense(6, activation=lambda x: x * x, name="odd"),
        pytest.param(
            lambda: layers.Dense(6, kernel_regularizer=_squares, name="odd"),
            marks=pytest.mark.skipif(
                keras.version() < "3.15", reason="Keras took no function there"
            ),
        ),
        lambda: layers.Dense(6, activation=layers.LeakyReLU(0.2), name="odd"),
        lambda: layers.Activation(_swish_like, name="odd"),
        lambda: layers.Lambda(lambda x: 2 * x, name="odd"),
        lambda: layers.Lambda(_swish_like, name="odd"),
        lambda: layers.Lambda(lambda x, by: by * x, arguments={"by": 3}, name="odd"),
        lambda: layers.Lambda(lambda x: x, output_shape=lambda s: s, name="odd"),
        lambda: layers.Lambda(lambda x: x, mask=lambda x, mask: mask, name="odd"),
        lambda: layers.Lambda(lambda x: x, output_shape=(5,), name="odd"),
    ],
)
def test_layers_with_functions_that_keras_cannot_save(layer):
    inputs = keras.Input((4,))
    x = layers.Dense(5, name="before")(inputs)
    x = layers.Dense(6, activation="relu", name="free")(layer()(x))
    model = models.randomize(keras.Model(inputs, layers.Dense(2, name="last")(x)))
    pruned = _check_exact(model)
    assert pruned.get_layer("free").units == 3
    assert pruned.get_layer("odd") is not model.get_layer("odd")


@pytest.mark.parametrize("sequential", [False, True])
def test_a_nested_model_with_a_function_that_keras_cannot_save(sequential):
    inner = keras.Sequential(
        [keras.Input((5,)), layers.Dense(4, activation=lambda x: x * x, name="odd")]
    )
    steps = [
        layers.Dense(5, name="before"),
        inner,
        layers.Dense(6, name="free"),
        layers.Dense(2, name="last"),
    ]
    model = keras.Sequential([keras.Input((4,)), *steps])
    if not sequential:
        model = keras.Model(model.inputs, model.outputs)
    assert _check_exact(models.randomize(model)).get_layer("free").units == 3


def test_inputs_without_names_keep_the_names_they_got():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    x = layers.Dense(4, name="hidden")(layers.Add()(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    pruned, *_ = _halve(model)
    assert [t.name for t in pruned.inputs] == [t.name for t in inputs]


def test_a_fixed_batch_size_is_carried_over():
    model = keras.Sequential(
        [keras.Input((3,), batch_size=4), layers.Dense(4), layers.Dense(2)]
    )
    pruned, *_ = _halve(model)
    assert pruned.input_shape == (4, 3)
    assert pruned.layers[0].units == 2


def test_unknown_spatial_sizes():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    x = layers.UpSampling2D()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(2, name="last")(x)))
    pruned, keep, channel_map = _halve(model)
    masked = mask_channels(model, keep, channel_map)
    for size in (7, 10):
        x = np.random.default_rng(size).normal(size=(2, size, size + 1, 3))
        outputs = [models.outputs_of(m, x.astype("float32")) for m in (pruned, masked)]
        assert models.relative_difference(*outputs) < 1e-4
    assert pruned.get_layer("conv").filters == 3


def test_one_unit_can_be_all_that_stays():
    model = models.build(models.residual)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 1.0)
    pruned = remove_channels(model, keep, channel_map)
    assert pruned.get_layer("stem").filters == pruned.get_layer("outer1").filters == 1
    inputs = models.inputs_of(model)
    masked = mask_channels(model, keep, channel_map)
    outputs = [models.outputs_of(m, inputs) for m in (pruned, masked)]
    assert models.relative_difference(*outputs) < 1e-4


def test_a_pruned_model_can_be_pruned_again():
    model = models.build(models.branches)
    once, *_ = _halve(model)
    twice = _check_exact(once)
    assert model.count_params() > once.count_params() > twice.count_params()


def test_keep_is_checked():
    model = models.build(models.chain)
    channel_map = trace_channels(model)
    with pytest.raises(ValueError, match="Argument `keep`"):
        remove_channels(model, np.zeros(channel_map.num_units, bool))


def test_a_layer_that_cannot_be_made_anew_is_named():
    class Sized(layers.Layer):
        def __init__(self, size, **kwargs):
            super().__init__(**kwargs)
            self.size = [size]

        def call(self, inputs):
            return inputs * len(self.size)

        def get_config(self):
            return super().get_config()

    inputs = keras.Input((4,))
    x = Sized(3, name="sized")(layers.Dense(6, name="hidden")(inputs))
    x = layers.Dense(5, name="free")(x)
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    with pytest.raises(ValueError, match=r"layer 'sized'.*Sized.*size"):
        check_copies(trace_channels(model).graph)
    with pytest.raises(ValueError, match=r"layer 'sized'"):
        _halve(model)


def test_a_preprocessing_normalization_keeps_its_statistics():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Normalization(),
            layers.Dense(6, activation="relu"),
            layers.Dense(2),
        ]
    )
    images = np.random.default_rng(0).normal(3, 5, (50, 4)).astype("float32")
    model.layers[0].adapt(images)
    keep = np.ones(trace_channels(model).num_units, bool)
    copied = models.outputs_of(remove_channels(model, keep), images)
    assert models.relative_difference(copied, models.outputs_of(model, images)) < 1e-6


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_the_graph_of_a_cut_computes_what_its_model_does(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    cut = cut_out(model, models.random_keep(channel_map, 0.5), channel_map)
    inputs = models.inputs_of(model)
    found = keras.tree.flatten(cut.graph.run(inputs))
    expected = models.outputs_of(cut.model, inputs)
    assert models.relative_difference([x.numpy() for x in found], expected) < 1e-5


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_weights_that_are_put_back_are_in_their_old_places(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    cut = cut_out(model, models.random_keep(channel_map, 0.5), channel_map)
    changed = 0
    for layer in filter(lambda o: isinstance(o, keras.Layer), cut.operations):
        kept_at = cut.kept_at(layer)
        for weight in layer.weights:
            whole = keras.ops.convert_to_numpy(weight)
            marked = cut_weight(layer, weight, whole + 1, kept_at)
            found = embed_weight(layer, weight, marked, kept_at)
            # What is kept has the new value, all else its own.
            assert set(np.unique(np.round(found - whole))) <= {0, 1}
            np.testing.assert_allclose(
                cut_weight(layer, weight, found, kept_at), marked, rtol=1e-6
            )
            assert np.sum(found - whole > 0.5) == marked.size
            changed += found.size - marked.size
    assert changed > 0
