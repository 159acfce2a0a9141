"""Ablation: what a network achieves as the units of one group are masked."""

import dataclasses

import numpy as np

from keras_shapley_prune.inputs.arguments import check_integer, check_verbose
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.inputs.evaluation import resolve_metric
from keras_shapley_prune.inputs.measurable import check_measured, check_metric
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.plan.selection import check_ranking
from keras_shapley_prune.report.masked_network import MaskedNetwork
from keras_shapley_prune.trace.wanted_units import map_for_ranking


@dataclasses.dataclass(frozen=True)
class AblationCurve:
    """A metric of a network as units of one group are masked.

    Attributes:
        group: String, the name of the group.
        num_units: Integer, how many units it has.
        num_removed: Tuple of integers, from 0 upwards.
        values: Tuple of floats, the metric with so many units removed.
        metric: String, the name of the metric.
    """

    group: str
    num_units: int
    num_removed: tuple
    values: tuple
    metric: str


@undisturbed
def measure_ablation(
    model,
    ranking,
    dataset,
    metric="loss",
    layers=None,
    num_points=9,
    channel_map=None,
    verbose="auto",
):
    """Measures a model as the units of each group are masked, in order of a ranking.

    Nothing is cut and nothing repaired, and one group is masked at a time. The flatter
    the curve, the better the ranking knows which units the network can do without.

    Args:
        model: A compiled Sequential or functional `keras.Model`. It is not changed.
        ranking: A `Ranking` of it.
        dataset: Labelled data, what `model.evaluate` takes.
        metric: String, an entry of what `model.evaluate(..., return_dict=True)`
            returns, such as `"loss"` or `"accuracy"`, or a callable `fn(model)`.
        layers: `None` for all groups of the ranking, or layer names, shell-style
            patterns, compiled regular expressions or functions of a layer, see `prune`.
        num_points: Integer of at least 2: at how many numbers of units each group is
            measured, from none to all but one.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        verbose: `"auto"` or 1 for a progress bar over all of it, 2 for one line a
            group, 0 for silence.

    Returns:
        List of `AblationCurve`, one for each group, for `plot_ablation`.

    Raises:
        ValueError: If an argument is not of that form, or the model cannot be
            measured.

    Example:

    ```python
    curves = keras_shapley_prune.measure_ablation(model, ranking, (x, y), "accuracy")
    keras_shapley_prune.plot_ablation(curves)
    ```
    """
    check_integer("num_points", num_points, 2)
    check_verbose(verbose)
    channel_map = map_for_ranking(model, ranking, channel_map)
    check_metric(metric, model)
    check_ranking(ranking, channel_map)
    dataset = make_repeatable(dataset)
    measure = resolve_metric(metric, model, dataset)
    if not callable(metric):
        check_measured(dataset, channel_map.graph, model)
    groups = [g for g in channel_map.select_groups(layers) if g.name in ranking]
    if not groups:
        raise ValueError(
            "Argument `ranking` should score groups of the model: "
            f"{[g.name for g in channel_map.select_groups(layers)]}. "
            f"Received: a ranking of {list(ranking)}"
        )
    # One network for all curves: it is traced once, and only its mask changes.
    network = MaskedNetwork(model, channel_map)
    name = metric if isinstance(metric, str) else "metric"
    # A small group has fewer sizes than points: each is measured once.
    sizes = [np.unique(_spread(group.num_units, num_points)) for group in groups]
    step = 1 / (1 + sum(len(counts) - 1 for counts in sizes))  # of each measurement

    def measure_without(units):
        keep = np.ones(channel_map.num_units, bool)
        keep[units] = False
        network.select(keep)
        value = measure(network)
        progress.add(step)
        return value

    curves = []
    with Progress(verbose, {"ablate": 1.0}) as progress:
        progress.begin("ablate")
        progress.show("measuring the whole network")
        whole = measure_without([])
        for number, (group, counts) in enumerate(zip(groups, sizes, strict=True), 1):
            progress.show(f"ablating {group.name}, {number} of {len(groups)}")
            order = group.units[ranking[group.name].order]
            values = [measure_without(order[:count]) for count in counts[1:]]
            values = (whole, *values)
            size = group.num_units
            curves.append(
                AblationCurve(group.name, size, tuple(counts.tolist()), values, name)
            )
            progress.note(
                f"{group.name}, {number} of {len(groups)}: {name} {values[0]:.4g} → "
                f"{values[-1]:.4g}"
            )
    return curves


def _spread(num_units, num_points):
    """Returns numbers of units from none to all but one, evenly spread."""
    return np.linspace(0, num_units - 1, num_points).round().astype(int)
