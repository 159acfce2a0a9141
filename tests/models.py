"""Builders of small models: one for each way in which channels can travel."""

import fresh_seeds
import keras
import model_cache
import numpy as np
import tensorflow as tf
from keras import layers
from keras.src.applications import convnext

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels


def chain():
    """Conv-BN-ReLU twice, pooling, Flatten, Dense: a Sequential model."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 3), name="image"),
            layers.ZeroPadding2D(1),
            layers.Conv2D(8, 3, use_bias=False, name="conv1"),
            layers.BatchNormalization(name="bn1"),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 3, activation="sigmoid", name="conv2"),
            layers.Dropout(0.3),
            layers.Cropping2D(1),
            layers.Flatten(),
            layers.Dense(10, activation="tanh", name="dense1"),
            layers.Dense(4, activation="softmax", name="dense2"),
        ],
        name="chain",
    )


def residual():
    """Two residual blocks, one with a projection; joins by layer and by operator."""
    inputs = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = layers.Activation("relu")(x)
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="inner1")(x)
    y = layers.Conv2D(8, 3, padding="same", name="outer1")(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    y = layers.Conv2D(6, 3, strides=2, padding="same", name="inner2")(x)
    y = layers.BatchNormalization()(layers.LeakyReLU()(y))
    y = layers.Conv2D(10, 3, padding="same", name="outer2")(y)
    x = layers.Conv2D(10, 1, strides=2, name="projection")(x) + y
    x = layers.GlobalAveragePooling2D()(keras.ops.relu(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="residual")


def branches():
    """Concatenation, squeeze-and-excite by Multiply, average of two branches."""
    inputs = keras.Input((10, 10, 3), name="image")
    a = layers.Conv2D(6, 3, padding="same", activation="relu", name="a")(inputs)
    b = layers.Conv2D(4, 5, padding="same", activation="gelu", name="b")(inputs)
    x = layers.Concatenate()([a, inputs, b])
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(8, 1, activation="swish", name="mixed")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(3, 1, activation="relu", name="squeeze")(gate)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.Average()([x, layers.Conv2D(8, 1, name="side")(a)])
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="branches")


def depthwise():
    """Depthwise with a multiplier, separable, PReLU; raw concatenate and mean."""
    inputs = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(5, 3, name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer="uniform")(x)
    y = layers.SeparableConv2D(
        7, 3, depth_multiplier=2, padding="same", activation="relu", name="separable"
    )(x)
    x = keras.ops.concatenate([x, y], axis=-1) * 0.5
    x = layers.DepthwiseConv2D(3, use_bias=False, name="last")(x)
    x = keras.ops.mean(x, axis=[1, 2])
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="depthwise")


def autoencoder():
    """Dense, Reshape, Conv2DTranspose, UpSampling2D: channels through a reshape."""
    inputs = keras.Input((8, 8, 2), name="image")
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="encode")(inputs)
    x = layers.Dense(9, activation="elu", name="code")(layers.Flatten()(x))
    x = layers.Dense(2 * 2 * 5, activation="relu", name="decode")(x)
    x = layers.Reshape((2, 2, 5))(x)
    x = layers.Conv2DTranspose(7, 3, strides=2, padding="same", name="up1")(x)
    x = layers.UpSampling2D()(layers.SpatialDropout2D(0.1)(x))
    x = layers.Reshape((64, -1))(x)
    x = layers.Dense(2, name="pixels")(x)
    outputs = layers.Reshape((8, 8, 2))(x)
    return keras.Model(inputs, outputs, name="autoencoder")


def shared():
    """The same convolution and normalization called twice."""
    inputs = keras.Input((10, 10, 3), name="image")
    stem = layers.Conv2D(6, 3, padding="same", activation="relu", name="stem")
    conv = layers.Conv2D(6, 3, padding="same", name="conv")
    norm = layers.BatchNormalization(name="norm")
    x = stem(inputs)
    y = layers.Maximum()([norm(conv(x)), x])
    y = keras.ops.maximum(norm(conv(y)), 0.1)
    side = layers.Conv2D(4, 1, name="side")(stem(inputs))
    z = layers.Subtract()([layers.Conv2D(4, 1, name="tail")(y), side])
    x = layers.GlobalMaxPooling2D()(z)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="shared")


def _divisive(x):
    """An activation that mixes channels."""
    return x / (1 + keras.ops.sum(x**2, axis=-1, keepdims=True))


def locked():
    """Layers that must lock what they touch, between layers that can be pruned."""
    inputs = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="free1")(inputs)
    x = layers.Conv2D(8, 3, padding="same", name="normalized")(x)
    x = layers.LayerNormalization(axis=1, name="layer_norm")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="softmax", name="softmaxed")(x)
    x = layers.Conv2D(8, 3, padding="same", name="into_groups")(x)
    x = layers.Conv2D(8, 3, padding="same", groups=2, name="grouped")(x)
    x = layers.Conv2D(8, 3, padding="same", name="free2")(x)
    x = layers.Conv2D(8, 3, padding="same", name="odd_axis")(x)
    x = layers.BatchNormalization(axis=1, name="row_norm")(x)
    x = layers.Conv2D(1, 1, activation="sigmoid", name="attention")(x) * x
    x = layers.Dense(6, activation=_divisive, name="custom")(x)
    x = layers.Lambda(lambda t: 2 * t, name="double")(x[:, 1:])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="locked")


def pointwise():
    """Layers that change values channel by channel, and pairwise minima."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Rescaling(0.5, offset=0.1)(inputs)
    x = layers.Conv2D(6, 3, name="left")(layers.GaussianNoise(0.1)(x))
    x = layers.ELU()(layers.Identity()(x))
    y = layers.Conv2D(6, 3, activation=layers.LeakyReLU(0.3), name="right")(inputs)
    x = layers.Minimum()([layers.GaussianDropout(0.2)(x), y])
    x = layers.ActivityRegularization(l2=0.01)(layers.Rescaling(2.0)(x))
    x = layers.GlobalMaxPooling2D()(keras.ops.tanh(x))
    x = layers.Dense(5, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="pointwise")


def scaled_addition():
    """The residual block of InceptionResNetV2, with a layer of its own."""
    function = keras.applications.inception_resnet_v2.InceptionResNetV2
    scale = function.__globals__["CustomScaleLayer"]
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    y = layers.Conv2D(4, 1, activation="relu", name="inner")(x)
    y = layers.Conv2D(6, 1, name="outer")(y)
    x = layers.ReLU()(scale(0.17)([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(
        inputs, layers.Dense(4, name="logits")(x), name="scaled_addition"
    )


def two_ends():
    """Inputs in a dict, outputs in a list, one of them in mid-network."""
    image = keras.Input((8, 8, 3), name="image")
    extra = keras.Input((4,), name="extra")
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(image)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    y = layers.Dense(5, activation="tanh", name="side")(extra)
    x = layers.Dense(7, activation="relu", name="joint")(
        layers.Concatenate(name="both")([x, y])
    )
    classes = layers.Dense(3, activation="softmax", name="classes")(x)
    size = layers.Dense(1, name="size")(x)
    return keras.Model(
        {"image": image, "extra": extra}, [classes, size], name="two_ends"
    )


def nested():
    """A model as a layer of another."""
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 5)),
            layers.Conv2D(4, 3, activation="relu", name="inner_conv"),
            layers.BatchNormalization(name="inner_norm"),
        ],
        name="inner",
    )
    inputs = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(6, 3, activation="relu", name="before1")(inputs)
    x = layers.Conv2D(5, 3, name="before2")(x)
    x = layers.Conv2D(6, 3, activation="relu", name="after")(inner(x))
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="nested")


def normalized():
    """Every normalization over the channels, and softmax, one after the other."""
    inputs = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(12, 3, padding="same", name="first")(inputs)
    x = layers.LayerNormalization(name="layer_norm")(x)
    x = layers.Conv2D(10, 1, activation="gelu", name="second")(x)
    x = layers.RMSNormalization(name="rms_norm")(x)
    x = layers.UnitNormalization(name="unit_norm")(x)
    x = layers.Conv2D(12, 1, name="third")(keras.ops.softmax(x))
    x = layers.GroupNormalization(3, name="within_groups")(x)
    x = layers.Conv2D(12, 1, activation="tanh", name="fourth")(x)
    x = layers.GroupNormalization(6, name="whole_groups")(x)
    x = layers.Softmax(name="shares")(layers.Conv2D(8, 1, name="fifth")(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="normalized")


def scaled():
    """Blocks of ConvNeXt: LayerScale and StochasticDepth before an addition."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 2, strides=2, name="stem")(inputs)
    x = layers.LayerNormalization(epsilon=1e-6, name="stem_norm")(x)
    for i in range(2):
        y = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{i}")(x)
        y = layers.LayerNormalization(epsilon=1e-6, name=f"norm{i}")(y)
        y = layers.Dense(16, activation="gelu", name=f"wide{i}")(y)
        y = layers.Dense(8, name=f"narrow{i}")(y)
        y = convnext.LayerScale(0.1, 8, name=f"scale{i}")(y)
        x = x + convnext.StochasticDepth(0.1, name=f"depth{i}")(y)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.LayerNormalization(epsilon=1e-6, name="head_norm")(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="scaled")


def attentive():
    """Self-, cross- and grouped attention with residuals: a small transformer."""
    inputs = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(8, 2, strides=2, name="patches")(inputs)
    x = layers.Reshape((9, 8), name="tokens")(x)
    y = layers.LayerNormalization(name="norm1")(x)
    y = layers.MultiHeadAttention(4, 3, value_dim=2, name="self_attention")(y, y)
    x = layers.Add()([x, y])
    y = layers.LayerNormalization(name="norm2")(x)
    y = layers.Dense(10, activation="gelu", name="wide")(y)
    x = layers.Add()([x, layers.Dense(8, name="narrow")(y)])
    memory = layers.Dense(6, activation="tanh", name="memory")(
        keras.ops.max(inputs, axis=1)
    )
    query = layers.LayerNormalization(name="norm3")(x)
    x = layers.MultiHeadAttention(3, 2, output_shape=7, name="cross_attention")(
        query=query, value=memory
    )
    x = layers.GroupQueryAttention(3, 4, 2, name="grouped_attention")(
        x, x, use_causal_mask=True
    )
    x = keras.ops.mean(x, axis=1)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="attentive")


def recurrent():
    """Every recurrent layer; a state that starts another layer, one that is read."""
    inputs = keras.Input((5, 3), name="sequence")
    x = layers.Dense(5, activation="tanh", name="before")(inputs)
    x = layers.Bidirectional(layers.GRU(4, return_sequences=True), name="both_ways")(x)
    x, *states = layers.LSTM(6, return_sequences=True, return_state=True, name="lstm")(
        x
    )
    y = layers.LSTM(6, name="continued")(x, initial_state=states)
    x = layers.GRU(5, return_sequences=True, go_backwards=True, name="gru")(x)
    x = layers.SimpleRNN(4, name="simple")(x)
    x = layers.Concatenate(name="joined")([x, y, states[1]])
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="recurrent")


BUILDERS = (
    chain,
    residual,
    branches,
    depthwise,
    autoencoder,
    shared,
    locked,
    pointwise,
    scaled_addition,
    two_ends,
    nested,
    normalized,
    scaled,
    attentive,
    recurrent,
)


class Subclassed(keras.Model):
    """A model whose graph is Python code."""

    def __init__(self):
        super().__init__(name="mine")
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def randomize(model, seed=0):
    """Gives every weight a random value, BN statistics too: nothing is trivial."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        value = generator.normal(size=weight.shape)
        if weight.name in ("moving_variance", "variance", "gamma"):
            value = generator.uniform(0.5, 1.5, size=weight.shape)
        elif weight.name in (
            "kernel",
            "recurrent_kernel",
            "depthwise_kernel",
            "pointwise_kernel",
        ):
            value *= np.sqrt(2 / np.prod(weight.shape[:-1]))
        else:
            value *= 0.3
        weight.assign(value)
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model


def build(builder, seed=0):
    """Returns a model of `BUILDERS` with random weights; the same one each time.

    The package promises not to change a model, so one is enough for all tests of a
    process, and `conftest.py` checks after each test that it is as it was. A test that
    changes a model itself, or builds upon it, asks for a `fresh` one.
    """
    return model_cache.get(_key(builder, seed), lambda: fresh(builder, seed), seed)


def fresh(builder, seed=0):
    """Returns a model of `BUILDERS` with random weights, for this caller alone."""
    fresh_seeds.set_seed(seed)
    return randomize(builder(), seed)


def _key(builder, seed):
    policy = keras.config.dtype_policy().name, keras.config.floatx()
    return builder, seed, *policy, keras.config.image_data_format()


def images(model, num_examples=4, seed=0):
    """Returns random inputs for a model of one input."""
    (values,) = keras.tree.flatten(inputs_of(model, num_examples, seed))
    return values


def inputs_of(model, num_examples=4, seed=0):
    """Returns random inputs for a model, structured as it takes them."""
    generator = np.random.default_rng(seed)

    def draw(tensor):
        shape = (num_examples, *tensor.shape[1:])
        return generator.normal(size=shape).astype("float32")

    if isinstance(model, keras.Sequential):
        return draw(model.inputs[0])
    return keras.tree.map_structure(draw, model.input)


def classifier(compiled=True):
    """Returns a small, quickly ranked model: two groups, four classes."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1), name="image"),
            layers.Conv2D(6, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dense(4, activation="softmax", name="classes"),
        ],
        name="classifier",
    )
    if compiled:
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def labelled_images(num_examples=24, seed=0):
    """Returns `(x, y)` for `classifier`: the class is the brightest quarter."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 4, num_examples)
    x = generator.normal(size=(num_examples, 6, 6, 1), scale=0.3)
    for image, label in zip(x, y, strict=True):
        row, column = divmod(int(label), 2)
        image[3 * row : 3 * row + 3, 3 * column : 3 * column + 3] += 1
    return x.astype("float32"), y


def random_keep(channel_map, fraction, seed=0):
    """Returns a `keep` that removes a random fraction of each group's units."""
    generator = np.random.default_rng(seed)
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        num_removed = min(round(fraction * group.num_units), group.num_units - 1)
        keep[generator.choice(group.units, num_removed, replace=False)] = False
    return keep


def get_layer(model, path):
    """Returns a layer by its name, or by its path in nested models."""
    for name in path.split("/"):
        model = model.get_layer(name)
    return model


def outputs_of(model, inputs):
    """Returns the flat list of a model's outputs as arrays."""
    outputs = keras.tree.flatten(model(inputs, training=False))
    return [keras.ops.convert_to_numpy(keras.ops.cast(t, "float32")) for t in outputs]


def relative_difference(outputs, expected):
    """Returns the largest difference of two lists of arrays, by the largest value."""
    return max(
        np.abs(a - b).max() / np.abs(b).max()
        for a, b in zip(outputs, expected, strict=True)
    )


def snapshot(model, inputs):
    """Returns everything about a model that pruning must not change."""
    operations = getattr(model, "operations", None) or model.layers
    everything = [*operations, *model.layers]
    optimizer = getattr(model, "optimizer", None)
    return {
        "config": model.get_config(),
        "names": [layer.name for layer in model.layers],
        "layers": [id(layer) for layer in model.layers],
        "trainable": [layer.trainable for layer in [model, *model.layers]],
        "dtypes": [layer.dtype_policy.name for layer in model.layers],
        "nodes": [len(operation._inbound_nodes) for operation in everything],
        "readers": [len(operation._outbound_nodes) for operation in everything],
        "compiled": model.compiled,
        "compile_config": id(getattr(model, "_compile_config", None)),
        "optimizer": optimizer and (id(optimizer), len(optimizer.variables)),
        "weights": [weight.numpy().tolist() for weight in model.variables],
        "outputs": [array.tolist() for array in outputs_of(model, inputs)],
    }


def check_masks(model, fractions=(0.3, 0.6), tolerance=1e-5, inputs=None):
    """Asserts masked == pruned, for masks of all examples and for one an example."""
    channel_map = trace_channels(model)
    assert channel_map.groups, channel_map.lock_reasons()
    inputs = inputs_of(model, num_examples=2) if inputs is None else inputs
    original = outputs_of(model, inputs)
    for fraction in fractions:
        keep = random_keep(channel_map, fraction)
        pruned = outputs_of(remove_channels(model, keep, channel_map), inputs)
        masked = outputs_of(mask_channels(model, keep, channel_map), inputs)
        assert relative_difference(masked, pruned) < tolerance
        assert relative_difference(pruned, original) > 0.01
    for group in filter(channel_map.is_read, channel_map.groups):
        check_one_mask_an_example(model, channel_map, group, inputs, tolerance)


def check_one_mask_an_example(model, channel_map, group, inputs, tolerance=1e-5):
    """Asserts that a compiled suffix with a mask an example is as many cut models.

    The first example keeps all units, the others not.
    """
    flat = [tf.convert_to_tensor(x) for x in keras.tree.flatten(inputs)]
    suffix = Suffix(channel_map, group)
    frontier = ForwardPass(channel_map.graph, [flat])
    frontier.advance(suffix.start)
    shape = len(flat[0]), group.num_units
    rows = np.random.default_rng(1).integers(0, 2, shape)
    rows[:, 0] = 1
    rows[0] = 1
    if group.num_units > 1:
        rows[1:, -1] = 0
    cut = suffix.cut_values(frontier.values(0))
    run = tf.function(suffix.run, autograph=False)
    together = [tensor.numpy() for tensor in run(cut, tf.constant(rows, tf.float32))]
    for example, row in enumerate(rows):
        keep = np.ones(channel_map.num_units, bool)
        keep[group.units] = row.astype(bool)
        whole = row.all()
        network = model if whole else remove_channels(model, keep, channel_map)
        alone = outputs_of(network, inputs)
        seen = [output[example] for output in together]
        expected = [output[example] for output in alone]
        assert relative_difference(seen, expected) < tolerance, group.name
