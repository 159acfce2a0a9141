"""A ranking in the place of a ranker: `prune(..., ranker=ranking)` ranks nothing."""

import os
import warnings
from collections.abc import Mapping

import numpy as np

from keras_shapley_prune.inputs.arguments import blaming
from keras_shapley_prune.plan.selection import (
    check_ranking,
    check_selected,
    ratios_to_rank,
)
from keras_shapley_prune.rank.ranking import Ranking

_SUFFIX = ".json"  # any other string is the name of a criterion, or a typing error
_SHOWN = 3  # groups that a warning names


class GivenRanking:
    """What a ranker is to `prune`, of a ranking that has been made before.

    Args:
        ranking: A `Ranking`.
        argument: String, what it is given for.
    """

    def __init__(self, ranking, argument="ranker"):
        self.ranking, self._argument = ranking, argument

    def rank(self, *args, **options):
        """Returns the ranking, whatever `ShapleyRanker.rank` takes."""
        return self.ranking

    def check(self, channel_map, budget, ratios=None, stacklevel=4):
        """Raises or warns if a budget asks for what the ranking does not say.

        Args:
            channel_map: The `ChannelMap` of the model.
            budget: The `PruningBudget`.
            ratios: What share of each group may be removed, as `ratios_to_rank` returns
                it. `None` for that of the budget.
            stacklevel: Integer, see `warnings.warn`.

        Raises:
            ValueError: If the ranking is of another model, or of none of the groups
                that the budget selects.
        """
        with blaming("ranking", self._argument):
            check_ranking(self.ranking, channel_map)
            groups = budget.select_groups(channel_map)
            check_selected(self.ranking, groups)
        if ratios is None:
            ratios = ratios_to_rank(channel_map, budget)
        for reason in (
            self._find_missing(groups),
            self._find_unsampled(groups, ratios),
            self._find_other_costs(budget),
        ):
            if reason:
                text = f"Argument `{self._argument}` is a ranking {reason}"
                warnings.warn(text, stacklevel=stacklevel)

    def _find_missing(self, groups):
        names = [group.name for group in groups if group.name not in self.ranking]
        shown = ", ".join(names[:_SHOWN])
        if len(names) > _SHOWN:
            shown += f" and {len(names) - _SHOWN} more"
        return f"without these groups, which lose nothing: {shown}" if names else None

    def _find_unsampled(self, groups, ratios):
        """Returns what is said of units that may be removed, and were not looked at."""
        for group in groups:
            scores = self.ranking.get(group.name)
            share = ratios.get(group.name, 0) if isinstance(ratios, Mapping) else ratios
            count = min(int(share * group.num_units + 0.5), group.num_units)
            errors = getattr(scores, "standard_errors", np.zeros(group.num_units))
            sampled = group.num_units - int(np.isinf(errors).sum())
            if sampled < count and group.kind == "channels":
                return (
                    f"that has looked at {sampled} of the {group.num_units} units of "
                    f"{group.name!r}, of which up to {count} may be removed: the order "
                    f"of the others is a guess. Rank with `ratio={share:g}`"
                )
        return None

    def _find_other_costs(self, budget):
        """Returns what is said of costs that compare no layers, where they have to."""
        if budget.scope != "global" or self.ranking.costs != "readers":
            return None
        return (
            "made for `scope='layer'`: its costs are counted in what each layer's "
            "readers lose, which compares layers poorly. For `scope='global'` rank "
            "with `games.Reconstruction(horizon=0.25, num_copies=2, costs='outputs')`"
        )


def read_given(ranker):
    """Returns the `GivenRanking` that an argument stands for, or `None`.

    Args:
        ranker: See `prune`: a `Ranking`, or the path of a file that `Ranking.save`
            wrote. A string is a path if it ends with `.json`.

    Raises:
        ValueError: If there is no such file, or it holds something else.
    """
    if isinstance(ranker, Ranking):
        return GivenRanking(ranker)
    is_path = isinstance(ranker, os.PathLike)
    if is_path or (isinstance(ranker, str) and ranker.endswith(_SUFFIX)):
        with blaming("path", "ranker"):
            return GivenRanking(Ranking.load(ranker))
    return None
