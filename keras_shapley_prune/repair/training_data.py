"""The examples that a student is trained on, and those that are held out."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.data import CalibrationData, find_fixed_size
from keras_shapley_prune.inputs.finite import check_finite_inputs
from keras_shapley_prune.repair.augmentation import augment, mix_at_random

_COPIES = 2  # of each example that is held out


class TrainingData:
    """Calibration data, of which a tenth is held out, and extra images.

    Args:
        dataset: See `mimic`.
        graph: The recorded `Graph` of the original.
        settings: A `Mimic`.

    Attributes:
        num_examples: Integer, those of the calibration data.
        held_out: List of batches, lists of input tensors, moved and mixed copies of
            examples that are never trained on.
        known: List of batches, the rest of the calibration data.
    """

    def __init__(self, dataset, graph, settings):
        self._fixed = find_fixed_size(graph.inputs)  # or `None`
        size = self._batch_size = self._fixed or settings.batch_size
        data = CalibrationData(dataset, graph.input_structure, size, False)
        batches = [inputs for inputs, _, _ in data]
        check_finite_inputs(graph.inputs, batches)
        arrays = _join(batches)
        extra = settings.read_extra_images(graph, arrays)
        self._generator = np.random.default_rng(settings.seed)
        self.num_examples = len(arrays[0])
        order = self._generator.permutation(self.num_examples)
        parts = np.split(order, [max(1, self.num_examples // 10)])
        held_out, known = ([array[part] for array in arrays] for part in parts)
        # Least squares has been fitted to these images, too: on them it would look
        # better than training, which has not seen them. On mixtures it does not.
        copies = [np.concatenate([array] * _COPIES) for array in held_out]
        self.held_out = self._slice(self._vary(copies))
        self.known = self._slice(known) if len(known[0]) else []
        self._arrays = _join([known, *extra])
        self._drawn = np.array([], int)  # of this shuffling, not trained on yet

    @property
    def is_divisible(self):
        """Boolean, whether the networks take batches of any size."""
        return self._fixed is None

    @property
    def batches(self):
        """List of tuples of lists of arrays: all that is trained on or held out."""
        return [(self._arrays,), *[(inputs,) for inputs in self.held_out]]

    @property
    def state(self):
        """Dict, what `restore` takes: which batch `draw` yields next."""
        return {"drawn": self._drawn, "generator": self._generator.bit_generator.state}

    def restore(self, state):
        """Goes on with the batches of another process, a dict."""
        self._drawn = np.asarray(state["drawn"], int)
        self._generator.bit_generator.state = state["generator"]

    def draw(self):
        """Yields augmented batches without end, from one shuffling after the other."""
        num_examples = len(self._arrays[0])
        size = self._fixed or min(self._batch_size, num_examples)
        while True:
            # A shuffling is used up before the next one: all examples are seen equally
            # often.
            while len(self._drawn) < size:
                shuffled = self._generator.permutation(num_examples)
                self._drawn = np.append(self._drawn, shuffled)
            batch, self._drawn = np.split(self._drawn, [size])
            varied = self._vary([array[batch] for array in self._arrays])
            yield [tf.constant(array) for array in varied]

    def _slice(self, arrays):
        """Returns batches of arrays as lists of tensors, all of one size."""
        num_batches = math.ceil(len(arrays[0]) / self._batch_size)
        # A batch of another size would be compiled anew. What is left over is less than
        # one example a batch.
        size = len(arrays[0]) // num_batches
        if self._fixed:  # the last batch is filled up with the first examples
            size = self._fixed
            arrays = [np.resize(a, (num_batches * size, *a.shape[1:])) for a in arrays]
        starts = range(0, num_batches * size, size)
        return [[tf.constant(a[s : s + size]) for a in arrays] for s in starts]

    def _vary(self, arrays):
        """Flips, shifts and mixes images, each in its own way."""
        moved = augment(arrays, self._generator)
        return mix_at_random(moved, self._generator)


def _join(batches):
    """Returns batches as a list of arrays, one for each input."""
    shapes = {tuple(tuple(v.shape[1:]) for v in inputs) for inputs in batches}
    if len(shapes) > 1:
        raise ValueError(
            'Argument `dataset` should give examples of one size for repair="mimic": '
            f"they are drawn anew. Received: sizes {sorted(shapes)}"
        )
    columns = zip(*batches, strict=True)
    return [np.concatenate([np.asarray(v) for v in values]) for values in columns]
