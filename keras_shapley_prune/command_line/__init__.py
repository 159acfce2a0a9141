"""The command line: `keras-shapley-prune`, or `python -m keras_shapley_prune`.

`program.py` runs one command and turns errors into messages and exit codes;
`parser.py` has the commands, `options.py` the options that they share, `commands.py`
and `prune_commands.py` what they do, `data_sources.py` where examples come from,
`input_files.py` what else is read, and `staged_files.py` writes files that appear
together.
"""

from keras_shapley_prune.command_line.program import main

__all__ = ["main"]
