"""What a model achieves on labelled data: the metrics it is compiled with."""

import keras

from keras_shapley_prune.inputs.data import CalibrationData


def resolve_metric(metric, model, data):
    """Returns how a model is measured.

    Args:
        metric: String, an entry of what `model.evaluate(..., return_dict=True)`
            returns, or a callable `fn(model)` that returns a number.
        model: The `keras.Model` whose compiled metrics can be measured.
        data: What `evaluate` takes.

    Returns:
        Callable: model -> float.

    Raises:
        ValueError: If `model` cannot be measured by `metric`; a name that does not
            exist is noticed at the first call.
    """
    if callable(metric):
        return lambda candidate: float(metric(candidate))
    if not model.compiled:
        raise ValueError(
            f"Argument `model` should be compiled with metric {metric!r}, or `metric` "
            "be a callable `fn(model)`. Received: a model that is not compiled"
        )

    def measure(candidate):
        found = evaluate(candidate, data)
        if metric not in found:
            raise ValueError(
                f"Argument `metric` should be one of {list(found)}, or a callable "
                f"`fn(model)`. Received: metric={metric!r}"
            )
        return float(found[metric])

    return measure


def lower_is_better(metric):
    """Returns whether a metric is one that should fall: a loss or an error.

    Args:
        metric: See `resolve_metric`.
    """
    return not callable(metric) and any(word in metric for word in ("loss", "error"))


def check_labels(data, graph):
    """Raises an error unless data holds labels, and inputs that fit.

    Args:
        data: What `prune` takes.
        graph: The recorded `Graph` of the model.

    Raises:
        ValueError: If the first batch does not.
    """
    next(iter(CalibrationData(data, graph.input_structure)))


def evaluate(model, data):
    """Returns a dict: name -> value, of a compiled model's loss and metrics.

    Args:
        model: A compiled `keras.Model`.
        data: Labelled data: what `model.evaluate` takes, or a list of batches.
    """
    if isinstance(data, list):  # of batches
        # Keras takes a list for the arrays of several inputs, and a generator for
        # batches.
        data = (batch for batch in data)
    if isinstance(data, tuple):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        return model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    return model.evaluate(data, verbose=0, return_dict=True)
