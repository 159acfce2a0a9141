"""A whole ranking in a checkpoint: that of a ranker which keeps nothing itself."""

from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.ranking import Ranking

_FIELDS = ("method", "num_examples", "locks", "comparable", "costs")


def store_ranking(entry, ranking):
    """Writes a ranking.

    Args:
        entry: An `Entry`.
        ranking: A `Ranking`. What a user's ranker returns in its place is not kept.
    """
    if not isinstance(ranking, Ranking):
        return
    content = {name: getattr(ranking, name) for name in _FIELDS}
    for place, scores in enumerate(ranking.values()):
        for name, value in scores.to_arrays().items():
            content[f"{name}.{place}"] = value
    entry.write({**content, "groups": list(ranking)})


def read_ranking(entry):
    """Returns the `Ranking` that `store_ranking` wrote, or `None`.

    Args:
        entry: An `Entry`.
    """
    content = entry.read()
    if content is None:
        return None
    groups = {}
    for place, group in enumerate(content["groups"]):
        names = [name for name in content if name.endswith(f".{place}")]
        fields = {name.rpartition(".")[0]: content[name] for name in names}
        groups[group] = GroupScores.from_arrays(fields)
    return Ranking(groups, **{name: content[name] for name in _FIELDS})
