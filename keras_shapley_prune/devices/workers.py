"""The processes of a strategy: which of them does what, and sums over all of them.

All workers run the same program on the same data. What is a sum over examples, each
worker adds up for its own share of them; the sums of all workers come from one
all-reduce of TensorFlow. Whatever a worker decides by a clock, the first one decides
for all: they would part otherwise.
"""

import contextlib
import functools
import hashlib
import json

import numpy as np
import tensorflow as tf

LONGEST_WAIT = 1800.0  # seconds for the slowest worker; a lost one is noticed at once
_LARGEST = 2**23  # numbers of one all-reduce: 64 MB
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class WorkerLostError(RuntimeError):
    """Another worker has stopped before the work was done."""


class Workers:
    """The processes that share the work; without a strategy, this one alone.

    Args:
        strategy: The `tf.distribute.MultiWorkerMirroredStrategy`, or `None`.
        count: Integer, how many processes there are.
        index: Integer, which of them this one is; 0 is the chief.

    Example:

    ```python
    workers = current_workers()
    mine = [number for number in range(10) if workers.takes(number)]
    (total,) = workers.sum(np.array([len(mine)]))  # 10, on every worker
    ```
    """

    def __init__(self, strategy=None, count=1, index=0):
        self._strategy, self.count, self.index = strategy, count, index

    @property
    def is_chief(self):
        """Boolean, whether this process writes what is written once."""
        return self.index == 0

    def takes(self, number):
        """Returns whether the part of the work with a number is this worker's."""
        return number % self.count == self.index

    def sum(self, *arrays):
        """Returns the sums of arrays over all workers, in double precision.

        Args:
            *arrays: Arrays of numbers, of the same shapes on every worker. What is 0
                on all workers but one is that worker's, to the last bit.

        Returns:
            List of arrays of these shapes: the arrays themselves if there is one
            worker.

        Raises:
            WorkerLostError: If another worker has stopped.
        """
        if self.count == 1:
            return list(arrays)
        arrays = [np.asarray(array, "float64") for array in arrays]
        flat = np.concatenate([array.ravel() for array in arrays])
        ends = range(_LARGEST, len(flat), _LARGEST)
        with explain_lost_worker():
            parts = [self._reduce(part).numpy() for part in np.split(flat, ends)]
        sizes = np.cumsum([array.size for array in arrays])[:-1]
        totals = np.split(np.concatenate(parts), sizes)
        return [t.reshape(a.shape) for t, a in zip(totals, arrays, strict=True)]

    def gather(self, array):
        """Returns the arrays of all workers, shape `(count, *array.shape)`."""
        array = np.asarray(array, "float64")
        everyone = np.zeros((self.count, *array.shape))
        everyone[self.index] = array
        return self.sum(everyone)[0]

    def agree(self, *numbers):
        """Returns the numbers that the chief has, as floats, on every worker."""
        if self.count == 1:
            return list(numbers)
        # Not times 0: what is not finite elsewhere would come through.
        own = numbers if self.is_chief else np.zeros(len(numbers))
        (found,) = self.sum(np.array(own, "float64"))
        return found.tolist()

    def check_same(self, description):
        """Raises a `ValueError` unless all workers describe their work alike.

        Args:
            description: Dict: what it is, for people -> what JSON can hold.
        """
        if self.count == 1:
            return
        # How many entries there are is one of them: else the sums would not fit.
        names = sorted(description)
        hashes = [_hash(json.dumps([name, description[name]])) for name in names]
        counts = self.gather(len(names))
        if (counts != counts[0]).any():
            _refuse("what they are to do", counts != counts[0])
        found = self.gather(np.array(hashes))
        for place, name in enumerate(names):
            differs = (found[:, place] != found[0, place]).any(axis=-1)
            if differs.any():
                _refuse(name, differs)

    @functools.cached_property
    def _reduce(self):
        """The compiled all-reduce of a vector."""
        strategy = self._strategy
        num_replicas = strategy.num_replicas_in_sync // self.count
        options = tf.distribute.experimental.CommunicationOptions(
            timeout_seconds=LONGEST_WAIT
        )

        def add_up(vector):
            context = tf.distribute.get_replica_context()
            number = tf.cast(context.replica_id_in_sync_group, tf.int32)
            # The sums are the process's: only one of its devices brings them in.
            first = tf.equal(number % num_replicas, 0)
            vector = tf.where(first, vector, tf.zeros_like(vector))
            operation = tf.distribute.ReduceOp.SUM
            return context.all_reduce(operation, vector, options=options)

        def reduce(vector):
            returned = strategy.run(add_up, args=(vector,))
            return strategy.experimental_local_results(returned)[0]

        signature = [tf.TensorSpec([None], tf.float64)]
        return tf.function(reduce, input_signature=signature, autograph=False)


def current_workers():
    """Returns the `Workers` of the strategy in whose scope this is called.

    Raises:
        ValueError: If the strategy is of a kind that spreads the work in another way.
    """
    if not tf.distribute.has_strategy():
        return Workers()
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, (tf.distribute.OneDeviceStrategy, _MIRRORED)):
        return Workers()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        raise ValueError(
            "Expected the scope of a OneDeviceStrategy, MirroredStrategy or "
            "MultiWorkerMirroredStrategy, in which all devices have all weights. "
            f"Received: the scope of a {type(strategy).__name__}"
        )
    # One object for each strategy: its all-reduce is compiled once.
    found = getattr(strategy, "_keras_shapley_prune_workers", None)
    if found is None:
        found = strategy._keras_shapley_prune_workers = _workers_of(strategy)
    return found


def check_strategy():
    """Raises a `ValueError` unless work can be shared in this scope, before any is."""
    current_workers()


@contextlib.contextmanager
def explain_lost_worker():
    """A context in which an error of TensorFlow says that a worker is lost."""
    try:
        yield
    except _LOST as error:
        reason = str(error).strip().splitlines()
        where = next((line for line in reason if "aborted" in line), reason[0])
        raise WorkerLostError(
            "Expected all workers to run to the end. Received: a worker that cannot be "
            "reached any more: it was killed, or has stopped with an error that its "
            f"own output shows. Start all of them again ({where.strip()})"
        ) from error


_MIRRORED = tf.distribute.MirroredStrategy


def _workers_of(strategy):
    """Returns the `Workers` of a `MultiWorkerMirroredStrategy`."""
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict()
    chiefs = len(jobs.get("chief", []))
    count = chiefs + len(jobs.get("worker", []))
    if count < 2:  # without TF_CONFIG, or of one machine
        return Workers()
    index = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
    return Workers(strategy, count, index)


def _hash(text):
    """Returns numbers that a float holds exactly, other ones for another text."""
    digest = hashlib.sha256(text.encode()).digest()
    return [int.from_bytes(digest[i : i + 6], "big") for i in (0, 6, 12, 18)]


def _refuse(name, differs):
    numbers = np.flatnonzero(differs).tolist()
    raise ValueError(
        "Expected all workers to be given the same model, data and arguments; each "
        "takes its share of the examples by itself. Received: something else on "
        f"workers {numbers} than on worker 0, in: {name}"
    )
