"""What each layer of a model costs: parameters and FLOPs."""

import keras

from keras_shapley_prune.inputs.short_text import shorten
from keras_shapley_prune.plan.flops import count_call_flops

_NAME_WIDTH = 33  # so that a row is at most 80 characters wide
_ROW = "{:{width}}  {:>6}  {:>12}  {:>15}  {:>6}"


def format_costs(model, channel_map):
    """Returns a table of the layers of a model that have weights or FLOPs.

    Args:
        model: The `keras.Model`.
        channel_map: Its `ChannelMap`.

    Returns:
        String. FLOPs that depend on sizes that are not known are `"?"`.
    """
    graph = channel_map.graph.sized
    units, costs = channel_map.count_produced(), {}
    for call in graph.calls:
        name, flops = graph.name_of(call.operation), count_call_flops(call)
        weights = getattr(call.operation, "weights", ())
        parameters, before = costs.get(name, (None, 0))
        if parameters is None:  # a layer that is called twice has its weights once
            parameters = sum(keras.ops.size(weight) for weight in weights)
        costs[name] = parameters, _add(before, flops)
    rows = [
        (shorten(name, _NAME_WIDTH, "..."), units.get(name, ""), *cost)
        for name, cost in costs.items()
        if cost != (0, 0)
    ]
    total = None if any(row[-1] is None for row in rows) else sum(r[-1] for r in rows)
    rows.append(("total", "", model.count_params(), total))
    width = max(len(row[0]) for row in rows)
    heads = "layer", "units", "parameters", "FLOPs", ""
    lines = [_ROW.format(*heads, width=width)]
    for name, count, *cost in rows:
        texts = ["?" if number is None else f"{number:,}" for number in cost]
        share = f"{cost[-1] / total:.1%}" if total else ""
        lines.append(_ROW.format(name, count, *texts, share, width=width))
    return "\n".join(line.rstrip() for line in lines)


def _add(before, flops):
    return None if before is None or flops is None else before + flops
