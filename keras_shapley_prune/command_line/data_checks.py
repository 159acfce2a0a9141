"""Whether examples are scaled as a model wants them: a wrong `--rescale` is noticed."""

import typing
import warnings

import keras
import numpy as np

from keras_shapley_prune.command_line.input_files import InputError
from keras_shapley_prune.command_line.npz_files import TEXT
from keras_shapley_prune.command_line.usual_scales import find_range, find_scale
from keras_shapley_prune.repair.calibration_check import FARTHEST, measure_distances
from keras_shapley_prune.repair.sample import FEWEST, read_sample
from keras_shapley_prune.trace.recording import record_graph

_FEWEST_LABELLED = 32
_NUM_DEVIATIONS = 2  # of the share of examples that guessing would name rightly
# Measured on networks of digits. On the pixels they were trained on, 0..1 or 0..255, at
# most 3 % of the examples leave nothing at all to the second class; on pixels 255 times
# as large it is 98 %. On pixels 255 times as small, no probability varies by more than
# 0.08; on the right ones by 1.
_MOST_SURE = 0.5
_LEAST_CHANGE = 0.1


class _Problem(typing.NamedTuple):
    text: str
    # Whether it is an error. `None`: if a usual scale would do, as else the model may
    # be one that guesses.
    is_error: bool | None = None
    question: str = "Check `--rescale` and `--offset`"


def check_data(model, examples, source):
    """Raises an error, or warns, if examples are not like what a model was trained on.

    What the first BatchNormalizations read is compared with what they remember. A model
    that returns probabilities of classes should neither leave nothing to the second
    class nor return the same for all examples. If there are labels of classes, it
    should name them better than by guessing.

    Args:
        model: The `keras.Model`.
        examples: What `DataSource.load` returned.
        source: The `DataSource`.

    Raises:
        InputError: If they are far from what normalizations remember, or another usual
            scale would do: it says which. A model that answers as if it guessed may
            be one that is not trained, of which a warning tells.
    """
    x, *labels = examples
    parts = keras.tree.flatten(x)
    if len(parts[0]) < FEWEST or any(part.dtype.kind in TEXT for part in parts):
        return
    graph = record_graph(model)
    problem = _find_problem(graph, examples)
    if problem is None:
        return
    low, high = find_range(x)
    message = (
        f"Data {source.name!r} should be like what the model was trained on. Received: "
        f"values from {low:.4g} to {high:.4g}, with which {problem.text}"
    )

    def fits(scaled):
        return _find_problem(graph, (scaled, *labels)) is None

    scale = find_scale(x, source.rescale, source.offset, fits)
    hint = f"Did you mean {scale}?" if scale else problem.question
    is_error = scale is not None if problem.is_error is None else problem.is_error
    if not is_error:
        warnings.warn(f"{message}. {hint}", stacklevel=2)
        return
    raise InputError(f"{message}. {hint} (`--force` takes them as they are)")


def _find_problem(graph, examples):
    """Returns the `_Problem` that a model has with examples, or `None`."""
    sample = read_sample(examples, graph).inputs
    distances = measure_distances(graph, sample)
    for found in sorted(distances, key=lambda one: -one.total):
        if found.total > FARTHEST:
            return _Problem(
                f"what layer {found.name!r} reads is at a distance of {found.total:.3g}"
                f" from what it remembers (of training data: below {FARTHEST})",
                is_error=True,
            )
    outputs = [keras.tree.flatten(graph.run(batch)) for batch in sample]
    if len(outputs[0]) != 1:
        return None
    outputs = np.concatenate([np.asarray(one) for (one,) in outputs])
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        return None
    labels = _find_classes(outputs, examples)
    if labels is not None and not _are_named(labels, outputs):
        text = (
            "the model names the classes of the first examples no better than guessing"
        )
        if distances:  # normalizations that know the data leave the labels
            return _Problem(text, question="Are the labels numbered as in training?")
        return _Problem(text)
    return _look_at_probabilities(outputs, labels is None)


def _find_classes(outputs, examples):
    """Returns the class of each of the first examples, or `None` if it is not known."""
    if len(examples) < 2 or len(outputs) < _FEWEST_LABELLED:
        return None
    labels, num_classes = np.asarray(examples[1])[: len(outputs)], outputs.shape[1]
    if labels.ndim == 2 and labels.shape[1] == num_classes:
        labels = labels.argmax(axis=1)
    if labels.size != len(labels) or labels.dtype.kind not in "iu":
        return None
    known = 0 <= labels.min() <= labels.max() < num_classes
    return labels.reshape(-1) if known else None


def _are_named(labels, outputs):
    """Returns whether outputs name classes more often than the most frequent one is."""
    share = np.mean(outputs.argmax(axis=1) == labels)
    guessed = np.bincount(labels).max() / len(labels)
    deviation = np.sqrt(guessed * (1 - guessed) / len(labels))
    return share > guessed + _NUM_DEVIATIONS * deviation


def _look_at_probabilities(outputs, are_unknown):
    """Returns the `_Problem` of probabilities of classes, or `None`.

    Args:
        outputs: Array, shape `(examples, classes)`.
        are_unknown: Boolean. If the classes are known, a model that hardly tells them
            apart has been seen to do so nevertheless.
    """
    # With fewer digits, probabilities are rounded to 0 much earlier.
    has_digits = outputs.dtype in ("float32", "float64")
    sums = outputs.sum(axis=1)
    if not has_digits or outputs.min() < 0 or not np.allclose(sums, 1, atol=1e-3):
        return None
    second = np.sort(outputs, axis=1)[:, -2]
    if np.mean(second == 0) > _MOST_SURE:
        return _Problem("most outputs are 1 for one class and 0 for all others")
    if are_unknown and np.ptp(outputs, axis=0).max() < _LEAST_CHANGE:
        # Larger numbers make the outputs of any model differ.
        text = "outputs hardly differ among examples (is the model trained?)"
        return _Problem(text, is_error=False)
    return None
