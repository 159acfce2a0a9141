"""What is badly wrong with a pruned network, the data, or both: said first."""

import numpy as np

from keras_shapley_prune.repair.calibration_check import FARTHEST, measure_distances
from keras_shapley_prune.repair.sample import FEWEST, first_examples

# Metrics of which it is known what guessing reaches.
ACCURACIES = ("accuracy", "acc", "sparse_categorical_accuracy", "categorical_accuracy")
_NEAR_CHANCE = 0.1  # of the way from guessing to 1


def find_alarms(graph, batches, agreement, metrics):
    """Returns what looks badly wrong, a tuple of strings.

    Args:
        graph: The recorded `Graph` of the original.
        batches: The first examples of the data, a list of lists of input tensors; empty
            if there is no data.
        agreement: The `Agreement` of the two models, or `None`.
        metrics: Dict: name of a metric -> its value before and after.
    """
    alarms = []
    known = agreement is not None and agreement.num_examples >= FEWEST
    if known and not agreement.share >= agreement.lowest:
        alarms.append(
            f"The pruned network {agreement}: it is not the same network any more "
            f"(expected: {100 * agreement.lowest:.0f}% and more)"
        )
    alarms += _find_guesses(graph, metrics)
    if sum(int(inputs[0].shape[0]) for inputs in batches) >= FEWEST:
        alarms += _find_strange_data(graph, first_examples(batches, graph))
    return tuple(alarms)


def _find_guesses(graph, metrics):
    """Returns what to say of accuracies that guessing would reach."""
    if len(graph.outputs) != 1 or not graph.outputs[0].shape[1:]:
        return []
    # A single sigmoid has two classes.
    num_classes = max(graph.outputs[0].shape[-1] or 2, 2)
    highest = (1 + _NEAR_CHANCE * (num_classes - 1)) / num_classes
    alarms = []
    for name in set(ACCURACIES) & metrics.keys():
        before, after = metrics[name]
        if before >= highest and after >= highest:
            continue
        which = "pruned network" if before >= highest else "original network itself"
        alarms.append(
            f"The {which} reaches {after if before >= highest else before:.1%} "
            f"{name.replace('_', ' ')} on this data, and guessing {1 / num_classes:.1%}"
            ": check the scale and the preprocessing of the images, and the labels"
        )
    return alarms


def _find_strange_data(graph, batches):
    """Returns what to say of data unlike what the network was trained on."""
    distances = measure_distances(graph, batches)
    farthest = max(distances, key=lambda found: found.total, default=None)
    if farthest is None or not farthest.total > FARTHEST:
        return []
    return [
        f"The data is unlike what the network was trained on: what layer "
        f"{farthest.name!r} reads is {farthest.shift:.3g} standard deviations off its "
        f"moving means, and off its moving standard deviations by a factor of "
        f"{np.exp(abs(farthest.stretch)):.3g}. Check the scale and the preprocessing"
    ]
