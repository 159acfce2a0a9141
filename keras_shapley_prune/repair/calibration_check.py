"""Whether calibration data is of the kind that a network was trained on."""

import dataclasses
import itertools
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import normalizes_channels
from keras_shapley_prune.repair.sample import FEWEST
from keras_shapley_prune.trace.batches import rebatch
from keras_shapley_prune.trace.graph import find_ancestors, run_calls

NUM_LAYERS = 3  # noise is seen in the second or third, a wrong scale in the first
# Measured (benchmarks/calibration_checks.py): 16 and more images of the training set
# are at most 0.37, images of a single class 0.46, most wrong scales above 0.75.
FARTHEST = 0.6


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far what a BatchNormalization reads is from what it remembers.

    Attributes:
        name: String, the layer's name.
        shift: Float, root mean square over the channels of the difference of means, in
            standard deviations that the layer remembers.
        stretch: Float, root mean square over the channels of the logarithm of the
            ratio of standard deviations.
    """

    name: str
    shift: float
    stretch: float

    @property
    def total(self):
        """Float, both together."""
        return float(np.hypot(self.shift, self.stretch))


def check_calibration(graph, sample, stacklevel=4):
    """Warns if data is unlike what a network's first normalizations remember.

    Args:
        graph: The recorded `Graph` of the original.
        sample: The `Sample` of the data.
        stacklevel: Integer, see `warnings.warn`. By default, the line that called the
            public function that calls this.
    """
    if sample.num_examples < FEWEST:
        return
    distances = measure_distances(graph, sample.inputs)
    farthest = max(distances, key=lambda found: found.total, default=None)
    if farthest is None or not farthest.total > FARTHEST:
        return
    warnings.warn(
        "Expected calibration data like the data that the network was trained on. "
        f"Received: data on which what layer {farthest.name!r} reads is "
        f"{farthest.shift:.3g} standard deviations off its moving means, and off its "
        f"moving standard deviations by a factor of {np.exp(farthest.stretch):.3g}: a "
        f"distance of {farthest.total:.3g}, where that of training data is below "
        f"{FARTHEST}. Check that the examples ({sample.describe_range()}) have the "
        "scale and the preprocessing that the network was trained with: it is pruned "
        "for what it reads here",
        stacklevel=stacklevel,
    )


def measure_distances(graph, batches):
    """Measures how far data is from what the first normalizations remember.

    The network is run up to the last one of them, and without what leads elsewhere.

    Args:
        graph: The recorded `Graph`.
        batches: List of lists of input tensors, one list a batch.

    Returns:
        List of `Distance`, one for each BatchNormalization looked at; empty if none of
        them remembers data.
    """
    looked_at = list(itertools.islice(_normalizations(graph), NUM_LAYERS))
    calls = find_ancestors(graph, [call.inputs[0] for call in looked_at])
    moments = {call: _Moments() for call in looked_at}
    for inputs in rebatch(batches, graph) if looked_at else ():
        values = graph.feed(list(map(tf.convert_to_tensor, inputs)))
        run_calls(calls, values)
        for call in looked_at:
            moments[call].add(values[call.inputs[0]])
    return [_compare(call, moments[call]) for call in looked_at]


def _normalizations(graph):
    """Yields the calls of normalizations that remember data, in running order."""
    for call in graph.calls:
        # What a shared layer remembers is of all its calls together.
        alone = len(graph.calls_of(call.operation)) == 1
        if normalizes_channels(call) and alone and _has_learned(call.operation):
            yield call


def _has_learned(layer):
    """Returns whether the statistics of a layer are not those it was made with."""
    mean, variance = map(
        keras.ops.convert_to_numpy, (layer.moving_mean, layer.moving_variance)
    )
    return bool(mean.any() or (variance != 1).any())


class _Moments:
    """Sums of what a layer reads, over all but the channels."""

    def __init__(self):
        self.count, self.sum, self.squares = 0, 0.0, 0.0

    def add(self, values):
        rows = tf.cast(values, "float64").numpy().reshape(-1, values.shape[-1])
        self.count += len(rows)
        with np.errstate(over="ignore", invalid="ignore"):
            self.sum = self.sum + rows.sum(axis=0)
            self.squares = self.squares + np.einsum("rc,rc->c", rows, rows)

    @property
    def mean(self):
        return self.sum / self.count

    @property
    def variance(self):
        return np.maximum(self.squares / self.count - self.mean**2, 0)


def _compare(call, moments):
    layer = call.operation
    # As the layer divides: what is nearly constant may be so in another way.
    mean = keras.ops.convert_to_numpy(layer.moving_mean).astype("float64")
    variance = keras.ops.convert_to_numpy(layer.moving_variance) + layer.epsilon
    with np.errstate(invalid="ignore"):  # data that is not finite is refused later
        shift = (moments.mean - mean) / np.sqrt(variance)
        ratio = (moments.variance + layer.epsilon) / variance
        stretch = np.log(ratio) / 2
        # Two Gaussians: the distance is 1 if means are one standard deviation apart,
        # or one of them is e times as wide.
        return Distance(
            call.name, *(float(np.sqrt(np.mean(x**2))) for x in (shift, stretch))
        )
