"""Shapley values of filters: the ranker that people use."""

from keras_shapley_prune.ranking.estimators import ESTIMATORS
from keras_shapley_prune.ranking.ranker import check_integer, rank_by_sampling
from keras_shapley_prune.ranking.values import resolve_value


class ShapleyRanker:
    """Estimates the Shapley value of each unit, one group at a time.

    The players are the units of a group (the filters of a layer, or of all layers
    that are tied to it). The value of a coalition is minus the model's loss with all
    other units of the group masked, so a unit's Shapley value is the share of the
    loss that the network is spared by having it. The values of a group sum to the
    loss without the group minus the loss with it ("efficiency"), a unit that nothing
    depends on gets 0 ("null player"). See "Shapley Value as Principled Metric for
    Structured Network Pruning" (Ancona, Öztireli, Gross, arXiv:2006.01795, section
    3.2), which estimates them with a few permutations shared by all examples. Here
    every example walks permutations of its own, in antithetic pairs (a permutation
    and its reverse), which costs the same and is far more exact.

    Args:
        estimator: String. `"permutation"` walks along random permutations of each
            example's own. `"gradient"` takes the gradient at random coalitions: all
            units from one backward pass, a little biased. `"exact"` evaluates every
            coalition, for groups of up to 16 units. `"shared_permutation"` is the
            paper's, for comparison.
        num_draws: Integer, how many permutations each example walks, or at how many
            coalitions it takes the gradient. A permutation costs `num_units + 1`
            evaluations of the part of the network after the masks. With 1,
            neighbouring examples form the antithetic pairs. More examples are worth
            more than more permutations.
        value: String, the value of a coalition: `"loss"` for minus the loss, or
            `"kl"` for minus the Kullback-Leibler divergence from the outputs of the
            whole network, which needs no labels. Or a callable
            `fn(labels, outputs)` that returns one value an example, the higher the
            better.
        loss: What `model.compile(loss=...)` takes. `None` for the loss the model is
            compiled with. Only for `value="loss"`.
        batch_size: Integer, the size of a batch where the data comes as arrays.
            Smaller batches are evaluated on several coalitions at once, up to this
            many examples.
        seed: Integer. The same seed and data give the same values.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    ranker = keras_shapley_prune.ShapleyRanker(num_draws=2, seed=1)
    ranking = ranker.rank(model, (images, labels))
    print(ranking)
    ```
    """

    def __init__(
        self,
        estimator="permutation",
        num_draws=1,
        value="loss",
        loss=None,
        batch_size=32,
        seed=0,
    ):
        if estimator not in ESTIMATORS:
            raise ValueError(
                f"Argument `estimator` should be one of {sorted(ESTIMATORS)}. "
                f"Received: estimator={estimator!r}"
            )
        check_integer("num_draws", num_draws, 1)
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        self.estimator = estimator
        self.num_draws = num_draws
        self.value = value
        self.loss = loss
        self.batch_size = batch_size
        self.seed = seed

    def rank(self, model, dataset, layers=None, channel_map=None, verbose="auto"):
        """Estimates the values of every group of a model.

        Args:
            model: A built Sequential or functional `keras.Model`. It is not changed.
            dataset: What `model.evaluate` takes: a finite, batched
                `tf.data.Dataset`, a `keras.utils.PyDataset`, arrays `(x, y)` or
                `(x, y, sample_weight)`, or an iterable of batches. It is read once.
                With a value that needs no labels, batches of `x` alone do.
            layers: `None` for all groups, or layer names or shell-style patterns:
                only the groups that one of these layers produces.
            channel_map: The `ChannelMap` of `model`, if it has been traced already.
            verbose: `"auto"` or 1 for a progress bar, 2 for one step a batch, 0 for
                silence.

        Returns:
            A `Ranking`.

        Raises:
            ValueError: If the model has no graph or nothing that can be removed, if
                there is no loss, if the data is empty or does not fit the model, or
                if the loss is not finite.
        """
        return rank_by_sampling(
            model,
            dataset,
            resolve_value(self.value, model, self.loss),
            ESTIMATORS[self.estimator](self.num_draws, self.seed),
            layers=layers,
            channel_map=channel_map,
            batch_size=self.batch_size,
            verbose=verbose,
        )
