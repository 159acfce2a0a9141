"""Writes networks and data as NumPy arrays, for the environments without Keras.

    python benchmarks/peers/export.py [--networks resnet20 cnn] [--pretrained DIR]

Writes `.cache/peers/NETWORK.npz`: the weights under PyTorch's names and in its layout,
the calibration images of each draw, the test images, and what Keras answers to some of
them.
"""

import argparse
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import keras
import networks
import numpy as np

NUM_SEEDS = 3
NUM_IMAGES = 200


def to_torch_arrays(model):
    """Returns the weights of a Keras model as PyTorch would keep them.

    Dense layers behind a `Flatten` are right only where the image is 1 x 1 there.

    Args:
        model: A `keras.Model` of convolutions, dense layers and batch normalizations.

    Returns:
        A dict: `"layer.weight"`, `"layer.bias"`, `"layer.running_mean"` or
        `"layer.running_var"` -> array.
    """
    arrays = {}
    for layer in model.layers:
        values = {w.name: keras.ops.convert_to_numpy(w) for w in layer.weights}
        if isinstance(layer, keras.layers.Conv2D):
            arrays[f"{layer.name}.weight"] = values["kernel"].transpose(3, 2, 0, 1)
        elif isinstance(layer, keras.layers.Dense):
            arrays[f"{layer.name}.weight"] = values["kernel"].T
        elif isinstance(layer, keras.layers.BatchNormalization):
            arrays[f"{layer.name}.weight"] = values["gamma"]
            arrays[f"{layer.name}.bias"] = values["beta"]
            arrays[f"{layer.name}.running_mean"] = values["moving_mean"]
            arrays[f"{layer.name}.running_var"] = values["moving_variance"]
        elif values:
            raise ValueError(
                "Expected layers of type Conv2D, Dense or BatchNormalization. "
                f"Received: {layer.name} of type {type(layer).__name__}"
            )
        if "bias" in values:
            arrays[f"{layer.name}.bias"] = values["bias"]
    return arrays


def export(problem, path):
    """Writes all that a peer needs to know of a `Problem` to one file."""
    arrays = {f"w/{k}": v for k, v in to_torch_arrays(problem.model).items()}
    x_test, y_test = (array[:3000] for array in problem.test)
    arrays |= {"x_test": x_test, "y_test": y_test}
    arrays["expected"] = problem.model.predict(x_test[:200], verbose=0)
    for seed in range(NUM_SEEDS):
        x, y = problem.calibration(NUM_IMAGES, seed)
        arrays |= {f"x_{seed}": x, f"y_{seed}": y}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet20", "cnn"])
    args = networks.parse_arguments(parser)
    for name in args.networks:
        problem = networks.NETWORKS[name](args)
        path = pathlib.Path(args.cache) / "peers" / f"{name}.npz"
        export(problem, path)
        print(f"wrote {path}: accuracy {problem.accuracy(problem.model):.4f}")


if __name__ == "__main__":
    main()
