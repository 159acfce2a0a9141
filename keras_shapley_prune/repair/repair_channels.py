"""`repair_channels`: removes units and lets the others make up for them."""

import itertools

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.cut.verification import verify_removal
from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.repair.mimic import mimic
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.trace.batches import rebatch
from keras_shapley_prune.trace.tracer import trace_channels

METHODS = ("least_squares", "mimic", "mean", "batchnorm", None)

NUM_VERIFIED = 8  # examples; one that is cut wrongly shows it on each


def check_method(method):
    """Raises a `ValueError` unless `method` is a way to repair."""
    if method not in METHODS:
        raise ValueError(
            f"Argument `repair` should be one of {METHODS}. Received: {method!r}"
        )


def repair_channels(
    model,
    keep,
    dataset,
    repair="least_squares",
    channel_map=None,
    batch_size=32,
    verify=True,
):
    """Returns a smaller copy of `model` that is repaired on calibration data.

    Like `remove_channels`, and then, from the input to the output, each layer that
    reads what has changed is adjusted in closed form on the pruned and already
    repaired network. The data needs no labels. Only `"mimic"` trains.

    - `"least_squares"`: each layer is refitted to return what the original's layer
      returns: by ridge regression towards its old kernel, with a bias (its own, or
      that of the BatchNormalization after it). The ridge is chosen on a fifth of the
      examples. A layer at the end of a residual block also makes up for what the skip
      connection has lost. Depthwise convolutions get a scale for each channel.
    - `"mimic"`: after `"least_squares"`, the network is trained for some minutes to
      have the original's features, those that its last layers read, still without
      labels. See `keras_shapley_prune.repair.mimic`.
    - `"mean"`: only biases change, so that each layer's output has its old mean.
    - `"batchnorm"`: the statistics of BatchNormalizations are estimated anew.
    - `None`: nothing is repaired. The data is read for `verify` only.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        keep: Boolean array, shape `(num_units,)`, the units that stay.
        dataset: Calibration data, what `model.predict` takes: arrays, batches of `x`
            or of `(x, y)`; labels are not read. 50 to 200 examples do.
        repair: String, one of these, or `None`.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        batch_size: Integer, where the data comes as arrays.
        verify: Boolean, whether to check on the first batch that the smaller model
            computes what the masked model does.

    Returns:
        What `remove_channels` returns, with other weights.

    Raises:
        ValueError: If `keep` removes locked units or whole groups, `repair` is none
            of these, or the data does not fit the model.
        RuntimeError: If the check fails.

    Example:

    ```python
    plan = keras_shapley_prune.plan_pruning(model, ranking, ratio=0.5)
    repaired = keras_shapley_prune.repair_channels(model, plan.keep, images)
    ```
    """
    check_method(repair)
    channel_map = channel_map or trace_channels(model)
    keep = channel_map.check_keep(keep)
    whole, whole_map, batches = model, channel_map, []
    if repair is not None or verify:
        structure = channel_map.graph.input_structure
        data = CalibrationData(dataset, structure, batch_size, needs_labels=False)
        num_read = 1 if repair is None else None
        batches = [inputs for inputs, _, _ in itertools.islice(data, num_read)]
    if repair is not None:
        method = "least_squares" if repair == "mimic" else repair
        suited = rebatch(batches, channel_map.graph)
        repairer = Repairer(model, channel_map, suited, keep, method)
        repairer.advance(len(channel_map.graph.calls))
        whole, whole_map = repairer.model, repairer.channel_map
    repaired = remove_channels(whole, keep, whole_map)
    if verify:
        first = [tensor[:NUM_VERIFIED] for tensor in batches[0]]
        verify_removal(repaired, whole, keep, whole_map, first)
    if repair != "mimic":
        return repaired
    return mimic(repaired, model, [(inputs,) for inputs in batches])
