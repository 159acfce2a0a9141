"""The reconstruction games of a model's groups: how they are opened, what they cost."""

import dataclasses
import math

import numpy as np

from keras_shapley_prune.cut.surgery import copy_whole
from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.layer_types.unit_ids import INSIDE
from keras_shapley_prune.rank.closed_form.source import (
    ReconstructionSource,
    find_games,
)
from keras_shapley_prune.rank.machine_speed import measure_speed, time_tracing
from keras_shapley_prune.rank.output_costs.planned_seconds import estimate_seconds
from keras_shapley_prune.rank.output_costs.removal_costs import measure_removal_costs
from keras_shapley_prune.rank.ranking_cost import (
    GroupCost,
    profile_calls,
    time_passes,
)
from keras_shapley_prune.rank.sources import Sampler, stream_of
from keras_shapley_prune.rank.staging import count_legs
from keras_shapley_prune.repair.augmented_copies import count_copies, most_copies
from keras_shapley_prune.repair.moments import InputMoments
from keras_shapley_prune.repair.readers import MAX_COLUMNS
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.repair.ridge import RIDGE
from keras_shapley_prune.repair.taken_rows import ROWS_A_COLUMN
from keras_shapley_prune.trace.batches import rebatch

_A_WALK = 20  # small factorizations: what is done around one
_A_GROUP = 0.01  # seconds, for what is done once


class ReconstructionSampler(Sampler):
    """Opens the reconstruction games of a model's groups.

    Args:
        game: The `games.Reconstruction`, which says how many units are candidates.
        estimator: A `ClosedFormEstimator`.
        method: See `Sampler`.
        staging: See `Sampler`.
        sequential: See `Sampler`.
        seed: See `Sampler`.
    """

    plays_blocks = False  # no layer can make up for one by reading others

    def __init__(self, game, estimator, method, staging, sequential=False, seed=0):
        super().__init__(method, staging, sequential, seed)
        self._game, self._estimator = game, estimator

    @property
    def costs_of_outputs(self):
        """Boolean, whether removal costs are those of the outputs."""
        return self._game.costs == "outputs"

    @property
    def plays_groups_alone(self):
        """Boolean: groups that are played on the original have nothing in common."""
        return not self.sequential

    def open_network(self, calibration, checkpoint=None, on_share=None):
        channel_map = calibration.channel_map
        batches = [inputs for inputs, _, _ in calibration.batches]
        if self.sequential:
            count = current_workers().count
            batches = rebatch(batches, channel_map.graph, num_workers=count)
            whole = copy_whole(calibration.model, channel_map)
            network = Repairer(whole, batches, checkpoint=checkpoint)
            network.cut_at(calibration.sites())
            return network
        # Nothing is removed on the way: moments of the original say all.
        return InputMoments(
            channel_map,
            calibration.groups,
            batches,
            calibration.targets,
            self._game.num_copies,
            hold_out=self._game.costs == "outputs",
            entry=None if checkpoint is None else checkpoint.entry("moments"),
            on_share=on_share,
        )

    def finish(self, calibration, network, scores, on_share, entry=None):
        if self._game.costs == "readers":
            return scores
        batches = [inputs for inputs, _, _ in calibration.batches]
        return measure_removal_costs(
            network, scores, batches, seed=self.seed, on_share=on_share, entry=entry
        )

    def open_source(self, calibration, network, group):
        num_units, num_removed = group.num_units, calibration.num_removed[group.name]
        removals = self.staging.removals(num_units)

        def count_players(num_active, stage):
            to_go = num_removed - (num_units - num_active)
            return self._count_candidates(num_active, to_go, removals[stage], num_units)

        return ReconstructionSource(
            find_games(network, group, RIDGE),
            num_units,
            self._estimator,
            removals,
            count_players,
            key=[self.seed, stream_of(group)],
        )

    def estimate_costs(self, calibration):
        graph = calibration.channel_map.graph
        inputs, _, _ = calibration.batches[0]
        seconds = profile_calls(graph, inputs)
        tracing = time_tracing(graph, inputs)
        running = time_passes(calibration, seconds, 0.0)
        compiling = time_passes(calibration, dict.fromkeys(seconds, 0.0), tracing)
        # Augmented copies are run through the network as the data is, all of them by
        # one other function.
        copies = self._count_copies(calibration)
        compiling = (1 + min(copies, 1)) * np.array(compiling)
        passes = (1 + copies) * np.array(running) + compiling
        seen, costs = set(), []
        finishing = [0.0] * len(passes)
        if self._game.costs == "outputs":
            finishing = estimate_seconds(calibration, seconds, tracing)
        rows = zip(calibration.groups, passes, compiling, finishing, strict=True)
        for group, spent, compiled, later in rows:
            cost = self._estimate_cost(calibration, group, seen)
            fields = {"seconds": cost.seconds + float(spent) + later}
            if not self.sequential:  # the pass, and the moments, come before all groups
                fields["opening_seconds"] = cost.opening_seconds + float(spent)
                fields["compiling_seconds"] = float(compiled)
            costs.append(dataclasses.replace(cost, later_seconds=later, **fields))
        return costs

    def _count_copies(self, calibration):
        """Returns how many augmented copies the layer with the fewest rows reads."""
        images = len(calibration.batches[0][0][0].shape) == 4
        num_examples, most = sum(calibration.batch_sizes), 0
        limit = max(self._game.num_copies, most_copies(num_examples))
        for group in calibration.groups if images else ():
            for index, position in calibration.channel_map.ends_of(group):
                call = calibration.channel_map.graph.calls[index]
                positions, columns = _count_rows(call, position)
                rows = num_examples * positions
                most = max(most, count_copies(rows, columns, limit))
        return most

    def _estimate_cost(self, calibration, group, seen):
        """Returns the `GroupCost` of a group, without the pass through the network.

        Args:
            calibration: The `Calibration`.
            group: One of its groups.
            seen: Set of what has moments already. What the group reads is added.
        """
        speed, graph, opening = measure_speed(), calibration.channel_map.graph, 0.0
        sizes = self._sizes_of_walks(group, calibration.num_removed[group.name])
        evaluations = sum(self._estimator.num_evaluations(size) for size in sizes)
        num_examples, flops, seconds = sum(calibration.batch_sizes), 0, 0.0
        # One more than are drawn says what each unit costs in the order of removal.
        num_walks = self._estimator.num_walks + 1
        for (index, position), ids in calibration.channel_map.ends_of(group).items():
            call = graph.calls[index]
            positions, columns = _count_rows(call, position)
            if (call.inputs[max(position, 0)], columns) not in seen:
                seen.add((call.inputs[max(position, 0)], columns))
                rows = min(positions * num_examples, ROWS_A_COLUMN * columns)
                flops += 2 * rows * columns**2
                opening += 2 * rows * columns**2 / speed.moments
                opening += rows * columns / speed.elements
            # The inverse, then a factorization and its solves for each walk, and what
            # each stage takes out of the inverse. Where several groups are read side by
            # side, the columns of the others are dropped before.
            whole = max(len(ids), group.num_units)
            walked = [columns * size / whole for size in sizes]
            # How many keys an attention has may be open until it runs.
            outputs = min(columns, call.outputs[0].shape[-1] or columns)
            steps = [num_walks * w**2 * (w / 3 + outputs) for w in walked]
            steps += [3 * columns**3, (columns * group.num_units / whole) ** 3]
            flops += sum(steps)
            seconds += sum(steps) / speed.factoring
            # A walk is a dozen operations of NumPy on small matrices, too.
            seconds += num_walks * len(sizes) * _A_WALK * speed.small_factoring
        return GroupCost(
            group.name,
            group.num_units,
            evaluations,
            int(flops),
            seconds + opening + _A_GROUP,
            opening_seconds=opening,
        )

    def _sizes_of_walks(self, group, num_removed):
        """Returns how many units a walk removes in each stage that is played."""
        sizes, gone = [], 0
        for count in count_legs(self.staging, group.num_units, num_removed):
            num_active, to_go = group.num_units - gone, num_removed - gone
            sizes.append(
                self._count_candidates(num_active, to_go, count, group.num_units)
            )
            gone += count
        return sizes

    def _count_candidates(self, num_active, to_go, num_removed_now, num_units):
        """Returns how many of the units in play are candidates in a stage.

        Args:
            num_active: Integer, the number of units in play.
            to_go: Integer, how many of them are still to be removed.
            num_removed_now: Integer, how many are removed after this stage.
            num_units: Integer, of the group.
        """
        if self._game.candidates is None:
            return num_active
        to_go = max(min(to_go, math.ceil(self._game.horizon * num_units)), 1)
        wanted = math.ceil(self._game.candidates * to_go)
        # One more than are removed, or walks would have nothing to choose from.
        at_least = min(num_removed_now, to_go) + 1
        return min(max(wanted, at_least), num_active)


def _count_rows(call, position):
    """Returns the positions and the columns of what a layer reads, as a `Reader` does.

    Args:
        call: The `Call`.
        position: Integer, which of its inputs, or `INSIDE`.
    """
    form, tensor = find_linear_form(call.operation), call.outputs[0]
    columns = 0 if form is None else len(form.channel_of)
    # Of a layer with very many columns the taps are not told apart.
    if form is None or (columns > MAX_COLUMNS and position != INSIDE):
        tensor = call.inputs[max(position, 0)]
        columns = tensor.shape[-1] or 1
    return math.prod(n or 1 for n in tensor.shape[1:-1]), columns
