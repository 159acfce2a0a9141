"""Whether a model can be measured by a metric on data: known before any long work."""

import keras

from keras_shapley_prune.inputs.arguments import blaming, show
from keras_shapley_prune.inputs.compiling import compile_arguments
from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.inputs.evaluation import check_labels
from keras_shapley_prune.inputs.forms import find_arrays, unpack
from keras_shapley_prune.inputs.losses import resolve_loss


def check_metric(metric, model):
    """Raises a `ValueError` unless a metric is a callable, or one of the model's.

    Args:
        metric: What `resolve_metric` takes.
        model: A `keras.Model`.
    """
    if callable(metric):
        return
    if not isinstance(metric, str):
        raise ValueError(
            "Argument `metric` should be a string, an entry of what `model.evaluate("
            "..., return_dict=True)` returns, or a callable `fn(model)`. "
            f"Received: metric={show(metric)}"
        )
    known = _names_of_metrics(model)
    if known is not None and metric not in known:
        raise ValueError(
            f"Argument `metric` should be one of {known}, by which the model is "
            f"compiled, or a callable `fn(model)`. Received: metric={metric!r}"
        )


def check_measured(data, graph, model, argument="dataset"):
    """Raises an error unless a compiled model can be evaluated on data.

    The first batch is looked at; of arrays, all labels are.

    Args:
        data: What `prune` takes, with labels.
        graph: The recorded `Graph` of the model.
        model: The `keras.Model`.
        argument: String, what `data` is given for.

    Raises:
        ValueError: If inputs or labels do not fit.
    """
    with blaming("dataset", argument):
        check_labels(data, graph)
        _, labels, _ = next(iter(CalibrationData(data, graph.input_structure)))
        names = [tensor.name for tensor in graph.inputs]
        arrays = find_arrays(data, names)
        if arrays is not None:
            labels = unpack(arrays, names)[1]
        check_labels_of(model, labels)


def check_labels_of(model, labels):
    """Raises a `ValueError` unless the compiled losses of a model take labels.

    Args:
        model: A `keras.Model`.
        labels: What `model.fit` takes as `y`.
    """
    if not model.compiled or getattr(model, "loss", None) is None:
        return
    try:
        loss = resolve_loss(model)
    except ValueError:  # of a kind that Keras resolves by the shape of labels
        return
    loss.check_labels(labels, model.outputs)


def _names_of_metrics(model):
    """Returns the names by which a model of one output is measured, a list.

    `None` if only an evaluation can tell.
    """
    # What such a class measures stands in its code.
    own = type(model).test_step is not keras.Model.test_step
    if not model.compiled or own or len(getattr(model, "outputs", None) or ()) != 1:
        return None
    config, names = compile_arguments(model), ["loss"]
    for argument in ("metrics", "weighted_metrics"):
        entries = config.get(argument) or []
        if isinstance(entries, dict):
            return None
        for entry in keras.tree.flatten(entries):
            if not isinstance(entry, (str, keras.Metric)):
                return None  # of a function Keras makes a name by rules of its own
            names += _names_of(entry)
    names += [metric.name for metric in model.metrics]
    return sorted(set(names) - {"compile_metrics"})  # which holds those of `compile`


def _names_of(entry):
    """Returns what a metric may be called in what `evaluate` returns."""
    if isinstance(entry, keras.Metric):
        return [entry.name]
    try:
        return [entry, getattr(keras.metrics.get(entry), "name", entry)]
    except ValueError:  # such as "accuracy", which Keras resolves by shapes
        return [entry]
