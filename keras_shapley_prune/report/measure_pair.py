"""All that is measured of a model and its pruned copy, with one bar over it."""

from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.plan.activation_memory import count_peak_bytes
from keras_shapley_prune.report.alarms import find_alarms
from keras_shapley_prune.report.measurements import (
    describe_environment,
    measure_file_size,
    measure_latencies,
    measure_metrics,
)
from keras_shapley_prune.report.origin import describe_data
from keras_shapley_prune.report.output_agreement import (
    compare_outputs,
    read_examples,
)
from keras_shapley_prune.report.runtime_comparison import compare_on

# Roughly, in seconds: the parts of the bar.
_STEPS = {"agreement": 3.0, "metrics": 5.0, "latency": 8.0, "runtime": 6.0}


def measure_pair(asked, models, graphs, data, labelled, runtime, verbose):
    """Measures two models.

    Args:
        asked: Set of strings, out of `MEASURES` and `"runtime"`.
        models: Tuple of two `keras.Model`s.
        graphs: Tuple of their recorded `Graph`s.
        data: See `compare`.
        labelled: Boolean, whether it has labels.
        runtime: What `resolve_runtime` returned, or `None`.
        verbose: See `Progress`. There is a bar if anything takes long.

    Returns:
        Tuple: a dict, see `Comparison.measured`, and what the data is, a string.
    """
    steps = {name: seconds for name, seconds in _STEPS.items() if name in asked}
    with Progress(verbose if steps else 0, steps) as progress:
        return _measure(asked, models, graphs, data, labelled, runtime, progress)


def _measure(asked, models, graphs, data, labelled, runtime, progress):
    # What is not measured has no entry, and no line in the report.
    graph, measured, described, batches = graphs[0], {}, "", []
    if "file_size" in asked:
        measured["file_size"] = tuple(map(measure_file_size, models))
    if "activations" in asked:
        measured["activations"] = tuple(map(count_peak_bytes, graphs))
    with kept_states(*models):
        if asked & {"metrics", "agreement"}:
            progress.show("reading the data")
            batches, count = read_examples(data, graph)
            described = describe_data(batches, count, labelled)
        if "metrics" in asked:  # it is what may fail: it comes first
            progress.begin("metrics")
            metrics = measure_metrics(models, data, models[0], progress)
            measured["metrics"] = _in_pairs(metrics)
            progress.note("metrics measured")
        if "agreement" in asked:
            progress.begin("agreement")
            progress.show("comparing outputs")
            found = compare_outputs(models[0], graphs, batches, progress.add)
            measured |= {} if found is None else {"agreement": found}
            progress.note("outputs compared")
    alarms = find_alarms(
        graph, batches, measured.get("agreement"), measured.get("metrics", {})
    )
    measured |= {"alarms": alarms} if alarms else {}
    with kept_states(*models):
        if "latency" in asked:
            progress.begin("latency")
            progress.show("timing")
            measured["latency"] = _in_pairs(measure_latencies(models, graph, data))
            measured["environment"] = describe_environment()
            progress.note("timed")
        if "runtime" in asked:
            progress.begin("runtime")
            progress.show(f"timing on {getattr(runtime, 'title', 'the runtime')}")
            measured["runtime"] = compare_on(runtime, models, graph, data)
            progress.note("timed on the runtime")
    return measured, described


def _in_pairs(values):
    return {key: tuple(pair) for key, pair in values.items()}
