"""The folder of a checkpoint, and the file that says of what run it is."""

import json

import numpy as np

from keras_shapley_prune.checkpoint.whole_files import remove_unfinished, write_whole
from keras_shapley_prune.inputs.json_files import format_of

FILE = "checkpoint.json"  # what the run depends on; the entries are beside it


def open_folder(folder, description, workers):
    """Returns what the run of a folder depends on; of a new folder it is written.

    Args:
        folder: A `pathlib.Path`.
        description: Dict, what `describe_run` returned.
        workers: The `Workers` that share the folder.

    Raises:
        ValueError: If the folder holds something else, or some workers do not see it.
    """
    if workers.is_chief:
        remove_unfinished(folder)
        if _read_description(folder) is None:
            folder.mkdir(parents=True, exist_ok=True)
            content = {"format": format_of("Checkpoint"), "run": description}
            text = json.dumps(content, indent=1)
            write_whole(folder / FILE, lambda file: file.write(text.encode()))
    workers.agree(0)  # wait until it is there
    stored = _read_description(folder)
    blind = np.flatnonzero(workers.gather(stored is None))
    if len(blind):
        raise ValueError(
            "Argument `checkpoint` should be a folder that all workers see, such as "
            f"one on a disk that they share. Received: checkpoint={str(folder)!r}, "
            f"which workers {blind.tolist()} do not see"
        )
    return stored


def _read_description(folder):
    """Returns what the run of a folder depends on, or `None` if it is new."""
    path = folder / FILE
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != format_of("Checkpoint"):
            raise KeyError(content["format"])
        return dict(content["run"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"Expected {str(path)!r} to be a file that a checkpoint has. Received: a "
            "file that is damaged or of another kind"
        ) from error
