"""`prune_until`: as much as possible leaves within an allowed drop."""

import warnings

import numpy as np

from keras_shapley_prune.cut.layer_copies import check_copies
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.inputs.compiling import compile_with, copy_compile_config
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.inputs.evaluation import (
    check_labels,
    lower_is_better,
    resolve_metric,
)
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.selection import DEEPEST, make_plan
from keras_shapley_prune.pruning import rank_for
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.trace.tracer import trace_channels

_TRIALS = 7  # bisections: the ratio is then known within 1 / 128


def prune_until(
    model,
    dataset,
    max_drop=0.01,
    metric="accuracy",
    *,
    validation_data=None,
    of="flops",
    repair="least_squares",
    ranker=None,
    verbose="auto",
    **budget,
):
    """Removes as much of a model as it can lose without losing more than is allowed.

    The units are ranked once. Then the share that leaves is found by bisection: each
    trial is pruned and repaired like by `prune`, and measured.

    Args:
        model: A built Sequential or functional `keras.Model`, trained. It is not
            changed.
        dataset: Calibration data, see `prune`.
        max_drop: Float of at least 0: by how much the metric may get worse, in the
            metric's own units: 0.01 is one percentage point of accuracy.
        metric: String, an entry of what `model.evaluate(..., return_dict=True)`
            returns, such as `"accuracy"` (of a model compiled with it) or `"loss"`;
            what is called a loss or an error is better when it is lower, all others
            when they are higher. Or a callable `fn(model)` that returns a number, the
            higher the better.
        validation_data: What the metric is measured on, with labels. `None` for
            `dataset`; the result is then fitted to the very examples it is measured
            on, and does worse on others.
        of: String, the share of what is removed, see `prune`.
        repair: See `prune`.
        ranker: See `prune`.
        verbose: See `prune`; the trials are printed, too, unless it is 0.
        **budget: `scope`, `layers`, `ignore`, `round_to` and `min_units`, see
            `prune`.

    Returns:
        A model as from `prune`, whose metric is within `max_drop` of the original's on
        the data given. If nothing can be removed a copy of `model`, and a
        `UserWarning` says so.

    Raises:
        ValueError: If an argument is not of that form, the model cannot be measured by
            `metric`, or the data has no labels.

    Example:

    ```python
    pruned = keras_shapley_prune.prune_until(
        model, (x, y), max_drop=0.01, validation_data=(x_val, y_val), scope="global"
    )
    ```
    """
    _check_drop(max_drop)
    dataset = make_repeatable(dataset)
    held_out = dataset if validation_data is None else make_repeatable(validation_data)
    direction = -1.0 if lower_is_better(metric) else 1.0
    measure_raw = resolve_metric(metric, model, held_out)

    def measure(candidate):  # the higher the better
        return direction * measure_raw(candidate)

    channel_map = trace_channels(model)
    if not callable(metric):  # it is best known before ranking
        check_labels(held_out, channel_map.graph)
    check_copies(channel_map.graph)
    to_rank = PruningBudget(DEEPEST, of, **(budget | {"scope": "global"}))
    least = measure(model) - max_drop
    ranking = rank_for(model, dataset, to_rank, ranker, channel_map, verbose)
    best, low, high = None, 0.0, 1.0
    for _ in range(_TRIALS):
        ratio = (low + high) / 2
        share = PruningBudget(ratio, of, **budget)
        plan = make_plan(channel_map, ranking, share, strict=False)
        if plan.keep.all():  # the smallest step is larger than that
            break
        trial = repair_channels(model, plan.keep, dataset, repair, channel_map)
        compile_with(trial, copy_compile_config(model))
        found = measure(trial)
        within = found >= least
        if verbose != 0:
            reached = 1 - plan.costs[of][1] / plan.costs[of][0]
            sign = "within" if within else "below"
            print(f"{reached:.1%} of the {of} removed: {found:.4g}, {sign} {least:.4g}")
        if within:
            best, low = trial, ratio
        else:
            high = ratio
    if best is not None:
        return best
    warnings.warn(
        "Nothing can be removed: the metric falls by more than "
        f"max_drop={max_drop} with the smallest share of the {of} that was tried. A "
        "copy of the model is returned",
        stacklevel=2,
    )
    whole = np.ones(channel_map.num_units, bool)
    copy = remove_channels(model, whole, channel_map)
    return compile_with(copy, copy_compile_config(model))


def _check_drop(max_drop):
    number = isinstance(max_drop, (int, float)) and not isinstance(max_drop, bool)
    if not number or not max_drop >= 0:
        raise ValueError(
            "Argument `max_drop` should be a number of at least 0. "
            f"Received: max_drop={max_drop!r}"
        )
