"""Samples of a game on the network's outputs, drawn batch by batch."""

from functools import partial

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.replicas import count_replicas
from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.inputs.finite import find_not_finite
from keras_shapley_prune.rank.controlled_table import ControlledTable
from keras_shapley_prune.rank.sampled.game import places_in, repeat_batch
from keras_shapley_prune.rank.sampled.matching import find_kinds, place_examples
from keras_shapley_prune.rank.sources import SampleSource


class OutputSource(SampleSource):
    """Samples of a group's game on batches of data.

    Of each batch a worker draws for all examples, and estimates for its own: what an
    example draws does not depend on who looks at it.

    Args:
        game: The `OutputGame`.
        network: The `Network`, which stands before the game's suffix.
        calibration: The `Calibration`.
        estimator: An `OutputEstimator`.
        key: List of integers `[seed, group]`, of random streams.
        step: Integer: every so many examples one takes part.
        contributions: The `Contributions` that the estimator's control variate needs,
            or `None` for none.
        draws_all: Boolean, see `Sampler`.
    """

    def __init__(
        self,
        game,
        network,
        calibration,
        estimator,
        key,
        step=1,
        contributions=None,
        draws_all=True,
    ):
        self._game, self._network, self._calibration = game, network, calibration
        self._estimator, self._key = estimator, key
        self._workers = current_workers()
        self.is_shared = self._workers.count > 1
        self._rows_of = rows_of_batches(calibration.batch_sizes, step)
        num_examples = sum(len(rows) for rows in self._rows_of)
        # Free walks are so many that their order does not matter.
        self._matches_all = draws_all and estimator.matches and game.free_walks == 1
        # Within a compiled step that matches, it is not known which walk is whose.
        known = self._matches_all or not estimator.matches
        self._contributions = contributions if known else None
        self._matched = []  # of each draw of a stage, what every example draws
        num_units = game.suffix.num_units
        if self._contributions is None:
            super().__init__(estimator.new_table(num_examples, num_units))
        else:
            super().__init__(ControlledTable(num_examples, num_units))

    def rounds(self, active, stage):
        ends = self._measure_ends(active) if self._matches_ahead else None
        if self._matches_all:
            self._match_all(active, stage, ends)
        for draw in range(self._estimator.num_draws):
            first = 0
            for batch, chosen in enumerate(self._rows_of):
                # Where only every `step`-th example takes part, a small batch may have
                # none.
                if len(chosen):
                    known = None if ends is None else ends[first : first + len(chosen)]
                    yield partial(self._draw, active, stage, draw, batch, first, known)
                first += len(chosen)

    def _draw(self, active, stage, draw, batch, first, ends):
        """Returns the samples of one batch, of which `first` examples come before."""
        game, estimator, chosen = self._game, self._estimator, self._rows_of[batch]
        copies, size = game.free_walks, len(chosen)
        # A stream for each batch: what is drawn does not depend on how much was drawn
        # before it.
        key = [*self._key, stage, draw, batch]
        if self._matches_all:
            drawn = self._matched[draw][first : first + size]
        else:
            drawn = estimator.draw(key, copies * size, active)
        own, counted = self._find_own(batch), estimator.counted(drawn)
        data = self._data(batch, own) if len(own) else None
        samples = self._estimate(drawn, own, data, ends)
        # Samples that do not count may hold anything.
        self._check_finite(np.where(counted, samples, 0), batch, chosen)
        # All walks of an example are added up in its one row.
        rows = np.tile(estimator.rows(first, size, draw), copies)
        if self._contributions is not None:
            controls = self._control(drawn, own, data)
            rows = np.concatenate([rows, self.table.num_rows + rows])
            samples = np.concatenate([samples, controls])
            counted = np.concatenate([counted, counted])
        # Extra walks are not counted: what is planned in evaluations is what is asked
        # for. What they cost is in the seconds that are planned.
        cost = size * estimator.num_evaluations(int(active.sum()))
        return rows, samples, counted, cost

    def _estimate(self, drawn, own, data, ends):
        """Returns the estimates of a draw; 0 for examples of other workers."""
        copies, samples = self._game.free_walks, np.zeros(drawn.shape, "float32")
        if data is None:
            return samples
        matched = ()
        if self._matches_all:
            matched = ends, drawn
        elif ends is not None:
            matched = _match(drawn, np.tile(ends, (copies, 1)))
        size = len(drawn) // copies
        at = (size * np.arange(copies)[:, np.newaxis] + own).ravel()
        matched = tuple(array[at] for array in matched)
        places, data = places_in(len(drawn))[at], repeat_batch(data, copies)
        samples[at] = self._game.estimate(drawn[at], data, places, matched)
        return samples

    def _control(self, drawn, own, data):
        """Returns the control variate of a draw; 0 for examples of other workers."""
        controls = np.zeros(drawn.shape, "float32")
        if data is not None:
            found = self._contributions.of(data[0])
            for row, contributions in zip(own, found, strict=True):
                controls[row] = self._estimator.control(contributions, drawn[row])
        return controls

    @property
    def _matches_ahead(self):
        """Boolean: what examples have to share out is to be known before they draw."""
        divided = self.is_shared or count_replicas() > 1
        return self._matches_all or (self._estimator.matches and divided)

    def _match_all(self, active, stage, ends):
        """Gives all walks of a stage to the examples, see `place_examples`."""
        count = sum(len(chosen) for chosen in self._rows_of)
        places = place_examples(ends, self._find_kinds())
        self._matched = []
        for draw in range(self._estimator.num_draws):
            drawn = self._estimator.draw([*self._key, stage, draw, 0], count, active)
            self._matched.append(drawn[places])
        if self._contributions is not None:
            # A block of four walks is in one half.
            self.table.halves = places * self._estimator.num_draws // 4 % 2

    def _measure_ends(self, active):
        """Returns the values of all units in play and of none, of every example."""
        (ends,) = self._workers.sum(
            self._of_examples(
                2, lambda batch, own: self._game.ends(active, self._data(batch, own))
            )
        )
        return ends.astype("float32")

    def _find_kinds(self):
        """Returns the class of every example; 0 for all where it is not known."""

        def find(batch, own):
            others = self._beside(batch, own)
            kinds = find_kinds(*map(keras.tree.flatten, others), len(own))
            return kinds[:, np.newaxis]

        (kinds,) = self._workers.sum(self._of_examples(1, find))
        return kinds[:, 0].astype(int)

    def _of_examples(self, num_columns, function):
        """Returns what a function says of this worker's examples; 0 for the others.

        Args:
            num_columns: Integer.
            function: Callable `fn(batch, own)` -> array, shape `(len(own),
                num_columns)`.
        """
        found = []
        for batch, chosen in enumerate(self._rows_of):
            own, values = self._find_own(batch), np.zeros((len(chosen), num_columns))
            if len(own):
                values[own] = function(batch, own)
            found.append(values)
        return np.concatenate(found)

    def _find_own(self, batch):
        """Returns which of the rows that take part are this worker's."""
        chosen, rows = self._rows_of[batch], self._calibration.parts.rows(batch)
        return np.flatnonzero((chosen >= rows.start) & (chosen < rows.stop))

    def _data(self, batch, own):
        """Returns what enters the suffix, labels, weights and reference of a batch.

        Args:
            batch: Integer.
            own: What `_find_own` returned, not empty.
        """
        values = self._network.values(self._calibration.parts.own(batch))
        cut = self._game.suffix.cut_values(values, self._network.find_masks)
        return self._choose(cut, batch, own), *self._beside(batch, own)

    def _beside(self, batch, own):
        """Returns the labels, the weights and the reference, see `_data`."""
        parts, (_, *others) = self._calibration.parts, self._calibration.batches[batch]
        rows, size = parts.rows(batch), self._calibration.batch_sizes[batch]
        if rows != slice(0, size):
            others = keras.tree.map_structure(lambda tensor: tensor[rows], others)
        needed = self._game.needs_reference
        reference = self._calibration.outputs(batch) if needed else ()
        return self._choose((*others, reference), batch, own)

    def _choose(self, tensors, batch, own):
        """Returns the examples that take part, of those of this worker."""
        rows = self._calibration.parts.rows(batch)
        # To gather all rows would only copy them.
        if len(own) == rows.stop - rows.start:
            return tensors
        chosen = self._rows_of[batch][own] - rows.start
        return keras.tree.map_structure(lambda t: tf.gather(t, chosen), tensors)

    def _check_finite(self, samples, batch, chosen):
        found = find_not_finite(samples)
        if found is not None:
            (row, _), _ = found
            before = sum(self._calibration.batch_sizes[:batch])
            example = before + int(chosen[row % len(chosen)])
            name = self._game.suffix.group.name
            raise ValueError(
                "Expected a finite loss for every example and coalition. Received: a "
                f"loss that is not finite, in group {name!r}, batch {batch}, example "
                f"{example} of all (counted from 0)"
            )


def rows_of_batches(batch_sizes, step):
    """Returns the rows of each batch that hold every `step`-th of all examples.

    Args:
        batch_sizes: List of integers.
        step: Integer.

    Returns:
        List of integer arrays.
    """
    # Counted through all batches, so that the choice does not depend on their sizes.
    ends = np.cumsum(batch_sizes)
    return [
        np.flatnonzero(np.arange(end - size, end) % step == 0)
        for size, end in zip(batch_sizes, ends, strict=True)
    ]


def _match(drawn, ends):
    """Returns what `CoalitionValues.match` does, for a batch that is divided.

    Args:
        drawn: Int32 array, shape `(batch, num_units)`.
        ends: Float32 array, shape `(batch, 2)`.
    """
    nothing_known = np.zeros(len(ends), int)
    return ends, drawn[place_examples(ends, nothing_known)]
