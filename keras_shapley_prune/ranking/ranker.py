"""The loop all rankers share: groups from input to output, rounds in each."""

from keras_shapley_prune.ranking.budget import Budget
from keras_shapley_prune.ranking.progress import Progress
from keras_shapley_prune.ranking.staging import play_stages


def rank_groups(calibration, network, open_source, costs, settings, verbose):
    """Plays the games of all groups.

    Args:
        calibration: A `Calibration`.
        network: A `Frontier` or a `Repairer`.
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
    shares = [cost / max(sum(seconds[i:]), 1e-9) for i, cost in enumerate(seconds)]
    scores = {}
    for index, group in enumerate(calibration.groups):
        network.advance(calibration.first_site(group))
        source = open_source(index, group)
        pace = seconds[index] / max(costs[index].evaluations, 1)
        count = calibration.num_removed[group.name]
        scores[group.name] = play_stages(
            source,
            settings.staging,
            lambda legs, found, share=shares[index]: budget.start_leg(
                share / legs, found
            ),
            count,
            on_round=lambda cost, pace=pace: progress.add(cost * pace),
        )
        if settings.sequential:
            network.remove(group.units[scores[group.name].order[:count]])
        progress.end_group(group.name, scores[group.name])
    progress.finish()
    return scores
