"""Groups that workers rank by themselves, each some of them."""

import numpy as np

from keras_shapley_prune.rank.group_scores import GroupScores


def assign_groups(seconds, workers):
    """Returns which worker ranks each group, a list of integers.

    Args:
        seconds: List of floats, what each group is planned to take.
        workers: The `Workers`.
    """
    # Each has measured how fast it is; they have to agree on who does what.
    seconds = workers.agree(*seconds)
    loads, owners = np.zeros(workers.count), [0] * len(seconds)
    for index in np.argsort(seconds, kind="stable")[::-1]:  # the longest ones first
        owners[index] = int(np.argmin(loads))
        loads[owners[index]] += seconds[index]
    return owners


def exchange_scores(scores, groups, workers):
    """Returns the scores of all groups, a dict: group name -> `GroupScores`.

    Args:
        scores: Dict: group name -> `GroupScores`, of the groups that this worker has
            ranked; each group has been by one.
        groups: List of all `ChannelGroup`s.
        workers: The `Workers`.
    """
    tables = []
    for group in groups:
        found = scores.get(group.name)
        tables.append(np.zeros((5, group.num_units)) if not found else _pack(found))
    tables = workers.sum(*tables)
    return {g.name: _unpack(t) for g, t in zip(groups, tables, strict=True)}


def _pack(scores):
    """Returns scores as an array, shape `(5, num_units)`."""
    # No cost is negative: -1 says that they are not known.
    costs = scores.removal_costs
    costs = np.full(len(scores.values), -1.0) if costs is None else costs
    count = np.full(len(scores.values), float(scores.num_evaluations))
    return np.stack(
        [scores.values, scores.standard_errors, scores.stages, costs, count]
    )


def _unpack(table):
    values, errors, stages, costs, counts = table
    costs = None if (costs == -1).all() else costs
    return GroupScores(values, errors, int(counts[0]), stages.astype(int), costs)
