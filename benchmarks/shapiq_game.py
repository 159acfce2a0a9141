"""A group of filters as a game of shapiq, so that its estimators can play it.

    game = GroupGame(model, (images, labels), "conv2d_1", "loss")
    shapiq.ExactComputer(game)("SV", order=1)
    shapiq.approximator.KernelSHAP(game.n_players).approximate(500, game)

It needs shapiq (1.4 on Python 3.11, 1.8 from Python 3.12 on), and nothing else that
the package does not need. The package itself never imports it.
"""

import keras
import numpy as np
import shapiq
import tensorflow as tf

from keras_shapley_prune.rank.calibration import Calibration
from keras_shapley_prune.rank.games.outputs import OutputGame
from keras_shapley_prune.rank.games.resolve_game import resolve_game
from keras_shapley_prune.rank.sampled.game import CoalitionValues
from keras_shapley_prune.rank.sampled.replacement import mean_shifts
from keras_shapley_prune.rank.sampled.suffix import Suffix


class GroupGame(shapiq.Game):
    """The units of one group play for the mean value over some examples.

    The players, the coalitions and their values are those of `ShapleyRanker`; the
    estimators of shapiq only see the mean over the examples, as it is the only kind of
    game that they know.

    Args:
        model: A built Sequential or functional `keras.Model`, compiled with a loss if
            the game is that.
        dataset: What `ShapleyRanker.rank` takes. The examples of all batches have the
            same shape.
        group: String, the name of a group, which is that of a layer that produces it.
        game: `"loss"`, `"kl"`, an object of `keras_shapley_prune.games` that is played
            on the outputs and is a mean over the examples, or a callable
            `fn(labels, outputs)`.
        batch_size: Integer, the size of a batch where the data comes as arrays. Of
            smaller batches several coalitions are evaluated at once, up to this many
            examples.
        normalize: Boolean, whether the value of the empty coalition is subtracted, as
            shapiq expects it.

    Attributes:
        access_counter: Integer, how many coalitions have been evaluated. The empty one
            that is needed for `normalize` is not counted.

    Raises:
        ValueError: If an argument is not of that form.
    """

    def __init__(
        self, model, dataset, group, game="loss", *, batch_size=128, normalize=True
    ):
        game = _resolve_mean_game(game)
        self._value = game.open_value(model)
        calibration = Calibration(
            model, dataset, group, None, 0.0, batch_size, self._value.needs_labels
        )
        if [found.name for found in calibration.groups] != [group]:
            names = [found.name for found in calibration.channel_map.groups]
            raise ValueError(
                f"Argument `group` should be the name of one of the groups {names}, "
                f"which other layers read. Received: group={group!r}"
            )
        for _, labels, _ in calibration.batches if self._value.needs_labels else ():
            self._value.check_labels(labels, calibration.channel_map.graph.outputs)
        self._suffix, self._data = _open_suffix(calibration, game, self._value)
        self._num_examples = sum(calibration.batch_sizes)
        self._fold_size, self.access_counter = batch_size, 0
        num_units = self._suffix.num_units
        # The examples of a batch, and its number of coalitions, are open: one trace.
        specs = keras.tree.map_structure(_any_length, self._data[0])
        self._sum_values = tf.function(
            self._sum_values_of,
            input_signature=[tf.TensorSpec([None, num_units]), specs],
            autograph=False,
        )
        nobody = np.zeros((1, num_units), bool)
        baseline = float(self._evaluate(nobody)[0]) if normalize else 0.0
        super().__init__(num_units, normalize=normalize, normalization_value=baseline)

    def value_function(self, coalitions):
        """Returns the mean value of each coalition, before it is normalized.

        Args:
            coalitions: Boolean array, shape `(num_coalitions, num_units)`.

        Returns:
            Float64 array, shape `(num_coalitions,)`.
        """
        self.access_counter += len(coalitions)
        return self._evaluate(coalitions)

    def _evaluate(self, coalitions):
        rows, total = np.asarray(coalitions, "float32"), np.zeros(len(coalitions))
        for data in self._data:
            size = int(keras.tree.flatten(data)[0].shape[0])
            fold = max(self._fold_size // size, 1)
            for first in range(0, len(rows), fold):
                some = slice(first, first + fold)
                total[some] += self._sum_values(rows[some], data).numpy()
        return total / self._num_examples

    def _sum_values_of(self, coalitions, data):
        """Returns the sum over one batch for each coalition, `(num_coalitions,)`."""
        copies, batch = (
            tf.shape(coalitions)[0],
            tf.shape(keras.tree.flatten(data)[0])[0],
        )
        values_of = CoalitionValues(self._suffix, self._value, data, batch, copies)
        # Row `c * batch + b` is coalition c on example b.
        values = values_of(tf.repeat(coalitions, batch, axis=0), copies)
        values = tf.reshape(tf.cast(values, tf.float64), [copies, batch])
        return tf.reduce_sum(values, axis=1)


def _resolve_mean_game(game):
    """Returns a `Game` whose value of a coalition is a mean over the examples."""
    resolved = resolve_game(game)
    if not isinstance(resolved, OutputGame) or resolved.reduction != "mean":
        raise ValueError(
            "Argument `game` should be played on the outputs of the network, with "
            f"`reduction='mean'`. Received: game={game!r}"
        )
    return resolved


def _open_suffix(calibration, game, value):
    """Returns the `Suffix` of the only group, and its data: a list, one a batch.

    Args:
        calibration: A `Calibration`.
        game: The `OutputGame`.
        value: Its `Value`.
    """
    (group,), channel_map = calibration.groups, calibration.channel_map
    network = calibration.open_network(repaired=False)
    network.advance(calibration.first_site(group))
    shifts = None
    if game.replacement == "mean":
        shifts = mean_shifts(network, channel_map, group)
    suffix = Suffix(channel_map, group, shifts=shifts)
    data = []
    for batch, (_, labels, weights) in enumerate(calibration.batches):
        # What comes before the group is the same for all coalitions, and runs once.
        cut = suffix.cut_values(network.values(batch), network.find_masks)
        reference = calibration.outputs(batch) if value.needs_reference else ()
        data.append((cut, labels, weights, reference))
    return suffix, data


def _any_length(tensor):
    """Returns a `tf.TensorSpec` of a tensor for batches of any size."""
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)
