"""Commands that run on several machines at once, as `TF_CONFIG` says."""

import contextlib
import json
import os

import tensorflow as tf

from keras_shapley_prune.command_line.input_files import InputError
from keras_shapley_prune.cut.surgery import copy_whole
from keras_shapley_prune.devices.workers import Workers, current_workers
from keras_shapley_prune.inputs.compiling import compile_with, copy_compile_config
from keras_shapley_prune.trace.tracer import trace_channels


class Cluster:
    """The workers of the environment variable `TF_CONFIG`; without it, this one alone.

    It is opened before anything is computed: TensorFlow connects the workers only then.

    Args:
        options: What the parser returned. All workers but the first become quiet.

    Attributes:
        workers: The `Workers`.

    Raises:
        InputError: If `TF_CONFIG` cannot be read.

    Example:

    ```python
    cluster = Cluster(options)
    with cluster.scope():
        ranking = ranker.rank(model, dataset)
    with cluster.writing() as is_chief:
        if is_chief:
            ranking.save("ranking.json")
    ```
    """

    def __init__(self, options):
        self._strategy, self.workers = None, Workers()
        if _count_workers() > 1:
            self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
            with self.scope():
                self.workers = current_workers()
        options.quiet = options.quiet or not self.workers.is_chief

    def scope(self):
        """Returns a context in which all workers share what is computed."""
        if self._strategy is None:
            return contextlib.nullcontext()
        return self._strategy.scope()

    def release(self, model):
        """Returns a model that this worker can run by itself.

        What is made in the scope is run by all workers together.

        Args:
            model: A compiled or plain `keras.Model`, made in the scope.
        """
        if self._strategy is None:
            return model
        released = copy_whole(model, trace_channels(model)).model
        compile_with(released, copy_compile_config(model))
        return released

    @contextlib.contextmanager
    def writing(self):
        """A context in which the first worker prints and writes, and others wait.

        Yields:
            Boolean, whether this worker is the first.
        """
        yield self.workers.is_chief
        # Who ends earlier would look as if it had been killed.
        self.workers.agree(0)


def check_alone(command):
    """Raises an `InputError` if `TF_CONFIG` asks a command of one process of several.

    Args:
        command: String.
    """
    count = _count_workers()
    if count > 1:
        raise InputError(
            f"The command `{command}` runs in one process. Received: TF_CONFIG with "
            f"{count} workers. `rank` and `prune` are shared by several; `{command}` "
            "takes a ranking by `--ranking`"
        )


def _count_workers():
    """Returns how many workers `TF_CONFIG` names."""
    text = os.environ.get("TF_CONFIG", "").strip()
    try:
        found = json.loads(text or "{}")
        jobs = found.get("cluster", {})
        counts = {name: len(list(addresses)) for name, addresses in jobs.items()}
        if counts and "index" not in found["task"]:
            raise KeyError("index")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            "The environment variable TF_CONFIG should hold JSON such as "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", '
            f'"index": 0}}}}. Received: {text!r}'
        ) from error
    return counts.get("chief", 0) + counts.get("worker", 0)
