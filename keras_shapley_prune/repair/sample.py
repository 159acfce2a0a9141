"""The first examples of a dataset, with their labels: what the checks look at."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.trace.batches import has_fixed_batch

SAMPLE = 64  # the first examples; more of them say nothing new
FEWEST = 16  # fewer say too little about any data


@dataclasses.dataclass(frozen=True)
class Sample:
    """The first examples of a dataset.

    Attributes:
        inputs: List of lists of input tensors, one list a batch.
        labels: List of what `model.fit` takes as `y`, one a batch; empty if there are
            none.
        weights: List of what `model.fit` takes as `sample_weight`; empty if there are
            none.
    """

    inputs: list
    labels: list = ()
    weights: list = ()

    @property
    def num_examples(self):
        """Integer."""
        return sum(int(inputs[0].shape[0]) for inputs in self.inputs)

    def describe_range(self):
        """Returns between which values the first input's numbers are, a string."""
        arrays = [np.asarray(inputs[0]) for inputs in self.inputs]
        if not arrays or arrays[0].dtype.kind not in "biuf":
            return "no numbers"
        low, high = min(map(np.min, arrays)), max(map(np.max, arrays))
        return f"values from {low:.4g} to {high:.4g}"


def read_sample(dataset, graph):
    """Returns the `Sample` of a dataset, as much as the checks look at.

    Args:
        dataset: Calibration data, see `prune`, or `None`.
        graph: The recorded `Graph` of the model.
    """
    if dataset is None:
        return Sample([])
    data = CalibrationData(dataset, graph.input_structure, needs_labels=False)
    first = _take_first(data, graph, SAMPLE)
    inputs, labels, weights = map(list, zip(*first, strict=True))
    return Sample(inputs, _if_all_given(labels), _if_all_given(weights))


def first_examples(batches, graph, count=SAMPLE):
    """Returns the first examples of batches that have been read.

    Args:
        batches: Iterable of lists of input tensors.
        graph: The recorded `Graph` of the model.
        count: Integer, how many.

    Returns:
        List of lists of input tensors, one list a batch.
    """
    return [inputs for (inputs,) in _take_first(zip(batches), graph, count)]


def _take_first(batches, graph, count):
    """Returns the first examples of batches, tuples whose first entry is inputs."""
    first, missing, divisible = [], count, not has_fixed_batch(graph)
    for batch in batches:
        size = int(batch[0][0].shape[0])
        if divisible and size > missing:
            batch = keras.tree.map_structure(lambda t, n=missing: _cut(t, n), batch)
        first.append(batch)
        missing -= size
        if missing <= 0:
            break
    return first


def _cut(tensor, count):
    has_length = tf.is_tensor(tensor) or isinstance(tensor, np.ndarray)
    return tensor[:count] if has_length and len(tensor.shape) else tensor


def _if_all_given(structures):
    """Returns what is given of each batch, an empty list if not all of it is."""
    leaves = [keras.tree.flatten(structure) for structure in structures]
    given = all(flat and all(leaf is not None for leaf in flat) for flat in leaves)
    return structures if given else []
