"""The bytes of a LiteRT file: a model converted for batches of one size."""

import pathlib
import tempfile

import keras
import tensorflow as tf

from keras_shapley_prune.trace.functional_models import input_structure
from keras_shapley_prune.trace.sizes import describe_inputs, sizes_of


def convert(model, graph, batch_size=1):
    """Lets Keras convert a model, with built-in operations only.

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
    signature = keras.tree.pack_sequence_as(
        input_structure(model),
        [
            tf.TensorSpec((batch_size, *shape), tensor.dtype, tensor.name)
            for tensor, shape in zip(inputs, shapes, strict=True)
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        try:
            model.export(
                path,
                format="litert",
                verbose=False,
                input_signature=[signature],
                target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
            )
        except OSError:
            # The disk is at fault, not the model.
            raise
        except Exception as error:
            raise _explain(error, model, graph, shapes) from error
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
