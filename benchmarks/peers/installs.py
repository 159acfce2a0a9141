"""What each peer says to today's TensorFlow and Keras: installs, then two convolutions.

    python benchmarks/peers/installs.py [--environments DIR]

Needs the environments that `run.py` lists. Each snippet runs in its environment; the
last line it prints is the answer. Writes peers_installs.csv.
"""

import argparse
import csv
import os
import pathlib
import subprocess

MODEL = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from tensorflow import keras
inputs = keras.Input((8, 8, 3))
hidden = keras.layers.Conv2D(64, 3, name="a", activation="relu")(inputs)
model = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="b")(hidden))
"""
SURGEON = (
    MODEL
    + """
from kerassurgeon.operations import delete_channels
pruned = delete_channels(model, model.get_layer("a"), [0, 1])
kernel, bias = model.get_layer("b").get_weights()
kernel[:, :, :2] = 0
model.get_layer("b").set_weights([kernel, bias])
images = tf.random.normal((4, 8, 8, 3))
gap = float(tf.reduce_max(tf.abs(model(images) - pruned(images))))
print("TensorFlow", tf.__version__, "works: parameters", pruned.count_params(),
      "largest difference between masked and pruned", gap)
"""
)
TFMOT = (
    MODEL
    + """
import tensorflow_model_optimization as tfmot
tfmot.sparsity.keras.prune_low_magnitude(model)
print("works")
"""
)
MCT = (
    MODEL
    + """
import model_compression_toolkit as mct
target = mct.core.ResourceUtilization(weights_memory=50000.0)  # of 81024, it counts
images = lambda: iter([[tf.random.normal((64, 8, 8, 3)).numpy()]])
pruned, _ = mct.pruning.keras_pruning_experimental(model, target, images)
print("TensorFlow", tf.__version__, "works: parameters", pruned.count_params())
"""
)
OURS = (
    MODEL
    + """
import keras_shapley_prune
images = tf.random.normal((40, 8, 8, 3)).numpy()
pruned = keras_shapley_prune.prune(model, images, 0.25, verbose=0)
print("TensorFlow", tf.__version__, "works: parameters", pruned.count_params())
"""
)
TORCH_MCT = """
import model_compression_toolkit
print("imports")
"""
CHECKS = [  # peer, question, environment, snippet
    ("keras_shapley_prune", "TF 2.21, Keras 3.15", "keras", OURS),
    ("keras-surgeon", "TF 2.21, Keras 3.15", "keras", SURGEON),
    ("keras-surgeon", "the TF 2.15 pip picks", "surgeon", SURGEON),
    ("keras-surgeon", "TF 2.3, Python 3.8", "surgeon38", SURGEON),
    ("tfmot", "TF 2.21, Keras 3.15", "keras", TFMOT),
    ("Sony MCT", "TF 2.21, Keras 3.15", "mct", MCT),
    ("Sony MCT", "TF 2.15", "mct215", MCT),
    ("Sony MCT", "PyTorch without torchvision", "torch", TORCH_MCT),
    ("Sony MCT", "PyTorch with torchvision", "zoo", TORCH_MCT),
]


def ask(python, snippet):
    """Returns the last line of what a snippet prints, or of its error."""
    root = pathlib.Path(__file__).parents[2]
    run = subprocess.run(
        [python, "-c", snippet],
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    lines = (run.stdout if run.returncode == 0 else run.stderr).strip().split("\n")
    return lines[-1][:300] if run.returncode == 0 else _error(lines)


def _error(lines):
    last = [line for line in lines if "Error" in line or "Exception" in line]
    return " ".join(dict.fromkeys([(last or lines)[-1], lines[-1]]))[:300]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--environments", type=pathlib.Path, default="/root/peers")
    output = pathlib.Path("benchmarks/results")
    parser.add_argument("--output", type=pathlib.Path, default=output)
    args = parser.parse_args()
    with open(args.output / "peers_installs.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["peer", "with", "answer"])
        for peer, question, environment, snippet in CHECKS:
            python = args.environments / environment / "bin" / "python"
            answer = "no environment: see run.py"
            if python.exists():
                answer = ask(python, snippet)
            writer.writerow([peer, question, answer])
            file.flush()
            print(f"| {peer} | {question} | {answer} |", flush=True)


if __name__ == "__main__":
    main()
