"""The bytes of a LiteRT file: a model converted for batches of one size."""

import contextlib
import pathlib
import tempfile

import keras
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from keras_shapley_prune.trace.functional_models import input_structure
from keras_shapley_prune.trace.sizes import describe_inputs, sizes_of

# Weights that are made constants. The converter then holds thirty times their bytes:
# of a ResNet50, with 26 million, 3.2 GB, and 1 GB as Keras does it.
MOST_CONSTANTS = 10_000_000


def convert(model, graph, batch_size=1):
    """Converts a model to a LiteRT file of built-in operations only.

    Args:
        model: A built Sequential or functional `keras.Model`, in float32.
        graph: The recorded `Graph` of it, which knows the sizes of its inputs.
        batch_size: Integer, how many examples the file takes at a time.

    Returns:
        Bytes, the content of the file.

    Raises:
        ValueError: If LiteRT cannot do what the model does, or a size is missing.
    """
    inputs = keras.tree.flatten(input_structure(model))
    shapes = graph.input_shapes or sizes_of(inputs)
    specs = [
        tf.TensorSpec((batch_size, *shape), tensor.dtype, tensor.name)
        for tensor, shape in zip(inputs, shapes, strict=True)
    ]
    if model.count_params() <= MOST_CONSTANTS:
        # What fails here, such as a state that changes, may yet be done by Keras.
        with contextlib.suppress(Exception):
            return _convert_constants(model, specs)
    try:
        return _convert_by_keras(model, specs)
    except OSError:
        # The disk is at fault, not the model.
        raise
    except Exception as error:
        raise _explain(error, model, graph, shapes) from error


def _convert_constants(model, specs):
    """Converts the forward pass with its weights as constants.

    The file has the operations that Keras's own has, two to four times as fast: Keras
    writes a SavedModel, in which the converter looks for what is constant.
    """
    structure = input_structure(model)

    def call(*flat):
        inputs = keras.tree.pack_sequence_as(structure, list(flat))
        return model(inputs, training=False)

    function = tf.function(call, autograph=False).get_concrete_function(*specs)
    for name in function.graph.collections:
        # They hold tables of the whole process, of which TensorFlow would warn.
        function.graph.clear_collection(name)
    # Loops stay loops: what they would be lowered to has no LiteRT operation.
    function = convert_to_constants.convert_variables_to_constants_v2(
        function, lower_control_flow=False
    )
    with tempfile.TemporaryDirectory() as folder:
        # The converter takes functions too, but then may lose the names of inputs.
        # Nobody trains it: gradients, such as that of swish, would need the weights.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, function, options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return converter.convert()


def _convert_by_keras(model, specs):
    signature = keras.tree.pack_sequence_as(input_structure(model), specs)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        model.export(
            path,
            format="litert",
            verbose=False,
            input_signature=[signature],
            target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        )
        return path.read_bytes()


def _explain(error, model, graph, shapes):
    """Returns what to raise for an error of the converter."""
    if any(None in shape for shape in shapes):
        return ValueError(
            "Argument `input_shape` should be the shape of one example, such as "
            "(224, 224, 3): LiteRT cannot convert this model as long as a size is "
            f"not known. Received: input_shape=None, a model named {model.name!r} "
            f"with inputs {describe_inputs(graph)}"
        )
    return ValueError(
        "Argument `model` should consist of operations that LiteRT has built in. "
        f"Received: model named {model.name!r}, of which the converter says: "
        f"{error}"
    )
