"""Tests of copies whose normalizations are folded into the layers before them."""

import keras
import models
import nested_models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.deploy import fold_normalization as module
from keras_shapley_prune.deploy.fold_normalization import fold_normalization
from keras_shapley_prune.trace.functional_models import with_layers
from keras_shapley_prune.trace.tracer import trace_channels

pytestmark = pytest.mark.eager
TOLERANCES = {"float32": 1e-5, "float64": 1e-12, "float16": 1e-2, "bfloat16": 5e-2}


def normalizations(model):
    """Returns the names of the BatchNormalizations at all levels of a model."""
    found = model._flatten_layers()
    return {x.name for x in found if isinstance(x, layers.BatchNormalization)}


def check(model, num_folded, tolerance=1e-5):
    """Folds a model, compares the two, and returns the folded one."""
    models.randomize(model)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    folded = fold_normalization(model)
    assert models.snapshot(model, inputs) == before
    count = len(normalizations(model)) - len(normalizations(folded))
    assert count == num_folded
    expected, received = (models.outputs_of(m, inputs) for m in (model, folded))
    assert models.relative_difference(received, expected) < tolerance
    kept = [x.name for x in with_layers(folded)]
    names = [x.name for x in with_layers(model)]
    assert [name for name in names if name in kept] == kept
    assert not {id(w) for w in model.weights} & {id(w) for w in folded.weights}
    assert type(folded) is type(model)
    return folded


def around(*inside, shape=(6, 6, 4)):
    """Returns a functional model that calls layers one after the other."""
    inputs = keras.Input(shape)
    x = inputs
    for layer in inside:
        x = layer(x)
    return keras.Model(inputs, layers.Flatten()(layers.ReLU()(x)))


def basic_resnet():
    """Two residual blocks, one with a normalized projection."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_bn")(x))
    for width, strides in ((4, 1), (6, 2)):
        y = layers.Conv2D(width, 3, strides, "same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(width, 3, padding="same")(y)
        y = layers.BatchNormalization()(y)
        if strides > 1:
            x = layers.Conv2D(width, 1, strides)(x)
            x = layers.BatchNormalization()(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x), name="resnet")


def mobilenet(activation="softmax"):
    """Depthwise and pointwise convolutions, in a Sequential model."""
    model = keras.Sequential([keras.Input((8, 8, 3))], name="mobilenet")
    for width in (4, 6):
        model.add(layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False))
        model.add(layers.BatchNormalization(epsilon=0.1))
        model.add(layers.ReLU(6.0))
        model.add(layers.Conv2D(width, 1, use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(3, activation=activation))
    return model


@pytest.mark.parametrize(("build", "count"), [(basic_resnet, 6), (mobilenet, 4)])
def test_all_normalizations_of_a_network_go(build, count):
    folded = check(build(), count)
    assert not normalizations(folded)
    assert all(layer.use_bias for layer in folded.layers if hasattr(layer, "use_bias"))


NO_BIAS = {"use_bias": False}
LINEAR = [
    (layers.Dense, (5,), NO_BIAS, (4,)),
    (layers.Dense, (5,), {}, (6, 4)),
    (layers.EinsumDense, ("abc,dc->abd", (6, 5)), {}, (6, 4)),
    (layers.EinsumDense, ("...b,bc->...c", (5,)), {"bias_axes": "c"}, (4,)),
    (layers.Conv1D, (5, 3), {"padding": "causal", **NO_BIAS}, (6, 4)),
    (layers.Conv3D, (5, 2), {}, (3, 4, 5, 4)),
    (layers.Conv2D, (6, 3), {"groups": 2, **NO_BIAS}, (6, 6, 4)),
    (layers.Conv2D, (8, 3), {"groups": 4}, (6, 6, 4)),
    (layers.DepthwiseConv1D, (3,), NO_BIAS, (6, 4)),
    (layers.DepthwiseConv2D, (3,), {"depth_multiplier": 2}, (6, 6, 4)),
    (layers.SeparableConv1D, (5, 3), {}, (6, 4)),
    (layers.SeparableConv2D, (5, 3), NO_BIAS, (6, 6, 4)),
    (layers.Conv1DTranspose, (5, 2), {"strides": 2}, (6, 4)),
    (layers.Conv2DTranspose, (5, 3), NO_BIAS, (6, 6, 4)),
    (layers.Conv3DTranspose, (5, 2), {}, (3, 4, 5, 4)),
]


@pytest.mark.parametrize(("kind", "sizes", "options", "shape"), LINEAR)
def test_every_linear_layer_takes_a_normalization(kind, sizes, options, shape):
    model = around(kind(*sizes, **options), layers.BatchNormalization(), shape=shape)
    folded = check(model, 1)
    new = set() if model.layers[1].bias is not None else {"bias"}
    names = [{w.name for w in m.layers[1].weights} for m in (model, folded)]
    assert names[1] - names[0] == new


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_normalizations_without_center_or_scale(center, scale):
    norm = layers.BatchNormalization(center=center, scale=scale, epsilon=0.2)
    check(around(layers.Conv2D(5, 3), norm), 1)


def test_the_weights_are_those_of_the_formula():
    model = around(layers.Dense(3, name="d"), layers.BatchNormalization(), shape=(2,))
    models.randomize(model)
    kernel, bias = model.get_layer("d").get_weights()
    norm = model.layers[2]
    factor = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    folded = fold_normalization(model).get_layer("d").get_weights()
    np.testing.assert_allclose(folded[0], kernel * factor, rtol=1e-6)
    bias = (bias - norm.moving_mean.numpy()) * factor + norm.beta.numpy()
    np.testing.assert_allclose(folded[1], bias, rtol=1e-5)


@pytest.mark.parametrize(
    "policy", ["float64", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16"]
)
def test_other_number_formats(policy):
    conv = layers.Conv2D(5, 3, dtype=policy, use_bias=False)
    norm = layers.BatchNormalization(dtype=policy)
    model = around(conv, norm)
    folded = check(model, 1, TOLERANCES[policy.removeprefix("mixed_")])
    copied = folded.get_layer(conv.name)
    assert copied.dtype_policy.name == policy
    assert [w.dtype for w in copied.weights] == [conv.kernel.dtype] * 2


def relu_between():
    return around(layers.Conv2D(5, 3, activation="relu"), layers.BatchNormalization())


def layer_between():
    inside = layers.Conv2D(5, 3), layers.MaxPooling2D(), layers.BatchNormalization()
    return around(*inside)


def behind_an_addition():
    inputs = keras.Input((6, 6, 4))
    x = layers.Add()([layers.Conv2D(4, 1)(inputs), inputs])
    return keras.Model(inputs, layers.BatchNormalization()(x))


def read_twice():
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(5, 3)(inputs)
    return keras.Model(inputs, layers.Add()([layers.BatchNormalization()(x), x]))


def also_an_output():
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(5, 3)(inputs)
    return keras.Model(inputs, [x, layers.ReLU()(layers.BatchNormalization()(x))])


def returned_by_name():
    inputs = keras.Input((6, 6, 4))
    ends = [layers.BatchNormalization()(layers.Conv2D(5, 3)(inputs)) for _ in range(2)]
    return keras.Model(inputs, ends)


def batch_statistics():
    inputs = keras.Input((6, 6, 4))
    x = layers.BatchNormalization()(layers.Conv2D(5, 3)(inputs), training=True)
    return keras.Model(inputs, layers.ReLU()(x))


def batch_statistics_of_a_nested_model():
    inputs = keras.Input((6, 6, 4))
    inner = around(layers.Conv2D(5, 3), layers.BatchNormalization())
    return keras.Model(inputs, inner(inputs, training=True))


def other_axis():
    return around(layers.Conv2D(5, 3), layers.BatchNormalization(axis=1))


def shared_layer():
    inputs, conv = keras.Input((6, 6, 4)), layers.Conv2D(5, 3)
    x = layers.BatchNormalization()(conv(inputs))
    return keras.Model(inputs, layers.Add()([x, conv(inputs)]))


def shared_normalization():
    inputs, norm = keras.Input((6, 6, 4)), layers.BatchNormalization()
    ends = [norm(layers.Conv2D(5, 3)(inputs)) for _ in range(2)]
    return keras.Model(inputs, layers.Add()(ends))


def two_normalizations():
    inputs, conv = keras.Input((6, 6, 4)), layers.Conv2D(5, 3)
    ends = [layers.BatchNormalization()(conv(inputs)) for _ in range(2)]
    return keras.Model(inputs, layers.Add()(ends))


def also_in_a_wrapper():
    inputs, conv = keras.Input((6, 6, 4)), layers.Conv1D(4, 3, padding="same")
    x = layers.TimeDistributed(conv)(inputs)
    y = layers.BatchNormalization()(conv(layers.Reshape((36, 4))(inputs)))
    return keras.Model(inputs, layers.Add()([x, layers.Reshape((6, 6, 4))(y)]))


def held_by_another_layer():
    inputs, dense = keras.Input((4,)), layers.Dense(5)
    x = layers.SpectralNormalization(dense)(inputs)
    y = layers.BatchNormalization()(dense(inputs))
    return keras.Model(inputs, layers.Add()([x, y]))


def border_of_a_nested_model():
    inputs = keras.Input((6, 6, 4))
    inner = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(5, 3)])
    return keras.Model(
        inputs, layers.ReLU()(layers.BatchNormalization()(inner(inputs)))
    )


def constrained():
    conv = layers.Conv2D(5, 3, kernel_constraint=keras.constraints.UnitNorm())
    return around(conv, layers.BatchNormalization())


def constrained_bias():
    conv = layers.Conv2D(5, 3, use_bias=False, bias_constraint="non_neg")
    return around(conv, layers.BatchNormalization())


def regularized_activity():
    conv = layers.Conv2D(5, 3, activity_regularizer="l2")
    return around(conv, layers.BatchNormalization())


def other_number_format():
    conv = layers.Conv2D(5, 3, dtype="mixed_bfloat16")
    return around(conv, layers.BatchNormalization(dtype="float32"))


def low_rank_update():
    dense = layers.Dense(5)
    model = around(dense, layers.BatchNormalization())
    dense.enable_lora(2)
    return model


def bias_along_another_axis():
    einsum = layers.EinsumDense("abc,cd->abd", (6, 5), bias_axes="bd")
    return around(einsum, layers.BatchNormalization(), shape=(6, 4))


@pytest.mark.parametrize(
    "build",
    [
        relu_between,
        layer_between,
        behind_an_addition,
        read_twice,
        also_an_output,
        returned_by_name,
        batch_statistics,
        batch_statistics_of_a_nested_model,
        other_axis,
        shared_layer,
        shared_normalization,
        two_normalizations,
        also_in_a_wrapper,
        held_by_another_layer,
        border_of_a_nested_model,
        constrained,
        constrained_bias,
        regularized_activity,
        other_number_format,
        low_rank_update,
        bias_along_another_axis,
    ],
)
def test_what_would_not_be_exact_stays(build):
    check(build(), 0, 1e-2)


def test_a_pair_that_is_called_together_is_folded_once():
    inputs = [keras.Input((6, 6, 4), name=name) for name in "ab"]
    conv, norm = layers.Conv2D(5, 3), layers.BatchNormalization()
    ends = [layers.ReLU()(norm(conv(x))) for x in inputs]
    check(keras.Model(inputs, layers.Subtract()(ends)), 1)


def test_layers_at_every_time_step():
    inside = layers.Conv1D(5, 3, use_bias=False), layers.BatchNormalization()
    folded = check(around(*map(layers.TimeDistributed, inside)), 1)
    assert [type(x).__name__ for x in folded.layers][1:3] == ["TimeDistributed", "ReLU"]


@pytest.mark.sweep(3)
@pytest.mark.parametrize("build", nested_models.BUILDERS)
def test_nested_models_stay_nested(build):
    model = models.fresh(build)
    folded = check(model, _count_pairs(model), 1e-2)
    flags = {x.name: x.trainable for x in with_layers(model)}
    assert all(x.trainable == flags[x.name] for x in with_layers(folded))


def _count_pairs(model):
    """Returns how many normalizations there are whose input is a linear layer's."""
    sources = [
        layer.input._keras_history.operation
        for layer in with_layers(model)
        if isinstance(layer, layers.BatchNormalization)
        and len(layer._inbound_nodes) == 1
    ]
    linear = layers.Conv2D, layers.Dense, layers.DepthwiseConv2D
    activations = [x.activation for x in sources if isinstance(x, linear)]
    return activations.count(keras.activations.linear)


def test_a_pair_within_nested_models_that_are_called_twice():
    inner = around(layers.Conv2D(5, 3, name="c"), layers.BatchNormalization(name="b"))
    outer = keras.Sequential([keras.Input((6, 6, 4)), inner, layers.Dense(3)])
    inputs = [keras.Input((6, 6, 4), name=name) for name in "xy"]
    model = keras.Model(inputs, layers.Add()([outer(x) for x in inputs]))
    model.layers[2].layers[0].get_layer("c").trainable = False
    folded = check(model, 1)
    assert isinstance(folded.layers[2], keras.Sequential)
    conv = folded.layers[2].layers[0].get_layer("c")
    assert conv.use_bias
    assert not conv.trainable


def test_it_is_compiled_like_the_original_and_can_be_trained():
    model = models.randomize(mobilenet())
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = models.inputs_of(model, 12), np.arange(12) % 3
    model.fit(x, y, verbose=0)
    folded = fold_normalization(model)
    assert type(folded.optimizer) is type(model.optimizer)
    assert folded.optimizer is not model.optimizer
    assert int(folded.optimizer.iterations) == 0
    expected = model.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(folded.evaluate(x, y, verbose=0), expected, rtol=1e-4)
    before = folded.get_weights()
    folded.fit(x, y, verbose=0)
    changed = zip(before, folded.get_weights(), strict=True)
    assert all(np.any(a != b) for a, b in changed)


def test_names_of_outputs_in_a_dict_of_losses_are_kept():
    norm = layers.BatchNormalization(name="embedding")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, norm(layers.Dense(3)(inputs)))
    check(model, 1)
    model.compile("sgd", {"embedding": "mse"})
    assert check(model, 0).output_names == ["embedding"]


class OwnStep(keras.Model):
    def train_step(self, data):
        return {"own": 1.0}


def test_a_class_with_a_training_step_of_its_own():
    plain = basic_resnet()
    model = OwnStep(plain.inputs, plain.outputs)
    assert isinstance(check(model, 6), OwnStep)
    model.norm = model.get_layer("stem_bn")
    with pytest.warns(UserWarning, match="attribute 'norm'") as warned:
        folded = fold_normalization(model)
    assert not isinstance(folded, OwnStep)
    assert warned[0].filename == __file__


def test_saved_and_loaded(tmp_path):
    folded = fold_normalization(models.randomize(mobilenet()))
    folded.save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    x = models.inputs_of(folded)
    np.testing.assert_array_equal(loaded(x), folded(x))


def test_a_saved_model_has_no_normalization_left(tmp_path):
    model = models.randomize(basic_resnet())
    folded = fold_normalization(model)
    assert _count_rsqrt(model) == 6
    assert _count_rsqrt(folded) == 0


def _count_rsqrt(model):
    x = models.inputs_of(model)
    function = tf.function(lambda x: model(x, training=False))
    operations = function.get_concrete_function(x).graph.get_operations()
    return sum(operation.type == "Rsqrt" for operation in operations)


def test_masked_equals_pruned_of_a_folded_model():
    folded = fold_normalization(models.randomize(basic_resnet()))
    channel_map = trace_channels(folded)
    keep = models.random_keep(channel_map, 0.4)
    x = models.inputs_of(folded)
    expected = mask_channels(folded, keep, channel_map)(x)
    pruned = remove_channels(folded, keep, channel_map)
    assert pruned.count_params() < folded.count_params()
    np.testing.assert_allclose(pruned(x), expected, atol=1e-5)


def test_folding_and_pruning_can_change_places():
    model = models.randomize(basic_resnet())
    x = models.inputs_of(model)
    keep = models.random_keep(trace_channels(model), 0.4)
    first = remove_channels(fold_normalization(model), keep)
    last = fold_normalization(remove_channels(model, keep))
    np.testing.assert_allclose(first(x), last(x), atol=1e-5)


def test_prune_of_a_folded_model():
    folded = fold_normalization(models.randomize(mobilenet(None)))
    x = models.inputs_of(folded, 16)
    pruned = keras_shapley_prune.prune(folded, x, 0.4, ranker="l1_norm", verbose=0)
    assert pruned.count_params() < folded.count_params()


def test_a_model_without_normalization_is_copied():
    model = models.randomize(around(layers.Conv2D(5, 3)))
    folded = check(model, 0)
    for ours, theirs in zip(model.weights, folded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_images_of_any_size():
    model = around(layers.Conv2D(5, 3), layers.BatchNormalization())
    inputs = keras.Input((None, None, 4))
    inner = layers.BatchNormalization()(layers.Conv2D(5, 3)(inputs))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(inner))
    models.randomize(model)
    folded = fold_normalization(model)
    x = np.random.default_rng(0).normal(size=(2, 9, 7, 4)).astype("float32")
    np.testing.assert_allclose(folded(x), model(x), atol=1e-5)


def test_text_inputs():
    vocabulary = layers.TextVectorization(
        10, vocabulary=["a", "b"], output_sequence_length=3
    )
    inputs = keras.Input((), dtype="string")
    x = layers.Embedding(10, 4)(vocabulary(inputs))
    x = layers.BatchNormalization()(layers.Dense(5)(x))
    model = models.randomize(keras.Model(inputs, x))
    folded = fold_normalization(model)
    assert not normalizations(folded)
    words = tf.constant(["a b", "b"])
    np.testing.assert_allclose(folded(words), model(words), atol=1e-5)


@pytest.mark.parametrize("sequential", [True, False])
def test_masks_of_time_steps_go_on(sequential):
    inside = [
        layers.Embedding(9, 4, mask_zero=True),
        layers.Dense(5),
        layers.BatchNormalization(),
        layers.LSTM(3),
    ]
    model = keras.Sequential([keras.Input((6,), dtype="int32"), *inside])
    if not sequential:
        model = keras.Model(model.inputs, model.outputs)
    folded = check(model, 1)
    long, short = np.array([[1, 2, 0, 0, 0, 0]]), np.array([[1, 2, 3, 0, 0, 0]])
    assert np.abs(folded(long) - folded(short)).max() > 1e-3
    np.testing.assert_allclose(folded(long), model(long), atol=1e-6)
    np.testing.assert_allclose(folded(short), model(short), atol=1e-6)


def test_a_quantized_kernel_stays():
    inside = layers.Dense(5), layers.BatchNormalization(), layers.Dense(2)
    model = models.randomize(keras.Sequential([keras.Input((4,)), *inside]))
    with pytest.warns(UserWarning, match="quantize"):
        model.quantize("int8")
    folded = fold_normalization(model)
    assert normalizations(folded) == normalizations(model)
    x = models.inputs_of(model)
    np.testing.assert_allclose(folded(x), model(x), atol=1e-5)


def test_a_wrong_result_is_never_returned(monkeypatch):
    """The check does not trust what sets the weights."""
    right = module.find_affine

    def wrong(normalization):
        factors, shift = right(normalization)
        return factors, shift + 1e-2

    monkeypatch.setattr(module, "find_affine", wrong)
    with pytest.raises(RuntimeError, match="returns outputs of up to"):
        fold_normalization(models.randomize(basic_resnet()))
