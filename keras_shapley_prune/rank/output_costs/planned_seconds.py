"""What it will take to measure the removal costs of groups at the outputs."""

from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.rank.machine_speed import measure_speed
from keras_shapley_prune.rank.output_costs.output_pass import NUM_VECTORS, count_batches
from keras_shapley_prune.rank.output_costs.reader_changes import count_depths
from keras_shapley_prune.repair.readers import MAX_COLUMNS

_A_CHANGE = 1e-3  # seconds to start one: a dozen operations of TensorFlow and of Keras


def estimate_seconds(calibration, seconds, tracing):
    """Returns the seconds that `measure_removal_costs` takes for each group, about.

    Args:
        calibration: The `Calibration`.
        seconds: Dict: index of a call -> seconds of a pass for one example.
        tracing: Float, seconds to compile a call.

    Returns:
        List of floats, one for each of `calibration.groups`, which share the passes.
    """
    graph, (inputs, _, _) = calibration.channel_map.graph, calibration.batches[0]
    held_out = sum(calibration.batch_sizes) / 5
    num_batches = count_batches(graph, inputs, held_out)
    # A backward pass takes as long as two forward passes. To compile all of them takes
    # as long as the one forward pass: there is no Keras in them.
    spent = (1 + 2 * NUM_VECTORS) * held_out * sum(seconds.values())
    spent += 2 * tracing * len(graph.calls)
    shared, found = spent / len(calibration.groups), []
    for group in calibration.groups:
        refits, applied = 0, 0.0
        for index, position in calibration.channel_map.ends_of(group):
            refits += _count_steps(graph.calls[index], position)
            applied += held_out * seconds[index] + num_batches * _A_CHANGE
        refits /= measure_speed().factoring
        num_depths = len(count_depths(max(group.num_units, 2)))
        found.append(shared + num_depths * (refits + applied))
    return found


def _count_steps(call, position):
    """Returns the operations to refit a layer on about half of what it reads."""
    form = find_linear_form(call.operation)
    columns = outputs = call.inputs[max(position, 0)].shape[-1]
    if form is not None and len(form.channel_of) <= MAX_COLUMNS:
        columns, outputs = len(form.channel_of), call.outputs[0].shape[-1]
    half = columns / 2
    # The factorization, its solves, and the moments with what is refitted to.
    return half**2 * (half / 3 + outputs) + half * columns * outputs
