"""What became of one group of units."""

import dataclasses

from keras_shapley_prune.rank.group_scores import GroupScores, read_scores


@dataclasses.dataclass(frozen=True)
class GroupComparison:
    """What became of one group of units.

    Attributes:
        name: String, the name of the group.
        units: Tuple of integers, before and after.
        producers: Tuple of the names of the layers that compute the units.
        consumers: Tuple of the names of the layers that read them.
        scores: The `GroupScores` by which units were removed, or `None`.
    """

    name: str
    units: tuple
    producers: tuple
    consumers: tuple
    scores: GroupScores | None = None

    @property
    def num_removed(self):
        """Integer, how many were removed: the first ones of the order of `scores`."""
        return self.units[0] - self.units[1]

    def to_dict(self):
        """Returns what `read_group` reads, a dict for JSON."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        scores = None if self.scores is None else self.scores.to_dict()
        return fields | {"scores": scores}


def read_group(fields):
    """Returns the `GroupComparison` that a file holds.

    Args:
        fields: The `Fields` of what `to_dict` returned.
    """
    scores = fields.dict_or_none("scores")
    return GroupComparison(
        fields.string("name"),
        fields.pair("units"),
        tuple(fields.strings("producers")),
        tuple(fields.strings("consumers")),
        None if scores is None else read_scores(scores),
    )
