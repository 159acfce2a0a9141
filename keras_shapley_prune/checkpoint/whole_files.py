"""Files that are there as a whole or not at all, wherever a process is killed.

A file is written under another name beside its place, and moved there in one step. A
process that is killed leaves the unfinished file: the next one removes it.
"""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import time
import zlib

_HOUR = 3600.0  # a file of another machine that is older is of no running process
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_NAME = re.compile(
    r"\.(?P<stem>.*)\.unfinished-(?P<host>[0-9a-f]{8})-(?P<process>\d+)"
    r"(?P<suffix>\.[^.]*)??(?P<old>\.old)?"
)


def unfinished_beside(path):
    """Returns the path under which a file or folder is written before it is complete.

    It is in the same folder, so on the same disk, where `os.replace` is one step, and
    has the same suffix, by which Keras tells formats apart.

    Args:
        path: A `pathlib.Path`.
    """
    name = f".{path.stem}.unfinished-{_HOST}-{os.getpid()}{path.suffix}"
    return path.with_name(name)


def write_whole(path, write):
    """Writes a file, or leaves what was there before.

    Args:
        path: A `pathlib.Path`.
        write: Callable `fn(file)` that writes to a binary file.
    """
    unfinished = unfinished_beside(path)
    try:
        with open(unfinished, "wb") as file:
            write(file)
            file.flush()
            # The name must not get to the disk before what it names.
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:  # after an error, or Ctrl-C; otherwise there is none
        unfinished.unlink(missing_ok=True)
    _sync(path.parent)


def remove_unfinished(folder, of=None):
    """Removes what processes that are no longer running have left unfinished.

    Args:
        folder: A `pathlib.Path`; it need not exist.
        of: A `pathlib.Path`, of which file or folder; `None` for all in the folder.
    """
    for path in folder.glob(".*.unfinished-*"):
        found = _NAME.fullmatch(path.name)
        if found is None or _is_in_use(path, found["host"], int(found["process"]), of):
            continue
        if of is not None and (found["stem"], found["suffix"] or "") != _parts(of):
            continue
        target = folder / (found["stem"] + (found["suffix"] or ""))
        with contextlib.suppress(OSError):  # another process may be quicker
            if found["old"] and not target.exists():  # what was to be replaced
                os.replace(path, target)
            else:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _parts(path):
    return path.stem, path.suffix


def is_unfinished(path):
    """Returns whether a path is the name of an unfinished file."""
    return _NAME.fullmatch(pathlib.Path(path).name) is not None


def _is_in_use(path, host, process, of):
    if host != _HOST or os.name == "nt":  # where processes cannot be asked for
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime < _HOUR
        return False
    # Of a whole folder, what has the number of this very process was left by an older
    # one that had it: this one has not begun to write. A single file it may write now,
    # and writes over what an older one has left.
    if process == os.getpid():
        return of is not None
    try:
        os.kill(process, 0)  # no signal: asks whether there is such a process
    except (ProcessLookupError, OverflowError):  # it may be no number of a process
        return False
    except OSError:  # there is one, of another user
        return True
    return True


def _sync(folder):
    """Takes care that the names in a folder are on the disk."""
    with contextlib.suppress(OSError):  # not every system opens folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
