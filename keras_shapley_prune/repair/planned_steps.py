"""What the steps after a ranking are planned to take: parts of a progress bar."""

import math

import numpy as np

from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.layer_types.unit_ids import kept
from keras_shapley_prune.plan.flops import count_call_flops
from keras_shapley_prune.repair.mimic_settings import Mimic
from keras_shapley_prune.repair.readers import MAX_COLUMNS
from keras_shapley_prune.repair.skip_compensation import is_fitted
from keras_shapley_prune.repair.taken_rows import ROWS_A_COLUMN

# Seconds for each layer that is fitted, and for a call that is run: measured on digits,
# ResNet-20 and MobileNetV2, where compiling takes longer than computing.
_REPAIR, _CALL, _CUT, _CHECK, _COMPARE = 0.027, 0.0021, 0.0175, 0.0085, 0.0035
_FLOPS_A_SECOND = 3e10
_FACTORING = 5e9  # operations a second of what is cubic in the columns of a layer
_FACTORS = 10  # times the cube of a third, for the ridges that are tried
# The data has not been read yet. `prune` asks for 50 to 200 examples, which are run
# once by each repair. A step of `mimic` takes about four forward passes.
_EXAMPLES, _PASSES_A_STEP = 100, 4


def plan_steps(channel_map, keep, repair, verify):
    """Estimates what cut, repair and check take, roughly, before data is read.

    Args:
        channel_map: A `ChannelMap`.
        keep: Boolean array, shape `(num_units,)`: `False` for what may be removed.
        repair: What `resolve_repair` returned.
        verify: Boolean, whether the cut is checked.

    Returns:
        Dict: `"cut"`, `"repair"`, `"check"`, `"mimic"` and `"compare"`, as far as they
        are done, in their order -> seconds.
    """
    graph = channel_map.graph
    changed = channel_map.changed_calls(keep)
    num_fitted = max(sum(is_fitted(call.operation) for call in changed), 1)
    flops = sum(count_call_flops(call) or 0 for call in graph.calls)
    steps = {"cut": _CUT * num_fitted}
    if repair is not None:
        steps["repair"] = max(sum(plan_calls(channel_map, keep)), _REPAIR)
    if verify:
        steps["check"] = _CHECK * num_fitted
    if isinstance(repair, Mimic):
        steps["mimic"] = _plan_training(repair, flops)
    steps["compare"] = _COMPARE * len(graph.calls)
    return steps


def plan_calls(channel_map, keep):
    """Returns what each call takes while a smaller network is repaired.

    Args:
        channel_map: See `plan_steps`.
        keep: See `plan_steps`.

    Returns:
        List of seconds, one for each call of the graph.
    """
    changed, seconds = channel_map.changed_calls(keep), []
    for call in channel_map.graph.calls:
        spent = _CALL + _EXAMPLES * (count_call_flops(call) or 0) / _FLOPS_A_SECOND
        if call in changed and is_fitted(call.operation):
            spent += _REPAIR + _plan_fit(call, channel_map, keep)
        seconds.append(spent)
    return seconds


def _plan_fit(call, channel_map, keep):
    """Returns what is cubic in what a layer reads, or counts rows of that."""
    form, tensor = find_linear_form(call.operation), call.inputs[0]
    if form is None:  # a scale for each channel
        return 0.0
    share = np.mean(kept(keep, channel_map.ids[tensor])) if tensor.shape[-1] else 1.0
    columns = min(share * len(form.channel_of), MAX_COLUMNS)
    positions = math.prod(n or 1 for n in call.outputs[0].shape[1:-1])
    rows = min(positions * _EXAMPLES, ROWS_A_COLUMN * columns)
    moments = 2 * rows * columns**2 / _FLOPS_A_SECOND
    return moments + _FACTORS * columns**3 / 3 / _FACTORING


def _plan_training(settings, flops):
    if settings.minutes is not None:
        return 60 * settings.minutes
    num_passes = _PASSES_A_STEP * settings.most_steps
    return num_passes * settings.batch_size * flops / _FLOPS_A_SECOND
