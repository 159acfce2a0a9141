"""The loop all rankers share: batches, groups, one compiled step each."""

import numpy as np

from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.data import CalibrationData
from keras_shapley_prune.ranking.game import Game
from keras_shapley_prune.ranking.progress import Progress
from keras_shapley_prune.ranking.ranking import GroupScores, Ranking
from keras_shapley_prune.ranking.suffix import plan_suffixes


def check_integer(name, value, least):
    """Raises a `ValueError` unless an argument is an integer of at least `least`."""
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(
            f"Argument `{name}` should be an integer, at least {least}. "
            f"Received: {name}={value!r}"
        )


def rank_by_sampling(
    model, dataset, value, estimator, layers, channel_map, batch_size, verbose
):
    """Plays the game of every group on every batch.

    Args:
        model: A built Sequential or functional `keras.Model`.
        dataset: What `CalibrationData` takes.
        value: A value function, see `resolve_value`.
        estimator: An estimator, see `estimators.py`.
        layers: Which groups, see `ChannelMap.select_groups`.
        channel_map: The `ChannelMap` of `model`, or `None`.
        batch_size: Integer, for data that comes as arrays, and the number of
            examples up to which coalitions are evaluated at once.
        verbose: See `Progress`.

    Returns:
        A `Ranking`.
    """
    channel_map = channel_map or trace_channels(model)
    groups = channel_map.select_groups(layers)
    inputs = channel_map.graph.inputs
    structure = channel_map.graph.input_structure
    data = CalibrationData(dataset, structure, batch_size, value.needs_labels)
    games = [
        Game(index, group, suffix, value, estimator, batch_size)
        for index, (group, suffix) in enumerate(plan_suffixes(channel_map, groups))
    ]
    states = {game: estimator.new_state(game.group.num_units) for game in games}
    progress = Progress(games, data.num_batches, verbose)
    for batch_index, (batch, labels, weights) in enumerate(data):
        values = dict(zip(inputs, batch, strict=True))
        for game in games:
            cut = game.suffix.advance(values)
            key, size = (batch_index, game.index), batch[0].shape[0]
            draws = estimator.draw(key, size, game.group.num_units)
            samples = [game.estimate(draw, cut, labels, weights) for draw in draws]
            _check_finite(samples, game.group.name, batch_index)
            states[game].add(np.asarray(samples))
            for tensor in game.suffix.release:
                values.pop(tensor, None)
            progress.add(game)
    progress.finish()
    scores = {
        game.group.name: GroupScores(
            state.mean,
            state.standard_error,
            state.num_samples * estimator.num_evaluations(game.group.num_units),
        )
        for game, state in states.items()
    }
    return Ranking(
        {group.name: scores[group.name] for group in groups},
        method=estimator.describe(),
        num_examples=next(iter(states.values())).num_examples,
        locks=channel_map.lock_reasons(),
    )


def _check_finite(samples, name, batch_index):
    if not np.isfinite(samples).all():
        raise ValueError(
            "Expected a finite loss for every example and coalition. Received: a "
            f"loss that is not finite, in group {name!r}, batch {batch_index} "
            "(counted from 0)"
        )
