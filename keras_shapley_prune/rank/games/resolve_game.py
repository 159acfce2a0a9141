"""From what is given as a game to the game."""

from keras_shapley_prune.rank.games.game import Game
from keras_shapley_prune.rank.games.outputs import KL, Custom, Loss
from keras_shapley_prune.rank.games.reconstruction import Reconstruction

GAMES = {"reconstruction": Reconstruction, "loss": Loss, "kl": KL}


def resolve_game(game):
    """Returns the game that an argument stands for.

    Args:
        game: A `Game`, the short form of one, or a callable, for `Custom`.

    Returns:
        A `Game`.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(game, Game):
        return game
    if isinstance(game, str) and game in GAMES:
        return GAMES[game]()
    if callable(game) and not isinstance(game, type):
        return Custom(game)
    raise ValueError(
        f"Argument `game` should be one of {list(GAMES)}, an object such as "
        "games.Reconstruction(), games.Loss() or games.KL(), or a callable "
        f"`fn(labels, outputs)`. Received: game={game!r}"
    )
