"""From a ranking and a budget to a plan; of latency, with a clock in the loop."""

import dataclasses
import warnings

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.cut.surgery import cut_out
from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.inputs.arguments import check_verbose
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.latency.latency_table import LatencyTable
from keras_shapley_prune.latency.measure_table import measure_table
from keras_shapley_prune.latency.model_timer import ModelTimer
from keras_shapley_prune.latency.targets import resolve_target
from keras_shapley_prune.plan.budget import to_budget
from keras_shapley_prune.plan.cost_models import open_costs
from keras_shapley_prune.plan.planned_latency import PlannedLatency
from keras_shapley_prune.plan.pruning_plan import PruningPlan
from keras_shapley_prune.plan.selection import make_plan
from keras_shapley_prune.trace.sizes import give_sizes
from keras_shapley_prune.trace.wanted_units import map_for_ranking

PLANNED_SECONDS = 90.0  # that timing takes, about: a part of a progress bar
_NEAR = 0.02  # of the asked latency: what is so near is not corrected
_FAR = 0.05  # what is farther away is told
_MOST = 4  # plans that are made and measured


@undisturbed
def plan_pruning(
    model,
    ranking,
    ratio=0.5,
    channel_map=None,
    input_shape=None,
    verbose="auto",
    **budget,
):
    """Decides which units of a model are removed.

    Args:
        model: A built Sequential or functional `keras.Model`.
        ranking: A `Ranking` of it. One ranking serves many plans. A group that is not
            in it loses no units.
        ratio: The share to remove, or a `PruningBudget`, see `prune`.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        input_shape: The shape of one example, for which FLOPs are counted where the
            model takes any size, see `count_flops`.
        verbose: `"auto"` or 1 for a progress bar of what is timed with `of="latency"`,
            0 for silence. Nothing else takes long.
        **budget: `of`, `scope`, `layers`, `ignore`, `granularity`, `round_to`,
            `min_units` and `target`, a shorthand for the fields of a `PruningBudget`.
            Where the ranking has blocks, these are units whatever `granularity` is.

    Returns:
        A `PruningPlan`: print it, save it, change it, and give it to `apply_plan`. With
        `of="latency"` the model and smaller ones of it are timed for that, some seconds
        to some minutes, unless `target` is a `LatencyTable`.

    Raises:
        TypeError: If `budget` holds another keyword.
        ValueError: If an argument is not of that form, `ranking` or `channel_map` is
            of another model, scores are not finite, or the budget cannot be met. A
            `UserWarning` tells the share that is reached if that is off by more than
            1 %, or a measured latency by more than 5 % of itself.

    Example:

    ```python
    ranker = keras_shapley_prune.ShapleyRanker()
    ranking = ranker.rank(model, images, ratio=0.8)
    plan = keras_shapley_prune.plan_pruning(model, ranking, 0.5, of="flops")
    print(plan)
    pruned = keras_shapley_prune.apply_plan(model, plan, images)
    ```
    """
    budget = to_budget("plan_pruning", ratio, budget)
    check_verbose(verbose)
    channel_map = map_for_ranking(model, ranking, channel_map, budget.granularity)
    budget = budget.name_layers(channel_map)
    graph = give_sizes(channel_map.graph, input_shape)
    channel_map = dataclasses.replace(channel_map, graph=graph)
    with Progress(verbose) as progress:
        return plan_for(model, ranking, budget, channel_map, progress)


def plan_for(model, ranking, budget, channel_map, progress=None, checkpoint=None):
    """Returns the `PruningPlan` of a budget, as `prune` makes it.

    Args:
        model: See `prune`.
        ranking: A `Ranking`.
        budget: A `PruningBudget`.
        channel_map: The `ChannelMap` of `model`.
        progress: A `Progress` in which what is timed is a step, or `None`.
        checkpoint: The `Checkpoint` of the run that this is a part of, or `None`.
    """
    show = None if progress is None else progress.show_share
    if progress is not None and budget.of == "latency":
        progress.begin("time", PLANNED_SECONDS)
    checkpoint = checkpoint or Checkpoint()
    entry = checkpoint.within("plan").entry("latency")
    plan = Planner(model, channel_map, budget, show).plan(ranking, budget, entry=entry)
    checkpoint.keep("plan.json", plan.save)
    return plan


class Planner:
    """Makes plans of one model, for budgets of one quantity and target.

    Args:
        model: The `keras.Model`.
        channel_map: Its `ChannelMap`.
        budget: A `PruningBudget`: the quantity, and what it is measured on.
        show: Callable that is told what is worked on and how much of that is done, or
            `None`.
    """

    def __init__(self, model, channel_map, budget, show=None):
        self._model, self._map, self._show = model, channel_map, show
        self._is_timed = budget.of == "latency"
        self._target = resolve_target(budget.target) if self._is_timed else None
        self._costs, self._timer = None, None

    def prepare(self):
        """Times what a budget of latency needs, before the first plan."""
        if self._is_timed:
            self._open_costs()

    def plan(self, ranking, budget, strict=True, entry=None):
        """Returns a `PruningPlan`.

        Args:
            ranking: A `Ranking`.
            budget: A `PruningBudget`.
            strict: Boolean. If not, as much is removed as possible where the budget
                cannot be met, and a latency is predicted only.
            entry: An `Entry` of a checkpoint, or `None`: what has been measured differs
                the next time, and a run that goes on needs the same plan.

        Raises:
            ValueError: See `plan_pruning`.
        """
        if not self._is_timed:
            return make_plan(self._map, ranking, budget, strict)
        kept = entry.read() if entry is not None else None
        if kept is not None:
            return self._restore(kept, ranking, budget)
        costs = self._open_costs()
        corrected = strict and budget.ratio and self._open_timer() is not None
        with warnings.catch_warnings():
            if corrected:  # what is missed is told once it has been measured
                warnings.simplefilter("ignore")
            plan = make_plan(self._map, ranking, budget, strict, costs)
        plan = self._add_latency(plan, None)
        if corrected:
            plan = self._correct(plan, ranking, budget)
        if entry is not None:
            entry.write(plan.latency.to_fields() | {"kept": dict(plan.num_kept)})
        return plan

    def _correct(self, plan, ranking, budget):
        """Returns the plan whose measured latency is nearest to what was asked for."""
        wanted = 1 - budget.ratio  # of the latency
        asked, best, points = wanted, None, []
        for attempt in range(_MOST):
            if self._show is not None:
                self._show("timing the plan", (attempt + 1) / (_MOST + 1))
            plan = self._add_latency(plan, self._measure(plan.keep))
            before, after = plan.latency.measured
            missed = abs(after / before / wanted - 1)
            if best is None or missed < best[0]:
                best = missed, plan
            if missed <= _NEAR or attempt == _MOST - 1:
                break
            points.append((asked, after / before))
            asked = _aim(points, wanted)
            changed = dataclasses.replace(budget, ratio=1 - asked)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    again = make_plan(self._map, ranking, changed, True, self._costs)
            except ValueError:  # no more can be removed
                break
            if (again.keep == plan.keep).all():
                break
            plan = again
        missed, plan = best
        plan = self._add_latency(plan, plan.latency.measured, budget)
        if missed > _FAR:
            before, after = plan.latency.measured
            warnings.warn(
                f"The planned network takes {after / before:.1%} of the time of the "
                f"model, measured, not {wanted:.1%}: what is nearer could not be found",
                stacklevel=6,  # the line that called `prune` or `plan_pruning`
            )
        return plan

    def _measure(self, keep):
        """Returns the seconds of the model and of a smaller one."""
        # Repair changes weights, and not what they take.
        smaller = cut_out(self._model, keep, self._map).model
        return self._open_timer().time_beside(smaller)

    def _add_latency(self, plan, measured, budget=None):
        """Returns the plan with what it is predicted to take, and has taken."""
        costs = self._costs
        predicted = costs.count(), costs.count(plan.keep)
        latency = PlannedLatency(costs.table.description, predicted, measured)
        return plan.with_latency(latency, budget)

    def _restore(self, fields, ranking, budget):
        kept = {name: int(count) for name, count in fields["kept"].items()}
        latency = PlannedLatency.from_fields(fields)
        return PruningPlan(
            self._map,
            kept,
            {name: ranking[name].order for name in kept},
            budget,
        ).with_latency(latency)

    def _open_costs(self):
        if self._costs is None:
            table = self._target
            if not isinstance(table, LatencyTable):
                _check_alone()
                table = measure_table(self._model, table, self._map, self._show)
            self._costs = open_costs(self._map, "latency", table)
        return self._costs

    def _open_timer(self):
        """Returns a `ModelTimer`, `None` if what is planned for is another machine."""
        if current_workers().count > 1:  # each would measure something else
            return None
        if self._timer is None:
            runtime = self._target
            if isinstance(runtime, LatencyTable):
                runtime = runtime.runtime_here()
            if runtime is not None:
                self._timer = ModelTimer(self._model, runtime, self._map.graph)
        return self._timer


def _aim(points, wanted):
    """Returns what to ask for so that what is wanted is found.

    Args:
        points: List of tuples: the share that was asked for, and what was found.
        wanted: Float, the share that is to be found.
    """
    asked, found = points[-1]
    slope = found / asked
    if len(points) > 1:
        before, there = points[-2]
        slope = (found - there) / (asked - before) if asked != before else slope
        # Of two that are near each other the clock's noise would be what counts.
        slope = min(max(slope, found / asked / 4), 4 * found / asked)
    return min(max(asked + (wanted - found) / slope, 0.01), 0.99)


def _check_alone():
    """Raises a `ValueError` in the scope of a strategy of several processes."""
    count = current_workers().count
    if count > 1:
        raise ValueError(
            "Argument `target` should be a `LatencyTable` under a strategy of several "
            "processes, which would all measure something else. Received: the scope of "
            f"one of {count} processes"
        )
