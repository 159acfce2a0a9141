"""How often two networks agree, and how many examples that was measured on."""

import numpy as np

from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.repair.agreement import (
    Agreement,
    find_classes,
    run_rows,
    share_alike,
)
from keras_shapley_prune.repair.sample import first_examples
from keras_shapley_prune.trace.batches import rebatch

MOST_EXAMPLES = 500  # a share of them is right within 4 points, nearly always
_MOST_NUMBERS = 20_000_000  # held of the outputs of each network
_WORST = -1.0  # of a share of variance: what is below is as wrong, or not finite


def read_examples(data, graph):
    """Reads data once: its first examples are held, the others only counted.

    Args:
        data: What `prune` takes, readable again.
        graph: The recorded `Graph` of the model.

    Returns:
        Tuple: the first examples, a list of lists of input tensors, one list a batch;
        and the number of all examples.
    """
    first, count = [], 0
    batches = CalibrationData(data, graph.input_structure, needs_labels=False)
    for inputs, _, _ in batches:
        if count < MOST_EXAMPLES:
            first.append(inputs)
        count += int(inputs[0].shape[0])
    return first_examples(first, graph, MOST_EXAMPLES), count


def compare_outputs(model, graphs, batches, report_share):
    """Runs two networks on examples, as they are.

    Args:
        model: The original `keras.Model`.
        graphs: Tuple of two recorded `Graph`s, of it and of the pruned model.
        batches: What `read_examples` returned first.
        report_share: Callable that is told what share of the work is done by a step.

    Returns:
        An `Agreement`, or `None` if there is nothing to compare.
    """
    classes = find_classes(model, graphs[0])
    if not classes:
        return None
    batches, parts, size, count = rebatch(batches, graphs[0]), [], 0, 0
    for inputs in batches:
        parts.append([run_rows(graph, [inputs]) for graph in graphs])
        size += sum(rows.size for rows in parts[-1][0])
        count += int(inputs[0].shape[0])
        report_share(1 / len(batches))
        if size > _MOST_NUMBERS:
            break
    found = []
    for at, number in classes.items():
        expected, received = (
            np.concatenate([part[which][at] for part in parts]) for which in (0, 1)
        )
        share = max(share_alike(expected, received, number), _WORST)
        found.append(Agreement(share, number, count, "examples"))
    # What comes near to guessing is the worst, whatever is measured.
    return min(found, key=lambda one: one.share - one.lowest)


def read_agreement(fields):
    """Returns the `Agreement` that a file holds.

    Args:
        fields: The `Fields` of what `dataclasses.asdict` made of one.
    """
    known = fields.get("num_classes") is not None
    return Agreement(
        fields.number("share", least=_WORST),
        fields.integer("num_classes", 1) if known else None,
        fields.integer("num_examples", 1),
        fields.string("examples"),
    )
