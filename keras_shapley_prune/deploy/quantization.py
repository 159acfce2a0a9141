"""LiteRT files with 8-bit integers, made of files with float32 numbers."""

import contextlib
import io
import os
import warnings

from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.inputs.finite import check_finite_inputs
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.trace.functional_models import input_structure

_SIGNATURE = "serving_default"  # what Keras calls the one it exports


def read_examples(model, dataset):
    """Reads what the ranges of activations are taken from.

    Args:
        model: The `keras.Model` that is converted.
        dataset: What `prune` takes.

    Returns:
        List of dicts: input name -> array of a single example.

    Raises:
        ValueError: If the data does not fit the model, or is not finite.
    """
    # By the names of the inputs, which the signature of the file has too.
    names = [tensor.name for tensor in model.inputs]
    data = CalibrationData(dataset, input_structure(model), needs_labels=False)
    batches = [values for values, _, _ in data]
    check_finite_inputs(model.inputs, batches)  # ranges are taken of them
    examples = []
    for values in batches:
        arrays = [value.numpy() for value in values]
        # The file takes one example at a time.
        for i in range(len(arrays[0])):
            rows = [array[i : i + 1] for array in arrays]
            examples.append(dict(zip(names, rows, strict=True)))
    return examples


def import_quantizer():
    """Returns the package `litert_quantizer`, which is heavy: not before it is used.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import litert_quantizer.calibrator
        import litert_quantizer.quantizer
        import litert_quantizer.recipe
        import litert_quantizer.recipe_manager
        import litert_quantizer.utils.qsv_utils
    except ImportError as error:
        raise ImportError(
            "`int8=True` needs the packages litert-quantizer and ai-edge-litert. "
            "Install them with: pip install litert-quantizer ai-edge-litert"
        ) from error
    return litert_quantizer


def quantize(package, float_model, examples, progress=None):
    """Returns the bytes of the static int8 version of a float file.

    Args:
        package: What `import_quantizer` returned.
        float_model: Bytes of the float file.
        examples: List of dicts: input name -> array of as many examples as the file
            takes at a time.
        progress: A `Progress`, in whose step the examples are run, or `None`.

    Raises:
        ValueError: If the quantizer cannot do what the file does.
    """
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
            shown = _Shown(examples, progress or Progress(0))
            calibrator.calibrate({_SIGNATURE: shown}, recipes)
            result = quantizer.quantize(
                calibrator.get_model_qsvs(),
                enable_progress_bar=False,
                enable_progress_report=False,
            )
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(
            "Argument `model` should consist of operations that can be quantized; "
            "loops, such as those of recurrent layers without `unroll=True`, cannot. "
            f"Received: a model of which the quantizer says: {error}"
        ) from error
    return bytes(result.quantized_model)


class _Shown:
    """Examples of which a bar tells which one is being run."""

    def __init__(self, examples, progress):
        self._examples, self._progress = examples, progress

    def __len__(self):
        return len(self._examples)

    def __iter__(self):
        count = len(self._examples)
        for number, example in enumerate(self._examples):
            label = f"quantizing, example {number + 1} of {count}"
            self._progress.show_share(label, number / count)
            yield example


@contextlib.contextmanager
def _silence():
    """Keeps progress bars and a note for developers off the screen."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
