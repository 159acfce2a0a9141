"""How a comparison came about, as far as it is known: when, on what, and asked what."""

import datetime

from keras_shapley_prune.inputs.arguments import check_kind
from keras_shapley_prune.plan.pruning_plan import PruningPlan


def describe_origin(ranking=None, plan=None, data=""):
    """Returns a dict of strings, without what is not known, see `Comparison.origin`.

    Args:
        ranking: The `Ranking`, or `None`.
        plan: The `PruningPlan`, or `None`.
        data: String, what was measured on.
    """
    found = {"date": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")}
    if data:
        found["data"] = data
    method = getattr(ranking, "method", None)
    if method:
        count = ranking.num_examples
        found["ranked by"] = method + (f", on {count:,} examples" if count else "")
    if plan is not None and plan.budget is not None:
        # What a plan says first is what was asked for and what is reached.
        found["budget"] = str(plan).partition("\n")[0]
    return found


def describe_data(batches, count, labelled):
    """Returns what data is, as a string.

    Args:
        batches: Its first examples, a list of lists of input tensors.
        count: Integer, how many examples there are.
        labelled: Boolean, whether they have labels.
    """
    shapes = [" × ".join(map(str, tensor.shape[1:])) for tensor in batches[0]]
    of = f" of {', '.join(shapes)}" if all(shapes) else ""
    return f"{count:,} examples{of}, {'with' if labelled else 'without'} labels"


def check_plan(plan, groups):
    """Raises a `ValueError` unless a plan may be the one that a model was pruned by.

    Args:
        plan: What is to be a `PruningPlan`, or `None`.
        groups: Tuple of `GroupComparison`.
    """
    kinds = (PruningPlan, type(None))
    check_kind("plan", plan, kinds, "the `PruningPlan` of `pruned`, or None")
    kept = {group.name: group.units[1] for group in groups}
    for name, planned in ({} if plan is None else plan.num_kept).items():
        found = kept.get(name)
        # A layer that went with its block has no units, whatever was planned.
        if found is None or found not in (planned, 0):
            there = "none" if found is None else found
            raise ValueError(
                "Argument `plan` should be the one that `pruned` was made by. "
                f"Received: a plan to keep {planned} units of {name!r}, of which "
                f"`pruned` has {there}"
            )
