"""What a ranker says of one group: a value for each unit, with its standard error."""

import dataclasses

import numpy as np

from keras_shapley_prune.inputs.arguments import check_integer, check_kind, read_vector
from keras_shapley_prune.inputs.json_fields import Fields


@dataclasses.dataclass(frozen=True, eq=False)
class GroupScores:
    """The scores of one group.

    Attributes:
        values: Float array, shape `(num_units,)`. The higher, the more the unit is
            worth; negative where the network is better off without it.
        standard_errors: Float array, shape `(num_units,)`.
        num_evaluations: Integer, how many coalitions were evaluated, counted an
            example at a time.
        stages: Integer array, shape `(num_units,)`: the stage after which the unit
            was removed, or the last one that was played; then its value was
            estimated. A unit that was never sampled has one stage more, an infinite
            standard error, and as its value what its removal alone costs (NaN if that
            is not known).
        removal_costs: Float array, shape `(num_units,)`, or `None`. Units are removed
            in the order of `order`; this is what each costs once all units before it
            have been removed. It is known only in reconstruction games, whose `costs`
            says in what it is counted. The values of a group are means over coalitions,
            most of which are nearly whole; these costs are those of a deep cut.

    Raises:
        ValueError: If they are not numbers of one length.
    """

    values: np.ndarray
    standard_errors: np.ndarray
    num_evaluations: int
    stages: np.ndarray = None
    removal_costs: np.ndarray = None

    def __post_init__(self):
        values = read_vector("values", self.values)
        stages = np.zeros(len(values), int) if self.stages is None else self.stages
        errors, costs = self.standard_errors, self.removal_costs
        found = {
            "values": values,
            "standard_errors": read_vector("standard_errors", errors, len(values)),
            "stages": read_vector("stages", stages, len(values), kinds="iu"),
        }
        if costs is not None:
            found["removal_costs"] = read_vector("removal_costs", costs, len(values))
        check_integer("num_evaluations", self.num_evaluations, 0)
        for name, array in found.items():
            # The class is frozen, for everyone but itself.
            object.__setattr__(self, name, array)

    @property
    def order(self):
        """Integer array, shape `(num_units,)`: the units, least valuable first.

        Units that were removed in an earlier stage come first.
        """
        known = np.nan_to_num(self.values, nan=np.inf)
        # By stage, then by value: the last key of `lexsort` comes first.
        return np.lexsort((known, self.stages))

    @property
    def num_sampled(self):
        """Integer, of how many units the value was estimated on samples."""
        return int(np.count_nonzero(~np.isinf(self.standard_errors)))

    def summary(self):
        """Returns four strings: lowest, median and highest value, and median error.

        The values are those that are known, the errors those of sampled units.
        """
        known = self.values[~np.isnan(self.values)]
        errors = self.standard_errors[~np.isinf(self.standard_errors)]
        found = [*_quantiles(known, [0, 0.5, 1]), *_quantiles(errors, [0.5])]
        texts = [f"{number:.3g}" for number in found[:3]] + [f"{found[3]:.2g}"]
        return [f"{'-' if text == 'nan' else text:>10}" for text in texts]

    def equals(self, other):
        """Returns whether two groups have the very same scores.

        Args:
            other: A `GroupScores`.
        """
        ours, theirs = self.to_arrays(), other.to_arrays()
        return ours.keys() == theirs.keys() and all(
            np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours
        )

    def to_dict(self):
        """Returns the scores as a dict that JSON can hold."""
        costs = self.removal_costs
        return {
            "values": _finite(self.values),
            "standard_errors": _finite(self.standard_errors),
            "num_evaluations": self.num_evaluations,
            "stages": self.stages.tolist(),
            "removal_costs": None if costs is None else _finite(costs),
        }

    def to_arrays(self):
        """Returns the scores as a dict of arrays and one number, for a checkpoint."""
        fields = dataclasses.fields(self)
        found = {field.name: getattr(self, field.name) for field in fields}
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def from_arrays(cls, content):
        """Returns the scores that `to_arrays` made a dict of.

        Args:
            content: Dict, which may hold more.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: content[name] for name in names if name in content})

    @classmethod
    def from_dict(cls, content):
        """Returns the scores that `to_dict` made a dict of.

        Args:
            content: Dict.

        Raises:
            ValueError: If it is another one.
        """
        check_kind("content", content, dict, "a dict that `to_dict` returned")
        expected = "Argument `content` should be a dict that `to_dict` returned"
        return read_scores(Fields(content, expected, "Received: another dict"))


def unread_scores(group):
    """Returns the `GroupScores` of units that nothing reads: 0, without any error.

    Args:
        group: A `ChannelGroup`.
    """
    nothing = np.zeros(group.num_units)
    return GroupScores(nothing, nothing.copy(), 0, removal_costs=nothing.copy())


def read_scores(fields):
    """Returns the `GroupScores` that stand in a file.

    Args:
        fields: `Fields`, of what `GroupScores.to_dict` returned.

    Raises:
        ValueError: If one of them is not as it was written.
    """
    values = fields.numbers("values", missing=np.nan)
    count = len(values)
    stages, costs = np.zeros(count, int), None
    if "stages" in fields:  # files of before have none
        stages = np.array(fields.integers("stages", count), int)
    if fields.get("removal_costs") is not None:
        # An edited ranking may cost what is not known.
        costs = np.array(fields.numbers("removal_costs", count, missing=np.nan))
    return GroupScores(
        np.array(values),
        np.array(fields.numbers("standard_errors", count, least=0, missing=np.inf)),
        fields.integer("num_evaluations"),
        stages,
        costs,
    )


def _quantiles(numbers, shares):
    """Returns quantiles, NaN if there are no numbers."""
    return np.quantile(numbers, shares) if len(numbers) else [np.nan] * len(shares)


def _finite(array):
    """Returns a list with `None` for what JSON cannot hold."""
    return [number if np.isfinite(number) else None for number in array.tolist()]
