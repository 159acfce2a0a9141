"""End to end: a pruned model goes on in the TensorFlow Model Optimization toolkit.

Each test is a process of its own: tfmot changes the environment when it is imported.
It wants absl-py 1.4, so it is not among the packages of the tests; with it:

    python -m pip install ".[test,tfmot]" && python -m pytest tests/deploy/tfmot_test.py
"""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason='needs pip install ".[tfmot]"',
)

PREPARE = """
import json, sys
import keras, models, numpy as np
import keras_shapley_prune as ksp


def cnn():
    layers = keras.layers
    return keras.Sequential([
        keras.Input((6, 6, 1), name="image"),
        layers.Conv2D(16, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.8),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Conv2D(24, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(20, activation="relu"),
        layers.Dense(4, activation="softmax"),
    ])


def mobilenet():
    image = keras.Input((32, 32, 3), name="image")
    return keras.applications.MobileNetV2(
        alpha=0.35, weights=None, classes=4, input_tensor=image
    )


x, y = models.labelled_images(400)
keras.utils.set_random_seed(0)
if sys.argv[1] == "mobilenet":
    model = mobilenet()
    x = np.repeat(np.repeat(np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), 4, 1), 4, 2)
    x, y = np.repeat(x[:64], 3, -1), y[:64]
else:
    model = cnn()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=10, verbose=0)
pruned = ksp.prune(model, x[:64], 0.45, ranker=ksp.BaselineRanker("l1_norm"), verbose=0)
units = ksp.trace_channels(pruned).count_produced().values()
assert any(count % 2 for count in units)
copied = ksp.to_tf_keras(pruned)

import tensorflow_model_optimization as tfmot


def fit(network, epochs, callbacks=()):
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    network.fit(x, y, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return float(network.evaluate(x, y, verbose=0)[1])
"""

QUANTIZE = """
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

aware = tfmot.quantization.keras.quantize_model(copied)
accuracy = fit(aware, int(sys.argv[2]))
converter = tf.lite.TFLiteConverter.from_keras_model(aware)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
runner = Interpreter(model_content=converter.convert())
runner.allocate_tensors()
(takes,), (gives,) = runner.get_input_details(), runner.get_output_details()
found = []
for example in x:
    runner.set_tensor(takes["index"], example[None].astype("float32"))
    runner.invoke()
    found.append(runner.get_tensor(gives["index"])[0])
expected = aware.predict(x, verbose=0)
wide = [t for t in runner.get_tensor_details() if t["dtype"] is np.float32]
print(json.dumps({
    "accuracy": accuracy,
    "agreement": float(np.mean(np.argmax(found, -1) == expected.argmax(-1))),
    "difference": float(np.abs(np.array(found) - expected).max()),
    "float tensors": len(wide),
}))
"""

SPARSIFY = """
schedule = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=0, frequency=5)
sparse = tfmot.sparsity.keras.prune_low_magnitude(copied, schedule)
accuracy = fit(sparse, 5, [tfmot.sparsity.keras.UpdatePruningStep()])
stripped = tfmot.sparsity.keras.strip_pruning(sparse)
kernels = [w.numpy() for w in stripped.weights if "kernel" in w.name]
zeros = [float(np.mean(kernel == 0)) for kernel in kernels]
print(json.dumps({"accuracy": accuracy, "zeros": zeros}))
"""

CLUSTER = """
clustering = tfmot.clustering.keras
clustered = clustering.cluster_weights(
    copied,
    number_of_clusters=16,
    cluster_centroids_init=clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
)
accuracy = fit(clustered, 3)
stripped = clustering.strip_clustering(clustered)
kernels = [w.numpy() for w in stripped.weights if "kernel" in w.name]
values = [len(np.unique(kernel)) for kernel in kernels]
print(json.dumps({"accuracy": accuracy, "values": values}))
"""


def run(program, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", PREPARE + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_quantization_aware_training_of_odd_channel_counts():
    pytest.importorskip("ai_edge_litert", reason='needs pip install ".[litert]"')
    found = run(QUANTIZE, "cnn", 5)
    assert found["accuracy"] > 0.9
    assert found["agreement"] > 0.97
    assert found["float tensors"] == 2  # the input and the output


def test_sparse_weights():
    found = run(SPARSIFY, "cnn")
    assert found["accuracy"] > 0.9
    assert all(share == pytest.approx(0.5, abs=0.05) for share in found["zeros"])


def test_clustered_weights():
    found = run(CLUSTER, "cnn")
    assert found["accuracy"] > 0.9
    assert max(found["values"]) <= 16


@pytest.mark.slow
def test_quantization_aware_training_of_mobilenet_v2():
    pytest.importorskip("ai_edge_litert", reason='needs pip install ".[litert]"')
    found = run(QUANTIZE, "mobilenet", 1)  # untrained: only the conversion is checked
    assert found["difference"] < 0.02
    assert found["float tensors"] == 2
