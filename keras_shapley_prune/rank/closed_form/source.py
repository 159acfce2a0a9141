"""The reconstruction games of a group, and samples of them: walks in closed form."""

import numpy as np

from keras_shapley_prune.layer_types.unit_ids import INSIDE, kept
from keras_shapley_prune.rank.closed_form.game import NOTHING, ReconstructionGame
from keras_shapley_prune.rank.sources import SampleSource
from keras_shapley_prune.rank.table import SampleTable


class ReconstructionSource(SampleSource):
    """Samples of the games of a group, added up over the layers that read it.

    Args:
        games: List of `ReconstructionGame`.
        num_units: Integer.
        estimator: A `ClosedFormEstimator`.
        removals: List of integers, how many units are removed after each stage.
        count_players: Callable: `(units in play, stage)` -> how many of them a walk
            removes.
        key: List of integers `[seed, group]`, of random streams.
    """

    def __init__(self, games, num_units, estimator, removals, count_players, key):
        super().__init__(SampleTable(estimator.num_rows(len(removals)), num_units))
        self._games, self._estimator = games, estimator
        self._count_players, self._key = count_players, key

    def rounds(self, active, stage):
        players = np.flatnonzero(active)
        size = self._count_players(len(players), stage)
        if size < len(players):
            alone = self.costs_alone(players)
            players = players[np.argsort(alone, kind="stable")[:size]]
            others = np.setdiff1d(np.arange(self.num_units), players)
            # What was sampled of them, when they were candidates, is out of date.
            self.table.forget(others)
        yield from self._estimator.rounds(
            self._games, players, self.num_units, [*self._key, stage]
        )

    def costs_alone(self, units):
        return sum(game.leave_one_out(units) for game in self._games)

    def remove(self, units):
        for game in self._games:
            game.leave(units)

    def costs_in_order(self, units):
        return sum(game.walk(units) for game in self._games)


def find_games(network, group, ridge):
    """Returns the reconstruction games of the layers that read a group.

    One a layer; one for each of the groups of a convolution.

    Where a layer of another kind reads it, what it reads is reconstructed instead.

    Args:
        network: A `Repairer` that has not passed the group yet, or `InputMoments`.
        group: A `ChannelGroup`.
        ridge: Float, see `solve_towards`.

    Returns:
        List of `ReconstructionGame`.
    """
    channel_map, games, seen = network.channel_map, [], set()
    for (index, position), ids in channel_map.ends_of(group).items():
        call = channel_map.graph.calls[index]
        if position != INSIDE:  # an attention may read one tensor three times over
            if (call, call.inputs[position]) in seen:
                continue
            seen.add((call, call.inputs[position]))
        reader, (xx, xy, yy) = network.collect(call, position)
        ids_of = ids[reader.channel_of]
        unit_of = np.searchsorted(group.units, ids_of)
        unit_of[~np.isin(ids_of, group.units)] = -1
        left = kept(network.keep, ids_of)
        scale = 1 / np.sqrt(max(yy.sum(), NOTHING))
        for columns, outputs in reader.blocks:
            columns = columns[left[columns]]
            if not (unit_of[columns] >= 0).any():
                continue
            games.append(
                ReconstructionGame(
                    xx[np.ix_(columns, columns)],
                    xy[np.ix_(columns, outputs)],
                    reader.weights[np.ix_(columns, outputs)],
                    unit_of[columns],
                    group.num_units,
                    ridge,
                    scale,
                )
            )
    return games
