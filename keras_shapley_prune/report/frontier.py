"""What a model achieves, against what it costs, at several ratios."""

import dataclasses

from keras_shapley_prune.inputs.compiling import compile_with, copy_compile_config
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.inputs.evaluation import check_labels, resolve_metric
from keras_shapley_prune.plan.budget import check_ratio
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.plan.selection import plan_pruning
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.trace.tracer import trace_channels


@dataclasses.dataclass(frozen=True)
class FrontierPoint:
    """A pruned model: how large it is, and what it achieves.

    Attributes:
        ratio: Float, what was asked to leave; 0 for the original model.
        parameters: Integer.
        flops: Integer, or `None` if a spatial size is not known.
        value: Float, the metric.
        metric: String, the name of the metric.
    """

    ratio: float
    parameters: int
    flops: int
    value: float
    metric: str


def measure_frontier(
    model,
    ranking,
    dataset,
    ratios=(0.25, 0.5, 0.75),
    *,
    validation_data=None,
    metric="accuracy",
    repair="least_squares",
    **budget,
):
    """Prunes and repairs a model at several ratios, and measures each.

    One ranking serves all of them: rank with the largest of the ratios.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        ranking: A `Ranking` of it.
        dataset: Calibration data, what repair is fitted on, see `prune`.
        ratios: Sequence of floats in [0, 1).
        validation_data: Labelled data to measure on. `None` for `dataset`: the result
            is then measured on the very examples that it is fitted to.
        metric: String, an entry of what `model.evaluate(..., return_dict=True)`
            returns, or a callable `fn(model)` that returns a number.
        repair: See `prune`.
        **budget: `of`, `scope`, `layers`, `ignore`, `round_to` and `min_units`, see
            `prune`.

    Returns:
        List of `FrontierPoint`, the original model first, then one for each ratio,
        for `plot_frontier` and `Ranking.to_tensorboard`.

    Raises:
        ValueError: If an argument is not of that form, the model cannot be measured,
            or the budget cannot be met.

    Example:

    ```python
    ranking = ranker.rank(model, images, ratio=0.75)
    points = keras_shapley_prune.measure_frontier(
        model, ranking, images, (0.25, 0.5, 0.75), validation_data=(x, y), of="flops"
    )
    keras_shapley_prune.plot_frontier(points)
    ```
    """
    for ratio in ratios:
        check_ratio(ratio)
    dataset = make_repeatable(dataset)
    held_out = dataset if validation_data is None else make_repeatable(validation_data)
    measure = resolve_metric(metric, model, held_out)
    name = metric if isinstance(metric, str) else "metric"
    channel_map = trace_channels(model)
    if not callable(metric):
        check_labels(held_out, channel_map.graph)
    plans = [plan_pruning(model, ranking, r, channel_map, **budget) for r in ratios]

    def to_point(ratio, network):
        size = network.count_params()
        return FrontierPoint(ratio, size, count_flops(network), measure(network), name)

    points = [to_point(0.0, model)]
    for ratio, plan in zip(ratios, plans, strict=True):
        pruned = repair_channels(model, plan.keep, dataset, repair, channel_map)
        compile_with(pruned, copy_compile_config(model))
        points.append(to_point(float(ratio), pruned))
    return points
