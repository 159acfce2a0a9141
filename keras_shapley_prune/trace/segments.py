"""The calls of a graph from one cut to another, each stretch compiled once."""

import tensorflow as tf

from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.trace.graph import run_calls

FEW_BATCHES = 4  # are run before what runs them is compiled


class Segments:
    """Runs a graph from cut to cut, as one `tf.function` from each to the next.

    Keras costs more in Python, call by call, than the work of a small batch; to
    compile a stretch takes as long as to run it a few times. Weights can change
    between two runs, for a compiled function reads variables; masks are constants of
    it, see `forget`.

    Args:
        graph: The recorded `Graph`.
        find_masks: See `run_calls`. It is asked when a stretch is compiled.
        compiled: Boolean, whether anything is compiled.
    """

    def __init__(self, graph, find_masks=no_masks, compiled=True):
        self._graph, self._find_masks = graph, find_masks
        self._is_compiled = compiled
        self._compiled, self._cuts = {}, set()  # (start, stop) -> functions
        self._made_at = dict.fromkeys(graph.inputs, 0)
        for call in graph.calls:
            self._made_at.update(dict.fromkeys(call.outputs, call.index + 1))

    def run(self, values, start, stop):
        """Returns the values before one call, given those before an earlier one.

        Args:
            values: Dict: symbolic tensor -> value. It is not changed.
            start: Integer, the index of the call that `values` stand before.
            stop: Integer, the index of the call to run up to.

        Returns:
            Dict: symbolic tensor -> value, of all that later calls read.
        """
        if not self._is_compiled:
            values = dict(values)
            self._graph.run_between(values, start, stop, self._find_masks)
            return values
        # Wherever somebody once stopped, everybody does: nothing is compiled twice.
        self._cuts.add(stop)
        while start < stop:
            end = min(cut for cut in self._cuts if cut > start)
            values = self._run(values, start, end)
            start = end
        return values

    def cut_at(self, positions):
        """Cuts where somebody will stop, or may, before anything is run.

        To the last bit, what a stretch returns may depend on where it is cut. With the
        same cuts from the beginning it does not depend on who has stopped before, nor
        on how much fits into memory: a run that goes on where another one was killed
        returns the same.

        Args:
            positions: Iterable of integers, indices of calls.
        """
        self._cuts.update(position for position in positions if position)

    def forget(self, position):
        """Forgets what has been compiled of the calls from `position` on."""
        for start, stop in list(self._compiled):
            if stop > position:
                del self._compiled[start, stop]

    def _run(self, values, start, stop):
        functions = self._compiled.setdefault((start, stop), {})
        signature = tuple(map(_describe, values.values()))
        if signature not in functions:
            calls = self._graph.calls[start:stop]
            made = [t for t in self._live(stop) if self._made_at[t] > start]
            functions[signature] = _Function(calls, values, made, self._find_masks)
        returned = functions[signature](values)
        return {
            tensor: returned[tensor] if tensor in returned else values[tensor]
            for tensor in self._live(stop)
        }

    def _live(self, position):
        """Returns the tensors that calls from `position` on read, or that come out."""
        last_uses = self._graph.last_uses
        return [
            tensor
            for tensor, made in self._made_at.items()
            if made <= position <= last_uses.get(tensor, -1)
        ]


class _Function:
    """Compiled calls, from the values that enter to those that are read later.

    Masks of time steps, which Keras hangs on tensors, enter and come out too.
    """

    def __init__(self, calls, values, made, find_masks):
        read = dict.fromkeys(tensor for call in calls for tensor in call.inputs)
        self._entering = [tensor for tensor in read if tensor in values]
        self._masked_in = [
            t for t in self._entering if _steps_of(values[t]) is not None
        ]
        self._made, self._masked_out = made, []

        def run(*flat):
            inside = dict(zip(self._entering, flat, strict=False))
            steps = flat[len(self._entering) :]
            for tensor, mask in zip(self._masked_in, steps, strict=True):
                inside[tensor]._keras_mask = mask
            run_calls(calls, inside, find_masks)
            self._masked_out = [t for t in made if _steps_of(inside[t]) is not None]
            steps = [_steps_of(inside[tensor]) for tensor in self._masked_out]
            return [inside[tensor] for tensor in made], steps

        specs = [batch_spec(tensor, values[tensor]) for tensor in self._entering]
        for tensor in self._masked_in:
            mask = _steps_of(values[tensor])
            specs.append(
                tf.TensorSpec((specs[0].shape[0], *mask.shape[1:]), mask.dtype)
            )
        compiled = tf.function(run, autograph=False)
        self._compiled = compiled.get_concrete_function(*specs)

    def __call__(self, values):
        flat = [values[tensor] for tensor in self._entering]
        steps = [_steps_of(values[tensor]) for tensor in self._masked_in]
        returned, steps = self._compiled(*flat, *steps)
        returned = dict(zip(self._made, returned, strict=True))
        for tensor, mask in zip(self._masked_out, steps, strict=True):
            returned[tensor]._keras_mask = mask
        return returned


def is_worth_compiling(batches):
    """Returns whether there are so many batches that compiling saves time.

    Args:
        batches: List, one entry a batch.
    """
    return len(batches) > FEW_BATCHES


def batch_spec(symbolic, value):
    """Returns a `tf.TensorSpec` for batches of any size, if the model takes such.

    Args:
        symbolic: The symbolic tensor of a `Graph`.
        value: A tensor that stands for it.
    """
    shape = list(value.shape)
    if shape and symbolic.shape[0] is None:
        shape[0] = None
    return tf.TensorSpec(shape, value.dtype)


def _describe(value):
    """Returns what a function is compiled for, but for the size of the batch."""
    steps = _steps_of(value)
    return value.dtype, tuple(value.shape[1:]), steps is not None


def _steps_of(value):
    return getattr(value, "_keras_mask", None)
