"""`prune`: from a trained model to a smaller one, in one line a step."""

from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.compiling import copy_compile_config
from keras_shapley_prune.ranking import ShapleyRanker
from keras_shapley_prune.selection import check_ratio, select_units
from keras_shapley_prune.surgery import check_copies, remove_channels


def prune(
    model, dataset, ratio=0.5, *, layers=None, ranker=None, loss=None, verbose="auto"
):
    """Removes the least valuable filters and neurons from a trained model.

    Each group of units (the filters of a convolution, the neurons of a dense layer,
    the channels of a residual stage) is ranked by Shapley values and loses the
    fraction `ratio` that is worth least. What cannot be removed exactly is left
    alone; `compare(model, pruned)` says why.

    Args:
        model: A built Sequential or functional `keras.Model`, trained. It is not
            changed.
        dataset: Calibration data, what `model.evaluate` takes: a finite, batched
            `tf.data.Dataset`, a `keras.utils.PyDataset`, arrays `(x, y)` or
            `(x, y, sample_weight)`, or an iterable of batches. A few hundred
            examples of the training set do.
        ratio: Float in [0, 1). Fraction of the removable units to remove.
        layers: `None` for all layers, or a layer name, a shell-style pattern such as
            `"block2_*"`, or a list of them: only these layers (and the layers tied
            to them) lose units.
        ranker: An object with the method `rank` of `ShapleyRanker`. Defaults to
            `ShapleyRanker(loss=loss)`.
        loss: The loss to rank with, what `model.compile(loss=...)` takes. `None` for
            the loss the model is compiled with. Not together with `ranker`.
        verbose: `"auto"` or 1 for a progress bar, 2 for one line a batch, 0 for
            silence.

    Returns:
        A plain `keras.Model` (a `keras.Sequential` if `model` is one), compiled like
        `model` if that is compiled, with a new optimizer.

    Raises:
        ValueError: If an argument is not of that form, the data does not fit the
            model, or the model has nothing that can be removed.

    Example:

    ```python
    pruned = keras_shapley_prune.prune(model, dataset, ratio=0.5)
    keras_shapley_prune.compare(model, pruned)
    pruned.fit(dataset, epochs=1)
    ```
    """
    check_ratio(ratio)
    if ranker is not None and loss is not None:
        raise ValueError(
            "Arguments `ranker` and `loss` exclude each other: give the loss to the "
            f"ranker. Received: ranker={ranker!r}, loss={loss!r}"
        )
    ranker = ranker or ShapleyRanker(loss=loss)
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
    pruned = remove_channels(model, keep, channel_map)
    if compile_config is not None:
        pruned.compile(**compile_config)
    return pruned
