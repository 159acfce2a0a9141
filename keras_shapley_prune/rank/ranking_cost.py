"""What a ranking will cost, before it is run."""

import dataclasses

from keras_shapley_prune.plan.flops import count_call_flops
from keras_shapley_prune.rank.machine_speed import measure_speed
from keras_shapley_prune.rank.staging import count_legs

_A_START = 3e-5  # seconds to start what a call computes, for a whole batch
_A_FUNCTION = 25  # as many calls as take as long to compile as what is around them


@dataclasses.dataclass(frozen=True)
class GroupCost:
    """What ranking one group costs.

    Attributes:
        name: String, the group's name.
        num_units: Integer.
        evaluations: Integer, coalitions evaluated, an example at a time.
        flops: Integer, floating-point operations, or `None` if a size is not known.
        seconds: Float, an estimate for this machine.
        later_seconds: Float, those of `seconds` that are spent on the group once all
            groups have been played.
        opening_seconds: Float, those that are spent on it before any group is played.
        compiling_seconds: Float, those of `opening_seconds` before the first batch.
    """

    name: str
    num_units: int
    evaluations: int
    flops: int | None
    seconds: float
    later_seconds: float = 0.0
    opening_seconds: float = 0.0
    compiling_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class RankingCost:
    """What a ranking will cost: printed, a table with a line for each group.

    Attributes:
        method: String, how the values will be found.
        num_examples: Integer, on how many examples.
        groups: Tuple of `GroupCost`, in the order in which they are played; each has
            `name`, `num_units`, `evaluations`, `flops` and `seconds`.
    """

    method: str
    num_examples: int
    groups: tuple

    @property
    def evaluations(self):
        """Integer, coalitions of all groups, counted an example at a time."""
        return sum(group.evaluations for group in self.groups)

    @property
    def flops(self):
        """Integer, FLOPs for all groups, or `None` if a size is not known."""
        flops = [group.flops for group in self.groups]
        return None if None in flops else sum(flops)

    @property
    def seconds(self):
        """Float, an estimate for all groups on this machine."""
        return sum(group.seconds for group in self.groups)

    def __str__(self):
        rows = [
            *[(g.name, g.num_units, g) for g in self.groups],
            ("total", sum(g.num_units for g in self.groups), self),
        ]
        width = max(len(name) for name, _, _ in rows)
        lines = [
            f"{self.method}: {self.num_examples} examples",
            f"{'group':{width}}  units   evaluations     GFLOPs   seconds",
        ]
        for name, num_units, cost in rows:
            flops = "?" if cost.flops is None else f"{cost.flops / 1e9:,.1f}"
            lines.append(
                f"{name:{width}}  {num_units:5d}  {cost.evaluations:12,d}"
                f"  {flops:>9}  {cost.seconds:8.1f}"
            )
        return "\n".join(lines)


def profile_calls(graph, inputs):
    """Estimates what each call of a network costs, see `MachineSpeed`.

    Args:
        graph: The recorded `Graph`.
        inputs: List of input tensors, one batch.

    Returns:
        Dict: index of a call -> seconds for one example.
    """
    speed, size = measure_speed(), max([1, *inputs[0].shape[1:-1]])
    started = _A_START / len(inputs[0])
    return {call.index: started + speed.seconds_of(call, size) for call in graph.calls}


def time_passes(calibration, seconds, tracing):
    """Returns what it takes to get from each group to the next, a list of seconds.

    Args:
        calibration: A `Calibration`.
        seconds: What `profile_calls` returned.
        tracing: Float, seconds to compile a call.
    """
    num_examples, passes, done = sum(calibration.batch_sizes), [], 0
    first = tracing * _A_FUNCTION
    for group in calibration.groups:
        position = calibration.first_site(group)
        each = [num_examples * seconds[i] + tracing for i in range(done, position)]
        passes.append(sum(each) + (0 if passes else first))
        done = max(done, position)
    return passes


def cost_of(suffix, draws, staging, num_removed, seconds, tracing=0.0, walk=None):
    """Returns the `GroupCost` of one group.

    Args:
        suffix: Its `Suffix`.
        draws: List of `(estimator, number of examples that it draws for)`.
        staging: The `Staging`.
        num_removed: Integer, how many of its units will be removed.
        seconds: What `profile_calls` returned.
        tracing: Float, seconds to compile a call.
        walk: The group's `IncrementalWalk`, or `None`.
    """
    num_active, evaluations, run = suffix.num_units, 0, 0.0
    whole = sum(seconds[call.index] for call in suffix.calls)
    for count in count_legs(staging, suffix.num_units, num_removed):
        for estimator, num_examples in draws:
            each = estimator.num_draws * estimator.num_evaluations(num_active)
            evaluations += num_examples * each
            cheaper = walk.share_of_cost(estimator) if walk is not None else 1.0
            run += num_examples * each * whole * cheaper
        # A later stage has fewer units in play, and so shorter walks.
        num_active -= count
    flops = [count_call_flops(call) for call in suffix.calls]
    # Each estimator has a compiled step of its own, with the suffix in it a few times.
    traced = [
        estimator.num_traced * len(suffix.calls) + _A_FUNCTION * (1 + estimator.walks)
        for estimator, _ in draws
    ]
    return GroupCost(
        name=suffix.group.name,
        num_units=suffix.num_units,
        evaluations=evaluations,
        flops=None if None in flops else evaluations * sum(flops),
        seconds=run + tracing * sum(traced),
    )
