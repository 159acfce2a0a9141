"""Arrays that are held in memory as far as it goes, and in a file beyond."""

import functools
import tempfile
import weakref

import numpy as np


class ArrayStore:
    """Takes arrays, and gives them back.

    Args:
        memory: Integer, bytes. Arrays that do not fit any more are written to a
            temporary file, which is gone when the store is.

    Attributes:
        num_bytes: Integer, of the arrays in memory.
    """

    def __init__(self, memory):
        self._memory, self._file, self.num_bytes = memory, None, 0

    def put(self, array):
        """Returns a callable that returns the array.

        Args:
            array: Array or tensor of numbers.
        """
        array = np.asarray(array)
        if self.num_bytes + array.nbytes <= self._memory or not array.size:
            self.num_bytes += array.nbytes
            return lambda: array
        if self._file is None:
            # It lives as long as the store does, which is no context.
            self._file = tempfile.TemporaryFile(prefix="keras_shapley_prune_")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        offset = self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(array).data)
        self._file.flush()
        # Mapped, not read: what is in the file is in memory only while it is looked at.
        return functools.partial(
            np.memmap, self._file, array.dtype, "r", offset, array.shape
        )
