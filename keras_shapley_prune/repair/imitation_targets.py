"""What of a student is compared with the original: features, and what layers read."""

import dataclasses
import math

import keras
import numpy as np

from keras_shapley_prune.layer_types.bias_folding import find_normalization
from keras_shapley_prune.layer_types.registry import (
    find_linear_form,
    find_nearest_type,
)
from keras_shapley_prune.layer_types.unit_ids import kept


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


def pair_tensors(graph, student):
    """Returns a dict: tensor of the original -> tensor of the student.

    Args:
        graph: The recorded `Graph` of the original.
        student: That of the student.

    Raises:
        ValueError: If they do not have the same calls.
    """
    ours, theirs = ([call.name for call in g.calls] for g in (graph, student))
    if ours != theirs:
        raise ValueError(
            "Argument `pruned` should be made from `original` by `remove_channels` or "
            "`repair_channels`. Received: models with other layers, "
            f"{sorted(set(ours) ^ set(theirs))} in one of them only"
        )
    twins = graph.feed(student.inputs)
    for call, twin in zip(graph.calls, student.calls, strict=True):
        twins.update(zip(call.outputs, twin.outputs, strict=True))
    return twins


def find_features(graph, student, twins):
    """Returns the `Target`s that say most: what the last layers with a kernel read.

    Args:
        graph: The recorded `Graph` of the original.
        student: That of the student.
        twins: What `pair_tensors` returned.
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
        if not _has_old_weights(call, student.calls[call.index]):
            del choices[0]
        targets |= dict.fromkeys(next(c for c in choices if _are_whole(c, twins)))
    return [Target(tensor, twins[tensor]) for tensor in targets]


def find_reads(graph, twins, ids=None, keep=None):
    """Returns the `Target`s at all depths: what each linear layer reads.

    Args:
        graph: The recorded `Graph` of the original.
        twins: What `pair_tensors` returned.
        ids: Dict: tensor of the original -> unit of each channel, see `ChannelMap`.
        keep: Boolean array, shape `(num_units,)`, the units of the student; `None` if
            it is not known. Then what has lost channels is not compared.

    Raises:
        ValueError: If the student has other units than `keep` says.
    """
    read = dict.fromkeys(
        call.inputs[0] for call in graph.calls if find_linear_form(call.operation)
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
    return tensors and all(tensor.shape == twins[tensor].shape for tensor in tensors)


def _has_old_weights(call, twin):
    """Returns whether a layer's weights have the shapes that its twin's have."""
    shapes = [
        [tuple(weight.shape) for weight in getattr(c.operation, "weights", ())]
        for c in (call, twin)
    ]
    return shapes[0] == shapes[1]
