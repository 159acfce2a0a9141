"""The reconstruction game: what the layers that read a group can make up for."""

import dataclasses
import typing

from keras_shapley_prune.inputs.arguments import (
    check_at_least,
    check_choice,
    check_integer,
    check_share,
)
from keras_shapley_prune.rank.closed_form.sampler import ReconstructionSampler
from keras_shapley_prune.rank.estimators.closed_form import ClosedFormPermutation
from keras_shapley_prune.rank.games.game import Game
from keras_shapley_prune.rank.ranking import COSTS


@dataclasses.dataclass(frozen=True, repr=False)
class Reconstruction(Game):
    """A coalition is worth minus the error after the best repair by its readers.

    Each layer that reads the group is refitted, by ridge regression, to return from
    the coalition's channels what it returns in the original network. The error is the
    share of the layer's output variance that it cannot reproduce, summed over the
    layers. It is known in closed form from second moments: the cost of removing the
    columns R is `tr(W_R' inv(H_RR) W_R)`, with the fitted weights W and the inverse H
    of the regularized moments (optimal brain surgeon: Hassibi and Stork 1992, for
    whole channels). No labels are needed.

    It costs one pass of the examples through the network, and a few factorizations of
    each reading layer's moments, which is cubic in what the layer reads at one
    position. This is the game that `prune` plays, in 32 stages.

    Args:
        candidates: Float of at least 1, or `None`. The units that are cheapest to lose
            alone are the candidates: this many times as many as are still to be
            removed. Walks remove only candidates; the other units are in every
            coalition, and the value of such a unit is what its removal alone costs.
            `None` for all units.
        horizon: Float in (0, 1]. For the number of candidates, at most this share of
            a group counts as still to be removed. Below 1, one ranking serves budgets
            of different depth.
        num_copies: Integer, how many flipped and shifted copies of the images are read
            too, for layers that see few of their positions. They make costs of layers
            comparable, for a pass of the network each. With fewer than 100 examples
            there are some anyway.
        costs: String, in what `GroupScores.removal_costs` are counted, by which a
            budget over all layers is spent. `"readers"`: the share of the variance of
            the layers that read a group. `"outputs"`: the squared change of the
            network's outputs (logits, where they are probabilities) if the group alone
            is cut and its readers are refitted. It is measured to first order on a
            fifth of the examples, which are not used for anything else unless there
            are fewer than ten, and takes four backward passes of them. Groups cannot
            be ranked with `sequential=True` then.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    game = keras_shapley_prune.games.Reconstruction(horizon=0.25)
    ranker = keras_shapley_prune.ShapleyRanker(game, sequential=True)
    ```
    """

    candidates: float | None = 1.25
    horizon: float = 1.0
    num_copies: int = 0
    costs: str = "readers"

    default_stages = 32
    estimators: typing.ClassVar[dict] = {"permutation": ClosedFormPermutation}

    def __post_init__(self):
        check_share("horizon", self.horizon, above_zero=True)
        check_integer("num_copies", self.num_copies, 0)
        check_choice("costs", self.costs, COSTS)
        if self.candidates is not None:
            check_at_least("candidates", self.candidates, 1)
        elif self.horizon != 1:
            raise ValueError(
                "Argument `horizon` should be 1 where all units are candidates. "
                f"Received: candidates=None, horizon={self.horizon!r}"
            )

    def describe(self):
        return "the reconstruction game"

    def open_sampler(self, model, estimator, staging, sequential, batch_size, seed):
        if sequential and self.costs == "outputs":
            raise ValueError(
                "Argument `sequential` should be False where costs are those of the "
                "outputs: they are measured on the original network. Received: "
                "sequential=True, costs='outputs'"
            )
        method = self.describe_method(estimator, staging)
        return ReconstructionSampler(self, estimator, method, staging, sequential, seed)
