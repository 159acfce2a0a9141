"""`prune_until`: as much as possible is removed within an allowed drop."""

import dataclasses
import warnings
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
from keras_shapley_prune.inputs.metric_bound import MetricBound, check_drop
from keras_shapley_prune.inputs.metric_direction import MODES
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.plan.budget import PruningBudget, check_steps, to_budget
from keras_shapley_prune.plan.planner import PLANNED_SECONDS, Planner
from keras_shapley_prune.plan.selection import DEEPEST, ratios_to_rank
from keras_shapley_prune.pruning import carry_out, check_prunable
from keras_shapley_prune.rank.given_ranking import GivenRanking
from keras_shapley_prune.rank.resolve_ranker import rank_for, resolve_ranker
from keras_shapley_prune.repair.answers import check_answers
from keras_shapley_prune.repair.calibration_check import check_calibration
from keras_shapley_prune.repair.outcome import measure_outcome, tell_outcome
from keras_shapley_prune.repair.planned_steps import plan_steps
from keras_shapley_prune.repair.resolve_repair import (
    check_extra_images,
    closed_form_of,
    resolve_repair,
)
from keras_shapley_prune.repair.sample import read_sample
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
            metric's own units: 0.01 is one percentage point of accuracy. At most 1 for
            metrics between 0 and 1.
        metric: String, an entry of what `model.evaluate(..., return_dict=True)`
            returns, such as `"accuracy"` (of a model compiled with it) or `"loss"`. Or
            a callable `fn(model)` that returns a number.
        mode: `"min"` if the metric is better when it is lower, `"max"` if it is when
            it is higher. `"auto"` for what is known of the metrics and losses of Keras,
            also of classes made from them; a metric of one's own whose name ends with
            `loss` or `error` is taken to be better when it is lower, one that ends with
            `accuracy`, and what a callable returns, when it is higher.
        validation_data: What the metric is measured on, with labels. `None` for
            `dataset`: the result is then measured on the very examples that it was
            fitted to, and is worse on others, of which a `UserWarning` tells.
        budget: A `PruningBudget` that says where units are removed, and which quantity
            is reduced. Its `ratio` is not read, as it is what is searched for.
            Defaults to `PruningBudget(of="flops")`.
        repair: See `prune`.
        ranker: See `prune`. A `Ranking` serves all trials if it was made with
            `ratio=0.95`.
        verbose: `"auto"` or 1 for a progress bar over ranking and trials; 2 for one
            line a group and a trial; 0 for silence. Both end with the lines of `prune`,
            and with the metric before and after, and on which data.
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
    check_drop(max_drop, metric, model)
    check_choice("mode", mode, MODES)
    budget = _resolve_budget(budget, shorthand)
    repair = resolve_repair(repair)
    ranker = resolve_ranker(ranker, "global")  # all depths of all layers are ranked
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
    budget = budget.name_layers(channel_map)
    check_steps(budget, budget.select_groups(channel_map))
    # Any share of a group may be removed in the end: all of it has to be ranked.
    to_rank = dataclasses.replace(budget, ratio=DEEPEST, scope="global")
    if isinstance(ranker, GivenRanking):
        ratios = ratios_to_rank(channel_map, to_rank)
        ranker.check(channel_map, budget, ratios)
    if not callable(metric):  # it is best known before ranking
        check_measured(held_out, channel_map.graph, model, argument)
        if validation_data is None:
            _warn_of_flattery(metric)
    check_prunable(model, channel_map)
    sample = read_sample(dataset, channel_map.graph)
    channel_map = try_out(channel_map, sample.inputs)
    check_extra_images(repair, channel_map.graph, sample.inputs)
    check_calibration(channel_map.graph, sample)
    check_answers(model, channel_map.graph, sample)
    bound = MetricBound(metric, mode, model, measure, max_drop)
    targets = RecordedTargets()  # all trials are repaired towards the same
    taken = targets if closed_form_of(repair) == "least_squares" else None
    found = _Bisection()
    surely_kept = channel_map.without(budget.select_groups(channel_map))
    steps = plan_steps(channel_map, surely_kept, repair, verify=True)
    seconds = bound.seconds + sum(steps.values())
    trials = {f"trial {number}": seconds for number in range(1, _TRIALS + 1)}
    timing = {"time": PLANNED_SECONDS * (budget.of == "latency")}
    with Progress(verbose, timing | trials) as progress:
        ranking = rank_for(
            model, dataset, to_rank, ranker, channel_map, verbose, taken, progress
        )
        planner = Planner(model, channel_map, budget, progress.show_share)
        progress.begin("time")
        planner.prepare()
        for name in trials:
            progress.begin(name)
            trial_budget = dataclasses.replace(budget, ratio=found.ratio)
            plan = planner.plan(ranking, trial_budget, strict=False)
            if plan.keep.all():  # even a single step would remove more than that
                break
            if found.knows(plan):  # such as all that can be removed, whatever the ratio
                continue
            steps = plan_steps(channel_map, plan.keep, repair, verify=True)
            steps["compare"] = bound.seconds
            part = progress.part(steps, f"{name} of {_TRIALS}, ")
            trial = carry_out(
                model, plan, dataset, repair, targets=targets, progress=part
            )
            part.begin("compare")
            part.show("measuring")
            within = bound.measure(trial)
            found.take(plan, trial, within)
            progress.note(f"{name}: {_describe_trial(plan, metric, bound, within)}")
    bound.tell(found.best is not None, budget.of)
    if found.best is not None:
        outcome = measure_outcome(
            model, found.plan, found.best, sample, {}, repair, Progress(0)
        )
        tell_outcome(_add_metric(outcome, metric, bound, found.plan, argument), verbose)
        return found.best
    # A copy, as always: it shares no weights with the model.
    whole = np.ones(channel_map.num_units, bool)
    copy = remove_channels(model, whole, channel_map)
    return compile_with(copy, copy_compile_config(model))


class _Bisection:
    """Looks for the largest share whose network is within the bound.

    It takes the metric to fall with the share. Where it does not quite, the result is
    still within the bound: only what was measured to be so is returned.

    Attributes:
        best: The `keras.Model` of the deepest trial within the bound, or `None`.
        plan: Its `PruningPlan`.
    """

    def __init__(self):
        self._low, self._high, self._measured = 0.0, 1.0, {}
        self.best, self.plan = None, None

    @property
    def ratio(self):
        """Float, the share to try next."""
        return (self._low + self._high) / 2

    def knows(self, plan):
        """Returns whether the same network was measured before, and goes on if so."""
        within = self._measured.get(plan.keep.tobytes())
        if within is not None:
            self._move(within)
        return within is not None

    def take(self, plan, trial, within):
        """Takes note of a network, and whether it is within the bound."""
        self._measured[plan.keep.tobytes()] = within
        if within:
            self.best, self.plan = trial, plan
        self._move(within)

    def _move(self, within):
        if within:
            self._low = self.ratio
        else:
            self._high = self.ratio


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


def _describe_trial(plan, metric, bound, within):
    return (
        f"{_describe_removed(plan)}: {_name_of(metric)} {bound.found[-1]:.4g}, "
        f"{'within' if within else 'beyond'} {bound.worst:.4g}"
    )


def _describe_removed(plan):
    before, after = plan.costs[plan.budget.of]
    return f"{1 - after / before:.1%} of the {plan.budget.of} removed"


def _name_of(metric):
    if not callable(metric):
        return metric
    name = getattr(metric, "__name__", "")
    return name if name.isidentifier() else "metric"  # such as of a lambda


def _add_metric(outcome, metric, bound, plan, argument):
    """Returns an `Outcome` with the metric that has decided, and how much it may fall.

    Args:
        outcome: The `Outcome` of the best trial.
        metric: See `prune_until`.
        bound: The `MetricBound`, which has measured all trials.
        plan: The `PruningPlan` of the best trial.
        argument: String, for what the data was given that the metric is measured on.
    """
    # The last trial within the bound is the best one.
    after = [value for value in bound.found if bound.allows(value)][-1]
    data = "" if callable(metric) else f"on `{argument}` "
    return dataclasses.replace(
        outcome,
        budget=f"{_describe_removed(plan)}, in {len(bound.found)} trials",
        hint="",
        metrics={_name_of(metric): (bound.before, after)},
        data=f"{data}(allowed: {bound.worst:.4g})",
    )


def _warn_of_flattery(metric):
    """Warns that a metric is measured on what the trials are fitted to."""
    warnings.warn(
        "Expected `validation_data`: examples that the network is not fitted to. "
        f"Received: none, so {metric!r} is measured on `dataset`, and is worse on "
        "other examples than is allowed here",
        stacklevel=4,
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
