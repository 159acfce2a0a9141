"""The result of a ranker: a value for each unit, with its standard error."""

import collections.abc
import dataclasses
import json

import numpy as np

from keras_shapley_prune.inputs.json_files import format_of, load_json
from keras_shapley_prune.rank.tensorboard_events import write_ranking
from keras_shapley_prune.trace.lock_text import group_reasons


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
    """

    values: np.ndarray
    standard_errors: np.ndarray
    num_evaluations: int
    stages: np.ndarray = None
    removal_costs: np.ndarray = None

    def __post_init__(self):
        if self.stages is None:
            # The class is frozen, for everyone but itself.
            object.__setattr__(self, "stages", np.zeros(len(self.values), int))

    @property
    def order(self):
        """Integer array, shape `(num_units,)`: the units, least valuable first.

        Units that were removed in an earlier stage come first.
        """
        known = np.nan_to_num(self.values, nan=np.inf)
        # By stage, then by value: the last key of `lexsort` comes first.
        return np.lexsort((known, self.stages))

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
        """
        values, errors = content["values"], content["standard_errors"]
        costs = content.get("removal_costs")
        return cls(
            np.array([np.nan if v is None else v for v in values], float),
            np.array([np.inf if e is None else e for e in errors], float),
            content["num_evaluations"],
            np.array(content.get("stages", [0] * len(values)), int),
            None if costs is None else np.array(costs, float),
        )


class Ranking(collections.abc.Mapping):
    """Scores of every group of a model: a mapping from group names to scores.

    Args:
        groups: Dict: group name -> `GroupScores`.
        method: String, how the values were found.
        num_examples: Integer, on how many examples.
        locks: Dict: layer name -> why its units are locked.
        comparable: Boolean, whether values of different groups are on one scale, as
            Shapley values are. Values of other criteria, such as weight norms, are
            divided by the mean of their group in a plan over all groups, and what
            a unit saves does not count.

    Example:

    ```python
    ranking = keras_shapley_prune.ShapleyRanker().rank(model, dataset)
    print(ranking)
    ranking["conv2d"].values, ranking["conv2d"].standard_errors
    ranking.save("ranking.json")
    ranking = keras_shapley_prune.Ranking.load("ranking.json")
    ```

    Rankings of some groups each, such as those that several machines have ranked with
    `rank(..., layers=...)`, are put together by `ranking_a | ranking_b`.
    """

    def __init__(self, groups, method, num_examples, locks=None, comparable=True):
        self._groups = dict(groups)
        self.comparable = comparable
        self.method = method
        self.num_examples = num_examples
        self.locks = dict(locks or {})

    def __getitem__(self, name):
        return self._groups[name]

    def __iter__(self):
        return iter(self._groups)

    def __len__(self):
        return len(self._groups)

    def __or__(self, other):
        """Returns the ranking of the groups of both, ranked apart on the same model.

        So groups can be ranked on different machines: `ranking_a | ranking_b`.

        Args:
            other: A `Ranking` by the same ranker on as many examples. A group that
                both have has to have the same scores in both.

        Raises:
            ValueError: If it is of another model, ranker or number of examples, or of
                other scores.
        """
        if not isinstance(other, Ranking):
            return NotImplemented
        for name in ("method", "num_examples", "comparable", "locks"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise ValueError(
                    "Rankings should be of one model, by the same ranker, on as many "
                    f"examples, to be put together. Received: {name}={ours!r} and "
                    f"{name}={theirs!r}"
                )
        for name in self.keys() & other.keys():
            if not self[name].equals(other[name]):
                raise ValueError(
                    "Rankings should have the same scores of a group that both have. "
                    f"Received: different scores of group {name!r}"
                )
        groups = {**self, **other}
        fields = self.method, self.num_examples, self.locks, self.comparable
        return Ranking(groups, *fields)

    @property
    def num_evaluations(self):
        """Integer, how many coalitions were evaluated in all."""
        return sum(scores.num_evaluations for scores in self.values())

    def __str__(self):
        width = max([len(name) for name in [*self, *self.locks, "group"]])
        head = (
            f"{'group':{width}}  units      lowest      median     highest  std. error"
        )
        lines = [
            f"{self.method}: {self.num_examples} examples, "
            f"{self.num_evaluations:,} evaluations",
            head,
        ]
        for name, scores in self.items():
            low, middle, high = np.nanquantile(scores.values, [0, 0.5, 1])
            error = np.median(scores.standard_errors)
            lines.append(
                f"{name:{width}}  {len(scores.values):5d}  {low:10.3g}  {middle:10.3g}"
                f"  {high:10.3g}  {error:10.2g}"
            )
        lines += [
            f"{group.names:{width}}  locked: {group.reason}"
            for group in group_reasons(self.locks)
        ]
        return "\n".join(lines)

    def to_tensorboard(self, logdir, frontier=(), step=0):
        """Writes the scores to event files that TensorBoard shows.

        For each group there is a histogram of the scores (`scores/<group>`), one of
        their standard errors (`standard_errors/<group>`), and the share of units with
        a negative score (`negative/<group>`). A frontier becomes a curve of the metric
        (`frontier/<metric>`), in which the step of a point is its number of FLOPs.

        Args:
            logdir: String or path-like, the folder, which need not exist.
            frontier: What `measure_frontier` returned.
            step: Integer, the step at which scores are shown.
        """
        write_ranking(logdir, self, frontier, step)

    def save(self, path):
        """Writes the ranking to one JSON file.

        Args:
            path: String or path-like.
        """
        groups = {name: scores.to_dict() for name, scores in self.items()}
        content = {
            "format": format_of("Ranking"),
            "method": self.method,
            "num_examples": self.num_examples,
            "locks": self.locks,
            "comparable": self.comparable,
            "groups": groups,
        }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)

    @classmethod
    def load(cls, path):
        """Reads a ranking that `save` wrote.

        Args:
            path: String or path-like.

        Returns:
            A `Ranking`.

        Raises:
            ValueError: If the file holds something else.
        """
        content = load_json(path, "Ranking")
        groups = {
            name: GroupScores.from_dict(scores)
            for name, scores in content["groups"].items()
        }
        return cls(
            groups,
            content["method"],
            content["num_examples"],
            content["locks"],
            content.get("comparable", True),
        )


def _finite(array):
    """Returns a list with `None` for what JSON cannot hold."""
    return [number if np.isfinite(number) else None for number in array.tolist()]
