"""What pruning has cost: the lines with which `prune` ends."""

import dataclasses
import itertools
import numbers
import shutil
import textwrap

from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.plan.quantities import Quantity, describe_cost
from keras_shapley_prune.repair.agreement import (
    Agreement,
    measure_agreement,
    warn_of_disagreement,
)
from keras_shapley_prune.repair.answers import measure_answers
from keras_shapley_prune.trace.sizes import sizes_of

_NARROWEST = 40  # characters of a line
_MOST = 3  # metrics that are told
_FAR = 0.1  # share of the FLOPs that is lost beyond what was asked of the units


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What pruning has cost; printed, a line for each.

    Attributes:
        budget: String, what was asked for and reached; `""` if that is not known.
        parameters: Tuple of two integers, before and after.
        flops: The same; `None` in it if a size is not known.
        hint: String, how to ask for FLOPs; `""` if that is not worth saying.
        agreement: An `Agreement`, or `None`.
        metrics: Dict: name -> `(before, after)`.
        data: String, on which examples the metrics are.
        is_repaired: Boolean.
    """

    budget: str
    parameters: tuple
    flops: tuple
    hint: str = ""
    agreement: Agreement | None = None
    metrics: dict = dataclasses.field(default_factory=dict)
    data: str = ""
    is_repaired: bool = True

    def __str__(self):
        width = max(map(len, ["parameters", *self.metrics]))
        lines = [self.budget] if self.budget else []
        lines.append(f"{'parameters':{width}}  {describe_cost(*self.parameters)}")
        lines.append(f"{'FLOPs':{width}}  {describe_cost(*self.flops)}{self.hint}")
        if self.agreement is not None:
            lines.append(str(self.agreement))
        for name, values in self.metrics.items():
            value = Quantity(name, *values, unit="metric")
            lines.append(f"{name:{width}}  {value} {self.data}")
        width = max(shutil.get_terminal_size().columns, _NARROWEST)
        fitted = [textwrap.wrap(x, width, subsequent_indent="    ") for x in lines]
        return "\n".join(itertools.chain(*fitted))


def measure_outcome(model, plan, pruned, sample, before, repair, progress):
    """Compares a pruned network with the original.

    Args:
        model: The original `keras.Model`.
        plan: The `PruningPlan` that was carried out.
        pruned: The pruned `keras.Model`.
        sample: The `Sample` of the calibration data.
        before: What `check_answers` returned.
        repair: What `resolve_repair` returned.
        progress: A `Progress`, in whose step `"compare"` this is done.

    Returns:
        An `Outcome`.
    """
    graph = plan.channel_map.graph
    agreement = measure_agreement(model, graph, pruned, sample.inputs, progress)
    after = measure_answers(model, pruned, sample) if before else {}
    fitted = "that it was fitted to" if repair else "of the calibration data"
    return Outcome(
        plan.describe_budget(),
        *count_costs(model, pruned, sample),
        hint=_find_hint(plan),
        agreement=agreement,
        metrics={n: (before[n], after[n]) for n in list(before)[:_MOST] if n in after},
        data=f"on {sample.num_examples} examples {fitted}",
        is_repaired=repair is not None,
    )


def count_costs(model, pruned, sample):
    """Returns `(before, after)` of the parameters, and of the FLOPs.

    Args:
        model: The original `keras.Model`.
        pruned: The pruned one.
        sample: The `Sample`, whose sizes count where a model takes any.
    """
    shapes = sizes_of(sample.inputs[0]) if sample.inputs else None
    both = model, pruned
    return (
        tuple(one.count_params() for one in both),
        tuple(count_flops(one, shapes) for one in both),
    )


def tell_outcome(outcome, verbose, stacklevel=4):
    """Prints what pruning has cost, and warns if it was too much.

    Args:
        outcome: An `Outcome`.
        verbose: See `Progress`.
        stacklevel: Integer, see `warnings.warn`. By default, the line that called the
            public function that calls this.
    """
    if verbose != 0:
        print(outcome)
    if outcome.is_repaired:  # else it is to be trained, and known to be worse
        warn_of_disagreement(outcome.agreement, stacklevel + 1)


def _find_hint(plan):
    """Returns how to ask for a share of the FLOPs where it is not what is lost."""
    budget, (before, after) = plan.budget, plan.costs["flops"]
    if budget is None or not before or budget.of != "units":
        return ""
    if not isinstance(budget.ratio, numbers.Real):
        return ""
    lost = 1 - after / before
    if lost - budget.ratio <= _FAR:
        return ""
    return f'; of="flops" removes {budget.ratio:.0%}'
