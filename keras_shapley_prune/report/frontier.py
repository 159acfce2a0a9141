"""What a model achieves, against what it costs, at several ratios."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.cut.trial_run import try_out
from keras_shapley_prune.inputs.arguments import blaming, check_verbose, show
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.inputs.evaluation import resolve_metric
from keras_shapley_prune.inputs.measurable import check_measured, check_metric
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.plan.budget import check_ratio, to_budget
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.plan.planner import Planner
from keras_shapley_prune.pruning import carry_out
from keras_shapley_prune.repair.planned_steps import plan_steps
from keras_shapley_prune.repair.resolve_repair import resolve_repair
from keras_shapley_prune.repair.sample import read_sample
from keras_shapley_prune.trace.wanted_units import map_for_ranking

# In seconds, roughly: what a measurement takes, and planning by a clock.
_MEASURE, _TIMED_PLANS = 2.0, 30.0


@dataclasses.dataclass(frozen=True)
class FrontierPoint:
    """A pruned model: how large it is, and what it achieves.

    Attributes:
        ratio: Float, the share that was to be removed; 0 for the original model.
        parameters: Integer.
        flops: Integer, or `None` if a spatial size is not known.
        value: Float, the metric.
        metric: String, the name of the metric.
    """

    ratio: float
    parameters: int
    flops: int
    value: float
    metric: str


@undisturbed
def measure_frontier(
    model,
    ranking,
    dataset,
    ratios=(0.25, 0.5, 0.75),
    *,
    validation_data=None,
    metric="accuracy",
    repair="least_squares",
    verbose="auto",
    **budget,
):
    """Prunes and repairs a model at several ratios, and measures each.

    One ranking serves all of them: rank with the largest of the ratios.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        ranking: A `Ranking` of it.
        dataset: Calibration data, what repair is fitted on, see `prune`.
        ratios: Sequence of floats in [0, 1), or of `PruningBudget`s whose ratios are
            floats.
        validation_data: Labelled data to measure on. `None` for `dataset`: the result
            is then measured on the very examples that it is fitted to.
        metric: String, an entry of what `model.evaluate(..., return_dict=True)`
            returns, or a callable `fn(model)` that returns a number.
        repair: See `prune`.
        verbose: `"auto"` or 1 for a progress bar over all of it, 2 for one line a step,
            0 for silence.
        **budget: `of`, `scope`, `layers`, `ignore`, `granularity`, `round_to` and
            `min_units`, a shorthand for the fields of `PruningBudget`s. Where the
            ranking has blocks, these are units whatever `granularity` is.

    Returns:
        List of `FrontierPoint`, the original model first, then one for each ratio,
        for `plot_frontier` and `Ranking.to_tensorboard`.

    Raises:
        TypeError: If `budget` holds another keyword.
        ValueError: If an argument is not of that form, the model cannot be measured,
            or the budget cannot be met.

    Example:

    ```python
    ranking = ranker.rank(model, images, ratio=0.75)
    points = keras_shapley_prune.measure_frontier(
        model, ranking, images, (0.25, 0.5, 0.75), validation_data=(x, y), of="flops"
    )
    keras_shapley_prune.plot_frontier(points)
    ```
    """
    budgets = _to_budgets(ratios, budget)
    repair = resolve_repair(repair)
    check_verbose(verbose)
    check_model(model)
    check_metric(metric, model)
    dataset = make_repeatable(dataset)
    held_out, argument = dataset, "dataset"
    if validation_data is not None:
        argument = "validation_data"
        held_out = make_repeatable(validation_data, "validation_data")
    measure = resolve_metric(metric, model, held_out)
    name = metric if isinstance(metric, str) else "metric"
    channel_map = map_for_ranking(model, ranking)
    budgets = [one.name_layers(channel_map) for one in budgets]
    for one in budgets:
        one.select_groups(channel_map)
    if not callable(metric):
        check_measured(held_out, channel_map.graph, model, argument)
    sample = read_sample(dataset, channel_map.graph)
    channel_map = try_out(channel_map, sample.inputs)
    shapes = channel_map.graph.input_shapes or None
    removable = channel_map.without(budgets[0].select_groups(channel_map))
    steps = plan_steps(channel_map, removable, repair, verify=True)
    steps |= {"measure": _MEASURE}

    def to_point(ratio, network):
        size = network.count_params()
        flops = count_flops(network, shapes)
        with kept_states(network), blaming("dataset", argument):
            value = measure(network)
        return FrontierPoint(ratio, size, flops, value, name)

    with Progress(verbose, _plan_bar(steps, budgets)) as progress:
        # A budget out of reach is known before any network is pruned.
        progress.begin("plan")
        planner = Planner(model, channel_map, budgets[0], progress.show_share)
        plans = [planner.plan(ranking, one) for one in budgets]
        progress.begin("original")
        progress.show("measuring the original")
        points = [to_point(0.0, model)]
        for number, plan in enumerate(plans):
            which = f"{float(plan.budget.ratio):.3g}: "
            progress.begin(number)
            part = progress.part(steps, which)
            pruned = carry_out(model, plan, dataset, repair, progress=part)
            part.begin("measure")
            part.show("measuring")
            points.append(to_point(float(plan.budget.ratio), pruned))
            progress.note(f"{which}{name} {points[-1].value:.4g}")
    return points


def _plan_bar(steps, budgets):
    """Returns what a `Progress` over all ratios is planned from, a dict."""
    timed = any(budget.of == "latency" for budget in budgets)
    planned = {"plan": _TIMED_PLANS if timed else 0.0, "original": _MEASURE}
    return planned | dict.fromkeys(range(len(budgets)), sum(steps.values()))


def _to_budgets(ratios, keywords):
    """Returns the `PruningBudget`s of the ratios of a frontier, a list."""
    if isinstance(ratios, Iterator):
        ratios = list(ratios)
    if not isinstance(ratios, (list, tuple, np.ndarray)) or not len(ratios):
        raise ValueError(
            "Argument `ratios` should be a sequence of floats in [0, 1), or of "
            f"`PruningBudget`s. Received: ratios={show(ratios)}"
        )
    budgets = []
    with blaming("ratio", "ratios"):
        for ratio in ratios:
            budgets.append(to_budget("measure_frontier", ratio, keywords))
            check_ratio(budgets[-1].ratio)  # a dict of ratios is no place on a curve
    return budgets
