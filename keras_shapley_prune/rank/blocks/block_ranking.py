"""Ranks the whole blocks of a model: the players of one game on the outputs."""

from keras_shapley_prune.plan.flops import estimate_cost
from keras_shapley_prune.rank.blocks.block_costs import (
    MOST_EXAMPLES,
    count_block_depths,
    measure_block_costs,
)
from keras_shapley_prune.rank.blocks.block_game import (
    GAME_EXAMPLES,
    BlockGame,
    take_examples,
)
from keras_shapley_prune.rank.blocks.block_values import AllCoalitions, Walks
from keras_shapley_prune.rank.blocks.coalition_runs import CoalitionRuns
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.ranking_cost import GroupCost, profile_calls
from keras_shapley_prune.rank.sources import stream_of
from keras_shapley_prune.repair.threads import one_blas_thread

MOST_EXACT = 12  # blocks, of which every coalition is evaluated
NUM_WALKS = 16  # where there are more
WINDOW = 0.5  # of the blocks, that a coalition lacks at most
_REPAIR = 6  # forward passes that a repair takes, about


class BlockRanking:
    """The game of a model's blocks, on the examples of a ranking.

    Args:
        calibration: A `Calibration` that has blocks.
        seed: Integer.
        with_costs: Boolean, whether what their removal costs is measured, too, so that
            a budget can compare blocks and filters.
    """

    def __init__(self, calibration, seed, with_costs):
        self._calibration, self.group = calibration, calibration.blocks
        self._with_costs, num_blocks = with_costs, calibration.blocks.num_units
        if num_blocks <= MOST_EXACT:
            self._estimator = AllCoalitions(num_blocks, WINDOW)
        else:
            key = [seed, stream_of(self.group)]
            self._estimator = Walks(num_blocks, WINDOW, NUM_WALKS, key)

    def run(self, on_share, checkpoint):
        """Returns the `GroupScores` of the blocks.

        Args:
            on_share: Callable `fn(share)`, called with what share has been done since
                the last call.
            checkpoint: The `Checkpoint` of the ranking.
        """
        batches = [inputs for inputs, _, _ in self._calibration.batches]
        channel_map = self._calibration.channel_map
        game = BlockGame(channel_map, self.group, batches)
        coalitions = self._estimator.coalitions
        entry = checkpoint.entry("blocks")
        part = 0.5 if self._with_costs else 1.0
        worth = game.evaluate(coalitions, lambda share: on_share(part * share), entry)
        values, errors = self._estimator.estimate(worth)
        scores = GroupScores(values, errors, worth.size)
        if not self._with_costs:
            return scores
        return measure_block_costs(
            self._calibration,
            self.group,
            scores,
            take_examples(batches, channel_map.graph, MOST_EXAMPLES),
            lambda share: on_share((1 - part) * share),
            checkpoint.entry("blockcosts"),
        )

    def describe(self):
        """Returns what is estimated and how, for `Ranking.method`."""
        what = "Shapley values of the squared change of the outputs"
        return f"{what}, {self._estimator.describe()}"

    def estimate_cost(self):
        """Returns the `GroupCost` of the game."""
        calibration, graph = self._calibration, self._calibration.channel_map.graph
        inputs, _, _ = calibration.batches[0]
        seconds = profile_calls(graph, inputs)
        runs = CoalitionRuns(calibration.channel_map, self.group)
        counts = runs.count_calls(self._estimator.coalitions)
        num_examples = min(sum(calibration.batch_sizes), GAME_EXAMPLES)
        flops = [estimate_cost(call) for call in graph.calls]
        spent = sum(counts[index] * each for index, each in seconds.items())
        spent *= num_examples
        if self._with_costs:
            removed = calibration.num_removed[self.group.name]
            depths = len(count_block_depths(self.group.num_units, removed))
            spent += depths * _REPAIR * MOST_EXAMPLES * sum(seconds.values())
        return GroupCost(
            name=self.group.name,
            num_units=self.group.num_units,
            evaluations=len(self._estimator.coalitions) * num_examples,
            flops=None
            if None in flops
            else num_examples * sum(counts[k] * f for k, f in enumerate(flops)),
            seconds=float(spent),
        )


def add_blocks(sampler, calibration, ranking, progress, checkpoint):
    """Returns a ranking of filters with the scores of blocks, too.

    Args:
        sampler: The `Sampler` of the filters.
        calibration: The `Calibration`.
        ranking: The `Ranking` of the filters.
        progress: A `Progress`.
        checkpoint: The `Checkpoint` of the ranking.
    """
    blocks = BlockRanking(calibration, sampler.seed, sampler.costs_of_outputs)
    progress.begin("blocks", blocks.estimate_cost().seconds)
    progress.show(f"ranking {blocks.group.name}")
    with one_blas_thread():
        found = blocks.run(progress.add, checkpoint)
    evaluations = f"{found.num_evaluations:,} evaluations"
    progress.note(f"{blocks.group.name}: {evaluations}")
    scores = {**ranking, blocks.group.name: found}
    methods = [ranking.method] if calibration.groups else []
    methods.append(f"{blocks.group.name}: {blocks.describe()}")
    whole = calibration.make_ranking(scores, "; ".join(methods))
    # The readers' variance and the outputs' change are no one currency.
    whole.comparable = sampler.costs_of_outputs or len(scores) == 1
    return whole
