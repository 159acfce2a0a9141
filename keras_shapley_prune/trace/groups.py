"""Units that are removed together, and the groups that units form."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import scipy.sparse

from keras_shapley_prune.inputs.patterns import as_list, find_names, is_function
from keras_shapley_prune.layer_types.unit_ids import FIXED
from keras_shapley_prune.trace.unique_names import UniqueNames


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Units that are carried by the same layers and can be removed one by one.

    The whole blocks of a model, see `Block`, form one group, `"blocks"`.

    Attributes:
        name: String, the first producer's name (with a suffix if that is taken). A
            layer of a nested model is named with it, as in `"backbone/conv1"`.
        units: Integer array, shape `(num_units,)`.
        producers: Tuple of the names of the layers that compute the units. Of blocks,
            the name of each.
        consumers: Tuple of the names of the layers that read them; empty of blocks.
        operations: Dict: name -> layer, of all layers of the model that compute units;
            of what a `TimeDistributed` wraps, that itself. Of blocks, the additions.
        kind: `"channels"` or `"blocks"`.
    """

    name: str
    units: np.ndarray
    producers: tuple
    consumers: tuple
    operations: Mapping = dataclasses.field(default_factory=dict, repr=False)
    kind: str = "channels"

    @property
    def fewest(self):
        """Integer, how many units have to be kept: no layer has no channels."""
        return 1 if self.kind == "channels" else 0

    @property
    def num_units(self):
        """Integer, how many units the group has."""
        return len(self.units)

    def matches(self, pattern):
        """Returns whether a pattern selects a producer.

        Args:
            pattern: See `find_producers`.
        """
        return bool(self.find_producers(pattern))

    def find_units(self, patterns):
        """Returns which units some patterns select, one by one.

        Args:
            patterns: A pattern, see `find_producers`, or a list, tuple or set of them:
                of blocks, or the name of the group for all of them.

        Returns:
            Boolean array, shape `(num_units,)`.
        """
        found = [name for p in as_list(patterns) for name in self.find_producers(p)]
        return np.isin(self.producers, found)

    def find_producers(self, pattern, argument="layers"):
        """Returns the names of the producers that a pattern selects, a list.

        Args:
            pattern: String, a layer name or shell-style pattern. The name of a layer
                is that layer alone, though it may hold characters that mean something
                in a pattern: `"c[1]"` is not `"c1"` where there is a layer `"c[1]"`.
                A group that is named otherwise than its layers, such as
                `"attention/heads"`, is selected by its own name, too.
                Or a compiled regular expression, which is searched for in the names.
                Or a callable `fn(layer)` that returns `True` or `False`; of a block it
                is called with the addition.
            argument: String, the argument that it was given as, for errors.

        Raises:
            ValueError: If the callable raises, or returns something else.
        """
        if self.kind != "channels" and pattern == self.name:
            return list(self.producers)
        # A layer may have units of several kinds, such as `"attention/heads"`.
        is_own = self.kind == "channels" and self.name not in self.operations
        if is_own and not is_function(pattern) and find_names(pattern, [self.name], {}):
            return list(self.producers)
        return find_names(pattern, self.producers, self.operations, argument)


def number_units(num_units, ties):
    """Returns a number for each unit, without gaps; the same for tied ones.

    Args:
        num_units: Integer.
        ties: List of integer arrays, shape `(2, any)`, pairs of units.
    """
    # Tied units are the connected components of a graph: ties are transitive, as
    # where several residual blocks add to one stream.
    pairs = np.concatenate([np.zeros((2, 0), int), *ties], axis=1)
    shape = num_units, num_units
    links = scipy.sparse.coo_array((np.ones(pairs.shape[1]), pairs), shape)
    _, parts = scipy.sparse.csgraph.connected_components(links, directed=False)
    # SciPy promises no order of the components: they are numbered by their first unit.
    _, first, part_of = np.unique(parts, return_index=True, return_inverse=True)
    return np.unique(first[part_of], return_inverse=True)[1]


def fix_followers(numbers, produced):
    """Returns the numbers of units, `FIXED` for those that only followers have.

    Args:
        numbers: Integer array, see `number_units`.
        produced: List of `(ids, follows)`: who produces which units, and whether they
            are removed only with those of others.
    """
    num_units = int(numbers.max(initial=FIXED)) + 1
    led = np.zeros(num_units, bool)
    for ids, follows in produced:
        if not follows:
            led[numbers[ids]] = True
    return np.where(led, np.cumsum(led) - 1, FIXED)[numbers]


def group_units(num_units, produced, read, carried, locks, operations):
    """Gathers the units that have the same producers into groups.

    Units that are carried by different tensors, such as the parts of a split, are in
    different groups. One unit of each group is kept, and so one channel of each tensor.

    Args:
        num_units: Integer.
        produced: List of `(layer name, part, ids)`: who produces which units, and what
            they are if not the layer's outputs, else `None`.
        read: List of `(layer name, ids)`: who reads which units.
        carried: Iterable of integer arrays, the unit ids of each tensor.
        locks: Collection of the units that are in no group.
        operations: Dict: name -> layer, of those that produce units.

    Returns:
        Tuple of `ChannelGroup`.
    """
    producers = [()] * num_units  # of each unit: its (layer name, part)s, in order
    for name, part, ids in produced:
        for unit in np.unique(ids).tolist():
            producers[unit] += ((name, part),)
    members = {}  # in order of the first unit, so from the input to the output
    carriers = _compare_carriers(num_units, carried)
    for unit, labels in enumerate(producers):
        if unit not in locks:
            members.setdefault((labels, carriers[unit]), []).append(unit)
    readers = _find_readers(num_units, members.values(), read)
    groups, names = [], UniqueNames("#")
    for ((labels, _), units), consumers in zip(members.items(), readers, strict=True):
        name = names.take("/".join(word for word in labels[0] if word))
        makers = tuple(dict.fromkeys(layer for layer, _ in labels))
        groups.append(
            ChannelGroup(name, np.array(units), makers, consumers, operations)
        )
    return tuple(groups)


def _compare_carriers(num_units, carried):
    """Returns a number for each unit, the same for those alike in every tensor.

    That is, for those that are in the same tensors, at equally many positions.
    """
    numbers, used = np.zeros(num_units, int), 1
    # Refines a partition tensor by tensor: units remain together only if this
    # one carries them equally often too. Numbers are fresh, so units that it does not
    # carry are told apart from those that it does.
    for ids in carried:
        units, times = np.unique(ids[ids != FIXED], return_counts=True)
        # (old number, times) as one integer.
        kinds = numbers[units] * (times.max(initial=0) + 1) + times
        numbers[units] = used + np.unique(kinds, return_inverse=True)[1]
        used += len(units)
    return np.unique(numbers, return_inverse=True)[1].tolist()


def _find_readers(num_units, members, read):
    """Returns a list of tuples, the names of those that read units of each group."""
    group_of = np.full(num_units + 1, -1)  # the last entry is that of FIXED
    for number, units in enumerate(members):
        group_of[units] = number
    readers = [{} for _ in members]
    for name, ids in read:
        for number in np.unique(group_of[ids]).tolist():
            if number >= 0:
                readers[number][name] = None
    return [tuple(names) for names in readers]
