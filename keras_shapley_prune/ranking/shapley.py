"""Shapley values of filters by Monte-Carlo walks with a permutation an example."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.data import CalibrationData
from keras_shapley_prune.losses import resolve_loss
from keras_shapley_prune.ranking.moments import RunningMoments
from keras_shapley_prune.ranking.ranking import GroupScores, Ranking
from keras_shapley_prune.ranking.suffix import plan_suffixes
from keras_shapley_prune.ranking.walks import draw_antithetic_ranks, walk_losses


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
        num_permutations: Integer, how many permutations each example walks. One
            permutation costs `num_units + 1` evaluations of the part of the network
            after the masks. With 1, neighbouring examples form the pairs. More
            examples are worth more than more permutations.
        loss: What `model.compile(loss=...)` takes. `None` for the loss the model is
            compiled with.
        batch_size: Integer, the size of a batch where the data comes as arrays.
        seed: Integer. The same seed and data give the same values.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    ranker = keras_shapley_prune.ShapleyRanker(num_permutations=2, seed=1)
    ranking = ranker.rank(model, (images, labels))
    print(ranking)
    ```
    """

    def __init__(self, num_permutations=1, loss=None, batch_size=32, seed=0):
        for name, value, least in (
            ("num_permutations", num_permutations, 1),
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
        ):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(
                    f"Argument `{name}` should be an integer, at least {least}. "
                    f"Received: {name}={value!r}"
                )
        self.num_permutations = num_permutations
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
            layers: `None` for all groups, or layer names or shell-style patterns:
                only the groups that one of these layers produces.
            channel_map: The `ChannelMap` of `model`, if it has been traced already.
            verbose: `"auto"` or 1 for a progress bar, 2 for one line a batch, 0 for
                silence.

        Returns:
            A `Ranking`.

        Raises:
            ValueError: If the model has no graph or nothing that can be removed, if
                there is no loss, if the data is empty or does not fit the model, or
                if the loss is not finite.
        """
        channel_map = channel_map or trace_channels(model)
        groups = channel_map.select_groups(layers)
        loss = resolve_loss(model, self.loss)
        data = CalibrationData(
            dataset, channel_map.graph.input_structure, self.batch_size
        )
        games = [
            _Game(index, group, suffix, loss)
            for index, (group, suffix) in enumerate(plan_suffixes(channel_map, groups))
        ]
        progress = _Progress(games, data.num_batches, verbose)
        num_examples = 0
        for batch_index, (inputs, labels, weights) in enumerate(data):
            values = dict(zip(channel_map.graph.inputs, inputs, strict=True))
            num_examples += inputs[0].shape[0]
            for game in games:
                self._play(game, batch_index, values, labels, weights)
                progress.add(game)
        progress.finish()
        scores = {game.group.name: game.scores() for game in games}
        return Ranking(
            {group.name: scores[group.name] for group in groups},
            method=f"Shapley values, {self.num_permutations} permutation(s) an example",
            num_examples=num_examples,
            locks=channel_map.lock_reasons(),
        )

    def _play(self, game, batch_index, values, labels, weights):
        """Adds one batch to the estimate of one group."""
        cut = game.suffix.advance(values)
        # A stream for each batch and group: the values do not depend on the others.
        generator = np.random.default_rng([self.seed, batch_index, game.index])
        num_examples = cut[0].shape[0]
        ranks = draw_antithetic_ranks(
            generator, num_examples, self.num_permutations, game.group.num_units
        )
        marginals = [game.walk(draw, cut, labels, weights) for draw in ranks]
        if not np.isfinite(marginals).all():
            raise ValueError(
                "Expected a finite loss for every example and coalition. Received: "
                f"a loss that is not finite, in group {game.group.name!r}, batch "
                f"{batch_index} (counted from 0)"
            )
        pairs_straddle = self.num_permutations % 2 == 1
        game.moments.add(np.mean(marginals, axis=0), 2 if pairs_straddle else 1)
        game.num_evaluations += ranks.size + ranks.shape[0] * ranks.shape[1]
        for tensor in game.suffix.release:
            values.pop(tensor, None)


class _Game:
    """One group, the compiled walk over its suffix, and what is known so far."""

    def __init__(self, index, group, suffix, loss):
        self.index, self.group, self.suffix = index, group, suffix
        self.moments = RunningMoments(group.num_units)
        self.num_evaluations = 0
        self._loss = loss
        self._step = None

    def walk(self, ranks, cut, labels, weights):
        """Returns the marginals of one walk an example, `(batch, num_units)`."""
        if self._step is None:
            self._step = self._compile(cut, labels, weights)
        return self._step(ranks, cut, labels, weights).numpy()

    def _compile(self, cut, labels, weights):
        def any_batch(tensor):
            return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)

        def step(ranks, cut, labels, weights):
            def losses_of(coalitions):
                outputs = self.suffix.run(cut, coalitions)
                sample_weight = weights if keras.tree.flatten(weights) else None
                return self._loss(labels, outputs, sample_weight)

            return walk_losses(losses_of, ranks)

        signature = [
            tf.TensorSpec([None, self.group.num_units], tf.int32),
            self.suffix.cut_specs(cut),
            keras.tree.map_structure(any_batch, labels),
            keras.tree.map_structure(any_batch, weights),
        ]
        # TensorFlow warns of retracing by the code object: each game needs its own.
        step.__code__ = step.__code__.replace(co_name=f"step_{self.index}")
        return tf.function(step, input_signature=signature, autograph=False)

    def scores(self):
        """Returns the `GroupScores` so far."""
        moments = self.moments
        return GroupScores(moments.mean, moments.standard_error, self.num_evaluations)


class _Progress:
    """Keras's progress bar over the units of all groups and batches."""

    def __init__(self, games, num_batches, verbose):
        self._bar = None
        if verbose not in ("auto", 0, 1, 2, True, False):
            raise ValueError(
                "Argument `verbose` should be 'auto', 0, 1 or 2. "
                f"Received: verbose={verbose!r}"
            )
        self._last = games[-1]
        verbose = 1 if verbose == "auto" else int(verbose)
        num_units = sum(game.group.num_units for game in games)
        self._by_batch = verbose == 2
        if verbose:
            steps = 1 if self._by_batch else num_units
            target = None if num_batches is None else num_batches * steps
            name = "batch" if self._by_batch else "unit"
            self._bar = keras.utils.Progbar(target, unit_name=name)
        self._seen = 0

    def add(self, game):
        """Counts one batch of one group."""
        if self._bar is not None:
            if not self._by_batch:
                self._advance(game.group.num_units)
            elif game is self._last:
                self._advance(1)

    def _advance(self, steps):
        self._seen += steps
        self._bar.update(
            self._seen, finalize=False if self._bar.target is None else None
        )

    def finish(self):
        """Ends the line of a bar whose length was not known."""
        if self._bar is not None and self._bar.target is None:
            self._bar.update(self._seen, finalize=True)
