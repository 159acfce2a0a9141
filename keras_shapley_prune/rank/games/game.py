"""What all games have in common: a worth for every coalition of a group's units."""

import typing

from keras_shapley_prune.rank.settings import Settings


class Game(Settings):
    """What a coalition of units is worth.

    The players are the units of a group: the filters of a layer, or of all layers that
    are tied to it.

    Attributes:
        default_stages: Integer, how many stages `ShapleyRanker` divides the game into
            by default.
        estimators: Dict: short form -> class of the estimators that the game takes.
            The first is the default.
        reduction: How the values of the examples become one, see `Loss`.
    """

    _namespace = "games."
    default_stages = 1
    estimators: typing.ClassVar[dict] = {}
    reduction = "mean"

    def describe(self):
        """Returns what the players play for, in the field's words."""
        raise NotImplementedError

    def resolve_estimator(self, estimator=None):
        """Returns the estimator that an argument stands for.

        Args:
            estimator: An estimator, the short form of one, or `None` for the default.

        Returns:
            An `Estimator` of one of the classes in `estimators`.

        Raises:
            ValueError: If the game does not take that estimator.
        """
        if not self.estimators:
            raise ValueError(
                "Argument `game` should be of a class that names its `estimators`. "
                f"Received: game={self!r}"
            )
        if estimator is None:
            return next(iter(self.estimators.values()))()
        if isinstance(estimator, str) and estimator in self.estimators:
            return self.estimators[estimator]()
        if isinstance(estimator, tuple(self.estimators.values())):
            return estimator
        choices = [f"estimators.{kind.__name__}()" for kind in self.estimators.values()]
        raise ValueError(
            f"Argument `estimator` should be, for {self}, one of "
            f"{list(self.estimators)} or one of {', '.join(choices)}. "
            f"Received: estimator={estimator!r}"
        )

    def open_sampler(self, model, estimator, staging, sequential, batch_size, seed):
        """Returns the `Sampler` of the games of a model's groups.

        Args:
            model: The `keras.Model`.
            estimator: What `resolve_estimator` returned.
            staging: A `Staging`.
            sequential: Boolean, see `Sampler`.
            batch_size: Integer, how many examples are evaluated at once.
            seed: Integer.

        Raises:
            ValueError: If the game cannot be played on that model.
        """
        raise NotImplementedError

    def describe_method(self, estimator, staging):
        """Returns what is estimated and how, for `Ranking.method`.

        Args:
            estimator: An `Estimator`.
            staging: A `Staging`.
        """
        stages = ""
        if staging.stages is None:
            stages = ", one unit a stage"
        elif staging.stages > 1:
            stages = f", {staging.stages} stages"
        return estimator.describe_values(self) + stages
