"""The checkpoint of a run on a dataset."""

from keras_shapley_prune.checkpoint.checkpoint import open_checkpoint
from keras_shapley_prune.inputs.data import CalibrationData


def open_run(checkpoint, model, graph, dataset, repair=None, **settings):
    """Opens the `Checkpoint` of a run that ranks or repairs, or both.

    Args:
        checkpoint: See `open_checkpoint`.
        model: The `keras.Model`.
        graph: Its recorded `Graph`.
        dataset: See `prune`; `None` if nothing is read. It is read once if anything is
            kept.
        repair: What `resolve_repair` returned.
        **settings: What else the result depends on.

    Returns:
        A `Checkpoint`.

    Raises:
        ValueError: If the folder is of another run, or holds something else.
    """
    extra = getattr(repair, "extra_images", None)
    batches = _read(graph.input_structure, dataset, extra)
    return open_checkpoint(checkpoint, model, batches, repair=repair, **settings)


def _read(inputs, *datasets):
    """Yields the batches of some datasets, with labels if there are any."""
    for dataset in datasets:
        if dataset is not None:
            yield from CalibrationData(dataset, inputs, needs_labels=False)
