"""Names that are not taken: of groups, of new layers, of operations side by side."""

import dataclasses
import itertools

from keras_shapley_prune.layer_types.twins import make_twin


class UniqueNames:
    """Hands out names, each once.

    Args:
        separator: String between a name that is taken and the number behind it.
        first: Integer, the first of these numbers.
    """

    def __init__(self, separator="_", first=2):
        self._separator, self._first, self._taken = separator, first, set()

    def take(self, *wanted):
        """Returns the first of the wanted names that is free, and takes it.

        Args:
            *wanted: Strings. If all are taken, the last one gets a number.
        """
        numbered = (
            f"{wanted[-1]}{self._separator}{number}"
            for number in itertools.count(self._first)
        )
        candidates = itertools.chain(wanted, numbered)
        name = next(name for name in candidates if name not in self._taken)
        self._taken.add(name)
        return name


def part_namesakes(calls):
    """Returns calls whose operations have names that no other has.

    Keras requires that of a model, but the calls within nested models bring operations
    of the same name. All but the first get a twin, which shares everything with the
    operation, its weights too, but is named like its call (`"backbone_conv1"`).

    Args:
        calls: Iterable of `Call`.
    """
    twins, names = {}, UniqueNames()
    for call in calls:
        operation = call.operation
        if operation not in twins:
            name = names.take(operation.name, call.name.replace("/", "_"))
            unique = name == operation.name
            twins[operation] = operation if unique else make_twin(operation, name=name)
    return [dataclasses.replace(c, operation=twins[c.operation]) for c in calls]
