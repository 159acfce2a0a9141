"""The calls of a graph from one cut to another, each stretch compiled once."""

import keras
import tensorflow as tf

from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.trace.graph import run_calls


class Segments:
    """Runs a graph from cut to cut, as one `tf.function` from each to the next.

    Keras costs more in Python, call by call, than the work of a small batch; to
    compile a stretch takes as long as to run it a few times. Weights enter a compiled
    function with every run, so that one function serves a network and a copy of it
    whose weights differ (see `on_copy`); masks are constants of it (see `forget`).

    Args:
        graph: The recorded `Graph`.
        find_masks: See `run_calls`. It is asked when a stretch is compiled.
        compiled: Boolean, whether anything is compiled.
    """

    def __init__(self, graph, find_masks=no_masks, compiled=True):
        self.graph, self._find_masks = graph, find_masks
        self._is_compiled, self._whole = compiled, None
        self._stretches, self._cuts = {}, set()
        self._made_at = dict.fromkeys(graph.inputs, 0)
        for call in graph.calls:
            self._made_at.update(dict.fromkeys(call.outputs, call.index + 1))

    def on_copy(self, graph, find_masks=no_masks):
        """Returns the `Segments` of a copy of the network, or of it with masks.

        What is compiled of this one serves the copy too, but where there are masks.

        Args:
            graph: Its `Graph`: the same calls on the same symbolic tensors, of other
                layers.
            find_masks: See `run_calls`.
        """
        copy = Segments(graph, find_masks, self._is_compiled)
        copy._whole, copy._cuts = self, self._cuts
        return copy

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
            return self._run_eagerly(values, start, stop)
        # Wherever somebody once stopped, everybody does: nothing is compiled twice.
        self._cuts.add(stop)
        while start < stop:
            end = min(cut for cut in self._cuts if cut > start)
            values = self._run(values, start, end)
            start = end
        return values

    def forget(self, position):
        """Asks `find_masks` anew for the calls from `position` on."""
        for start, stop in list(self._stretches):
            if stop > position:
                del self._stretches[start, stop]

    def _run(self, values, start, stop):
        functions, variables, masks = self._stretch(start, stop)
        signature = tuple(map(_describe, values.values()))
        if signature not in functions:
            calls = self.graph.calls[start:stop]
            made = [t for t in self._live(stop) if self._made_at[t] > start]
            functions[signature] = _Function(calls, variables, values, made, masks.get)
        returned = functions[signature](values, variables)
        return {
            tensor: returned[tensor] if tensor in returned else values[tensor]
            for tensor in self._live(stop)
        }

    def _stretch(self, start, stop):
        """Returns functions by signature, weights and masks by call of a stretch."""
        if (start, stop) not in self._stretches:
            calls, functions = self.graph.calls[start:stop], {}
            masks = {call: self._find_masks(call) for call in calls}
            if self._whole is not None and not any(masks.values()):
                functions, _, _ = self._whole._stretch(start, stop)
            self._stretches[start, stop] = functions, _find_variables(calls), masks
        return self._stretches[start, stop]

    def _run_eagerly(self, values, start, stop):
        values, last_uses = dict(values), self.graph.last_uses
        for call in self.graph.calls[start:stop]:
            run_calls([call], values, self._find_masks)
            for tensor in (*call.inputs, *call.outputs):
                if last_uses.get(tensor, -1) <= call.index:
                    values.pop(tensor, None)
        return values

    def _live(self, position):
        """Returns the tensors that calls from `position` on read, or that come out."""
        return [
            tensor
            for tensor, made in self._made_at.items()
            if made <= position <= self.graph.last_uses.get(tensor, -1)
        ]


class _Function:
    """Compiled calls, from the values that enter to those that are read later.

    Masks of time steps, which Keras hangs on tensors, enter and come out too.
    """

    def __init__(self, calls, variables, values, made, find_masks):
        read = dict.fromkeys(tensor for call in calls for tensor in call.inputs)
        self._entering = [tensor for tensor in read if tensor in values]
        self._masked_in = [
            t for t in self._entering if _steps_of(values[t]) is not None
        ]
        self._made, self._masked_out = made, []

        def run(entering, steps, weights):
            inside = dict(zip(self._entering, entering, strict=True))
            for tensor, mask in zip(self._masked_in, steps, strict=True):
                inside[tensor]._keras_mask = mask
            with keras.StatelessScope(zip(variables, weights, strict=True)):
                run_calls(calls, inside, find_masks)
            self._masked_out = [t for t in made if _steps_of(inside[t]) is not None]
            steps = [_steps_of(inside[tensor]) for tensor in self._masked_out]
            return [inside[tensor] for tensor in made], steps

        entering = [_spec(tensor, values[tensor]) for tensor in self._entering]
        steps = [_steps_of(values[tensor]) for tensor in self._masked_in]
        steps = [
            tf.TensorSpec((entering[0].shape[0], *mask.shape[1:]), mask.dtype)
            for mask in steps
        ]
        weights = [tf.TensorSpec(v.shape, v.dtype) for v in variables]
        compiled = tf.function(run, autograph=False)
        self._compiled = compiled.get_concrete_function(entering, steps, weights)

    def __call__(self, values, variables):
        entering = [values[tensor] for tensor in self._entering]
        steps = [_steps_of(values[tensor]) for tensor in self._masked_in]
        weights = [keras.ops.convert_to_tensor(variable) for variable in variables]
        returned, steps = self._compiled(entering, steps, weights)
        returned = dict(zip(self._made, returned, strict=True))
        for tensor, mask in zip(self._masked_out, steps, strict=True):
            returned[tensor]._keras_mask = mask
        return returned


def _find_variables(calls):
    """Returns the list of the weights of the layers that are called, each once."""
    layers = (c.operation for c in calls if isinstance(c.operation, keras.Layer))
    # By identity: variables cannot be keys.
    found = {id(v): v for layer in layers for v in layer.variables}
    return list(found.values())


def _describe(value):
    """Returns what a function is compiled for, but for the size of the batch."""
    steps = _steps_of(value)
    return value.dtype, tuple(value.shape[1:]), steps is not None


def _spec(symbolic, value):
    """Returns a `tf.TensorSpec` for batches of any size, if the model takes such."""
    shape = list(value.shape)
    if shape and symbolic.shape[0] is None:
        shape[0] = None
    return tf.TensorSpec(shape, value.dtype)


def _steps_of(value):
    return getattr(value, "_keras_mask", None)
