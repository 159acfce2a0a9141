"""`prune`: from a trained model to a smaller one, in one line a step."""

from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.compiling import copy_compile_config
from keras_shapley_prune.data import make_repeatable
from keras_shapley_prune.ranking import ShapleyRanker
from keras_shapley_prune.repair import check_method, repair_channels
from keras_shapley_prune.selection import check_ratio, select_units
from keras_shapley_prune.surgery import check_copies


def prune(
    model,
    dataset,
    ratio=0.5,
    *,
    layers=None,
    ranker=None,
    repair="least_squares",
    verbose="auto",
):
    """Removes the least valuable filters and neurons from a trained model.

    Each group of units (the filters of a convolution, the neurons of a dense layer,
    the channels of a residual stage) is ranked by Shapley values and loses the
    fraction `ratio` that is worth least. What stays makes up for what leaves: layer by
    layer, the weights are refitted on the data. Nothing is trained, and no labels are
    needed. What cannot be removed exactly is left alone; `compare(model, pruned)` says
    why.

    Args:
        model: A built Sequential or functional `keras.Model`, trained. It is not
            changed.
        dataset: Calibration data, what `model.predict` or `model.evaluate` takes: an
            array of images, a finite, batched `tf.data.Dataset`, a
            `keras.utils.PyDataset`, arrays `(x, y)` or `(x, y, sample_weight)`, or an
            iterable of batches. 50 to 200 examples of the training set do. It is
            read twice.
        ratio: Float in [0, 1). Fraction of the removable units to remove.
        layers: `None` for all layers, or a layer name, a shell-style pattern such as
            `"block2_*"`, or a list of them: only these layers (and the layers tied
            to them) lose units.
        ranker: An object with the method `rank` of `ShapleyRanker`. Defaults to
            `ShapleyRanker(value="reconstruction", stages=32)`.
        repair: String, how what stays is repaired: `"least_squares"`, `"mean"`,
            `"batchnorm"`, or `None`. See `repair_channels`.
        verbose: `"auto"` or 1 for a progress bar, 2 for one line a group, 0 for
            silence.

    Returns:
        A plain `keras.Model` (a `keras.Sequential` if `model` is one), compiled like
        `model` if that is compiled, with a new optimizer.

    Raises:
        ValueError: If an argument is not of that form, the data does not fit the
            model, or the model has nothing that can be removed.

    Example:

    ```python
    pruned = keras_shapley_prune.prune(model, images, ratio=0.5)
    keras_shapley_prune.compare(model, pruned)
    ```
    """
    check_ratio(ratio)
    check_method(repair)
    dataset = make_repeatable(dataset)
    ranker = ranker or ShapleyRanker(value="reconstruction", stages=32)
    channel_map = trace_channels(model)
    check_copies(channel_map.graph)
    compile_config = copy_compile_config(model)
    ranking = ranker.rank(
        model,
        dataset,
        layers=layers,
        channel_map=channel_map,
        ratio=ratio,
        verbose=verbose,
    )
    keep = select_units(channel_map, ranking, ratio)
    pruned = repair_channels(model, keep, dataset, repair, channel_map)
    if compile_config is not None:
        pruned.compile(**compile_config)
    return pruned
