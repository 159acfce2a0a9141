"""Which way a metric gets better: down like an error, or up like an accuracy."""

import re

import keras

from keras_shapley_prune.inputs.arguments import check_choice

MODES = ("auto", "min", "max")

# The classes of `keras.metrics`, but for those that only add up what they are given:
# `Mean`, `Sum`, and `MeanMetricWrapper`, whose function says more.
_UP = """
    AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy ConcordanceCorrelation
    CosineSimilarity F1Score FBetaScore IoU MeanIoU OneHotIoU OneHotMeanIoU
    PearsonCorrelation Precision PrecisionAtRecall R2Score Recall RecallAtPrecision
    SensitivityAtSpecificity SparseCategoricalAccuracy SparseTopKCategoricalAccuracy
    SpecificityAtSensitivity TopKCategoricalAccuracy TrueNegatives TruePositives
""".split()
# Those of them that are no share: between 0 and 1 are all others.
_UNBOUNDED = """
    ConcordanceCorrelation CosineSimilarity PearsonCorrelation R2Score TrueNegatives
    TruePositives
""".split()
_DOWN = """
    BinaryCrossentropy CategoricalCrossentropy CategoricalHinge FalseNegatives
    FalsePositives Hinge KLDivergence LogCoshError MeanAbsoluteError
    MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
    RootMeanSquaredError SparseCategoricalCrossentropy SquaredHinge
""".split()
# The short names that Keras takes, and the losses whose name is no other metric's: a
# "dice" of one's own may be the coefficient as well as the loss.
_UP_NAMES = ["acc"]
_DOWN_NAMES = """
    bce binary_focal_crossentropy categorical_focal_crossentropy ce crossentropy huber
    kld log_cosh logcosh mae mape mse msle rmse
""".split()
# What a metric of one's own is, if the last word of its name says so.
_LAST_WORDS = {"loss": "min", "error": "min", "accuracy": "max"}


def resolve_mode(metric, mode, model):
    """Returns which way a metric gets better.

    Args:
        metric: What `resolve_metric` takes.
        mode: String, `"min"` or `"max"` if the caller says, `"auto"` if not.
        model: The `keras.Model`, which has been evaluated: its metrics are known then.

    Returns:
        `"min"` or `"max"`.

    Raises:
        ValueError: If it is not known.
    """
    check_choice("mode", mode, MODES)
    if mode != "auto":
        return mode
    if callable(metric):  # as documented
        return "max"
    found = _mode_of_objects(metric, model) or mode_of_name(metric, _outputs_of(model))
    if found is None:
        raise ValueError(
            f"Argument `mode` should be 'min' or 'max' for metric={metric!r}: it is "
            "none of Keras's, so it is not known whether it gets better as it falls or "
            f"as it rises. Received: mode={mode!r}"
        )
    return found


def mode_of_name(name, outputs=()):
    """Returns `"min"`, `"max"` or, of a name that is not known, `None`.

    Args:
        name: String, the name of an entry of what `evaluate` returns.
        outputs: Iterable of strings, the outputs of the model, one of which may stand
            before the name of the metric.
    """
    names = _names_in(name, outputs)
    known = [_BY_NAME[_plain(one)] for one in names if _plain(one) in _BY_NAME]
    return known[0] if known else _LAST_WORDS.get(names[0].lower().split("_")[-1])


def is_share(metric, model):
    """Returns whether a metric is known to be between 0 and 1, as an accuracy is.

    Args:
        metric: What `resolve_metric` takes.
        model: The `keras.Model`, which need not have been evaluated.
    """
    if not isinstance(metric, str):
        return False
    plain = {_plain(name) for name in _names_in(metric, _outputs_of(model))}
    if plain & _SHARES:
        return True
    return not plain & set(_BY_NAME) and metric.lower().split("_")[-1] == "accuracy"


def _names_in(name, outputs):
    """Returns what may be the name of a metric of Keras within another name, a list."""
    # A second metric of a name gets a number.
    name = re.sub(r"_\d+$", "", name)
    names = [name, *(name.removeprefix(f"{output}_") for output in outputs)]
    return names + [one.removeprefix("weighted_") for one in names]


def _plain(name):
    """Returns a name as it is in snake case and in camel case alike."""
    return name.replace("_", "").lower()


_BY_CLASS = dict.fromkeys(_UP, "max") | dict.fromkeys(_DOWN, "min")
_BY_NAME = {
    **{_plain(name): mode for name, mode in _BY_CLASS.items()},
    **dict.fromkeys(map(_plain, _UP_NAMES), "max"),
    **dict.fromkeys(map(_plain, _DOWN_NAMES), "min"),
}
_SHARES = {_plain(name) for name in {*_UP, *_UP_NAMES} - set(_UNBOUNDED)}


def _mode_of_objects(name, model):
    """Returns what the metric objects of a name say, `None` if they do not."""
    base = re.sub(r"_\d+$", "", name)
    objects = list(_flatten(getattr(model, "metrics", ())))
    found = [one for one in objects if one.name in (name, base)]
    if not found:  # of one of several outputs
        found = [one for one in objects if base.endswith(f"_{one.name}")]
        longest = max((len(one.name) for one in found), default=0)
        found = [one for one in found if len(one.name) == longest]
    modes = {_mode_of_object(one) for one in found}
    return modes.pop() if len(modes) == 1 else None


def _flatten(metrics):
    """Yields metrics, those that a compiled model holds together one by one."""
    for metric in metrics:
        inner = getattr(metric, "metrics", None)
        yield from _flatten(inner) if isinstance(inner, list) else [metric]


def _mode_of_object(metric):
    """Returns what the class of a metric says, or the function that it is the mean of.

    A class of the user's is like the one of Keras that it is made from.
    """
    for kind in type(metric).__mro__:
        public = getattr(keras.metrics, kind.__name__, None)
        if public is kind and kind.__name__ in _BY_CLASS:
            return _BY_CLASS[kind.__name__]
    function = getattr(metric, "_fn", None)
    if isinstance(function, keras.losses.Loss) or function in _functions(keras.losses):
        return "min"
    if function in _functions(keras.metrics):
        return mode_of_name(function.__name__)
    return None


def _functions(module):
    """Returns the functions of a module of Keras, a list."""
    return [one for one in vars(module).values() if callable(one)]


def _outputs_of(model):
    """Returns the names that may stand before those of metrics, a list."""
    structure = getattr(model, "output", None)
    keys = list(structure) if isinstance(structure, dict) else []
    return [*keys, *(getattr(model, "output_names", None) or ())]
