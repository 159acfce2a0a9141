"""A command that several processes share: run by `spread.py`."""

from keras_shapley_prune.command_line import main as run


def main(*arguments):
    """Runs a command, which opens the strategy by itself."""
    assert run(list(arguments)) == 0
    return {}
