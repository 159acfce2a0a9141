"""What of a student is compared with the original: features, and what layers read."""

import dataclasses
import math

import keras
import numpy as np

from keras_shapley_prune.layer_types.bias_folding import find_normalization
from keras_shapley_prune.layer_types.registry import (
    find_linear_form,
    find_nearest_type,
    sums_inputs,
)
from keras_shapley_prune.layer_types.unit_ids import kept
from keras_shapley_prune.trace.pairing import pair_calls


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A tensor of the original that a student should have too.

    Attributes:
        tensor: The original's symbolic tensor.
        twin: The student's.
        channels: Integer array, which channels of `tensor` those of `twin` are, or
            `None` for all.
    """

    tensor: keras.KerasTensor
    twin: keras.KerasTensor
    channels: np.ndarray | None = None


def pair_graphs(graph, student, absent=frozenset()):
    """Returns what of the student stands for what of the original.

    Where a block has been removed, what comes out of its addition is what enters it.

    Args:
        graph: The recorded `Graph` of the original.
        student: That of the student.
        absent: Frozenset of the indices of calls that have gone with blocks, as far as
            they are known.

    Returns:
        Tuple of a dict: call of the original -> that of the student; and of a dict:
        tensor of the original -> tensor of the student.

    Raises:
        ValueError: If they do not have the same calls.
    """
    there = [call for call in graph.calls if call.index not in absent]
    pairs = pair_calls(there, student.calls)
    twins = graph.feed(student.inputs)
    calls = {} if pairs is None else {ours: theirs for theirs, ours in pairs.items()}
    for call in graph.calls:
        if call in calls:
            twins.update(zip(call.outputs, calls[call].outputs, strict=True))
        elif sums_inputs(call.operation) and call.index not in absent:
            known = [twins[tensor] for tensor in call.inputs if tensor in twins]
            if len(known) == 1:
                twins[call.outputs[0]] = known[0]
    if pairs is None or any(tensor not in twins for tensor in graph.outputs):
        ours, theirs = ({call.name for call in g.calls} for g in (graph, student))
        raise ValueError(
            "Argument `pruned` should be made from `original` by `remove_channels` or "
            "`repair_channels`. Received: models with other layers, "
            f"{sorted(ours ^ theirs)} in one of them only"
        )
    return calls, twins


def find_features(graph, calls, twins):
    """Returns the `Target`s that say most: what the last layers with a kernel read.

    Args:
        graph: The recorded `Graph` of the original.
        calls: Dict: call of the original -> that of the student, see `pair_graphs`.
        twins: Dict: tensor of the original -> that of the student.
    """
    targets = {}
    # They say more than the outputs, a few numbers an example, and so does a tensor
    # before it is pooled.
    for call in last_kernels(graph):
        read = [_before_pooling(graph, tensor) for tensor in call.inputs]
        read = [tensor for tensor in read if tensor not in graph.inputs]
        returned = (find_normalization(graph, call) or call).outputs
        # Where they have lost channels, the last layer has been refitted to those that
        # are kept, and does not get its old weights back. Then what such a layer
        # returns, and at last the outputs, which nothing removes.
        choices = [read, returned, graph.outputs]
        # The same where it has lost units within, such as heads of attention.
        if call not in calls:  # it has gone with a block
            choices = [graph.outputs]
        elif not _has_old_weights(call, calls[call]):
            del choices[0]
        targets |= dict.fromkeys(next(c for c in choices if _are_whole(c, twins)))
    return [Target(tensor, twins[tensor]) for tensor in targets]


def find_reads(graph, calls, twins, ids=None, keep=None):
    """Returns the `Target`s at all depths: what each linear layer reads.

    Args:
        graph: The recorded `Graph` of the original.
        calls: See `find_features`. What reads the same in both is compared.
        twins: See `find_features`.
        ids: Dict: tensor of the original -> unit of each channel, see `ChannelMap`.
        keep: Boolean array, shape `(num_units,)`, the units of the student; `None` if
            it is not known. Then what has lost channels is not compared.

    Raises:
        ValueError: If the student has other units than `keep` says.
    """
    read = dict.fromkeys(
        call.inputs[0] for call in calls if find_linear_form(call.operation)
    )
    targets = [
        _match(tensor, twins[tensor], ids, keep)
        for tensor in read
        if tensor not in graph.inputs and keras.backend.is_float_dtype(tensor.dtype)
    ]
    return [target for target in targets if target is not None]


def last_kernels(graph):
    """Returns the calls of layers with a kernel that come last before the outputs."""
    found, pending = {}, list(graph.outputs)
    while pending:
        call = graph.producers.get(pending.pop())
        if call is None:
            continue
        if find_nearest_type(call.operation).kernels(call.operation):
            found[call] = None
        else:
            pending.extend(call.inputs)
    return sorted(found, key=lambda call: call.index)


def _match(tensor, twin, ids, keep):
    """Returns the `Target` of a tensor, `None` if its channels are not known."""
    if keep is None:
        return Target(tensor, twin) if tensor.shape == twin.shape else None
    mask = kept(keep, ids[tensor])
    if np.count_nonzero(mask) != twin.shape[-1]:
        raise ValueError(
            "Argument `keep` should say which units `pruned` has. Received: an array "
            f"that keeps {np.count_nonzero(mask)} of the {len(mask)} channels of "
            f"{tensor.name!r}, and a model that has {twin.shape[-1]}"
        )
    # Positions may be removed too, as behind a transposition.
    if not mask.any() or tensor.shape[1:-1] != twin.shape[1:-1]:
        return None
    return Target(tensor, twin, None if mask.all() else np.flatnonzero(mask))


def _before_pooling(graph, tensor):
    """Returns what a tensor is pooled (or flattened) from, or the tensor itself."""
    producers, largest = graph.producers, tensor
    call = producers.get(tensor)
    # Only through what computes from this tensor alone and learns nothing, such as
    # pooling, `Flatten` and `Dropout`.
    while call and len(call.inputs) == 1 and not getattr(call.operation, "weights", ()):
        (tensor,) = call.inputs
        if _size(tensor) > _size(largest):
            largest = tensor
        call = producers.get(tensor)
    return largest


def _size(tensor):
    return len(tensor.shape), math.prod(length or 1 for length in tensor.shape[1:])


def _are_whole(tensors, twins):
    pairs = [(tensor, twins.get(tensor)) for tensor in tensors]
    return tensors and all(b is not None and a.shape == b.shape for a, b in pairs)


def _has_old_weights(call, twin):
    """Returns whether a layer's weights have the shapes that its twin's have."""
    shapes = [
        [tuple(weight.shape) for weight in getattr(c.operation, "weights", ())]
        for c in (call, twin)
    ]
    return shapes[0] == shapes[1]
