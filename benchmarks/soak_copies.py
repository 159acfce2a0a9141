"""What soak.py makes of a pruned model: files of three kinds, which are read again."""

import keras
import models
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras.src.applications import convnext, inception_resnet_v2
from soak_measures import recorded_warnings
from soak_outcomes import WrongError, brief

import keras_shapley_prune as ksp

LITE = 10  # times the tolerance of others: LiteRT has kernels of its own
# Layers of keras.applications, which Keras does not find by their names.
OWN_LAYERS = {
    layer.__name__: layer
    for layer in (
        convnext.LayerScale,
        convnext.StochasticDepth,
        inception_resnet_v2.CustomScaleLayer,
    )
}


def check_saved(comparison, pruned, folder):
    """What is loaded computes what was saved, to the last bit."""

    def save_and_load(model):
        model.save(folder / "model.keras")
        loaded = ksp.load_model(folder / "model.keras", OWN_LAYERS)
        return [models.outputs_of(m, comparison.inputs) for m in (loaded, model)]

    check_copy(comparison, "saved", save_and_load, pruned, 0)


def check_served(comparison, pruned, folder):
    """A SavedModel computes what the model does."""

    def export(model):
        model.export(folder / "saved", verbose=False)
        loaded = tf.saved_model.load(folder / "saved")
        served = keras.tree.flatten(loaded.serve(comparison.inputs))
        served = [np.asarray(tf.cast(tensor, "float32")) for tensor in served]
        return served, models.outputs_of(model, comparison.inputs)

    check_copy(comparison, "served", export, pruned, comparison.tolerance)


def check_lite(comparison, pruned, folder):
    """A LiteRT file computes nearly what the model does, for one example."""

    def export(model):
        one = keras.tree.map_structure(lambda array: array[:1], comparison.inputs)
        with recorded_warnings():
            path = ksp.export_litert(model, folder / "model.tflite")
        return run_lite(path, model, one), models.outputs_of(model, one)

    check_copy(comparison, "lite", export, pruned, LITE * comparison.tolerance)


def check_copy(comparison, name, copy, pruned, tolerance):
    """Compares what a copy of a model computes with what the model does.

    What is wrong with a copy of the original, too, is no fault of the package: Keras or
    TensorFlow cannot copy such a network.

    Args:
        comparison: A `Comparison`.
        name: String, the field of the row.
        copy: Function of a model that returns the outputs of both.
        pruned: The pruned model.
        tolerance: Float.
    """
    try:
        comparison.check(name, *copy(pruned), tolerance)
    except Exception as error:
        try:
            comparison.check(name, *copy(comparison.model), tolerance)
        except Exception as same:
            comparison.skip(f"{name}: {brief(same)}")
            return
        if isinstance(error, WrongError):
            raise
        raise WrongError("crash", f"{name}: {brief(error)}") from error


def run_lite(path, model, inputs):
    """Returns the outputs of a LiteRT file for a batch of one example."""
    runner = Interpreter(str(path)).get_signature_runner()
    details, flat = runner.get_input_details(), keras.tree.flatten(inputs)
    named = zip([tensor.name for tensor in model.inputs], flat, strict=True)
    outputs = runner(**{n: value.astype(details[n]["dtype"]) for n, value in named})
    # Keras names them output_0, output_1, ... in the order of the model's.
    names = sorted(outputs, key=lambda name: int(name.rpartition("_")[2]))
    return [np.asarray(outputs[name], "float32") for name in names]
