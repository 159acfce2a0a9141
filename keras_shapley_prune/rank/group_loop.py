"""The loop that all rankers share: groups from input to output, stages in each."""

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.ranking_cost import RankingCost
from keras_shapley_prune.rank.shared_groups import assign_groups, exchange_scores
from keras_shapley_prune.rank.staging import play_stages
from keras_shapley_prune.rank.stopping import Budget, StopWhen
from keras_shapley_prune.repair.threads import one_blas_thread


def rank_groups(sampler, calibration, progress, stop=None, checkpoint=None):
    """Plays the games of all groups.

    Args:
        sampler: A `Sampler`.
        calibration: A `Calibration`.
        progress: A `Progress`. Each round counts with the share of time that it was
            planned to have, so that rounds of different groups compare.
        stop: A `StopWhen`, or `None`.
        checkpoint: The `Checkpoint` of a ranking, or `None`.

    Returns:
        A `Ranking`.
    """
    if not calibration.groups:  # nothing reads any unit that is ranked
        progress.begin("rank", 1e-9)
        return calibration.make_ranking({}, sampler.method)
    with one_blas_thread():
        loop = _GroupLoop(sampler, calibration, progress, stop, checkpoint)
        return calibration.make_ranking(loop.run(), sampler.method)


class _GroupLoop:
    """The groups of a ranking, from input to output.

    Args: See `rank_groups`.
    """

    def __init__(self, sampler, calibration, progress, stop, checkpoint):
        self._sampler, self._calibration = sampler, calibration
        self._progress, self._checkpoint = progress, checkpoint or Checkpoint()
        costs = sampler.estimate_costs(calibration)
        self._later = sum(cost.later_seconds for cost in costs)
        self._opening = sum(cost.opening_seconds for cost in costs)
        self._compiling = sum(cost.compiling_seconds for cost in costs)
        self._seconds = [
            cost.seconds - cost.later_seconds - cost.opening_seconds for cost in costs
        ]
        self._evaluations = [cost.evaluations for cost in costs]
        self._whole = max(sum(self._seconds) + self._opening + self._later, 1e-9)
        self._workers = current_workers()
        # A budget is shared by groups that follow each other.
        if sampler.plays_groups_alone and stop is None and self._workers.count > 1:
            self._owners = assign_groups(self._seconds, self._workers)
            self._checkpoint_of_groups = self._checkpoint.alone()
            self._budget = Budget(StopWhen())
        else:
            self._owners, self._checkpoint_of_groups = None, self._checkpoint
            self._budget = Budget(stop or StopWhen(), self._workers)

    def run(self):
        """Returns a dict: group name -> `GroupScores`."""
        calibration, sampler = self._calibration, self._sampler
        self._progress.begin("rank", self._whole)
        self._progress.show("running the network" if self._opening else "ranking")
        network = sampler.open_network(calibration, self._checkpoint, self._on_opening)
        scores = {}
        for index, group in enumerate(calibration.groups):
            if not self._takes(index):
                continue
            count = len(calibration.groups)
            self._progress.show(f"ranking {group.name}, {index + 1} of {count}")
            # What stands before the first reader is run once, for all coalitions.
            network.advance(calibration.first_site(group))
            found = scores[group.name] = self._rank(index, group, network)
            # The groups that follow are ranked on the network as it will be.
            if sampler.sequential:
                count = calibration.num_removed[group.name]
                network.remove(group.units[found.order[:count]])
        if self._owners is not None:
            scores = exchange_scores(scores, calibration.groups, self._workers)
        if self._later:
            self._progress.show("measuring the outputs")

        def on_share(share):
            self._progress.add(share * self._later / self._whole)

        entry = self._checkpoint.entry("costs")
        return sampler.finish(calibration, network, scores, on_share, entry)

    def _on_opening(self, share, compiled):
        """Counts shares of what comes before the groups: reading, and compiling."""
        seconds = share * (self._opening - self._compiling)
        seconds += compiled * self._compiling
        self._progress.add(seconds / self._whole)

    def _takes(self, index):
        """Returns whether this worker ranks a group; else another one does."""
        return self._owners is None or self._owners[index] == self._workers.index

    def _rank(self, index, group, network):
        """Returns the scores of a group, those that are stored if there are."""
        entry = self._checkpoint_of_groups.entry("group", index)
        content = entry.read()
        if content is not None and "spent" in content:  # it has been played to its end
            self._budget.restore(content)
            self._progress.add(self._seconds[index] / self._whole)
            return GroupScores.from_arrays(content)
        found = self._play(index, group, network, entry)
        entry.write({**found.to_arrays(), **self._budget.state})
        evaluations = f"{found.num_evaluations:,} evaluations"
        self._progress.note(f"{group.name}: {evaluations}")
        return found

    def _play(self, index, group, network, entry):
        calibration = self._calibration
        source = self._sampler.open_source(calibration, network, group)
        # The planned share of an evaluation: the bar counts time, not evaluations.
        pace = self._seconds[index] / max(self._evaluations[index], 1) / self._whole
        # The groups that are still to be ranked share what has not been spent, in
        # proportion to what each is planned to cost.
        planned = self._evaluations[index:], self._seconds[index:]
        share, share_of_time = map(_share, planned)

        # Every stage that is still to come gets the same part of the group's share.
        def start_leg(legs, to_find):
            return self._budget.start_leg(share / legs, to_find, share_of_time / legs)

        return play_stages(
            source,
            self._sampler.staging,
            start_leg,
            calibration.num_removed[group.name],
            on_round=lambda cost: self._progress.add(cost * pace),
            entry=entry,
        )


def plan_groups(sampler, calibration):
    """Estimates what `rank_groups` would cost.

    Args:
        sampler: A `Sampler`.
        calibration: A `Calibration`.

    Returns:
        A `RankingCost`.
    """
    num_examples = sum(calibration.batch_sizes)
    costs = sampler.estimate_costs(calibration) if calibration.groups else ()
    return RankingCost(sampler.method, num_examples, tuple(costs))


def _share(costs):
    """Returns the share of the first of some costs."""
    return costs[0] / max(sum(costs), 1e-9)
