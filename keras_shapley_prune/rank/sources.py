"""Where samples come from: what the loop over groups asks of every game.

A `Sampler` belongs to a model: it opens, for each group, a `SampleSource`. There are
two kinds of each. The games on the network's outputs evaluate masked networks
(`sampled/`), the reconstruction game is computed from moments (`closed_form/`).
"""

import typing
import zlib

import numpy as np


class Sampler:
    """Opens the games of a model's groups, one group at a time.

    Args:
        method: String, what is estimated and how, for people.
        staging: A `Staging`, how the game of each group is divided.
        sequential: Boolean. If so, the lowest units of a group are removed from the
            network, which is repaired, before the next group is opened.
        seed: Integer.

    Attributes:
        needs_labels: Boolean, whether labels of the examples are read.
        draws_all: Boolean, whether all samples are drawn, so that what the last example
            draws may depend on the first; else a limit may stop them early.
        plays_groups_alone: Boolean, whether a worker can play the game of a group
            without the others, once the network is open.
        plays_blocks: Boolean, whether it plays with whole blocks as with filters; else
            they have a game of their own, see `BlockRanking`.
        costs_of_outputs: Boolean, whether removal costs are those of the outputs.
    """

    needs_labels = plays_groups_alone = costs_of_outputs = False
    plays_blocks = draws_all = True

    def __init__(self, method, staging, sequential=False, seed=0):
        self.method, self.staging = method, staging
        self.sequential, self.seed = sequential, seed

    def check(self, calibration):
        """Raises a `ValueError` if the games cannot be played, before any is.

        Args:
            calibration: A `Calibration`.
        """

    def open_network(self, calibration, checkpoint=None, on_share=None):
        """Returns the `Network` that the games are played on, at its input.

        Args:
            calibration: A `Calibration`.
            checkpoint: The `Checkpoint` of the ranking, or `None`.
            on_share: Callable `fn(share, compiled)`, see `InputMoments`, or `None`. It
                is called if data is read here.
        """
        raise NotImplementedError

    def open_source(self, calibration, network, group):
        """Returns the `SampleSource` of one group.

        Args:
            calibration: The `Calibration`.
            network: The `Network`, which stands before the first reader of the group.
            group: A `ChannelGroup`.
        """
        raise NotImplementedError

    def finish(self, calibration, network, scores, on_share, entry=None):
        """Completes the scores of all groups once all have been played.

        Args:
            calibration: The `Calibration`.
            network: The `Network`.
            scores: Dict: group name -> `GroupScores`.
            on_share: Callable `fn(share)`, to be called with what share of it has been
                done since the last call.
            entry: An `Entry` that holds what has been done of it, or `None`.

        Returns:
            Dict: group name -> `GroupScores`.
        """
        return scores

    def estimate_costs(self, calibration):
        """Returns the `GroupCost` of each of `calibration.groups`, a list.

        Args:
            calibration: The `Calibration`.
        """
        raise NotImplementedError


class SampleSource:
    """The samples of one group's game, summed in a table.

    Args:
        table: The `SampleTable` that takes the samples.

    Attributes:
        is_shared: Boolean, whether each worker estimates for its own examples: samples
            of others are 0, and those of all workers are added up.
        looks: Boolean, whether what a round draws depends on the table.
    """

    is_shared = looks = False

    def __init__(self, table):
        self.table = table

    @property
    def num_units(self):
        """Integer, the number of units of the group."""
        return self.table.num_units

    def rounds(self, active, stage):
        """Tells how to draw the samples of a stage, a round at a time.

        What a round draws depends on its place alone, and on the table if the source
        looks at it: rounds that another process has drawn can be left out.

        Args:
            active: Boolean array, shape `(num_units,)`, the units in play.
            stage: Integer.

        Yields:
            Callables without arguments, one a round, that return a tuple `(rows,
            samples, counted, cost)`: the arguments of `SampleTable.add`, and how many
            coalitions were evaluated.
        """
        raise NotImplementedError

    def remove(self, units):
        """Removes units from the game for good. A game without memory does nothing.

        Args:
            units: Integer array.
        """

    def costs_alone(self, units):
        """Returns what the removal of each unit alone costs; NaN if that is not known.

        Args:
            units: Integer array, units in play that were never sampled.
        """
        return np.full(len(units), np.nan)

    def costs_in_order(self, units):
        """Returns what each unit costs as they are removed one after the other.

        Args:
            units: Integer array, in the order of removal.

        Returns:
            Float array of that shape, or `None` if that is not known.
        """
        return


def stream_of(group):
    """Returns an integer for the random streams of a group, whatever else is ranked.

    It depends on the group's name alone: a layer that is ranked by itself has the same
    values as when all layers are ranked. (`hash` of a string would differ from process
    to process.)

    Args:
        group: A `ChannelGroup`.
    """
    return zlib.crc32(group.name.encode())


@typing.runtime_checkable
class Network(typing.Protocol):
    """What games ask of the network that they are played on.

    A `ForwardPass` is one, and so is a `Repairer`, from which units can be removed on
    the way. Both stand below this folder and cannot name this class, so it is a
    protocol: `isinstance` asks for the methods.
    """

    @property
    def num_batches(self):
        """Integer."""

    def find_masks(self, call):
        """Returns the masks of the units that have been removed, see `run_calls`."""

    def advance(self, position):
        """Runs all batches up to the call at `position`."""

    def values(self, batch):
        """Returns the tensors of a batch before the call at the present position."""

    def look_ahead(self, batch, position):
        """Returns the tensors of a batch before a later call, without moving."""
