"""
Title: Serve a pruned network over HTTP
Author: The maintainers of keras-shapley-prune
Date created: 2026/11/25
Last modified: 2026/11/29
Description: Prune a small CNN, export it as a SavedModel, and answer requests with it.
Accelerator: None

## Introduction

What comes out of pruning is a plain Keras model. Exported, it is a *SavedModel*: a
folder from which TensorFlow Serving and other runtimes answer requests, without Keras
and without this package.

    python -m pip install ".[examples]"
    python examples/serve_savedmodel.py
"""

"""
## Setup
"""

import http.server
import json
import os
import threading
import urllib.request

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

import keras_shapley_prune

EPOCHS = 15

keras.utils.set_random_seed(1)

"""
## Train and prune a network

A CNN on the digits that scikit-learn ships, 8x8 pixels from 0 to 1. The names of the
input and of the output, in a dict, will be those of the API. Half of the filters are
removed with 200 images and without training.
"""

images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8, 1).astype("float32") / 16

image = keras.Input((8, 8, 1), name="image")
x = layers.Conv2D(32, 3, padding="same", activation="relu")(image)
x = layers.MaxPooling2D()(layers.Conv2D(64, 3, activation="relu")(x))
x = layers.Flatten()(x)
scores = layers.Dense(10, activation="softmax", name="scores")(x)
model = keras.Model(image, {"scores": scores})
model.compile("adam", {"scores": "sparse_categorical_crossentropy"})
model.fit(images[500:], {"scores": labels[500:]}, epochs=EPOCHS, verbose=0)

pruned = keras_shapley_prune.prune(model, images[500:700], ratio=0.5, verbose=0)
keras_shapley_prune.compare(model, pruned)

"""
## Export it

TensorFlow Serving looks for `name/version/`, and serves the newest version. The
*signature* of a version tells what it takes and returns.
"""

pruned.export("digits/1", verbose=False)

served = tf.saved_model.load("digits/1")
signature = served.signatures["serving_default"]
for name, spec in signature.structured_input_signature[1].items():
    print(f"takes {name}: {spec.dtype.name} {spec.shape}")
for name, spec in signature.structured_outputs.items():
    print(f"returns {name}: {spec.dtype.name} {spec.shape}")

"""
## Start a server

In production, TensorFlow Serving does it: `tensorflow_model_server
--rest_api_port=8501 --model_name=digits --model_base_path=$PWD/digits`.

Where it is not installed, some lines of Python take its place here. They load the same
folder, and answer the same request with the same JSON. Only this machine can reach the
server, and the system picks a free port.
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers `POST /v1/models/digits:predict`, and nothing else."""

    def do_POST(self):
        request = self.rfile.read(int(self.headers["Content-Length"]))
        instances = tf.constant(json.loads(request)["instances"], "float32")
        scores = signature(image=instances)["scores"]
        body = json.dumps({"predictions": scores.numpy().tolist()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()

"""
## Send a request

A client needs nothing but HTTP and JSON. `"instances"` holds the examples,
`"predictions"` one answer for each.
"""

url = f"http://127.0.0.1:{server.server_port}/v1/models/digits:predict"
request = json.dumps({"instances": images[:3].tolist()}).encode()
with urllib.request.urlopen(url, request, timeout=30) as response:
    predictions = np.array(json.load(response)["predictions"])

print("predictions", predictions.shape)
print("classes", predictions.argmax(-1), "labels", labels[:3])

"""
The answers are those of Keras:
"""

expected = pruned.predict(images[:3], verbose=0)["scores"]
print("equal to Keras:", np.allclose(predictions, expected, atol=1e-6))
server.shutdown()
server.server_close()

"""
## What to read next

- [Serve it, or put it on a device](../docs/deployment.md): normalizations that are
  folded into convolutions, OpenVINO, LiteRT.
- [A transfer-learned MobileNet for a phone](mobilenet_phone.py).
"""
