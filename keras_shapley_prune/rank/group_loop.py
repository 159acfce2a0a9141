"""The loop that all rankers share: groups from input to output, stages in each."""

from keras_shapley_prune.rank.ranking_plan import RankingPlan
from keras_shapley_prune.rank.staging import play_stages
from keras_shapley_prune.rank.stopping import Budget, StopWhen
from keras_shapley_prune.repair.threads import one_blas_thread


def rank_groups(sampler, calibration, progress, stop=None):
    """Plays the games of all groups.

    Args:
        sampler: A `Sampler`.
        calibration: A `Calibration`.
        progress: A `Progress`. Each round counts with the share of time that it was
            planned to have, so that rounds of different groups compare.
        stop: A `StopWhen`, or `None`.

    Returns:
        A `Ranking`.
    """
    with one_blas_thread():
        return _play_groups(sampler, calibration, progress, stop)


def _play_groups(sampler, calibration, progress, stop):
    if not calibration.groups:  # nothing reads any unit that is ranked
        progress.begin("rank", 1e-9)
        return calibration.make_ranking({}, sampler.method)
    costs = sampler.estimate_costs(calibration)
    later = sum(cost.later_seconds for cost in costs)
    seconds = [cost.seconds - cost.later_seconds for cost in costs]
    evaluations = [cost.evaluations for cost in costs]
    budget, whole = Budget(stop or StopWhen()), max(sum(seconds) + later, 1e-9)
    progress.begin("rank", whole)
    network = sampler.open_network(calibration)
    scores = {}
    for index, group in enumerate(calibration.groups):
        progress.show(f"ranking {group.name}")
        # What stands before the first reader is run once, for all coalitions.
        network.advance(calibration.first_site(group))
        source = sampler.open_source(calibration, network, group)
        # The planned share of an evaluation: the bar counts time, not evaluations.
        pace = seconds[index] / max(evaluations[index], 1) / whole
        count = calibration.num_removed[group.name]
        # The groups that are still to be ranked share what has not been spent, in
        # proportion to what each is planned to cost.
        shares = [_share(planned[index:]) for planned in (evaluations, seconds)]

        # Every stage that is still to come gets the same part of the group's share.
        def start_leg(legs, to_find, shares=shares):
            return budget.start_leg(shares[0] / legs, to_find, shares[1] / legs)

        scores[group.name] = play_stages(
            source,
            sampler.staging,
            start_leg,
            count,
            on_round=lambda cost, pace=pace: progress.add(cost * pace),
        )
        # The groups that follow are ranked on the network as it will be.
        if sampler.sequential:
            network.remove(group.units[scores[group.name].order[:count]])
        progress.note(
            f"{group.name}: {scores[group.name].num_evaluations:,} evaluations"
        )
    if later:
        progress.show("measuring the outputs")
    scores = sampler.finish(
        calibration, network, scores, lambda share: progress.add(share * later / whole)
    )
    return calibration.make_ranking(scores, sampler.method)


def plan_groups(sampler, calibration):
    """Estimates what `rank_groups` would cost.

    Args:
        sampler: A `Sampler`.
        calibration: A `Calibration`.

    Returns:
        A `RankingPlan`.
    """
    num_examples = sum(calibration.batch_sizes)
    costs = sampler.estimate_costs(calibration) if calibration.groups else ()
    return RankingPlan(sampler.method, num_examples, tuple(costs))


def _share(costs):
    """Returns the share of the first of some costs."""
    return costs[0] / max(sum(costs), 1e-9)
