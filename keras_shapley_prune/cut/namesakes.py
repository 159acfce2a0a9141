"""Operations of one name, from several nested models, in one flat model."""

import dataclasses


def part_namesakes(calls):
    """Returns calls whose operations have names that no other has.

    Keras wants that of a model. The calls within nested models bring operations that
    may be named alike. All but the first get a twin, which shares everything with the
    operation, its weights too, but is named like its call (`"backbone_conv1"`).

    Args:
        calls: Iterable of `Call`.
    """
    twins, taken = {}, set()
    for call in calls:
        operation = call.operation
        if operation not in twins:
            name, suffix = operation.name, 2
            while name in taken:
                name = call.name.replace("/", "_")
                name = name if name not in taken else f"{name}_{suffix}"
                suffix += 1
            taken.add(name)
            unique = name == operation.name
            twins[operation] = operation if unique else _twin(operation, name)
    return [dataclasses.replace(c, operation=twins[c.operation]) for c in calls]


def _twin(operation, name):
    # `copy.copy` would save and load a layer, with weights of its own.
    twin = object.__new__(type(operation))
    twin.__dict__.update(operation.__dict__)
    # Names and the lists of calls are all that the two do not share.
    twin.__dict__.update(name=name, _inbound_nodes=[], _outbound_nodes=[])
    return twin
