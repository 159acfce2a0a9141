"""`Checkpoint`: the folder in which a long run keeps what it has done so far."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import time

from keras_shapley_prune.checkpoint.entries import read_entry, write_entry
from keras_shapley_prune.checkpoint.fingerprint import describe_run, find_differences
from keras_shapley_prune.checkpoint.folders import FILE, open_folder
from keras_shapley_prune.checkpoint.whole_files import is_unfinished, unfinished_beside
from keras_shapley_prune.devices.workers import (
    WorkerLostError,
    Workers,
    current_workers,
    explain_lost_worker,
)

SECONDS = 30.0  # from one time that running sums are written to the next one
_LONG = 3.0  # seconds to write them: if it takes longer, they are written less often
_SHOWN = 6  # differences that an error names
_NAME = re.compile(r"[a-z]+(-[a-z]+)*")


class Checkpoint:
    """The entries of a run, each a file in one folder; or nothing, if none is kept.

    What is written to an entry is there as a whole after a process was killed, or what
    was there before. The names of the files are made of words in this package and of
    numbers: none comes from a model or from a file.

    Of several workers all read, and the first one writes; when, it says for all.

    Args:
        folder: A `pathlib.Path`, or `None`: then nothing is written, and nothing found.
        run: String, what the entries of one run have in common.
        workers: The `Workers` that write together, `None` for this process alone.

    Example:

    ```python
    checkpoint = open_checkpoint("run", model, batches, seed=0)
    entry = checkpoint.within("ranking").entry("group", 3)
    found = entry.read()  # `None` at first
    entry.write({"sum": np.zeros(8), "num_rounds": 0})
    ```
    """

    def __init__(self, folder=None, run="", prefix="", clock=None, workers=None):
        self._folder, self._run, self._prefix = folder, run, prefix
        self._clock, self._workers = clock or _Clock(), workers or Workers()

    @property
    def is_kept(self):
        """Boolean, whether anything is written."""
        return self._folder is not None

    def within(self, part, number=None):
        """Returns the `Checkpoint` of a part of the run, in the same folder.

        Args:
            part: String of small letters, such as `"ranking"`.
            number: Integer, if there are several of them.
        """
        prefix = f"{self._prefix}{_name(part, number)}-"
        return Checkpoint(self._folder, self._run, prefix, self._clock, self._workers)

    def alone(self):
        """Returns the same `Checkpoint`, which this worker writes by itself.

        For entries that no other worker writes, in a part that they do by themselves.
        """
        return Checkpoint(self._folder, self._run, self._prefix, self._clock)

    def entry(self, kind, number=None):
        """Returns an `Entry`.

        Args:
            kind: String of small letters, what the entry holds.
            number: Integer, if there are several of them.
        """
        if self._folder is None:
            return Entry(None, "", self._clock, self._workers)
        name = f"{self._prefix}{_name(kind, number)}.npz"
        return Entry(self._folder / name, self._run, self._clock, self._workers)

    def keep(self, name, save):
        """Writes a file for people beside the entries; it is not read again.

        Args:
            name: String, a fixed name.
            save: Callable `fn(path)` that writes it.
        """
        if self._folder is None or not self._workers.is_chief:
            return
        unfinished = unfinished_beside(self._folder / name)
        try:
            save(unfinished)
            os.replace(unfinished, self._folder / name)
        finally:
            unfinished.unlink(missing_ok=True)

    @contextlib.contextmanager
    def explain_interruption(self):
        """A context in which an interruption, or a lost worker, says how to go on."""
        lost = (
            "What has been done is lost. With the argument `checkpoint`, the path "
            "of a folder, it is kept, and the same call goes on from there"
        )
        advice = self.advice or lost
        try:
            with explain_lost_worker():
                yield
        except KeyboardInterrupt as error:
            if error.args:  # it has been said, of a part of the run
                raise
            raise KeyboardInterrupt(advice) from error
        except WorkerLostError as error:
            if advice in str(error):
                raise
            raise WorkerLostError(f"{error}. {advice}") from error

    @property
    def advice(self):
        """String, how to go on after an interruption; `None` if nothing is kept."""
        if self._folder is None:
            return None
        where = f"What has been done is kept in {str(self._folder)!r}"
        return f"{where}: the same call goes on from there"


class Entry:
    """One file of a checkpoint.

    Args:
        path: A `pathlib.Path`, or `None` for one that is never written.
        run: See `Checkpoint`.
        clock: A `_Clock`, the same for all entries of a run.
        workers: The `Workers` that write it together.
    """

    def __init__(self, path, run, clock, workers):
        self._path, self._run, self._clock = path, run, clock
        self._workers = workers

    @property
    def is_kept(self):
        """Boolean, whether anything is written."""
        return self._path is not None

    def read(self):
        """Returns what was written, a dict, or `None` if nothing was.

        Raises:
            ValueError: If the file is damaged, or of another run.
        """
        return None if self._path is None else read_entry(self._path, self._run)

    def write(self, content):
        """Writes a dict: name -> array, or value that JSON can hold."""
        if self._path is not None and self._workers.is_chief:
            with self._clock.writing():
                write_entry(self._path, content, self._run)

    def write_if_due(self, make_content):
        """Writes what a callable returns if it is time to.

        Workers that write together all come here after the same step.

        Args:
            make_content: Callable that returns a dict, see `write`.
        """
        if self._path is None:
            return
        (is_due,) = self._workers.agree(self._clock.is_due())
        if is_due:
            self.write(make_content())


def open_checkpoint(checkpoint, model, batches, **settings):
    """Opens the checkpoint that an argument names, to begin a run or to go on with it.

    Args:
        checkpoint: String or path-like, a folder, which need not exist; `None` for a
            `Checkpoint` that keeps nothing; or a `Checkpoint`, which is returned.
        model: See `describe_run`; so are the other arguments.
        batches: Iterable. It is not read if nothing is kept, but by several workers,
            which compare what they read.
        **settings: What else the result depends on.

    Returns:
        A `Checkpoint`.

    Raises:
        ValueError: If the folder holds something else, the run that it is of depends
            on something else, or workers differ in what they are given.
    """
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    check_checkpoint(checkpoint)
    workers = current_workers()
    if checkpoint is None and workers.count == 1:
        return Checkpoint()
    description = describe_run(model, batches, **settings)
    workers.check_same(
        {n: json.dumps(v, sort_keys=True) for n, v in description.items()}
    )
    if checkpoint is None:
        return Checkpoint()
    folder = pathlib.Path(checkpoint)
    stored = open_folder(folder, description, workers)
    differences = find_differences(stored, description)
    if differences:
        more = len(differences) - _SHOWN
        shown = differences[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise ValueError(
            "Argument `checkpoint` should name a folder that is new, or one of a run "
            "of the same model, data and settings. Received: "
            f"checkpoint={str(folder)!r}, of a run that differs in: {'; '.join(shown)}"
        )
    text = json.dumps(description, sort_keys=True)
    run = hashlib.sha256(text.encode()).hexdigest()
    return Checkpoint(folder, run, workers=workers)


def check_checkpoint(checkpoint):
    """Raises a `ValueError` unless an argument can name a checkpoint.

    Args:
        checkpoint: See `open_checkpoint`.
    """
    if checkpoint is None or isinstance(checkpoint, Checkpoint):
        return
    if not isinstance(checkpoint, (str, os.PathLike)) or not os.fspath(checkpoint):
        raise ValueError(
            "Argument `checkpoint` should be the path of a folder, or None. "
            f"Received: checkpoint={checkpoint!r}"
        )
    folder = pathlib.Path(checkpoint)
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            "Argument `checkpoint` should be a folder. Received: "
            f"checkpoint={str(folder)!r}, which is a file"
        )
    others = [] if not folder.exists() else list(folder.iterdir())
    others = [path.name for path in others if not is_unfinished(path)]
    if others and FILE not in others:
        raise ValueError(
            "Argument `checkpoint` should be a new or empty folder, or a checkpoint. "
            f"Received: checkpoint={str(folder)!r}, which holds {sorted(others)[0]!r} "
            f"and no {FILE!r}"
        )


def _name(words, number):
    """Returns a part of a file's name, which can only be in the folder itself."""
    if not _NAME.fullmatch(words):
        raise ValueError(f"Expected words of small letters. Received: {words!r}")
    return words if number is None else f"{words}-{int(number):05d}"


class _Clock:
    """Says when running sums are written again: often, but at a small price."""

    def __init__(self):
        self._last, self._spent = time.perf_counter(), 0.0

    def is_due(self):
        passed = time.perf_counter() - self._last
        return passed >= SECONDS * max(1.0, self._spent / _LONG)

    @contextlib.contextmanager
    def writing(self):
        start = time.perf_counter()
        yield
        self._last = time.perf_counter()
        self._spent = self._last - start
