"""What the steps after a ranking are planned to take: parts of a progress bar."""

from keras_shapley_prune.plan.flops import count_call_flops
from keras_shapley_prune.repair.mimic_settings import Mimic
from keras_shapley_prune.repair.skip_compensation import is_fitted

# Seconds for each layer that is fitted: measured on digits, ResNet-20 and MobileNetV2,
# where compiling takes longer than computing.
_REPAIR, _CUT, _CHECK = 0.06, 0.03, 0.015
_FLOPS_A_SECOND = 2e10
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
        Dict: `"cut"`, `"repair"`, `"check"` and `"mimic"`, as far as they are done, in
        their order -> seconds.
    """
    graph = channel_map.graph
    changed = channel_map.changed_calls(keep)
    num_fitted = max(sum(is_fitted(call.operation) for call in changed), 1)
    flops = sum(count_call_flops(call) or 0 for call in graph.calls)
    steps = {"cut": _CUT * num_fitted}
    if repair is not None:
        running = _EXAMPLES * flops / _FLOPS_A_SECOND
        steps["repair"] = _REPAIR * num_fitted + running
    if verify:
        steps["check"] = _CHECK * num_fitted
    if isinstance(repair, Mimic):
        steps["mimic"] = _plan_training(repair, flops)
    return steps


def _plan_training(settings, flops):
    if settings.minutes is not None:
        return 60 * settings.minutes
    num_passes = _PASSES_A_STEP * settings.most_steps
    return num_passes * settings.batch_size * flops / _FLOPS_A_SECOND
