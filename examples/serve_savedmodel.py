"""
Title: Serve a pruned network over HTTP
Description: Prune a small CNN, export it, ask it by the API of TensorFlow Serving.
Accelerator: None

## Introduction

What comes out of pruning is a plain Keras model. Exported, it is a *SavedModel*: a
folder from which TensorFlow Serving and other runtimes answer requests, without Keras
and without this package.

Where the command `tensorflow_model_server` is installed, this example starts it. Else a
small server of the standard library takes its place: the same folder layout, the same
URL, the same JSON. Either listens on this machine only, and stops at the end.

    python -m pip install ".[examples]"
    python examples/serve_savedmodel.py
"""

import argparse
import contextlib
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

import keras_shapley_prune

NAME = "digits"

"""
## The network

A CNN on the digits that scikit-learn ships, 8x8 pixels from 0 to 1. The names of the
input and of the output, in a dict, will be those of the API.
"""


def train(epochs):
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(image)
    x = layers.MaxPooling2D()(layers.Conv2D(64, 3, activation="relu")(x))
    x = layers.Flatten()(x)
    scores = layers.Dense(10, activation="softmax", name="scores")(x)
    model = keras.Model(image, {"scores": scores})
    model.compile("adam", {"scores": "sparse_categorical_crossentropy"})
    model.fit(images[500:], {"scores": labels[500:]}, epochs=epochs, verbose=0)
    return model, images, labels


"""
## The folder

TensorFlow Serving looks for `folder/version/`: a number for each version, of which it
serves the newest. The *signature* tells what a version takes and returns.
"""


def export(model, folder, version=1):
    path = folder / NAME / str(version)
    model.export(path, verbose=False)
    return path


def show_signature(path):
    signature = tf.saved_model.load(path).signatures["serving_default"]
    _, inputs = signature.structured_input_signature
    for kind, specs in (("takes", inputs), ("returns", signature.structured_outputs)):
        for name, spec in sorted(specs.items()):
            print(f"{kind} {name}: {spec.dtype.name} {spec.shape}")


"""
## A small server

It answers `POST /v1/models/digits:predict` with `{"predictions": [...]}`. A request is
`{"instances": [...]}`, one entry an example: the value of the input, or a dict of the
inputs. What is wrong with a request is told as `{"error": ...}`.
"""


def make_handler(path):
    served = tf.saved_model.load(path)  # no Keras needed; owns the variables
    signature = served.signatures["serving_default"]
    _, specs = signature.structured_input_signature

    def predict(request):
        instances = request["instances"]
        if not isinstance(instances[0], dict):
            (only,) = specs
            instances = [{only: instance} for instance in instances]
        inputs = {
            name: tf.constant([one[name] for one in instances], spec.dtype)
            for name, spec in specs.items()
        }
        outputs = served.signatures["serving_default"](**inputs)
        outputs = {name: x.numpy().tolist() for name, x in outputs.items()}
        if len(outputs) == 1:
            (predictions,) = outputs.values()
        else:
            rows = zip(*outputs.values(), strict=True)
            predictions = [dict(zip(outputs, row, strict=True)) for row in rows]
        return {"predictions": predictions}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state = {"version": path.name, "state": "AVAILABLE"}
            found = self.path == f"/v1/models/{NAME}"
            self._reply({"model_version_status": [state]} if found else None)

        def do_POST(self):
            if self.path != f"/v1/models/{NAME}:predict":
                self._reply(None)
                return
            length = int(self.headers.get("Content-Length", 0))
            try:
                self._reply(predict(json.loads(self.rfile.read(length))))
            except (
                ValueError,
                KeyError,
                TypeError,
                IndexError,
                tf.errors.OpError,
            ) as e:
                self._reply({"error": str(e)}, 400)

        def _reply(self, content, status=200):
            if content is None:
                content, status = {"error": f"Not found: {self.path}"}, 404
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):
            pass

    return Handler


@contextlib.contextmanager
def small_server(path):
    """Serves while the `with` block runs; the system picks a free port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make_handler(path))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


"""
## TensorFlow Serving

The same, by the program that does it in production.
"""


@contextlib.contextmanager
def tensorflow_serving(path, program, patience=60):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = path.parent.resolve()
    command = [program, f"--rest_api_port={port}", f"--model_name={NAME}", "--port=0"]
    command += [f"--model_base_path={folder}", "--rest_api_timeout_in_ms=10000"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(patience):
            with contextlib.suppress(urllib.error.URLError):
                ask(f"{address}/v1/models/{NAME}")
                break
            time.sleep(1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=10)


def serve(path):
    program = shutil.which("tensorflow_model_server")
    if program:
        return tensorflow_serving(path, program)
    return small_server(path)


"""
## A client

Needs nothing but HTTP and JSON.
"""


def ask(url, request=None):
    body = None if request is None else json.dumps(request).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(url, body, headers), timeout=30
    ) as response:
        return json.loads(response.read())


"""
## Prune, export, serve, ask
"""


def parse(argv=None):
    parser = argparse.ArgumentParser(description="Prunes a CNN and serves it.")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--ratio", type=float, default=0.5, help="filters to remove")
    parser.add_argument("--output", type=pathlib.Path, default="serving_output")
    args = parser.parse_args(argv)
    if not 0 <= args.ratio < 1:
        parser.error(f"--ratio should be in [0, 1). Received: {args.ratio}")
    return args


def main(argv=None):
    args = parse(argv)
    keras.utils.set_random_seed(1)
    model, images, labels = train(args.epochs)
    pruned = keras_shapley_prune.prune(model, images[500:700], args.ratio, verbose=0)
    keras_shapley_prune.compare(model, pruned)

    path = export(pruned, args.output)
    print(f"Exported to {path.relative_to(args.output)}")
    show_signature(path)

    few, truth = images[:2], labels[:2]
    with serve(path) as address:
        print(json.dumps(ask(f"{address}/v1/models/{NAME}")))
        url = f"{address}/v1/models/{NAME}:predict"
        response = ask(url, {"instances": few.tolist()})
        print(f"POST /v1/models/{NAME}:predict")
        print(json.dumps(response, indent=1))
        answers = np.array(response["predictions"])
        print(f"classes {answers.argmax(-1).tolist()}, labels {truth.tolist()}")
        expected = pruned.predict(few, verbose=0)["scores"]
        print(f"largest difference to Keras: {np.abs(answers - expected).max():.1g}")

        start = time.perf_counter()
        for image in images[:50]:
            ask(url, {"instances": [image.tolist()]})
        seconds = (time.perf_counter() - start) / 50
        print(f"{1e3 * seconds:.1f} ms a request")


if __name__ == "__main__":
    main()
