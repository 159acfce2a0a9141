"""What pruning changed, what it did not touch, and why."""

import warnings

from keras_shapley_prune.cut.channels_last.to_channels_last import (
    convert_if_needed,
)
from keras_shapley_prune.inputs.arguments import check_verbose, show
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.inputs.measurable import check_measured
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.latency.runtime import resolve_runtime
from keras_shapley_prune.plan.flops import count_graph_flops
from keras_shapley_prune.plan.selection import check_ranking
from keras_shapley_prune.report.comparison import Comparison
from keras_shapley_prune.report.measure_pair import measure_pair
from keras_shapley_prune.report.measurements import MEASURES, has_labels
from keras_shapley_prune.report.origin import check_plan, describe_origin
from keras_shapley_prune.report.removed_blocks import count_blocks, with_lost_blocks
from keras_shapley_prune.report.runtime_comparison import check_fits, fit_batch_size
from keras_shapley_prune.report.unit_counts import compare_groups, count_units
from keras_shapley_prune.trace.sizes import find_open_inputs, give_sizes, read_sizes
from keras_shapley_prune.trace.tracer import trace_channels


@undisturbed(old_names={"data": "dataset"})
def compare(
    original,
    pruned,
    dataset=None,
    ranking=None,
    measure=None,
    verbose="auto",
    runtime=None,
    plan=None,
):
    """Prints and returns what pruning changed.

    Args:
        original: The `keras.Model` before pruning.
        pruned: The one that `prune` or `remove_channels` made of it.
        dataset: What `model.evaluate` takes (see `prune`), or `None`. With labels, the
            metrics that `original` is compiled with are measured on it; if there are
            none, the accuracy. FLOPs of a model that takes any size are those of
            the first examples.
        ranking: The `Ranking` by which units were removed, or `None`. Its scores are
            then in the report, with the cut: the first units of its order are taken
            to be the removed ones.
        measure: `None` for everything that the data permits, or nothing if there is
            no data. Or a list of what to measure: `"file_size"` (of the `.keras` file,
            without the optimizer), `"activations"` (see `count_activation_bytes`),
            `"latency"` (median of up to 30 runs, for batches of 1 and of 32, the two
            models taking turns), `"agreement"` (on how many of the first 500 examples
            both name the same class, or how much of the variance of the output is the
            same) and `"metrics"`.
        verbose: `"auto"` or 1 for a progress bar while something is measured, 2 for one
            line a step, both with the comparison; 0 for silence.
        runtime: What will run the models, to time them on it too, whatever `measure`
            says, in turn and with the spread: `"litert"`, the `.tflite` files that
            `export_litert` writes, whose sizes are then in the report; `"tensorflow"`;
            a `Runtime`, which also says the batch, the threads and whether int8; or a
            function that takes a model and returns seconds. `None` for none.
        plan: The `PruningPlan` that `pruned` was made by, or `None`. What its budget
            asks for, and what is reached, is then in the report.

    Returns:
        A `Comparison`: units of each layer, parameters, FLOPs, the reason for each
        layer that could not be pruned, and what was measured. What looks badly wrong
        stands above it all: two models that do not agree, an accuracy that guessing
        reaches too, data of another scale than the model was trained on. A
        `UserWarning` tells if `pruned` is larger than `original`.

    Raises:
        ImportError: If LiteRT is asked for, and not installed.
        ValueError: If `pruned` does not have the layers of `original`, `ranking` or
            `plan` are of other models, or an argument is not of that form.

    Example:

    ```python
    comparison = keras_shapley_prune.compare(model, pruned, (x, y), ranking)
    comparison.to_html("report.html")
    keras_shapley_prune.compare(model, pruned, runtime="litert")
    ```
    """
    check_verbose(verbose)
    measure = _check_measure(measure, dataset)
    resolved = None if runtime is None else resolve_runtime(runtime, "runtime")
    # What `prune` returns of such a model has been cut from the converted one.
    original = convert_if_needed(original, name="original")
    pruned = convert_if_needed(pruned, name="pruned")
    maps = trace_channels(original), trace_channels(pruned)
    maps = with_lost_blocks(*maps, ranking), maps[1]
    units, blocks = count_units(*maps), count_blocks(*maps)
    check_ranking({} if ranking is None else ranking, maps[0])
    groups = compare_groups(*maps, units, ranking or {}, blocks)
    check_plan(plan, groups)
    models, graph = (original, pruned), maps[0].graph
    _check_order(*models)
    labelled = False
    if dataset is not None:
        # It is read for its labels, for inputs, and by both models.
        dataset = make_repeatable(dataset)
        labelled = has_labels(dataset, graph)
        if labelled and "metrics" in measure:
            check_measured(dataset, graph, original)
    if isinstance(runtime, str):
        resolved = fit_batch_size(resolved, graph)
    elif resolved is not None:
        check_fits(resolved, graph)
    shapes = read_sizes(graph, dataset)
    graphs = [give_sizes(one.graph, shapes) for one in maps]
    asked = {*measure, *(["runtime"] if resolved is not None else [])}
    asked -= set() if labelled else {"metrics"}
    measured, described = measure_pair(
        asked, models, graphs, dataset, labelled, resolved, verbose
    )
    comparison = Comparison(
        units=units | blocks,
        parameters=(original.count_params(), pruned.count_params()),
        flops=tuple(map(count_graph_flops, graphs)),
        locks=maps[0].lock_reasons(),
        groups=groups,
        name=original.name,
        method=getattr(ranking, "method", None),
        measured=measured,
        input_shapes=find_open_inputs(graphs[0]),
        origin=describe_origin(ranking, plan, described),
    )
    if verbose != 0:
        print(comparison)
    return comparison


def _check_order(original, pruned):
    """Warns if the pruned model is the larger one."""
    before, after = original.count_params(), pruned.count_params()
    if before < after:
        warnings.warn(
            "Arguments `original` and `pruned` should be the model before and the one "
            f"after pruning, in this order. Received: original={original.name!r} of "
            f"{before:,} parameters, which are fewer than the {after:,} of "
            f"pruned={pruned.name!r}",
            stacklevel=4,  # behind `undisturbed`: the line that called `compare`
        )


def _check_measure(measure, dataset):
    if measure is None:
        return MEASURES if dataset is not None else ()
    names = [measure] if isinstance(measure, str) else measure
    several = isinstance(names, (list, tuple, set, frozenset))
    if not several or not all(isinstance(n, str) and n in MEASURES for n in names):
        raise ValueError(
            f"Argument `measure` should be None or a list out of {MEASURES}. "
            f"Received: measure={show(measure)}"
        )
    if "agreement" in names and dataset is None:
        raise ValueError(
            "Argument `dataset` should hold examples to run both models on. "
            f"Received: dataset=None, measure={measure!r}"
        )
    if "metrics" in names and dataset is None:
        raise ValueError(
            "Argument `dataset` should hold labelled examples to measure metrics on. "
            f"Received: dataset=None, measure={measure!r}"
        )
    return list(names)
