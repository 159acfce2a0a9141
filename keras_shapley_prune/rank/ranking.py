"""The result of a ranker: the scores of each group."""

from collections.abc import Mapping

from keras_shapley_prune.inputs.arguments import (
    check_boolean,
    check_choice,
    check_integer,
    check_kind,
    show,
)
from keras_shapley_prune.inputs.json_files import load_json, save_json
from keras_shapley_prune.inputs.paths import check_folder
from keras_shapley_prune.rank.group_scores import GroupScores, read_scores
from keras_shapley_prune.rank.tensorboard_events import write_ranking
from keras_shapley_prune.trace.lock_text import group_reasons

COSTS = ("readers", "outputs")


class Ranking(Mapping):
    """Scores of every group of a model: a mapping from group names to scores.

    Rankings of some groups each, such as those that several machines have ranked with
    `rank(..., layers=...)`, are put together by `ranking_a | ranking_b`.

    Args:
        groups: Dict: group name -> `GroupScores`.
        method: String, how the values were found.
        num_examples: Integer, on how many examples.
        locks: Dict: layer name -> why its units are locked.
        comparable: Boolean, whether values of different groups are on one scale, as
            Shapley values are. Values of other criteria, such as weight norms, are
            divided by the mean of their group in a plan over all groups, and what
            a unit saves does not count.
        costs: String, in what `GroupScores.removal_costs` are counted: `"outputs"` or
            `"readers"`, see `games.Reconstruction`. `None` if there are none.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    ranking = keras_shapley_prune.ShapleyRanker().rank(model, dataset)
    print(ranking)
    ranking["conv2d"].values, ranking["conv2d"].standard_errors
    ranking.save("ranking.json")
    ranking = keras_shapley_prune.Ranking.load("ranking.json")
    ```
    """

    def __init__(
        self,
        groups,
        method,
        num_examples,
        locks=None,
        comparable=True,
        costs=None,
    ):
        check_kind("groups", groups, Mapping, "a dict: group name -> `GroupScores`")
        for name, scores in groups.items():
            if not isinstance(name, str) or not isinstance(scores, GroupScores):
                raise ValueError(
                    "Argument `groups` should be a dict: group name -> `GroupScores`. "
                    f"Received: {name!r}: {show(scores)}"
                )
        check_kind("method", method, str, "a string")
        check_integer("num_examples", num_examples, 0)
        check_kind("locks", locks, (Mapping, type(None)), "a dict of reasons or None")
        if not all(isinstance(reason, str) for reason in (locks or {}).values()):
            raise ValueError(
                "Argument `locks` should be a dict: layer name -> reason. "
                f"Received: locks={show(locks)}"
            )
        check_boolean("comparable", comparable)
        if costs is not None:
            check_choice("costs", costs, COSTS)
        self._groups = dict(groups)
        self.comparable, self.costs = comparable, costs
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
        for name in ("method", "num_examples", "comparable", "locks", "costs"):
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
        return Ranking(groups, *fields, self.costs)

    @property
    def num_evaluations(self):
        """Integer, how many coalitions were evaluated in all."""
        return sum(scores.num_evaluations for scores in self.values())

    def __str__(self):
        width = max([len(name) for name in [*self, *self.locks, "group"]])
        numbers = [f"{title:>10}" for title in ("lowest", "median", "highest")]
        sampled = {name: scores.num_sampled for name, scores in self.items()}
        # Most rankings look at all units: the column would repeat the one before.
        is_partial = any(sampled[name] < len(self[name].values) for name in self)
        head = [f"{'group':{width}}", "units", *(["sampled"] if is_partial else [])]
        lines = [
            f"{self.method}: {self.num_examples} examples, "
            f"{self.num_evaluations:,} evaluations",
            "  ".join([*head, *numbers, "std. error"]),
        ]
        for name, scores in self.items():
            row = [f"{name:{width}}", f"{len(scores.values):5d}"]
            row += [f"{sampled[name]:7d}"] if is_partial else []
            lines.append("  ".join([*row, *scores.summary()]))
        if is_partial:
            lines.append(
                "not sampled: units that are kept at the ratio ranked for. Their value "
                "is what\ntheir removal alone costs, where that is known; its error is "
                "not"
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

        Raises:
            ValueError: If an argument is not of that form.
        """
        check_integer("step", step, 0)
        fields = ("metric", "value", "flops")
        several = isinstance(frontier, (list, tuple))
        if not several or not all(hasattr(p, f) for p in frontier for f in fields):
            raise ValueError(
                "Argument `frontier` should be a list of `FrontierPoint`, what "
                f"`measure_frontier` returns. Received: frontier={show(frontier)}"
            )
        check_folder(logdir, "logdir")
        write_ranking(logdir, self, frontier, step)

    def save(self, path):
        """Writes the ranking to one JSON file.

        Args:
            path: String or path-like.

        Raises:
            ValueError: If there cannot be such a file.
        """
        groups = {name: scores.to_dict() for name, scores in self.items()}
        content = {
            "method": self.method,
            "num_examples": self.num_examples,
            "locks": self.locks,
            "comparable": self.comparable,
            "costs": self.costs,
            "groups": groups,
        }
        save_json(path, "Ranking", content)

    @classmethod
    def load(cls, path):
        """Reads a ranking that `save` wrote.

        Args:
            path: String or path-like.

        Returns:
            A `Ranking`.

        Raises:
            ValueError: If there is no such file, or it holds something else. The
                message names the place.
        """
        fields = load_json(path, "Ranking")
        scores, costs = fields.dicts("groups"), fields.get("costs")
        if costs is not None:  # files of before, and other criteria, have none
            costs = fields.choice("costs", COSTS, None)
        return cls(
            {name: read_scores(inner) for name, inner in scores.items()},
            fields.string("method"),
            fields.integer("num_examples"),
            fields.texts("locks"),
            fields.boolean("comparable", default=True),
            costs,
        )
