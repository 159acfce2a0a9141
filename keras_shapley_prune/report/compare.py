"""What pruning changed, what it did not touch, and why."""

import numpy as np

from keras_shapley_prune.cut.channels_last.to_channels_last import (
    convert_if_needed,
)
from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.inputs.arguments import blaming, check_verbose, show
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.inputs.measurable import check_measured
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.latency.runtime import resolve_runtime
from keras_shapley_prune.plan.activation_memory import count_peak_bytes
from keras_shapley_prune.plan.flops import count_graph_flops
from keras_shapley_prune.plan.selection import check_ranking
from keras_shapley_prune.report.comparison import Comparison, GroupComparison
from keras_shapley_prune.report.measurements import (
    MEASURES,
    describe_environment,
    has_labels,
    measure_file_size,
    measure_latencies,
    measure_metrics,
)
from keras_shapley_prune.report.removed_blocks import (
    count_blocks,
    find_kept,
    names_of_gone,
    with_lost_blocks,
)
from keras_shapley_prune.report.runtime_comparison import (
    check_fits,
    compare_on,
    fit_batch_size,
)
from keras_shapley_prune.trace.sizes import find_open_inputs, give_sizes, read_sizes
from keras_shapley_prune.trace.tracer import trace_channels


@undisturbed
def compare(
    original,
    pruned,
    data=None,
    ranking=None,
    measure=None,
    verbose="auto",
    runtime=None,
):
    """Prints and returns what pruning changed.

    Args:
        original: The `keras.Model` before pruning.
        pruned: The one that `prune` or `remove_channels` made of it.
        data: What `model.evaluate` takes (see `prune`), or `None`. With labels, the
            metrics that `original` is compiled with are measured on it; if it is not
            compiled, the accuracy. FLOPs of a model that takes any size are those of
            the first examples.
        ranking: The `Ranking` by which units were removed, or `None`. Its scores are
            then in the report, with the cut: the first units of its order are taken
            to be the removed ones.
        measure: `None` for everything that the data permits, or nothing if there is
            no data. Or a list of what to measure: `"file_size"` (of the `.keras` file,
            without the optimizer), `"activations"` (see `count_activation_bytes`),
            `"latency"` (median of up to 30 runs, for batches of 1 and of 32, the two
            models taking turns) and `"metrics"`.
        verbose: `"auto"`, 1 or 2 to print the comparison, 0 for silence.
        runtime: What will run the models, to time them on it too, whatever `measure`
            says, in turn and with the spread: `"litert"`, the `.tflite` files that
            `export_litert` writes, whose sizes are then in the report; `"tensorflow"`;
            a `Runtime`, which also says the batch, the threads and whether int8; or a
            function that takes a model and returns seconds. `None` for none.

    Returns:
        A `Comparison`: units of each layer, parameters, FLOPs, the reason for each
        layer that could not be pruned, and what was measured.

    Raises:
        ImportError: If LiteRT is asked for, and not installed.
        ValueError: If `pruned` does not have the layers of `original`, `ranking` is of
            another model, or an argument is not of that form.

    Example:

    ```python
    comparison = keras_shapley_prune.compare(model, pruned, (x, y), ranking)
    comparison.to_html("report.html")
    keras_shapley_prune.compare(model, pruned, runtime="litert")
    ```
    """
    check_verbose(verbose)
    measure = _check_measure(measure, data)
    resolved = None if runtime is None else resolve_runtime(runtime, "runtime")
    # What `prune` returns of such a model has been cut from the converted one.
    original = convert_if_needed(original, name="original")
    pruned = convert_if_needed(pruned, name="pruned")
    maps = trace_channels(original), trace_channels(pruned)
    maps = with_lost_blocks(*maps, ranking), maps[1]
    units, blocks = _count_units(*maps), count_blocks(*maps)
    check_ranking({} if ranking is None else ranking, maps[0])
    models, graph = (original, pruned), maps[0].graph
    if data is not None:
        # It is read for its labels, for inputs, and by both models.
        data = make_repeatable(data, "data")
        with blaming("dataset", "data"):
            labelled = has_labels(data, graph)
        if labelled and "metrics" in measure:
            check_measured(data, graph, original, "data")
    if isinstance(runtime, str):
        resolved = fit_batch_size(resolved, graph)
    elif resolved is not None:
        check_fits(resolved, graph)
    shapes = read_sizes(graph, data)
    graphs = [give_sizes(one.graph, shapes) for one in maps]
    # What is not measured has no entry, and no line in the report.
    measured = {}
    if "file_size" in measure:
        measured["file_size"] = tuple(map(measure_file_size, models))
    if "activations" in measure:
        measured["activations"] = tuple(map(count_peak_bytes, graphs))
    with kept_states(*models):
        if "metrics" in measure and labelled:  # it is what may fail: it comes first
            with blaming("dataset", "data"):
                metrics = measure_metrics(models, data, original)
            measured["metrics"] = _in_pairs(metrics)
        if "latency" in measure:
            measured["latency"] = _in_pairs(measure_latencies(models, graph, data))
            measured["environment"] = describe_environment()
        if resolved is not None:
            measured["runtime"] = compare_on(resolved, models, graph, data)
    comparison = Comparison(
        units=units | blocks,
        parameters=(original.count_params(), pruned.count_params()),
        flops=tuple(map(count_graph_flops, graphs)),
        locks=maps[0].lock_reasons(),
        groups=_compare_groups(*maps, units, ranking or {}, blocks),
        name=original.name,
        method=getattr(ranking, "method", None),
        measured=measured,
        input_shapes=find_open_inputs(graphs[0]),
    )
    if verbose != 0:
        print(comparison)
    return comparison


def _count_units(channel_map, pruned_map):
    """Returns a dict: name of what produces units -> their number, before and after.

    In the pruned model it need not produce any: a grouped convolution may have become
    one of a channel a group. Or others produce some there: one that has kept a single
    group is a plain convolution.
    """
    before, after = channel_map.count_produced(), {}
    ours = {channel_map.graph.name_of(operation) for operation in channel_map.layer_ids}
    # By name, as the layers of the pruned model are other objects.
    others = {pruned_map.graph.name_of(other): other for other in pruned_map.layer_ids}
    for name, (operation, letter) in zip(before, channel_map.produced, strict=True):
        other = others.get(channel_map.graph.name_of(operation))
        letters = pruned_map.layer_ids.get(other, {})
        if letter in letters:
            after[name] = len(letters[letter])
    gone = names_of_gone(channel_map, find_kept(channel_map, pruned_map))
    for name, (operation, _) in zip(before, channel_map.produced, strict=True):
        if channel_map.graph.name_of(operation) in gone:  # with its block
            after[name] = 0
    after = {name: after[name] for name in before if name in after}
    made_by = {pruned_map.graph.name_of(maker) for maker, _ in pruned_map.produced}
    added = made_by - ours
    if before.keys() != after.keys() or added:
        raise ValueError(
            "Arguments `original` and `pruned` should have layers of the same names. "
            "Received: layers that are only in one of them: "
            f"{sorted(before.keys() - after.keys() | added)}"
        )
    return {name: (before[name], after[name]) for name in before}


def _compare_groups(channel_map, pruned_map, units, ranking, blocks):
    """Returns a `GroupComparison` for each group of the original."""
    kept = {group.name: group for group in pruned_map.groups}
    compared = []
    for group in channel_map.groups:
        after = _count_kept(channel_map, group, units)
        if group.name in blocks:
            _, after = blocks[group.name]
        if after is None:  # then only a group of the same name can tell
            after = kept[group.name].num_units if group.name in kept else 0
        compared.append(
            GroupComparison(
                name=group.name,
                units=(group.num_units, after),
                producers=group.producers,
                consumers=group.consumers,
                scores=ranking.get(group.name),
            )
        )
    return tuple(compared)


def _count_kept(channel_map, group, units):
    """Counts the units that were kept of a group, by a layer that produces no other.

    That layer may have several channels of each unit. `None` if there is none.
    """
    for (operation, letter), (before, after) in zip(
        channel_map.produced, units.values(), strict=True
    ):
        # If all that the layer can lose is of this group, so is all that it has lost.
        ids = channel_map.layer_ids[operation][letter]
        inside = np.isin(ids, group.units)
        others = set(ids[~inside].tolist()) - channel_map.locks.keys()
        if inside.any() and not others:
            times = inside.sum() // group.num_units
            return group.num_units - (before - after) // int(times)
    return None


def _in_pairs(values):
    return {key: tuple(pair) for key, pair in values.items()}


def _check_measure(measure, data):
    if measure is None:
        return MEASURES if data is not None else ()
    names = [measure] if isinstance(measure, str) else measure
    several = isinstance(names, (list, tuple, set, frozenset))
    if not several or not all(isinstance(n, str) and n in MEASURES for n in names):
        raise ValueError(
            f"Argument `measure` should be None or a list out of {MEASURES}. "
            f"Received: measure={show(measure)}"
        )
    if "metrics" in names and data is None:
        raise ValueError(
            "Argument `data` should hold labelled examples to measure the metrics on. "
            f"Received: data=None, measure={measure!r}"
        )
    return list(names)
