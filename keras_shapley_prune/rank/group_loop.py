"""The loop all rankers share: groups from input to output, rounds in each."""

from keras_shapley_prune.rank.progress import Progress
from keras_shapley_prune.rank.staging import play_stages
from keras_shapley_prune.rank.stopping import Budget


def rank_groups(calibration, network, open_source, costs, settings, verbose):
    """Plays the games of all groups.

    Args:
        calibration: A `Calibration`.
        network: A `ForwardPass` or a `Repairer`.
        open_source: Callable `fn(index, group)`: the source of a group's samples.
        costs: List of `GroupCost`, in the order of `calibration.groups`.
        settings: A `Sampling` or `Reconstruction`: its `staging`, its `limits`, and
            whether it is `sequential`, so that the lowest units of a group are removed
            from the network (a `Repairer`) before the next group is played.
        verbose: See `Progress`.

    Returns:
        Dict: group name -> `GroupScores`.
    """
    seconds = [cost.seconds for cost in costs]
    progress, budget = Progress(sum(seconds), verbose), Budget(**settings.limits)
    evaluations = [cost.evaluations for cost in costs]
    scores = {}
    for index, group in enumerate(calibration.groups):
        network.advance(calibration.first_site(group))
        source = open_source(index, group)
        pace = seconds[index] / max(costs[index].evaluations, 1)
        count = calibration.num_removed[group.name]
        shares = [_share(planned[index:]) for planned in (evaluations, seconds)]

        def start_leg(legs, found, shares=shares):
            return budget.start_leg(shares[0] / legs, found, shares[1] / legs)

        scores[group.name] = play_stages(
            source,
            settings.staging,
            start_leg,
            count,
            on_round=lambda cost, pace=pace: progress.add(cost * pace),
        )
        if settings.sequential:
            network.remove(group.units[scores[group.name].order[:count]])
        progress.end_group(group.name, scores[group.name])
    progress.finish()
    return scores


def _share(costs):
    """Returns the share of the first of some costs."""
    return costs[0] / max(sum(costs), 1e-9)
