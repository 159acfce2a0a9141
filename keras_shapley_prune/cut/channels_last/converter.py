"""The walk that makes a model anew, its tensors in other orders of axes."""

import dataclasses
import functools

import keras

from keras_shapley_prune.cut.channels_last.changed_copies import make_anew
from keras_shapley_prune.cut.channels_last.tensor_orders import (
    TensorOrders,
    Value,
    new_input,
)
from keras_shapley_prune.cut.channels_last.wishes import find_wishes
from keras_shapley_prune.cut.layer_copies import copy_operation
from keras_shapley_prune.cut.state_copies import copy_states
from keras_shapley_prune.layer_types.layouts.orders import (
    same_order,
)
from keras_shapley_prune.layer_types.layouts.recipe import (
    Placed,
    as_before,
)
from keras_shapley_prune.layer_types.layouts.weights import with_columns
from keras_shapley_prune.layer_types.layouts.wrapped import (
    order_of_sequence,
    order_of_step,
)
from keras_shapley_prune.layer_types.stock.layouts import find_rule
from keras_shapley_prune.layer_types.stock.recreation import (
    finalize_weights,
)
from keras_shapley_prune.layer_types.stock.time_distributed import (
    find_wrapped,
    wrap_again,
)
from keras_shapley_prune.layer_types.trainable_flags import copy_flags
from keras_shapley_prune.trace.functional_models import with_layers
from keras_shapley_prune.trace.recording import can_be_inlined, record_graph


@dataclasses.dataclass(frozen=True, eq=False)
class _Nested:
    """The copy of a nested model, or of a wrapper, and how it takes its tensors."""

    model: keras.Layer
    taken: list
    returned: list


class Converter:
    """Makes a model anew, the channels of what was channels_first last.

    Each tensor is in some order, and transposed only where a call needs another one.

    Args:
        model: The `keras.Model`, with or without models in it.
        output_names: Dict: layer -> name that is to be kept for an output, where the
            output has to be transposed back.

    Attributes:
        copies: Dict: layer, raw operation or nested model -> its copy.
    """

    def __init__(self, model, output_names=None):
        self.copies = {}
        self._model = model
        self._recipes, self._models, self._wishes = {}, {}, {}
        parts = [getattr(part, "operations", ()) for part in with_layers(model)]
        names = [operation.name for part in parts for operation in part]
        self._orders = TensorOrders(self.copies, names, output_names or {})

    def convert(self):
        """Returns a functional model of the same inputs and outputs."""
        graph = record_graph(self._model, inline=False)
        given = [Value(None, same_order(len(t.shape))) for t in graph.inputs]
        inputs, values = self._run(graph, given)
        outputs = [
            self._orders.bring(value, same_order(len(value.order)), None, value.tensor)
            for value in values
        ]
        packed = keras.tree.pack_sequence_as(graph.output_structure, outputs)
        return keras.Model(inputs, packed, name=self._model.name)

    def copy_weights(self):
        """Copies weights and states: the new layers are built by now."""
        for original, copied in self.copies.items():
            if original in self._models or not isinstance(original, keras.Layer):
                continue
            copy_states(original, copied)
        for original, copied, turn in self.pair_weights():
            copied.assign(turn(keras.ops.convert_to_numpy(original)))
        for copied in self.copies.values():
            for layer in getattr(copied, "_flatten_layers", list)():
                finalize_weights(layer)

    def pair_weights(self):
        """Lists the weights of the model.

        Returns:
            List of tuples: a weight, that of the copy, and a callable `fn(value)` that
            brings an array of the one's shape to the other's.
        """
        found = []
        for original, recipe in self._recipes.items():
            weights = getattr(original, "weights", ())
            copies = getattr(self.copies[original], "weights", ())
            for weight, copied in zip(weights, copies, strict=True):
                turn = functools.partial(recipe.weights or _as_it_is, weight.name)
                found.append((weight, copied, turn))
        return found

    def copy_trainable_flags(self):
        """Sets the flags of models, of their layers, and of all within those."""
        # An inner model is finished before the one around it.
        nested = [one for one in reversed(self.copies) if one in self._models]
        others = [original for original in self.copies if original not in self._models]
        copy_flags([(original, self.copies[original]) for original in nested + others])

    def _run(self, graph, given):
        """Makes the calls of a graph anew.

        Args:
            graph: A `Graph` whose nested models are single calls.
            given: List of `Value`: the order in which each input comes.

        Returns:
            Tuple: the new (nested) inputs, and the list of the `Value`s of the
            outputs.
        """
        inputs = [new_input(t, v) for t, v in zip(graph.inputs, given, strict=True)]
        values = {
            tensor: dataclasses.replace(value, tensor=new)
            for tensor, new, value in zip(graph.inputs, inputs, given, strict=True)
        }
        self._wishes |= find_wishes(graph)
        for call in graph.calls:
            read = [values[tensor] for tensor in call.inputs]
            inner = find_wrapped(call.operation) or call.operation
            if can_be_inlined(inner, call.args, call.kwargs):
                returned = self._call_model(call, read)
            else:
                returned = self._call(call, read)
            values.update(zip(call.outputs, returned, strict=True))
        structure = keras.tree.pack_sequence_as(graph.input_structure, inputs)
        return structure, [values[tensor] for tensor in graph.outputs]

    def _call(self, call, read):
        """Makes one call anew; returns the list of the `Value`s of its outputs."""
        placed = [
            Placed(tuple(tensor.shape), value.order, value.rows)
            for tensor, value in zip(call.inputs, read, strict=True)
        ]
        recipe, copied = self._prepare(call, placed)
        tensors = [
            self._orders.bring(value, recipe.orders[place], recipe.rows_of(place))
            for place, value in enumerate(read)
        ]
        if recipe.is_free:
            return [Value(tensors[0], recipe.outputs(len(recipe.orders[0])))]
        if recipe.function is not None:
            returned = self._orders.own_name(recipe.function(*tensors))
        else:
            args, kwargs = call.fill_in(tensors)
            if recipe.arguments is not None:
                args, kwargs = recipe.arguments(args, kwargs)
            returned = copied(*args, **kwargs)
        for function in recipe.after:
            returned = self._orders.own_name(function(returned))
        return [
            Value(tensor, recipe.outputs(len(tensor.shape)), recipe.rows_out)
            for tensor in keras.tree.flatten(returned)
        ]

    def _prepare(self, call, placed):
        """Returns the `Recipe` of a call, and the copy of what it calls."""
        operation = call.operation
        is_layer = isinstance(operation, keras.Layer)
        known = self._recipes.get(operation) if is_layer else None
        # A layer that has been changed is so in all its calls.
        recipe = known
        if known is None or not (known.changes_layer or operation.weights):
            recipe = find_rule(operation)(call, placed) or as_before(placed)
            if call.outputs[0] in self._wishes:
                recipe = with_columns(recipe, self._wishes[call.outputs[0]])
        if recipe.is_free or recipe.function is not None:
            return recipe, None
        if known is None:
            try:
                copied = make_anew(operation, recipe.config)
            except Exception:  # such as a subclass that takes no other setting
                recipe = as_before(placed)
                copied = copy_operation(operation, {})
            self._recipes[operation] = recipe
            self.copies[operation] = copied
        if len(recipe.orders) != len(placed) or any(
            len(order) != value.rank
            for order, value in zip(recipe.orders, placed, strict=True)
        ):
            if recipe.changes_layer:
                raise ValueError(
                    f"Expected layer {operation.name!r} to read tensors of the same "
                    "rank in all its calls, as its data_format is changed"
                )
            recipe = as_before(placed)
        return recipe, self.copies[operation]

    def _call_model(self, call, read):
        """Makes a call of a nested model, or of one at every time step, anew."""
        model, wrapped = call.operation, find_wrapped(call.operation)
        if wrapped is None:
            nested = self._copy_model(model, read)
        else:
            nested = self._wrap_model(model, wrapped, read)
        tensors = [
            self._orders.bring(value, first.order, first.rows)
            for value, first in zip(read, nested.taken, strict=True)
        ]
        training = call.kwargs.get("training")
        options = {} if training is None else {"training": training}
        packed = keras.tree.pack_sequence_as(call.args[0], tensors)
        returned = keras.tree.flatten(nested.model(packed, **options))
        values = [
            dataclasses.replace(value, tensor=tensor)
            for value, tensor in zip(nested.returned, returned, strict=True)
        ]
        if wrapped is None:
            return values
        # Rules that know of rows are those of examples, not of sequences.
        return [Value(self._orders.bring(v, v.order, None), v.order) for v in values]

    def _copy_model(self, original, read):
        """Returns the `_Nested` of a model, which is made anew at its first call."""
        if original not in self._models:
            graph = record_graph(original, inline=False)
            inputs, values = self._run(graph, read)
            outputs = [value.tensor for value in values]
            packed = keras.tree.pack_sequence_as(graph.output_structure, outputs)
            model = keras.Model(inputs, packed, name=original.name)
            self._models[original] = _Nested(model, read, values)
            self.copies[original] = model
        return self._models[original]

    def _wrap_model(self, wrapper, original, read):
        """Returns the `_Nested` of a wrapper: its tensors have an axis of time."""
        if wrapper not in self._models:
            steps = [Value(None, order_of_step(value.order)) for value in read]
            nested = self._copy_model(original, steps)
            ends = [
                [Value(None, order_of_sequence(v.order), v.rows) for v in values]
                for values in (nested.taken, nested.returned)
            ]
            copied = wrap_again(wrapper, nested.model)
            self._models[wrapper] = _Nested(copied, *ends)
            self.copies[wrapper] = copied
        return self._models[wrapper]


def _as_it_is(name, value):
    return value
