"""Pruning and int8 together: after training, and with quantization-aware training.

    python benchmarks/quantization.py --tfds DIR [--networks mobilenet_v2 cnn]

Networks trained on 20,000 images of Fashion-MNIST: MobileNetV2 (alpha 0.35) on images
padded to 32x32x3, and the CNN of `networks.py`, which is left with odd channel counts.
Half of the FLOPs leave, ranked and repaired with 200 images. Then int8 is made

- after training (`export_litert`, ranges of activations from the same 200 images), and
- of the pruned network by tfmot's quantization-aware training, on the copy that
  `to_tf_keras` makes, and TensorFlow's converter.

`fit` is as many epochs without quantization, by Keras, to tell what the training gains.
Accuracy is that on the first 3,000 test images; int8 files run in the LiteRT
interpreter. Writes quantization.csv and prints the table. Needs
`pip install ".[benchmarks,litert,tfmot]"`.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import networks
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import keras_shapley_prune as ksp

NUM_CALIBRATION, NUM_TEST, SEED = 200, 3000, 0


def cnn(args):
    """Returns a `Problem`."""
    return networks.fashion_mnist(args)


def mobilenet_v2(args):
    """Returns the `Problem` of a MobileNetV2, trained once and kept in the cache."""
    problem = networks.fashion_mnist(args)
    train, test = ((_to_colour(x), y) for x, y in (problem.train, problem.test))
    path = pathlib.Path(args.cache) / "fashion_mnist_mobilenet_v2.keras"
    if path.exists():
        model = keras.models.load_model(path)
    else:
        keras.utils.set_random_seed(SEED)
        model = keras.applications.MobileNetV2(
            (32, 32, 3), alpha=0.35, weights=None, classes=10
        )
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.9  # 0.999 lags behind in so short a training
        steps = args.epochs * -(-len(train[0]) // 64)
        schedule = keras.optimizers.schedules.CosineDecay(3e-3, steps)
        _compile(model, keras, schedule)
        model.fit(*train, epochs=args.epochs, batch_size=64, verbose=2)
        model.save(path)
    return networks.Problem("mobilenet_v2", model, train, test)


NETWORKS = {"mobilenet_v2": mobilenet_v2, "cnn": cnn}


def measure(name, args):
    """Yields rows `(network, what, accuracy, bytes)`."""
    problem = NETWORKS[name](args)
    images, _ = problem.calibration(NUM_CALIBRATION, SEED)
    pruned = ksp.prune(problem.model, images, 0.5, of="flops", verbose=0)
    counts = ksp.trace_channels(pruned).count_produced().values()
    print(f"{name}: {sum(count % 2 for count in counts)} odd channel counts")
    for what, model in (("original", problem.model), ("pruned", pruned)):
        yield from after_training(name, what, model, images, problem, args)
    # Before the fit, which trains `pruned` in place.
    yield name, "pruned, aware training, int8", *aware_training(pruned, problem, args)
    _compile(pruned, keras, args.rate, _from_logits(pruned))
    _fit(pruned, problem.train, args)
    yield from after_training(name, "pruned, fit", pruned, images, problem, args)


def after_training(name, what, model, images, problem, args):
    """Yields the rows of a float model and of its int8 file."""
    path = args.output / "quantization.tflite"
    ksp.export_litert(model, path)
    yield name, f"{what}, float32", problem.accuracy(model), path.stat().st_size
    ksp.export_litert(model, path, int8=True, dataset=images)
    content = path.read_bytes()
    path.unlink()
    yield name, f"{what}, int8", _accuracy_of_file(content, problem.test), len(content)


def aware_training(pruned, problem, args):
    """Returns accuracy and size of the int8 file after quantization-aware training."""
    copied = ksp.to_tf_keras(pruned)
    import tensorflow_model_optimization as tfmot
    import tf_keras

    aware = tfmot.quantization.keras.quantize_model(copied)
    _compile(aware, tf_keras, args.rate, _from_logits(pruned))
    _fit(aware, problem.train, args)
    converter = tf.lite.TFLiteConverter.from_keras_model(aware)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    content = converter.convert()
    return _accuracy_of_file(content, problem.test), len(content)


def _compile(model, package, rate, from_logits=False):
    loss = package.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    model.compile(package.optimizers.Adam(rate), loss, metrics=["accuracy"])


def _fit(model, data, args):
    keras.utils.set_random_seed(SEED)
    model.fit(*data, epochs=args.fit_epochs, batch_size=64, verbose=0)


def _from_logits(model):
    return model.layers[-1].activation is not keras.activations.softmax


def _to_colour(images):
    return np.repeat(np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)]), 3, axis=-1)


def _accuracy_of_file(content, test):
    """Returns the share of test examples that a LiteRT file gets right."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (takes,) = interpreter.get_input_details()
    (gives,) = interpreter.get_output_details()
    right = 0
    for image, label in zip(*(array[:NUM_TEST] for array in test), strict=True):
        interpreter.set_tensor(takes["index"], _quantize(image[np.newaxis], takes))
        interpreter.invoke()
        right += interpreter.get_tensor(gives["index"])[0].argmax() == label
    return right / NUM_TEST


def _quantize(values, takes):
    """Returns values in the type and on the scale that an input of a file has."""
    if takes["dtype"] is np.float32:
        return values
    scale, zero = takes["quantization"]
    limits = np.iinfo(takes["dtype"])
    quantized = np.clip(np.round(values / scale) + zero, limits.min, limits.max)
    return quantized.astype(takes["dtype"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--epochs", type=int, default=8, help="of MobileNetV2")
    parser.add_argument("--fit-epochs", type=int, default=2, help="after pruning")
    parser.add_argument("--rate", type=float, default=2e-4, help="of those epochs")
    args = networks.parse_arguments(parser)
    rows = []
    for name in args.networks:
        for row in measure(name, args):
            rows.append(row)
            print(f"{row[0]:14}{row[1]:32}{row[2]:8.1%}{row[3]:12,} bytes", flush=True)
    header = "network what accuracy bytes"
    networks.write_csv(args.output / "quantization.csv", header, rows)


if __name__ == "__main__":
    main()
