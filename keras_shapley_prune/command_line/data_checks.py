"""Whether examples are scaled as a model wants them: a wrong `--rescale` is noticed."""

import warnings

import keras
import numpy as np

from keras_shapley_prune.command_line.input_files import InputError
from keras_shapley_prune.command_line.npz_files import TEXT, count_examples
from keras_shapley_prune.repair.calibration_check import (
    FARTHEST,
    FEWEST,
    measure_distances,
    read_sample,
)
from keras_shapley_prune.trace.recording import record_graph

# What images are usually made into, from 0..255 or, by the last ones, from 0..1.
_SCALES = {
    "no --rescale": (1.0, 0.0),
    "--rescale 1/255": (1 / 255, 0.0),
    "--rescale 1/127.5 --offset=-1": (1 / 127.5, -1.0),
    # The means and standard deviations of ImageNet, alike in all three colors.
    "--rescale 1/57.6 --offset=-1.99": (1 / 57.6, -1.99),
    "--rescale 255": (255.0, 0.0),
    "--rescale 2 --offset=-1": (2.0, -1.0),
}
_FEWEST_LABELLED = 32
_NUM_DEVIATIONS = 2  # of the number of right guesses


def check_data(model, examples, source):
    """Raises an error if examples are not like what a model was trained on.

    What the first BatchNormalizations read is compared with what they remember. If
    there are labels of classes, the model has to name them better than by guessing.

    Args:
        model: The `keras.Model`.
        examples: What `DataSource.load` returned.
        source: The `DataSource`.

    Raises:
        InputError: If they are not. It says which other scale would do.
    """
    if count_examples(examples[0]) < FEWEST or not all(
        map(_is_number, _parts(examples))
    ):
        return
    graph = record_graph(model)
    problem = _find_problem(graph, examples)
    if problem is None:
        return
    what, surely = problem
    fitting = _find_scale(graph, examples, source)
    message = (
        f"Data {source.name!r} should be like what the model was trained on. "
        f"Received: {_describe_values(examples)}, with which {what}"
    )
    if fitting is None and not surely:
        # Its normalizations know such data.
        labels = "Are the labels numbered as in training?"
        warnings.warn(f"{message}. {labels}", stacklevel=2)
        return
    hint = "Check `--rescale` and `--offset`"
    if fitting is not None:
        hint = f"Did you mean {fitting}?"
    raise InputError(f"{message}. {hint} (`--force` takes them as they are)")


def _find_problem(graph, examples):
    """Returns what is wrong, and whether it is the scale for sure; or `None`."""
    sample = read_sample(examples, graph)
    distances = measure_distances(graph, sample)
    farthest = max(distances, key=lambda found: found.total, default=None)
    if farthest is not None and not farthest.total <= FARTHEST:
        return (
            f"what layer {farthest.name!r} reads is at a distance of "
            f"{farthest.total:.3g} from what it remembers (of training data: below "
            f"{FARTHEST})"
        ), True
    labels = _find_classes(graph, examples, sum(len(batch[0]) for batch in sample))
    if labels is None or len(labels) < _FEWEST_LABELLED:
        return None
    outputs = [keras.tree.flatten(graph.run(batch))[0] for batch in sample]
    share = np.mean(np.concatenate(outputs).argmax(axis=-1) == labels)
    guessed = np.bincount(labels).max() / len(labels)
    spread = np.sqrt(guessed * (1 - guessed) / len(labels))
    if share > guessed + _NUM_DEVIATIONS * spread:
        return None
    return (
        f"it names the class of {share:.0%} of {len(labels)} examples, about as often "
        f"as guessing would ({guessed:.0%})"
    ), farthest is None


def _find_scale(graph, examples, source):
    """Returns the options of a usual scale with which all is well, or `None`."""

    def restore(array):
        return (np.asarray(array, "float32") - source.offset) / source.rescale

    raw = keras.tree.map_structure(restore, examples[0])
    for options, (factor, offset) in _SCALES.items():
        if (factor, offset) == (source.rescale, source.offset):
            continue
        x = keras.tree.map_structure(lambda a, f=factor, o=offset: a * f + o, raw)
        if _find_problem(graph, (x, *examples[1:])) is None:
            return options
    return None


def _find_classes(graph, examples, count):
    """Returns the class of each of the first examples, or `None` if it is not known."""
    shapes = [tensor.shape for tensor in graph.outputs]
    if len(examples) < 2 or len(shapes) != 1 or len(shapes[0]) != 2:
        return None
    labels, num_classes = np.asarray(examples[1])[:count], shapes[0][1] or 0
    if labels.ndim == 2 and labels.shape[1] == num_classes:
        labels = labels.argmax(axis=1)
    is_class = labels.size == len(labels) and labels.dtype.kind in "iu"
    if (
        num_classes < 2
        or not is_class
        or not 0 <= labels.min() <= labels.max() < num_classes
    ):
        return None
    return labels.reshape(-1)


def _parts(examples):
    return keras.tree.flatten(examples[0])


def _is_number(array):
    return array.dtype.kind not in TEXT


def _describe_values(examples):
    parts = _parts(examples)
    low, high = min(map(np.min, parts)), max(map(np.max, parts))
    return f"values from {low:.4g} to {high:.4g}"
