"""The VGG-16 of the layer-wise robustness experiment: builds it, and trains it once.

    python benchmarks/paper/vgg16.py [--epochs 22 16] [--dtype mixed_bfloat16]
        [--pretrained DIR] [--cache DIR]

Thirteen 3x3 convolutions with BatchNormalization and ReLU, five poolings, and dense
layers of 512, 512 and 10 with dropout before the first two, for images of 32x32. The
data are 8,000 labelled CIFAR-10 images, a sixth of the training set. So a pretrained
ResNet-20 (91.7 %) teaches it, on flipped, shifted and mixed images: its logits at the
end, and its features of 16x16 and 4x4 to the second and the fourth block of the VGG.
No label is used. The first epochs are on images of half the size, which take less time.

Writes vgg16_cifar10.keras to the cache folder.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from networks import cifar10, parse_arguments, without_tuning

BLOCKS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
BATCH_SIZE = 64
SHRINKING = (2, 1)  # of the images in the two parts of the training
PEAK_RATE = 1e-3
TEMPERATURE = 2.0


def build(blocks=BLOCKS, units=512, image_size=32, num_classes=10):
    """Returns the network, untrained and not compiled. Logits out.

    Args:
        blocks: Tuple of tuples of the widths of convolutions. A pooling ends a block.
        units: Integer, width of the two hidden dense layers.
        image_size: Integer, height and width of the images, or `None` for any.
        num_classes: Integer.
    """
    x = inputs = keras.Input((image_size, image_size, 3))
    number = 0
    for block, widths in enumerate(blocks, start=1):
        for width in widths:
            number += 1
            x = layers.Conv2D(
                width,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                name=f"conv{number}",
            )(x)
            x = layers.BatchNormalization(momentum=0.9, name=f"norm{number}")(x)
            x = layers.ReLU(name=f"relu{number}")(x)
        if block < len(blocks):
            x = layers.MaxPooling2D(name=f"pool{block}")(x)
    # Images of 32x32 are 2x2 here: this is the last pooling, and the flattening.
    x = layers.GlobalMaxPooling2D(name=f"pool{len(blocks)}")(x)
    for number in (1, 2):
        x = layers.Dropout(0.3, name=f"dropout{number}")(x)
        x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
    outputs = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, outputs, name="vgg16")


def load(args):
    """Returns the trained network with its data, trains it if it is not in the cache.

    Args:
        args: Parsed options, with `cache`, `pretrained`, `epochs` and `dtype`.

    Returns:
        A `networks.Problem`.
    """
    problem = cifar10(args, "resnet20")
    path = pathlib.Path(args.cache) / "vgg16_cifar10.keras"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        train(problem, args.epochs, args.dtype, path)
    problem.name, problem.model = "vgg16", keras.models.load_model(path)
    return problem


def train(problem, epochs, dtype, path):
    """Trains by `problem.model`'s outputs on `problem.train`'s images, and saves.

    Args:
        problem: A `networks.Problem` of the teacher.
        epochs: Two integers: of small images, and of whole ones.
        dtype: String, the dtype policy of the training. What is saved is float32.
        path: Where to save the network.
    """
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    model = build(image_size=None)
    second, fourth = (model.get_layer(name).output for name in ("relu4", "relu10"))
    hints = [
        layers.Conv2D(32, 1, name="hint2")(second),
        layers.Conv2D(64, 1, name="hint4")(fourth),
    ]
    student = keras.Model(model.input, [model.output, *hints])
    keras.config.set_dtype_policy(policy)
    num_steps = sum(epochs) * (len(problem.train[0]) // BATCH_SIZE)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, num_steps, warmup_target=PEAK_RATE, warmup_steps=num_steps // 10
    )
    student.compile(keras.optimizers.Adam(schedule), [_divergence, "mse", "mse"])
    for shrinking, num_epochs in zip(SHRINKING, epochs, strict=True):
        student.fit(taught_batches(problem, shrinking), epochs=num_epochs, verbose=2)
    trained = build()
    trained.set_weights(model.get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained.compile("sgd", loss, metrics=["accuracy"])
    trained.save(path)


def taught_batches(problem, shrinking):
    """Returns a `tf.data.Dataset` of changed images, with what the teacher says.

    Args:
        problem: A `networks.Problem` of the teacher.
        shrinking: Integer. The teacher sees whole images; these and what it says of
            places are divided by this in height and width.
    """
    images, teacher = problem.train[0], _teacher(problem.model)
    scales = [np.std(part) for part in teacher.predict(images[:500], verbose=0)]

    def teach(batch):
        batch = _mix(batch)
        logits, *features = teacher(batch, training=False)
        features = [part / s for part, s in zip(features, scales[1:], strict=True)]
        batch, *features = (_shrink(part, shrinking) for part in (batch, *features))
        return batch, (logits, *features)

    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    data = tf.data.Dataset.from_tensor_slices(padded).shuffle(len(images))
    data = data.map(_crop).batch(BATCH_SIZE, drop_remainder=True)
    return without_tuning(data.map(teach).prefetch(2))


def _shrink(batch, shrinking):
    return tf.nn.avg_pool2d(batch, shrinking, shrinking, "VALID")


def _teacher(model):
    # The last features of the stages of 16x16 and of 8x8, the latter made 4x4.
    last = {tuple(layer.output.shape[1:3]): layer.output for layer in model.layers}
    small = layers.AveragePooling2D(2)(last[8, 8])
    return keras.Model(model.input, [model.output, last[16, 16], small])


def _crop(padded):
    image = tf.image.random_crop(padded, (32, 32, 3))
    return tf.image.random_flip_left_right(image)


def _mix(batch):
    # Half of the images are mixed with another one, of which they get at most a half.
    share = tf.maximum(tf.random.uniform((BATCH_SIZE, 1, 1, 1), -0.5, 0.5), 0.0)
    return (1 - share) * batch + share * tf.reverse(batch, [0])


def _divergence(logits, outputs):
    targets = tf.nn.softmax(logits / TEMPERATURE)
    entropy = keras.losses.categorical_crossentropy(targets, targets)
    outputs = tf.nn.softmax(outputs / TEMPERATURE)
    crossed = keras.losses.categorical_crossentropy(targets, outputs)
    return TEMPERATURE**2 * (crossed - entropy)


def add_options(parser):
    """Adds the options of the training to an `argparse.ArgumentParser`."""
    parser.add_argument("--epochs", type=int, nargs=2, default=(22, 16))
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=("float32", "mixed_bfloat16"),
        help="of the training; the second is faster where the CPU has bfloat16",
    )


def main():
    """Trains, and prints how good the network is."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    problem = load(parse_arguments(parser))
    x, y = (part[:1000] for part in problem.test)
    loss, accuracy = problem.model.evaluate(x, y, verbose=0)
    print(f"first 1,000 test images: loss {loss:.4f}, accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
