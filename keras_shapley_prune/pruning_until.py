"""`prune_until`: as much as possible is removed within an allowed drop."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_shapley_prune.cut.channels_last.to_channels_last import (
    convert_if_needed,
)
from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.cut.trial_run import try_out
from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.inputs.arguments import blaming, check_choice, check_verbose
from keras_shapley_prune.inputs.compiling import compile_with, copy_compile_config
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.inputs.evaluation import (
    resolve_metric,
)
from keras_shapley_prune.inputs.measurable import check_measured, check_metric
from keras_shapley_prune.inputs.metric_bound import MetricBound
from keras_shapley_prune.inputs.metric_direction import MODES
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.plan.budget import PruningBudget, check_steps, to_budget
from keras_shapley_prune.plan.planner import Planner
from keras_shapley_prune.plan.selection import DEEPEST
from keras_shapley_prune.pruning import carry_out, check_prunable
from keras_shapley_prune.rank.resolve_ranker import rank_for, resolve_ranker
from keras_shapley_prune.repair.calibration_check import check_calibration, read_sample
from keras_shapley_prune.repair.planned_steps import plan_steps
from keras_shapley_prune.repair.resolve_repair import (
    check_extra_images,
    closed_form_of,
    resolve_repair,
)
from keras_shapley_prune.repair.targets import RecordedTargets
from keras_shapley_prune.trace.tracer import trace_channels

_TRIALS = 7  # bisections: the ratio is then known within 1 / 128


@undisturbed
def prune_until(
    model,
    dataset,
    max_drop=0.01,
    metric="accuracy",
    *,
    mode="auto",
    validation_data=None,
    budget=None,
    repair="least_squares",
    ranker=None,
    verbose="auto",
    **shorthand,
):
    """Removes as much of a model as an allowed drop of a metric permits.

    The units are ranked once. Then the share to remove is found by bisection: each
    trial is pruned and repaired as by `prune`, and measured. A model with layers of
    `data_format="channels_first"` is converted first, as by `prune`.

    Args:
        model: A built Sequential or functional `keras.Model`, trained. It is not
            changed.
        dataset: Calibration data, see `prune`.
        max_drop: Float of at least 0: by how much the metric may get worse, in the
            metric's own units: 0.01 is one percentage point of accuracy.
        metric: String, an entry of what `model.evaluate(..., return_dict=True)`
            returns, such as `"accuracy"` (of a model compiled with it) or `"loss"`. Or
            a callable `fn(model)` that returns a number.
        mode: `"min"` if the metric is better when it is lower, `"max"` if it is when
            it is higher. `"auto"` for what is known of the metrics and losses of Keras,
            also of classes made from them; a metric of one's own whose name ends with
            `loss` or `error` is taken to be better when it is lower, one that ends with
            `accuracy`, and what a callable returns, when it is higher.
        validation_data: What the metric is measured on, with labels. `None` for
            `dataset`; the result is then measured on the very examples that it was
            fitted to, and is worse on others.
        budget: A `PruningBudget` that says where units are removed, and which quantity
            is reduced. Its `ratio` is not read, as it is what is searched for.
            Defaults to `PruningBudget(of="flops")`.
        repair: See `prune`.
        ranker: See `prune`.
        verbose: `"auto"` or 1 for a progress bar of the ranking, and a bar and a line
            of each trial; 2 for one line a group and a trial; 0 for silence.
        **shorthand: `of`, `scope`, `layers`, `ignore`, `granularity`, `round_to`,
            `min_units` and `target`, the fields of `budget`, in its place.

    Returns:
        A model as from `prune`, whose metric is within `max_drop` of the original's on
        the data given. If nothing can be removed it is a copy of `model`, and a
        `UserWarning` says so.

    Raises:
        TypeError: If `shorthand` holds another keyword.
        ValueError: If an argument is not of that form, the model cannot be measured by
            `metric`, it is not known which way that gets better, or it is not finite;
            if the data has no labels, or `round_to` and `min_units` let no group lose
            units; if it is called in the scope of a strategy of several processes,
            under which Keras evaluates no model.

    Example:

    ```python
    pruned = keras_shapley_prune.prune_until(
        model, (x, y), max_drop=0.01, validation_data=(x_val, y_val), scope="global"
    )
    ```
    """
    _check_drop(max_drop)
    check_choice("mode", mode, MODES)
    budget = _resolve_budget(budget, shorthand)
    repair = resolve_repair(repair)
    resolve_ranker(ranker)  # raises what it would raise after the first evaluation
    check_verbose(verbose)
    _check_alone()
    check_model(model)
    check_metric(metric, model)
    dataset = make_repeatable(dataset)
    held_out, argument = dataset, "dataset"
    if validation_data is not None:
        argument = "validation_data"
        held_out = make_repeatable(validation_data, "validation_data")
    model = convert_if_needed(model, verbose)
    measure_raw = resolve_metric(metric, model, held_out)

    def measure(candidate):
        with kept_states(candidate), blaming("dataset", argument):
            return measure_raw(candidate)

    channel_map = trace_channels(model, budget.granularity)
    check_steps(budget, budget.select_groups(channel_map))
    if not callable(metric):  # it is best known before ranking
        check_measured(held_out, channel_map.graph, model, argument)
    check_prunable(model, channel_map)
    sample = read_sample(dataset, channel_map.graph)
    channel_map = try_out(channel_map, sample)
    check_extra_images(repair, channel_map.graph, sample)
    check_calibration(channel_map.graph, sample)
    # Any share of a group may be removed in the end: all of it has to be ranked.
    to_rank = dataclasses.replace(budget, ratio=DEEPEST, scope="global")
    bound = MetricBound(metric, mode, model, measure, max_drop)
    targets = RecordedTargets()  # all trials are repaired towards the same
    taken = targets if closed_form_of(repair) == "least_squares" else None
    ranking = rank_for(model, dataset, to_rank, ranker, channel_map, verbose, taken)
    # Bisection takes the metric to fall with the share. Where it does not quite, the
    # result is still within the drop: only what was measured to be so is returned.
    best, low, high, measured = None, 0.0, 1.0, {}
    planner = Planner(model, channel_map, budget)
    for _ in range(_TRIALS):
        ratio = (low + high) / 2
        trial_budget = dataclasses.replace(budget, ratio=ratio)
        plan = planner.plan(ranking, trial_budget, strict=False)
        if plan.keep.all():  # even a single step would remove more than that
            break
        known = measured.get(plan.keep.tobytes())
        if known is not None:  # such as all that can be removed, whatever the ratio
            low, high = (ratio, high) if known else (low, ratio)
            continue
        steps = plan_steps(channel_map, plan.keep, repair, verify=True)
        with Progress(1 if verbose in ("auto", 1) else 0, steps) as progress:
            trial = carry_out(
                model, plan, dataset, repair, targets=targets, progress=progress
            )
        within = measured[plan.keep.tobytes()] = bound.measure(trial)
        if verbose != 0:
            _print_trial(plan, bound, within)
        if within:
            # What is returned has been measured itself: the deepest trial within the
            # drop.
            best, low = trial, ratio
        else:
            high = ratio
    bound.tell(best is not None, budget.of)
    if best is not None:
        return best
    # A copy, as always: it shares no weights with the model.
    whole = np.ones(channel_map.num_units, bool)
    copy = remove_channels(model, whole, channel_map)
    return compile_with(copy, copy_compile_config(model))


def _resolve_budget(budget, shorthand):
    """Returns the `PruningBudget` whose ratio is searched for."""
    if budget is None:
        return to_budget("prune_until", 0.0, {"of": "flops"} | shorthand)
    if not isinstance(budget, PruningBudget) or isinstance(budget.ratio, Mapping):
        raise ValueError(
            "Argument `budget` should be a `PruningBudget` whose ratio is not a dict: "
            f"one share of all layers is searched for. Received: budget={budget!r}"
        )
    return to_budget("prune_until", budget, shorthand)


def _print_trial(plan, bound, within):
    before, after = plan.costs[plan.budget.of]
    print(
        f"{1 - after / before:.1%} of the {plan.budget.of} removed: "
        f"{bound.found[-1]:.4g}, {'within' if within else 'beyond'} {bound.worst:.4g}"
    )


def _check_alone():
    """Raises a `ValueError` in the scope of a strategy of several processes."""
    count = current_workers().count
    if count > 1:
        raise ValueError(
            "`prune_until` evaluates models, which Keras does not do under a strategy "
            f"of several processes. Received: the scope of one of {count}. Rank in the "
            "scope, and take `keras-shapley-prune prune-until --ranking` in one process"
        )


def _check_drop(max_drop):
    number = isinstance(max_drop, (int, float)) and not isinstance(max_drop, bool)
    if not number or not max_drop >= 0:
        raise ValueError(
            "Argument `max_drop` should be a number of at least 0. "
            f"Received: max_drop={max_drop!r}"
        )
