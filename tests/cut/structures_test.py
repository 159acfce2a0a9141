"""Tests of `prune` on models of every structure and kind of layer setting."""

import keras
import models
import numpy as np
import pytest
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.trace.tracer import trace_channels

SINCE_KERAS_3_14 = pytest.mark.skipif(
    tuple(map(int, keras.__version__.split(".")[:2])) < (3, 14),
    reason="Keras builds no model with an input that nothing reads",
)


def _ends():
    """Returns `(image, extra, features)`: two inputs and what is read of both."""
    image = keras.Input((8, 8, 3), name="image")
    extra = keras.Input((4,), name="extra")
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(image)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    y = layers.Dense(4, activation="tanh", name="side")(extra)
    return image, extra, layers.Concatenate(name="both")([x, y])


def nested_dicts():
    image, extra, x = _ends()
    x = layers.Dense(5, activation="relu", name="joint")(x)
    outputs = {
        "labels": [layers.Dense(3, name="classes")(x), layers.Dense(1, name="size")(x)],
        "more": {"extra": extra, "a": (layers.Dense(2, name="a")(x),)},
    }
    return keras.Model({"z": [image], "a": {"extra": extra}}, outputs)


def lists():
    image, extra, x = _ends()
    x = layers.Dense(5, activation="relu", name="joint")(x)
    ends = [layers.Dense(n, name=f"end{n}")(x) for n in (2, 3)]
    return keras.Model([image, extra], ends)


def one_in_a_list():
    inputs = keras.Input((4,), name="image")
    x = layers.Dense(6, activation="relu", name="hidden")(inputs)
    return keras.Model([inputs], [layers.Dense(2, name="last")(x)])


def input_straight_to_output():
    image, extra, x = _ends()
    x = layers.Dense(5, activation="relu", name="joint")(x)
    return keras.Model(
        [image, extra], {"classes": layers.Dense(2, name="last")(x), "extra": extra}
    )


def unread_input():
    image, _, _ = _ends()
    unread = keras.Input((2,), name="unread")
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(image)
    x = layers.GlobalMaxPooling2D()(x)
    return keras.Model([image, unread], layers.Dense(2, name="last")(x))


def same_output_twice():
    inputs = keras.Input((4,), name="image")
    x = layers.Dense(6, activation="relu", name="hidden")(inputs)
    x = layers.Dense(2, name="last")(x)
    return keras.Model(inputs, [x, x])


def shared_between_inputs():
    left, right = (keras.Input((8, 8, 3), name=n) for n in ("right", "left"))
    conv = layers.Conv2D(6, 3, name="conv", activation="relu")
    norm, pool = layers.BatchNormalization(name="norm"), layers.GlobalMaxPooling2D()
    x, y = (pool(norm(conv(z))) for z in (left, right))
    end = layers.Dense(2, name="end")
    hidden = layers.Dense(5, name="hidden", activation="relu")
    outputs = {"x": end(hidden(x)), "y": end(hidden(y))}
    return keras.Model({"right": left, "left": right}, outputs)


def raw_operations():
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="conv")(2 * inputs - 1)
    x = keras.ops.square(x)
    y = layers.Conv2D(6, 3, padding="same", name="other")(keras.ops.sqrt(x + 1))
    x = keras.ops.concatenate([x / 2, keras.ops.sigmoid(y) - x], axis=-1)
    x = keras.ops.mean(x, axis=(1, 2))
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


def lambda_between():
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="conv", activation="relu")(inputs)
    x = layers.Conv2D(5, 1, name="locked")(x)
    x = layers.Lambda(lambda t: t[..., ::-1], name="reverse", output_shape=(8, 8, 5))(x)
    x = layers.Conv2D(6, 3, name="after", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


@keras.saving.register_keras_serializable("structures_test")
class Reversed(layers.Layer):
    """Moves channels."""

    def call(self, inputs):
        return inputs[..., ::-1]

    def compute_output_shape(self, input_shape):
        return input_shape


def wrapped():
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, name="conv", activation="relu")(inputs)
    x = layers.Conv2D(5, 1, name="locked")(x)
    x = layers.TimeDistributed(Reversed(), name="wrapper")(x)
    x = layers.Conv2D(6, 3, name="after", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


def constrained():
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(
        6,
        3,
        name="conv",
        kernel_constraint=keras.constraints.MaxNorm(0.5, axis=[0, 1, 2]),
        kernel_regularizer="l2",
        bias_regularizer=keras.regularizers.L1(0.01),
    )(inputs)
    x = layers.BatchNormalization(
        name="norm", gamma_constraint="non_neg", beta_regularizer="l2"
    )(x)
    x = layers.Flatten()(layers.ReLU()(x))
    hidden = layers.Dense(6, kernel_constraint="unit_norm", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(hidden))


def partly_frozen():
    model = models.chain()
    for name in ("conv1", "bn1", "dense1"):
        model.get_layer(name).trainable = False
    return model


def fully_convolutional():
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="conv", activation="relu")(inputs)
    x = layers.MaxPooling2D()(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(5, 2, strides=2, activation="relu", name="up")(x)
    return keras.Model(inputs, layers.Conv2D(2, 1, name="last")(x))


def fixed_batch():
    inputs = keras.Input((8, 8, 3), batch_size=12, name="image")
    x = layers.Conv2D(6, 3, name="conv", activation="relu")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


def odd_names():
    inputs = keras.Input((8, 8, 3), name="my input:0 (raw)")
    x = layers.Conv2D(6, 3, name="conv [1] *", activation="relu")(inputs)
    x = layers.Conv2D(5, 3, name="conv.2-x#3", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, name="últimо")(x), name="Model 1.0")


BUILDERS = (
    nested_dicts,
    lists,
    one_in_a_list,
    input_straight_to_output,
    pytest.param(unread_input, marks=SINCE_KERAS_3_14),
    same_output_twice,
    shared_between_inputs,
    raw_operations,
    lambda_between,
    wrapped,
    constrained,
    partly_frozen,
    fully_convolutional,
    fixed_batch,
    odd_names,
)


def _inputs_of(model, num_examples=12):
    """Random inputs; sizes that are not known are 8."""
    generator = np.random.default_rng(0)

    def draw(tensor):
        shape = [8 if length is None else length for length in tensor.shape[1:]]
        return generator.normal(size=(num_examples, *shape)).astype("float32")

    if isinstance(model, keras.Sequential):
        return draw(model.inputs[0])
    return keras.tree.map_structure(draw, model.input)


def _prune(model, inputs, **arguments):
    ranker = keras_shapley_prune.BaselineRanker("l1_norm")
    return keras_shapley_prune.prune(
        model, [(inputs,)], ranker=ranker, verbose=0, **arguments
    )


def _check(model, tmp_path, tolerance=1e-5, **arguments):
    """Prunes a model end to end; returns the pruned one."""
    inputs = _inputs_of(model)
    pruned = _prune(model, inputs, **arguments)
    assert pruned.count_params() < model.count_params()
    assert [x.name for x in pruned.layers] == [x.name for x in model.layers]
    assert [x.name for x in pruned.inputs] == [x.name for x in model.inputs]
    outputs, expected = (m(inputs, training=False) for m in (pruned, model))
    keras.tree.assert_same_structure(outputs, expected)
    shapes, expected = (
        [(tuple(t.shape), t.dtype) for t in keras.tree.flatten(o)]
        for o in (outputs, expected)
    )
    assert shapes == expected
    flags = [[w.trainable for w in m.weights] for m in (pruned, model)]
    assert flags[0] == flags[1]
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras", safe_mode=False)
    received = models.outputs_of(loaded, inputs)
    expected = keras.tree.flatten(outputs)
    for ours, theirs in zip(received, expected, strict=True):
        theirs = keras.ops.convert_to_numpy(keras.ops.cast(theirs, "float32"))
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    return pruned


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", BUILDERS)
def test_prune(builder, tmp_path):
    _check(models.build(builder), tmp_path)


@pytest.mark.eager
def test_prune_without_repair(tmp_path):
    _check(models.build(nested_dicts), tmp_path, repair=None)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", BUILDERS)
def test_masked_equals_pruned(builder):
    model = models.build(builder)
    inputs = _inputs_of(model)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    masked = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
    pruned = models.outputs_of(remove_channels(model, keep, channel_map), inputs)
    for ours, theirs in zip(pruned, masked, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.eager
def test_the_default_ranker_takes_any_structure():
    model = models.build(nested_dicts)
    pruned = keras_shapley_prune.prune(model, [(_inputs_of(model),)], verbose=0)
    keras.tree.assert_same_structure(pruned.output, model.output)


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "policy", ["mixed_float16", "mixed_bfloat16", "float64", "bfloat16"]
)
@pytest.mark.parametrize("builder", [models.chain, models.residual, models.depthwise])
def test_global_policies(builder, policy, tmp_path):
    floatx = keras.config.floatx()
    keras.config.set_dtype_policy(policy)
    try:
        model = models.build(builder)
        pruned = _check(model, tmp_path, tolerance=1e-2)
    finally:
        keras.config.set_dtype_policy(floatx)
    assert [x.dtype_policy.name for x in pruned.layers] == [
        x.dtype_policy.name for x in model.layers
    ]
    assert [w.dtype for w in pruned.weights] == [w.dtype for w in model.weights]


@pytest.mark.eager
def test_policies_of_single_layers(tmp_path):
    inputs = keras.Input((8, 8, 3), name="image")
    x = inputs
    policies = ("mixed_float16", "float64", "mixed_bfloat16", "float32", "float16")
    for policy in policies:
        x = layers.Conv2D(6, 3, padding="same", activation="relu", dtype=policy)(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(2)(x)))
    pruned = _check(model, tmp_path, tolerance=1e-2)
    assert [x.dtype_policy.name for x in pruned.layers[1:6]] == list(policies)


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("builder", "ending", "compiled"),
    [
        (models.chain, "keras", False),
        (models.chain, "h5", True),
        (constrained, "keras", True),
        (constrained, "h5", False),
        (lists, "keras", True),
        (lists, "h5", True),
    ],
)
def test_loaded_models(builder, ending, compiled, tmp_path):
    model = models.fresh(builder)
    model.compile("adam", keras.losses.MeanSquaredError())  # h5 knows no "mse"
    model.save(tmp_path / f"model.{ending}")
    path = tmp_path / f"model.{ending}"
    loaded = keras.models.load_model(path, compile=compiled)
    pruned = _check(loaded, tmp_path)
    assert pruned.compiled == compiled
    inputs = _inputs_of(loaded)
    if compiled:
        targets = keras.tree.map_structure(np.asarray, pruned(inputs))
        pruned.fit(inputs, targets, epochs=1, verbose=0)


@pytest.mark.eager
def test_constraints_act_on_what_stays(tmp_path):
    model = models.fresh(constrained)
    model.compile("sgd", "mse")
    pruned = _check(model, tmp_path)
    assert len(pruned.losses) == len(model.losses) == 3
    inputs = _inputs_of(model)
    pruned.fit(inputs, np.zeros((12, 2)), epochs=1, verbose=0)
    kernel = pruned.get_layer("conv").kernel.numpy()
    assert kernel.shape == (3, 3, 3, 3)
    assert np.linalg.norm(kernel.reshape(-1, 3), axis=0).max() <= 0.5 + 1e-5
    columns = np.linalg.norm(pruned.get_layer("hidden").kernel.numpy(), axis=0)
    np.testing.assert_allclose(columns, 1, rtol=1e-5)


def test_other_image_sizes_go_through_a_fully_convolutional_model():
    model = models.build(fully_convolutional)
    pruned = _prune(model, _inputs_of(model))
    assert pruned(np.ones((1, 10, 14, 3))).shape == (1, 10, 14, 2)


def test_lambdas_and_wrappers_lock_with_a_reason():
    for builder, words in (
        (lambda_between, "Lambda is not a registered layer"),
        (wrapped, "Reversed is not a registered layer"),
    ):
        reasons = trace_channels(models.build(builder)).lock_reasons()
        assert reasons["locked"].startswith(f"{words}, nor elementwise by trial: ")
        assert "conv" not in reasons
        assert "after" not in reasons


class WithHint(layers.Layer):
    """Adds a hint where there is one."""

    def call(self, inputs, hint=None):
        return inputs if hint is None else inputs + hint


def test_optional_inputs_stay_optional():
    image = keras.Input((8, 8, 3), name="image")
    hint = keras.Input((1,), name="hint", optional=True)
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(image)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv2")(x))
    model = keras.Model([image, hint], WithHint()(x, hint=hint))
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[:3]] = False
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    masked, pruned = mask_channels(model, keep), remove_channels(model, keep)
    assert pruned.get_layer("conv").filters == 3
    for hints in (None, np.ones((2, 1), "float32")):
        np.testing.assert_allclose(
            pruned([images, hints]), masked([images, hints]), rtol=1e-5, atol=1e-6
        )
