"""Writes a model for LiteRT (TensorFlow Lite): phones, boards, microcontrollers."""

import contextlib
import io
import os
import pathlib
import tempfile
import warnings

import keras
import tensorflow as tf

from keras_shapley_prune.deploy.float32_copy import copy_in_float32, find_halves
from keras_shapley_prune.inputs.arguments import blaming, check_boolean
from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.inputs.finite import check_finite_inputs
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.inputs.paths import check_target
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.trace.functional_models import input_structure
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import (
    describe_inputs,
    give_sizes,
    read_sizes,
    sizes_of,
)

_SIGNATURE = "serving_default"  # what Keras calls the one it exports


@undisturbed
def export_litert(model, path, int8=False, representative_data=None, input_shape=None):
    """Writes a model as a LiteRT file, with float32 or with int8 numbers.

    The file takes one example at a time: with a fixed batch, every shape in it is
    known, which XNNPACK, the delegates of accelerators and microcontrollers want. It
    holds built-in operations only, so nothing of TensorFlow has to be there to run it.
    Inputs have the names of the model's `keras.Input`s. Where the model takes any size,
    the file takes the one of `input_shape`. A model in half precision (`"float16"`,
    `"bfloat16"` or mixed with them), with which few converters and devices can do
    anything, is written as a copy in float32, and a `UserWarning` says so.

    With `int8=True` weights (one scale a channel), activations, inputs and outputs are
    8-bit integers. Their ranges are the smallest and the largest values that occur on
    `representative_data`. Operations that the quantizer does not know, such as `PReLU`
    and `LeakyReLU`, compute in float, between a dequantization and a quantization.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        path: String or path-like, the file to write; ends with `".tflite"`. A file
            that is there already is replaced.
        int8: Boolean, whether to quantize to 8-bit integers. Needs the packages of
            `pip install "keras-shapley-prune[litert]"`.
        representative_data: Some 100 examples that look like those to come, without
            labels or with labels that are not read; see `dataset` of `prune`. Only for
            `int8=True`, which needs them.
        input_shape: Tuple of integers, the shape of one example, without the batch, for
            a model that takes any size, such as `keras.Input((None, None, 3))`; a list
            or a dict of them for several inputs. `None` for the sizes of the model's
            own inputs, or of `representative_data`.

    Returns:
        `pathlib.Path` of the file.

    Raises:
        ValueError: If an argument is not of that form, a size is not known without
            which the model cannot be converted, the model has operations that LiteRT,
            or its quantizer, cannot do, or `representative_data` is not finite.
        ImportError: If `int8=True` and the quantizer is not installed.

    Example:

    ```python
    keras_shapley_prune.export_litert(pruned, "pruned.tflite")
    keras_shapley_prune.export_litert(
        pruned, "pruned_int8.tflite", int8=True, representative_data=images
    )

    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter("pruned.tflite").get_signature_runner()
    outputs = run(image=images[:1])  # a dict; the model's input is named "image"
    ```
    """
    path = _check_arguments(model, path, int8, representative_data)
    graph = record_graph(model)
    shapes = input_shape
    if shapes is None:
        with blaming("dataset", "representative_data"):
            shapes = read_sizes(graph, representative_data)
    graph = give_sizes(graph, shapes)
    model = _in_float32(model)
    if not int8:
        _write_float(model, path, graph)
        return path
    quantizer = _import_quantizer()
    with blaming("dataset", "representative_data"):
        examples = list(_read_examples(model, representative_data))
    with tempfile.TemporaryDirectory() as folder:
        # The quantizer starts from a float file, which nobody has asked for.
        float_path = pathlib.Path(folder) / path.name
        _write_float(model, float_path, graph)
        path.write_bytes(_quantize(quantizer, float_path.read_bytes(), examples))
    return path


def _check_arguments(model, path, int8, representative_data):
    check_model(model)
    check_target(path)
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        raise ValueError(
            f"Argument `path` should end with '.tflite'. Received: path='{path}'"
        )
    check_boolean("int8", int8)
    if int8 != (representative_data is not None):
        expected = "data for `int8=True`" if int8 else "`None` for `int8=False`"
        raise ValueError(
            f"Argument `representative_data` should be {expected}. Received: "
            f"int8={int8}, representative_data of type {type(representative_data)}"
        )
    return path


def _in_float32(model):
    halves = find_halves(model)
    if not halves:
        return model
    warnings.warn(
        f"The model {model.name!r} has parts in {' and '.join(halves)}. What is "
        "exported is a copy of it in float32",
        stacklevel=4,
    )
    return copy_in_float32(model)


def _write_float(model, path, graph):
    """Lets Keras convert the model, for batches of one and built-in operations."""
    inputs = keras.tree.flatten(input_structure(model))
    shapes = graph.input_shapes or sizes_of(inputs)
    signature = keras.tree.pack_sequence_as(
        input_structure(model),
        [
            tf.TensorSpec((1, *shape), tensor.dtype, tensor.name)
            for tensor, shape in zip(inputs, shapes, strict=True)
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        model.export(
            path,
            format="litert",
            verbose=False,
            input_signature=[signature],
            target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        )
    except OSError:
        # The path is at fault, not the model.
        raise
    except Exception as error:
        if any(None in shape for shape in shapes):
            raise ValueError(
                "Argument `input_shape` should be the shape of one example, such as "
                "(224, 224, 3): LiteRT cannot convert this model as long as a size is "
                f"not known. Received: input_shape=None, a model named {model.name!r} "
                f"with inputs {describe_inputs(graph)}"
            ) from error
        raise ValueError(
            "Argument `model` should consist of operations that LiteRT has built in. "
            f"Received: model named {model.name!r}, of which the converter says: "
            f"{error}"
        ) from error


def _read_examples(model, dataset):
    """Yields one example at a time, as a dict: input name -> array of batch 1."""
    names = [tensor.name for tensor in model.inputs]
    structure = input_structure(model)
    data = CalibrationData(dataset, structure, needs_labels=False)
    batches = [values for values, _, _ in data]
    check_finite_inputs(model.inputs, batches)  # ranges are taken of them
    for values in batches:
        # By the names of the inputs, which the signature of the file has too.
        arrays = [value.numpy() for value in values]
        # The file takes one example at a time.
        for i in range(len(arrays[0])):
            rows = [array[i : i + 1] for array in arrays]
            yield dict(zip(names, rows, strict=True))


def _import_quantizer():
    """Returns the package `litert_quantizer`, which is heavy: not before it is used."""
    try:
        import litert_quantizer.calibrator
        import litert_quantizer.quantizer
        import litert_quantizer.recipe
        import litert_quantizer.recipe_manager
        import litert_quantizer.utils.qsv_utils
    except ImportError as error:
        raise ImportError(
            "`int8=True` needs the packages litert-quantizer and ai-edge-litert. "
            'Install them with: pip install "keras-shapley-prune[litert]"'
        ) from error
    return litert_quantizer


def _quantize(package, float_model, examples):
    """Returns the bytes of the float model's static int8 version."""
    recipe = package.recipe.static_wi8_ai8()
    recipes = package.recipe_manager.RecipeManager()
    recipes.load_quantization_recipe(recipe)
    # The quantizer's own `calibrate` averages the extremes of the examples, which
    # clips most of them. Here the extremes are those of all examples.
    try:
        with _silence():
            calibrator = package.calibrator.Calibrator(
                float_model,
                num_threads=os.cpu_count() or 1,
                qsv_update_func=package.utils.qsv_utils.min_max_update,
            )
            quantizer = package.quantizer.Quantizer(float_model)
            quantizer.load_quantization_recipe(recipe)
            calibrator.calibrate({_SIGNATURE: examples}, recipes)
            result = quantizer.quantize(
                calibrator.get_model_qsvs(),
                enable_progress_bar=False,
                enable_progress_report=False,
            )
    except (ValueError, RuntimeError, KeyError) as error:
        raise ValueError(
            "Argument `model` should consist of operations that can be quantized; "
            "loops, such as those of recurrent layers without `unroll=True`, cannot. "
            f"Received: a model of which the quantizer says: {error}"
        ) from error
    return bytes(result.quantized_model)


@contextlib.contextmanager
def _silence():
    """Keeps progress bars and a note for developers off the screen."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
