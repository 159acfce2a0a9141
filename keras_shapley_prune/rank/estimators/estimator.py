"""What all estimators have in common, and what a game on outputs asks of one."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.arguments import check_integer, check_share
from keras_shapley_prune.rank.estimators.walks import OUT
from keras_shapley_prune.rank.settings import Settings
from keras_shapley_prune.rank.table import SampleTable


class Estimator(Settings):
    """How the Shapley values of a group's units are found from some coalitions.

    Attributes:
        num_draws: Integer, how many draws each example (or each stage) has.
        window: Float in (0, 1], the share of the units in play that a draw may lack.
        decay: Float in [0, 1], what the samples of a stage weigh in the next one.
        takes_stages: Boolean, whether the game can be divided into stages.
        takes_reduction: Boolean, whether each example has an estimate of its own, so
            that something else than the mean over the examples can be taken.
    """

    _namespace = "estimators."
    num_draws, window, decay = 1, 1.0, 0.8
    takes_stages = takes_reduction = True

    def __post_init__(self):
        check_integer("num_draws", self.num_draws, 1)
        check_share("window", self.window, above_zero=True)
        check_share("decay", self.decay)

    def describe(self):
        """Returns how values are estimated, in the field's words."""
        raise NotImplementedError

    def describe_values(self, game):
        """Returns what is estimated, for `Ranking.method`.

        Args:
            game: A `Game`.
        """
        return f"Shapley values of {game.describe()}, {self.describe()}"

    def check(self, game, stages):
        """Raises a `ValueError` if the estimator cannot do what is asked for.

        Args:
            game: A `Game`.
            stages: Integer, or `"units"`.
        """
        if not self.takes_stages and stages != 1:
            raise ValueError(
                f"Argument `stages` should be 1 with {self}. "
                f"Received: stages={stages!r}"
            )
        if not self.takes_reduction and game.reduction != "mean":
            raise ValueError(
                f"The game's `reduction` should be 'mean' with {self}. "
                f"Received: reduction={game.reduction!r}"
            )


class OutputEstimator(Estimator):
    """An estimator of games on the network's outputs.

    It draws for a batch (on the host, in NumPy), estimates from the draw (in the
    compiled step), and says which units of which rows of the table it has sampled.

    Attributes:
        dtype: The dtype of a draw.
        walks: Boolean, whether more walks than asked for would do no harm where they
            are free.
        matches: Boolean, whether draws go to the examples of a batch by what each has
            to share out, see `CoalitionValues.match`.
        controls: Boolean, whether there is a control variate, see `control`.
        num_traced: Integer, how many times the network is in its compiled step; once
            more for a backward pass.
        correction: Another `OutputEstimator`, of what these estimates have to be
            corrected by, or `None`.
    """

    dtype = tf.float32
    walks = matches = controls = False
    correction = None
    num_traced = 1

    def for_group(self, walk):
        """Returns the estimator of a group: this one, or one that costs less there.

        Args:
            walk: The group's `IncrementalWalk`, or `None`.
        """
        return self

    def num_evaluations(self, num_active):
        """Returns how many coalitions one draw evaluates for one example.

        Args:
            num_active: Integer, the number of units in play.
        """
        raise NotImplementedError

    def new_table(self, num_examples, num_units):
        """Returns the empty `SampleTable` of a group.

        Args:
            num_examples: Integer.
            num_units: Integer.
        """
        return SampleTable(num_examples, num_units)

    def rows(self, first, size, draw):
        """Returns the rows of the table that a batch's samples belong to.

        Args:
            first: Integer, how many examples come before the batch.
            size: Integer, how many examples the batch has.
            draw: Integer, the number of the draw.
        """
        return first + np.arange(size)

    def draw(self, key, size, active):
        """Returns what the compiled step takes, an array `(size, num_units)`.

        Args:
            key: List of integers `[seed, group, stage, draw, batch]`: a random stream
                for each, see `stream_of`.
            size: Integer, the number of examples.
            active: Boolean array, shape `(num_units,)`, the units in play.
        """
        # All units in play, for every example: nothing is random.
        return np.tile(np.where(active, 1, OUT).astype("float32"), (size, 1))

    def counted(self, drawn):
        """Returns which units a draw samples, a boolean array of its shape."""
        return drawn != OUT

    def control(self, contributions, drawn):
        """Returns what a draw of the closed-form game exceeds its mean by.

        The game is `|sum of the contributions of the removed units|²`, see
        `Contributions`. Over all draws the mean is 0, whatever the contributions are.

        Args:
            contributions: Float array, shape `(num_units, num_terms)`, of one example.
            drawn: Array, shape `(num_units,)`, its row of what `draw` returned.

        Returns:
            Float array, shape `(num_units,)`.
        """
        raise NotImplementedError

    def estimate(self, values_of, drawn):
        """Returns the estimates of one draw, shape `(batch, num_units)`.

        Args:
            values_of: The `CoalitionValues` of the batch.
            drawn: Tensor, what `draw` returned.
        """
        raise NotImplementedError


def counted_noun(number, noun):
    """Returns a number and a noun, such as `2 permutations`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
