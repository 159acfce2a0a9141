"""What takes the place of one layer: a functional model, or a layer of Keras."""

import keras

from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.masked_calls import takes_training
from keras_shapley_prune.layer_types.stock.dropped_units import find_dropout
from keras_shapley_prune.layer_types.stock.marked_sizes import (
    MarkedSizeError,
    MarkedSizes,
)
from keras_shapley_prune.layer_types.trainable_flags import take_own_flag
from keras_shapley_prune.trace.expansion.equivalence import (
    find_assigned,
    find_difference,
    find_read,
)
from keras_shapley_prune.trace.expansion.known_parents import find_equal_parent
from keras_shapley_prune.trace.expansion.marks import choose_marks, fix_sizes
from keras_shapley_prune.trace.expansion.own_values import HeldWeights, own_variables
from keras_shapley_prune.trace.expansion.tracing import (
    LeftWholeError,
    NoGraphError,
    describe_calls,
    run_call,
)
from keras_shapley_prune.trace.functional_models import new_inputs
from keras_shapley_prune.trace.graph import is_symbolic


class FormMaker:
    """Finds what computes the same as a layer, in parts that pruning knows.

    Args:
        expand: Callable `fn(model)` that returns a functional model in which the layers
            of another one are replaced too.
    """

    def __init__(self, expand):
        self._expand, self._held = expand, HeldWeights()

    def make(self, layer, args, kwargs):
        """Returns what takes the place of a layer, and what of its training is lost.

        Args:
            layer: A `keras.Layer` or `keras.Model`.
            args: Tuple, what it is called with, symbolic tensors among it.
            kwargs: Dict, the same by name, without `training`.

        Returns:
            Tuple of a functional model of the list of what it reads, or a layer that is
            called as this one is; and a string, or `None` if nothing is lost.

        Raises:
            LeftWholeError: If nothing can.
        """
        dropout = _find_dropout(layer, args, kwargs)
        if dropout is not None:
            return dropout, None
        parent = find_equal_parent(layer, args, kwargs)
        if parent is not None:
            return parent, None
        if own_variables(layer):
            changed = find_assigned(layer, args, kwargs)
            if changed:
                raise LeftWholeError(f"changes weights when it is called: {changed}")
        reasons, found = [], []
        for marks in (None, *choose_marks(layer, args, kwargs)):
            try:
                form = _Form(self._expand, self._held, layer, args, kwargs, marks).run()
            except NoGraphError:
                raise
            except LeftWholeError as reason:
                reasons.append(reason)
                continue
            if form[1] is None:
                return form
            found.append(form)  # a layer may train otherwise by sizes that are open
        if found:
            return found[-1]
        # With the number of examples known, what is wrong shows best.
        raise reasons[min(1, len(reasons) - 1)]


class _Form:
    """One attempt, with sizes that are open marked by primes, or as they are."""

    def __init__(self, expand, held, layer, args, kwargs, marks):
        self._expand, self._held, self._marks = expand, held, marks
        self._layer, self._args, self._kwargs = layer, args, kwargs

    def run(self):
        """Returns what `FormMaker.make` returns."""
        if not takes_training(self._layer):
            traced = self._trace({})
            return self._check(traced.model), None
        # The network around the layer decides on `training`, whatever its default is.
        traced = self._trace({"training": None})
        try:
            trained, lost = self._trace({"training": True}), "does more in training"
        except LeftWholeError as reason:
            trained, lost = None, f"in training it {reason}"
        if trained is not None and not trained.draws:
            if self._describe(trained) == self._describe(traced):
                return self._check(traced.model), None
            # It may differ by layers that do nothing in inference.
            try:
                return self._check(_forget_training(trained.model)), None
            except LeftWholeError:
                pass
        return self._check(traced.model), lost

    def _trace(self, mode):
        fix = self._marks and (lambda tensors: fix_sizes(tensors, self._marks))
        kwargs = self._kwargs | mode
        traced = run_call(self._layer, self._args, kwargs, self._held, fix)
        if traced.draws and mode.get("training") is None:
            raise LeftWholeError("draws random numbers in inference")
        return traced

    def _describe(self, traced):
        return describe_calls(traced.model, self._layer)

    def _check(self, model):
        """Returns the expanded form of a traced model, if it is right."""
        if self._marks:
            read = keras.tree.flatten((self._args, self._kwargs))
            model = _free(model, self._marks, [x for x in read if is_symbolic(x)])
        expanded = self._expand(model)
        take_own_flag(self._layer, expanded)
        layer, args, kwargs = self._layer, self._args, self._kwargs
        difference = find_difference(layer, expanded, args, kwargs)
        if difference:
            raise LeftWholeError(f"as a functional model {difference}")
        known = {id(weight) for weight in model.weights}
        unread = [weight for weight in layer.weights if id(weight) not in known]
        read = find_read(layer, unread, args, kwargs)
        if read:
            raise LeftWholeError(f"reads weights that no layer returns: {read}")
        return expanded


def _free(model, marks, read):
    """Returns a model that was traced with marks, with the sizes left open again."""
    inputs = new_inputs(read)
    sizes = MarkedSizes(marks, inputs)
    try:
        return keras.models.clone_model(
            model,
            input_tensors=inputs,
            clone_function=lambda operation: operation,
            call_function=sizes.call,
        )
    except MarkedSizeError as reason:
        raise LeftWholeError(str(reason)) from reason
    except Exception as error:
        reason = f"cannot be run on open sizes: {first_line(error)}"
        raise LeftWholeError(reason) from error


def _forget_training(model):
    """Returns a model whose layers are told by those around it whether they train."""

    def call(operation, *args, **kwargs):
        kwargs = {name: v for name, v in kwargs.items() if name != "training"}
        return operation(*args, **kwargs)

    return keras.models.clone_model(
        model,
        input_tensors=new_inputs(model.input),
        clone_function=lambda operation: operation,
        call_function=call,
    )


def _find_dropout(layer, args, kwargs):
    """Returns the dropout that a layer is, or `None`."""
    leaves = keras.tree.flatten((args, kwargs))
    if not takes_training(layer) or layer.weights or isinstance(layer, keras.Model):
        return None
    if len(leaves) != 1 or not is_symbolic(leaves[0]) or not args:
        return None
    if not keras.backend.is_float_dtype(leaves[0].dtype) or len(leaves[0].shape) < 2:
        return None
    try:
        return find_dropout(layer, leaves[0].shape)
    except Exception:  # whatever its code does with what is not like its data
        return None
