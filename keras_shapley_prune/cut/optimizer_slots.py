"""Takes the state of an optimizer over to a pruned model."""

import functools

import keras

from keras_shapley_prune.cut.layer_copies import cut_weight
from keras_shapley_prune.layer_types.unit_ids import kept
from keras_shapley_prune.trace.recording import record_graph


def check_optimizer(model, graph):
    """Raises an error unless the optimizer's state can be taken over.

    Args:
        model: A `keras.Model`.
        graph: Its recorded `Graph`.

    Raises:
        ValueError: If `model` is not compiled with an optimizer, that has a state that
            is not of the weights' shapes, or one of weights that are not the model's.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        raise ValueError(
            "Argument `keep_optimizer` should be False unless the model is compiled. "
            f"Received: keep_optimizer=True and model {model.name!r}, which is not"
        )
    known = {id(weight) for layer in _layers(graph) for weight in layer.weights}
    for part in _parts(optimizer):
        unknown = [v.path for v in _variables(part) if id(v) not in known]
        if unknown:
            raise ValueError(
                "Expected an optimizer of the model's own weights. Received: "
                f"{type(part).__name__}, which trains {unknown} too"
            )
        _find_slots(part)


def carry_optimizer(model, pruned, keep, channel_map):
    """Gives a pruned model's optimizer the state of the original's.

    Slots, such as momentum, are cut like the weights that they belong to. Counters,
    learning rates and the loss scale are taken over.

    Args:
        model: The `keras.Model` that has been checked by `check_optimizer`.
        pruned: The smaller model, compiled like it. Its optimizer is changed.
        keep: Boolean array, shape `(num_units,)`, the units that were kept.
        channel_map: The `ChannelMap` of `model`.
    """
    twins = _pair_weights(channel_map, record_graph(pruned))

    def cut(layer, weight, value):
        letters = channel_map.layer_ids.get(layer, {})
        kept_at = {key: kept(keep, ids) for key, ids in letters.items()}
        return cut_weight(layer, weight, value, kept_at)

    pairs = [
        (weight, target, functools.partial(cut, layer, weight))
        for layer, weight, target in twins.values()
    ]
    carry_slots(model, pruned, pairs)


def carry_slots(model, copied, pairs):
    """Gives the optimizer of a copy of a model the state of the original's.

    Args:
        model: The `keras.Model`, compiled.
        copied: The copy, compiled like it. Its optimizer is changed.
        pairs: Iterable of tuples: a weight of the model, that of the copy, and a
            callable `fn(value)` that makes of an array of the one's shape that of the
            other's.
    """
    if not model.optimizer.built:  # it has never made a step
        return
    twins = {id(weight): (target, change) for weight, target, change in pairs}
    # Slots are made in the order of the variables, which a fresh `build` would take
    # from the model: the original's order may be another. What has gone with a block
    # has no twin.
    trained = _variables(model.optimizer)
    copied.optimizer.build([twins[id(v)][0] for v in trained if id(v) in twins])
    parts = zip(_parts(model.optimizer), _parts(copied.optimizer), strict=True)
    for before, after in parts:
        owners = _find_slots(before)
        gone = {slot for slot, owner in owners.items() if id(owner) not in twins}
        slots = [slot for slot in _own(before) if id(slot) not in gone]
        for slot, target in zip(slots, _own(after), strict=True):
            value = keras.ops.convert_to_numpy(slot)
            if id(slot) in owners:  # else a counter or a rate, which has no channels
                value = twins[id(owners[id(slot)])][1](value)
            target.assign(value)


def _layers(graph):
    operations = dict.fromkeys(call.operation for call in graph.calls)
    return [one for one in operations if isinstance(one, keras.Layer)]


def _pair_weights(channel_map, pruned_graph):
    """Returns a dict: id of a weight -> its layer, itself, the smaller model's."""
    twins, graph = {}, channel_map.graph
    # By name: what has gone with a block is not in the smaller model.
    copies = {pruned_graph.name_of(layer): layer for layer in _layers(pruned_graph)}
    pairs = ((layer, copies.get(graph.name_of(layer))) for layer in _layers(graph))
    for layer, copied in pairs:
        if copied is None:
            continue
        for weight, target in zip(layer.weights, copied.weights, strict=True):
            twins[id(weight)] = layer, weight, target
    return twins


def _parts(optimizer):
    """Returns an optimizer and the one that it wraps, such as for half precision."""
    inner = getattr(optimizer, "inner_optimizer", None)
    return [optimizer] if inner is None else [optimizer, *_parts(inner)]


def _variables(optimizer):
    """Returns the model's variables it trains, in the order of its slots."""
    return optimizer._trainable_variables


def _own(optimizer):
    """Returns the variables of an optimizer without those of the one it wraps."""
    return optimizer._variables


def _find_slots(optimizer):
    """Returns a dict: id of a slot -> the variable that it belongs to.

    Keras's optimizers hold slots in lists, one entry a variable, by any name.
    """
    trained, own = _variables(optimizer), {id(v) for v in _own(optimizer)}
    owners = {}
    for name, value in vars(optimizer).items():
        aligned = isinstance(value, (list, tuple)) and len(value) == len(trained)
        # These two are no slots, even where they are as long.
        if aligned and name not in ("_variables", "_trainable_variables"):
            pairs = zip(value, trained, strict=True)
            owners.update({id(slot): v for slot, v in pairs if id(slot) in own})
    for slot in _own(optimizer):
        owner = owners.get(id(slot))
        # Numbers, such as counters and rates, are taken over as they are.
        if slot.shape != () and (owner is None or slot.shape != owner.shape):
            raise ValueError(
                "Argument `keep_optimizer` should be False for an optimizer with a "
                "state that is not of the weights' shapes, as it cannot be cut like "
                f"them. Received: {type(optimizer).__name__} with {slot.path!r} of "
                f"shape {tuple(slot.shape)}"
            )
    return owners
