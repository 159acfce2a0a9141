"""The check that a layer's copy computes what the layer does, before anything is cut.

Layers are re-created from their configs. A user's class may leave an entry out of its
config, or keep something that was set after the layer was made.
"""

import dataclasses

import keras

from keras_shapley_prune.cut.layer_copies import (
    copy_operation,
    copy_weights,
    is_stock,
)
from keras_shapley_prune.cut.state_copies import copy_states
from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.masked_calls import for_inference, run_masked
from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.layer_types.trial.quiet_runs import no_side_effects
from keras_shapley_prune.trace.agreement import describe_difference


class CopyCheck:
    """Compares what layers return with what their copies do, each layer once.

    Keras's own layers are known to be re-created as they were, and are passed over. A
    copy draws the same random numbers, as it starts from the same seed.

    Args:
        tolerance: Float, see `describe_difference`.
    """

    def __init__(self, tolerance):
        self._tolerance, self._done = tolerance, set()

    def __call__(self, call, inputs, outputs):
        """Compares the copy of what a call calls.

        Args:
            call: A `Call`, which returns the same in every run.
            inputs: List of tensors, what it reads.
            outputs: List of tensors, what it returns in inference.

        Raises:
            ValueError: If the copy returns something else; the message names the layer.
        """
        operation = call.operation
        if not isinstance(innermost(operation), keras.Layer) or is_stock(operation):
            return
        if operation in self._done:
            return
        self._done.add(operation)
        copied = copy_operation(operation, {})
        with no_side_effects(innermost(copied)):
            fault = self._compare(call, copied, inputs, outputs)
        if fault is not None:
            raise ValueError(
                "Expected a model whose layers compute the same when they are "
                "re-created from their configs. Received: layer "
                f"{operation.name!r} (of type {type(operation)}), whose copy "
                f"{fault}. Its `get_config` should return all that its constructor "
                "takes, and what is set later has to be among that, in a weight, or "
                "in what `save_own_variables` stores"
            )

    def _compare(self, call, copied, inputs, outputs):
        """Returns what is wrong with a copy, or `None`."""
        args, kwargs = call.fill_in(inputs)
        try:
            with no_side_effects():
                copied(*args, **for_inference(copied, kwargs))  # which builds it
        except Exception as error:
            return f"cannot be called: {first_line(error)}"
        try:
            copy_weights(call.operation, copied, {})
        except Exception as error:
            return f"has other weights: {first_line(error)}"
        copy_states(call.operation, copied)
        twin = dataclasses.replace(call, operation=copied)
        returned = run_masked(twin, inputs, {})
        difference = describe_difference(outputs, returned, self._tolerance)
        return difference and f"returns {difference}"
