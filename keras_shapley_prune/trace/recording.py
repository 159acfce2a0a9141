"""Records the graph of a model, and of the models that are nested in it."""

import inspect

import keras

from keras_shapley_prune.layer_types.masked_calls import takes_training
from keras_shapley_prune.layer_types.stepwise.folding import as_constant, fold
from keras_shapley_prune.layer_types.stepwise.layer import at_steps
from keras_shapley_prune.layer_types.stock.time_distributed import find_wrapped
from keras_shapley_prune.trace.functional_models import (
    new_inputs,
    runs_its_graph,
    view_to_clone,
)
from keras_shapley_prune.trace.graph import Call, Graph, NestedCall, is_symbolic


def record_graph(model, unwrap=True, inline=True, checked=True):
    """Records every call of a functional or Sequential model.

    The recording runs Keras's own traversal (`keras.models.clone_model`) over
    stand-ins for the operations, so no layer of `model` is called or changed. The
    calls within nested models are recorded in the place of the calls of these models.

    Args:
        model: A built Sequential or functional `keras.Model`.
        unwrap: Boolean, whether a wrapper that does a layer, or a model, at every time
            step is recorded as a `Stepwise` of that layer, or of each in that model.
        inline: Boolean. If it is false, a call of a nested model is one call, and so is
            that of a wrapper.
        checked: See `functional_view`.

    Returns:
        A `Graph`.

    Raises:
        ValueError: If the model has no graph, or takes sparse or ragged inputs.
    """
    # `clone_model` takes a `call_function` for functional models only.
    view, recorder = view_to_clone(model, checked), _Recorder(unwrap, inline)
    _check_inputs(view)
    recorded = keras.models.clone_model(
        view,
        input_tensors=new_inputs(view.input),
        clone_function=recorder.stand_in,
        call_function=recorder.record,
    )
    return Graph(
        inputs=tuple(recorded.inputs),
        outputs=tuple(recorded.outputs),
        calls=tuple(recorder.calls),
        input_structure=recorded.input,
        output_structure=recorded.output,
        nested=tuple(recorder.nested),
        returned=recorder.returned,
    )


class _Recorder:
    """Notes the calls of stand-ins."""

    def __init__(self, unwrap=True, inline=True):
        # A wrapped layer is put in its place as a nested model's layers are.
        self._unwraps, self._inlines = unwrap and inline, inline
        self.calls, self.nested, self.returned = [], [], {}
        self._num_recorded = 0
        self._stand_ins, self._graphs = {}, {}

    def stand_in(self, operation):
        """Returns what takes the place of an operation, one for all its calls."""
        if operation not in self._stand_ins:
            self._stand_ins[operation] = _StandIn(operation)
        return self._stand_ins[operation]

    def record(self, stand_in, *args, **kwargs):
        """Records a call of an operation or of a nested model; returns its outputs."""
        node = (None, self._num_recorded)
        self._num_recorded += 1
        returned = self._record(stand_in.operation, args, kwargs, node)
        self.returned[node] = [tuple(keras.tree.flatten(returned))]
        return returned

    def _record(self, operation, args, kwargs, node):
        # The call will be run again as it is recorded here, see `run_calls`.
        if "training" in kwargs and not takes_training(operation):
            kwargs = {name: v for name, v in kwargs.items() if name != "training"}
        if self._inlines and can_be_inlined(operation, args, kwargs):
            graph = self._graph_of(operation)
            training = kwargs.get("training")
            return self._inline(graph, args[0], training, operation)
        step = self._record_step(operation, args, kwargs) if self._unwraps else None
        if step is not None:
            given = [args[0], kwargs.get("mask")][: len(step.inputs)]
            return self._inline(step, given, kwargs.get("training"), operation)
        return self._append(operation, operation.name, args, kwargs, node)

    def _graph_of(self, model):
        """Returns the `Graph` of a nested model, recorded once, by itself."""
        if model not in self._graphs:
            self._graphs[model] = record_graph(model, self._unwraps)
        return self._graphs[model]

    def _record_step(self, wrapper, args, kwargs):
        """Returns the `Graph` of one time step of a wrapper, or `None`."""
        wrapped, mask = find_wrapped(wrapper), kwargs.get("mask")
        others = set(kwargs) - {"training", "mask"}
        if wrapped is None or len(args) != 1 or others:
            return None
        is_model = runs_its_graph(wrapped)
        if is_model and mask is None:
            graph = self._graph_of(wrapped)
        elif isinstance(wrapped, keras.Model):
            return None  # a mask goes to its layers, which its graph does not say
        else:
            try:
                graph = _record_single(wrapped, *fold([args[0], mask]))
            except Exception:  # of a layer that can do all steps, but not one
                return None
        shapes = [x.shape for call in graph.calls for x in call.outputs]
        # What has no axis of examples is not done for each by itself.
        alone = all(shape and shape[0] is None for shape in shapes)
        single = len(graph.inputs) <= 2 - is_model and len(graph.outputs) == 1
        return graph if alone and single and graph.calls else None

    def _append(self, operation, name, args, kwargs, node=()):
        """Records one call of an operation; returns its symbolic outputs."""
        returned = self.stand_in(operation)(*args, **kwargs)
        # Constants are kept in `args` and `kwargs`; a call reads tensors.
        inputs = [x for x in keras.tree.flatten((args, kwargs)) if is_symbolic(x)]
        self.calls.append(
            Call(
                index=len(self.calls),
                operation=operation,
                args=args,
                kwargs=kwargs,
                inputs=tuple(inputs),
                outputs=tuple(keras.tree.flatten(returned)),
                name=name,
                node=node,
            )
        )
        return returned

    def _inline(self, graph, inputs, training, owner):
        """Records the calls within a nested model, or within a wrapper.

        The model is recorded once, by itself; each of its calls copies that recording,
        with other tensors and with its own name before those of the layers.

        Args:
            graph: The `Graph` that was recorded of the model, or of a time step.
            inputs: Symbolic tensors, what it reads here.
            training: What the owner is told, or `None`.
            owner: The model, or the wrapper, of which each operation is done at every
                step.
        """
        steps, model = not isinstance(owner, keras.Model), find_wrapped(owner) or owner
        # Translates the tensors of the model's own recording into those of this call.
        values = {
            inner: self._cast(tensor, inner.dtype, f"{owner.name}/cast")
            for inner, tensor in graph.feed(inputs).items()
        }
        place = len(self.nested)  # before those of the models within this one
        for call in graph.calls:
            args, kwargs = call.fill_in(call.read(values))
            # As in Keras, what the outer call says wins over the inner default.
            if training is not None and takes_training(call.operation):
                kwargs = {**kwargs, "training": training}
            operation, name = call.operation, f"{owner.name}/{call.name}"
            if steps:
                operation = at_steps(operation)
                args, kwargs = keras.tree.map_structure(as_constant, (args, kwargs))
                name = name if isinstance(model, keras.Model) else owner.name
            own = _node_in(call.node, model)
            returned = self._append(operation, name, args, kwargs, own)
            values.update(zip(call.outputs, keras.tree.flatten(returned), strict=True))
        for node, several in graph.returned.items():
            translated = [tuple(values[x] for x in tensors) for tensors in several]
            self.returned.setdefault(_node_in(node, model), []).extend(translated)
        outermost = [NestedCall(model, graph.inputs, graph.outputs)]
        if not isinstance(model, keras.Model):
            outermost = []
        # The models within it have been recorded with it: translated in the same way.
        self.nested[place:] = [
            NestedCall(
                nested.model,
                tuple(values[tensor] for tensor in nested.inputs),
                tuple(values[tensor] for tensor in nested.outputs),
            )
            for nested in (*outermost, *graph.nested)
        ]
        return graph.collect(values)

    def _cast(self, tensor, dtype, name):
        """Records the cast with which a model takes inputs of another type."""
        if tensor.dtype == dtype:
            return tensor
        inputs = new_inputs(tensor)
        # Keras makes the operation of `keras.ops.cast` only within a graph.
        operation = keras.Model(inputs, keras.ops.cast(inputs, dtype)).operations[-1]
        return self._append(operation, name, (tensor,), {})


class _StandIn(keras.Operation):
    """Takes the place of an operation while its calls are recorded.

    Its name is its own: those of operations in different models may be the same.
    """

    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def compute_output_spec(self, *args, **kwargs):
        return self.operation.compute_output_spec(*args, **kwargs)


def can_be_inlined(operation, args, kwargs):
    """Returns whether a call does what the graph of a nested model says.

    Other arguments, such as a mask of time steps, are not in that graph.
    """
    others = [value for name, value in kwargs.items() if name != "training"]
    given = [leaf for leaf in keras.tree.flatten(others) if leaf is not None]
    return runs_its_graph(operation) and len(args) == 1 and not given


def _node_in(node, model):
    """Returns the node of a call that was recorded as one of the outermost model."""
    # A cast at the border of a model is none of its calls.
    return (model, *node[1:]) if node and node[0] is None else node


def _record_single(layer, inputs, mask):
    """Returns the `Graph` of one call of a layer, `None` for an input being left out.

    Args:
        layer: The layer. It is not called.
        inputs: Symbolic tensor, what it reads.
        mask: Symbolic tensor, a mask of time steps, or `None`.
    """
    recorder, takes = _Recorder(), inspect.signature(layer.call).parameters
    tensors = [x for x in (inputs, mask if "mask" in takes else None) if x is not None]
    fresh = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in tensors]
    options = {"mask": fresh[1]} if len(fresh) > 1 else {}
    returned = recorder.record(recorder.stand_in(layer), fresh[0], **options)
    return Graph(
        inputs=tuple(fresh),
        outputs=tuple(keras.tree.flatten(returned)),
        calls=tuple(recorder.calls),
        input_structure=fresh,
        output_structure=returned,
        nested=tuple(recorder.nested),
        returned=recorder.returned,
    )


def _check_inputs(model):
    for tensor in model.inputs:
        for kind in ("sparse", "ragged"):
            if getattr(tensor, kind, False):
                raise ValueError(
                    "Argument `model` should be a model of dense inputs. Received: "
                    f"input {tensor.name!r}, which is {kind}"
                )
