"""Runs the command line: `python -m keras_shapley_prune`."""

import sys

from keras_shapley_prune.command_line import main

if __name__ == "__main__":
    sys.exit(main())
