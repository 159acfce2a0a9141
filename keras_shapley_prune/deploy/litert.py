"""Writes a model for LiteRT (TensorFlow Lite): phones, boards, microcontrollers."""

import pathlib
import warnings

from keras_shapley_prune.deploy.conversion import convert
from keras_shapley_prune.deploy.float32_copy import copy_in_float32, find_halves
from keras_shapley_prune.deploy.quantization import (
    import_quantizer,
    quantize,
    read_examples,
)
from keras_shapley_prune.inputs.arguments import (
    check_boolean,
    check_verbose,
)
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.inputs.paths import check_target
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import give_sizes, read_sizes

_CONVERT, _QUANTIZE = 1.0, 1.0  # seconds of a small network, about: parts of a bar


@undisturbed(old_names={"representative_data": "dataset"})
def export_litert(
    model,
    path,
    int8=False,
    dataset=None,
    input_shape=None,
    verbose="auto",
):
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
    `dataset`. Operations that the quantizer does not know, such as `PReLU`
    and `LeakyReLU`, compute in float, between a dequantization and a quantization.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        path: String or path-like, the file to write; ends with `".tflite"`. A file
            that is there already is replaced.
        int8: Boolean, whether to quantize to 8-bit integers. Needs the packages of
            `pip install litert-quantizer ai-edge-litert`.
        dataset: Some 100 examples that look like those to come, without
            labels or with labels that are not read; see `dataset` of `prune`. Only for
            `int8=True`, which needs them.
        input_shape: Tuple of integers, the shape of one example, without the batch, for
            a model that takes any size, such as `keras.Input((None, None, 3))`; a list
            or a dict of them for several inputs. `None` for the sizes of the model's
            own inputs, or of `dataset`.
        verbose: `"auto"` or 1 for a progress bar, 0 for silence.

    Returns:
        `pathlib.Path` of the file.

    Raises:
        ValueError: If an argument is not of that form, a size is not known without
            which the model cannot be converted, the model has operations that LiteRT,
            or its quantizer, cannot do, or `dataset` is not finite.
        ImportError: If `int8=True` and the quantizer is not installed.

    Example:

    ```python
    keras_shapley_prune.export_litert(pruned, "pruned.tflite")
    keras_shapley_prune.export_litert(
        pruned, "pruned_int8.tflite", int8=True, dataset=images
    )

    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter("pruned.tflite").get_signature_runner()
    outputs = run(image=images[:1])  # a dict; the model's input is named "image"
    ```
    """
    path = _check_arguments(model, path, int8, dataset)
    check_verbose(verbose)
    graph = record_graph(model)
    shapes = input_shape
    if shapes is None:
        shapes = read_sizes(graph, dataset)
    graph = give_sizes(graph, shapes)
    model = _in_float32(model)
    if int8:  # what may be missing, or wrong, is known before the model is converted
        quantizer = import_quantizer()
        examples = read_examples(model, dataset)
    planned = {"convert": _CONVERT, "quantize": _QUANTIZE * int8}
    with Progress(verbose, planned) as progress:
        progress.begin("convert")
        progress.show("converting")
        content = convert(model, graph)
        if int8:
            progress.begin("quantize")
            content = quantize(quantizer, content, examples, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _check_arguments(model, path, int8, dataset):
    check_model(model)
    check_target(path)
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        raise ValueError(
            f"Argument `path` should end with '.tflite'. Received: path='{path}'"
        )
    check_boolean("int8", int8)
    if int8 != (dataset is not None):
        expected = "data for `int8=True`" if int8 else "`None` for `int8=False`"
        raise ValueError(
            f"Argument `dataset` should be {expected}. Received: "
            f"int8={int8}, dataset of type {type(dataset)}"
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
