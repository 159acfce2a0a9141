"""Which calls of a model are drawn as one box: blocks, and layers with what follows."""

import dataclasses

_MOST_PRODUCERS = 12  # in one box: what branches for longer is drawn as it is


@dataclasses.dataclass(eq=False)
class Box:
    """Calls that are drawn as one.

    Attributes:
        calls: List of `Call`, in the order of the graph.
        is_block: Boolean, whether there are branches among them.
    """

    calls: list
    is_block: bool = False


def find_boxes(graph, colors):
    """Divides the calls of a graph into boxes.

    Args:
        graph: The recorded `Graph`.
        colors: The `ChannelColors` of its groups.

    Returns:
        List of `Box`, in the order of the graph.
    """
    readers = _count_readers(graph)
    boxes, box_of = [], {}  # tensor -> the box that it comes from
    for calls in _find_segments(graph):
        producers = sum(len(colors.produced_by(c.operation)) > 0 for c in calls)
        if len(calls) > 1 and producers <= _MOST_PRODUCERS:
            found = [Box(calls, is_block=True)]
        else:
            found = [Box([call]) for call in calls]
        for box in found:
            first = box.calls[0]
            before = box_of.get(first.inputs[0]) if len(first.inputs) == 1 else None
            if (
                before is not None
                and not box.is_block
                and readers[first.inputs[0]] == 1
                and not _has_units_of_its_own(first, colors)
            ):
                before.calls += box.calls
                box = before
            else:
                boxes.append(box)
            for call in box.calls:
                box_of.update(dict.fromkeys(call.outputs, box))
    return boxes


def _find_segments(graph):
    """Yields lists of calls, between places where one tensor is all that is needed."""
    last_read = {tensor: len(graph.calls) for tensor in graph.outputs}
    for call in reversed(graph.calls):
        for tensor in call.inputs:
            last_read.setdefault(tensor, call.index)
    alive, segment = set(graph.inputs), []
    for call in graph.calls:
        segment.append(call)
        alive |= set(call.outputs)
        alive = {t for t in alive if last_read.get(t, -1) > call.index}
        if len(alive) == 1:
            yield segment
            segment = []
    if segment:
        yield segment


def _count_readers(graph):
    """Returns a dict: tensor -> how often it is read, also as an output."""
    counts = {}
    reads = [call.inputs for call in graph.calls] + [graph.outputs]
    for tensor in (tensor for tensors in reads for tensor in tensors):
        counts[tensor] = counts.get(tensor, 0) + 1
    return counts


def _has_units_of_its_own(call, colors):
    """Returns whether a call makes other units than those that it reads."""
    if not len(colors.produced_by(call.operation)):
        return False
    before = {
        group for t in call.inputs for group in colors.groups_of(colors.ids_in(t))
    }
    after = {g for t in call.outputs for g in colors.groups_of(colors.ids_in(t))}
    return not after or after != before
