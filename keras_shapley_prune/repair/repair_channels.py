"""`repair_channels`: removes units and lets the others make up for them."""

import itertools

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.checkpoint.runs import open_run
from keras_shapley_prune.cut.model_classes import check_class
from keras_shapley_prune.cut.surgery import cut_out
from keras_shapley_prune.cut.trial_run import try_out
from keras_shapley_prune.cut.verification import verify_cut
from keras_shapley_prune.devices.workers import (
    check_strategy,
    current_workers,
    explain_lost_worker,
)
from keras_shapley_prune.inputs.arguments import check_integer, check_run
from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.repair.answers import check_answers
from keras_shapley_prune.repair.calibration_check import check_calibration
from keras_shapley_prune.repair.mimic import mimic
from keras_shapley_prune.repair.mimic_settings import Mimic
from keras_shapley_prune.repair.planned_steps import plan_steps
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.repair.resolve_repair import (
    check_extra_images,
    closed_form_of,
    resolve_repair,
)
from keras_shapley_prune.repair.sample import Sample, first_examples
from keras_shapley_prune.repair.targets import RecordedTargets
from keras_shapley_prune.repair.threads import one_blas_thread
from keras_shapley_prune.trace.batches import rebatch
from keras_shapley_prune.trace.named_units import resolve_keep
from keras_shapley_prune.trace.wanted_units import map_for_units


@undisturbed
def repair_channels(
    model,
    keep,
    dataset,
    repair="least_squares",
    channel_map=None,
    batch_size=32,
    verify=True,
    memory=None,
    verbose="auto",
    remove=None,
):
    """Returns a smaller copy of `model` that is repaired on calibration data.

    `prune` without its first half: units are removed as by `remove_channels`; then,
    from the input to the output, each layer that reads what has changed is adjusted in
    closed form on the pruned and already repaired network, and the result is checked as
    by `verify_removal`. The data needs no labels. Only `"mimic"` trains. Workers of the
    `tf.distribute.MultiWorkerMirroredStrategy` in whose scope it is called share out
    the examples.

    - `"least_squares"`: each layer is refitted to return what the original's layer
      returns: by ridge regression towards its old kernel, with a bias (its own, or
      that of the BatchNormalization after it). The ridge is chosen on a fifth of the
      examples. If a ReLU alone reads what it returns, the layer is fitted to what
      comes out of the ReLU: where the original's returns 0, any value that it makes 0
      of is right. A layer at the end of a residual block also makes up for what the
      skip connection has lost. Depthwise convolutions get a scale for each channel.
    - `"mimic"`: after `"least_squares"`, the network is trained for some minutes to
      have the original's features, still without labels: see `mimic`. A `Mimic` says
      for how many steps or minutes, and on which further images.
    - `"mean"`: only biases change, so that each layer's output has its old mean.
    - `"batchnorm"`: the statistics of BatchNormalizations are estimated anew.
    - `None`: nothing is repaired. The data is read for `verify` only.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        keep: The units to keep, see `remove_channels`. `None` if `remove` is given.
        dataset: Calibration data, what `model.predict` takes, see `prune`; labels are
            not read. 50 to 200 examples are enough.
        repair: String, one of these, or `None`; or a `Mimic`.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        batch_size: Integer, where the data comes as arrays.
        verify: Boolean, whether to check on the first eight examples that the smaller
            model computes what the masked model does.
        memory: Integer, how many bytes of activations may be held. What does not fit
            is computed again. `None` for a quarter of what is free, at most 1 GiB.
        verbose: `"auto"` or 1 for a progress bar that names the step and the layer at
            work, 2 for one line a step, 0 for silence.
        remove: In place of `keep`, the units to remove, see `remove_channels`.

    Returns:
        What `remove_channels` returns, with other weights.

    Raises:
        ValueError: If locked units or whole groups are removed, `repair` is none
            of these, the data does not fit the model, data, weights or repaired weights
            are not finite, or workers are given different models, data or arguments.
        RuntimeError: If the check fails, or another worker has stopped.

    Example:

    ```python
    plan = keras_shapley_prune.plan_pruning(model, ranking, ratio=0.5)
    repaired = keras_shapley_prune.repair_channels(model, plan.keep, images)
    ```
    """
    repair = resolve_repair(repair)
    check_integer("batch_size", batch_size, 1)
    check_run(verify, memory, verbose)
    check_strategy()
    channel_map = map_for_units(model, channel_map, keep, remove)
    keep = resolve_keep(channel_map, keep, remove)
    check_class(model)
    batches = read_batches(dataset, channel_map.graph, repair, verify, batch_size)
    if repair is not None:
        inputs = (inputs for (inputs,) in batches)
        sample = Sample(first_examples(inputs, channel_map.graph))
        channel_map = try_out(channel_map, sample.inputs)
        check_extra_images(repair, channel_map.graph, sample.inputs)
        check_calibration(channel_map.graph, sample)
        check_answers(model, channel_map.graph, sample)
    # Nothing is kept; but several workers see to it that they do the same.
    open_run(None, model, channel_map.graph, batches or None, repair, keep=keep)
    targets = RecordedTargets(memory)
    steps = plan_steps(channel_map, keep, repair, verify)
    del steps["compare"]  # which is for those who know what was asked for
    with Progress(verbose, steps) as progress, explain_lost_worker():
        return cut_and_repair(
            model, keep, batches, repair, channel_map, verify, targets, progress
        )


def cut_and_repair(
    model,
    keep,
    batches,
    repair,
    channel_map,
    verify,
    targets,
    progress,
    checkpoint=None,
):
    """Cuts a network, repairs what is left of it, and checks the cut.

    Args:
        model: See `repair_channels`.
        keep: See `repair_channels`.
        batches: What `read_batches` returned.
        repair: What `resolve_repair` returned.
        channel_map: The `ChannelMap` of `model`.
        verify: See `repair_channels`.
        targets: See `repair_layers`.
        progress: A `Progress`, for the steps of `plan_steps`.
        checkpoint: The `Checkpoint` of the run, or `None`.

    Returns:
        What `repair_channels` returns.
    """
    checkpoint = checkpoint or Checkpoint()
    progress.begin("cut")
    progress.show("cutting")
    cut = cut_out(model, keep, channel_map)
    kept = checkpoint.within("repair")
    repair_layers(cut, batches, repair, targets, progress, kept)
    if verify:
        progress.begin("check")
        progress.show("checking")
        verify_cut(cut, batches)
        progress.note("checked")
    if not isinstance(repair, Mimic):
        return cut.model
    progress.begin("mimic")
    progress.show("training")
    trained = mimic(
        cut.model,
        model,
        batches,
        repair,
        cut.keep,
        channel_map,
        progress=progress,
        checkpoint=checkpoint.within("mimic"),
    )
    progress.note("trained")
    return trained


def read_batches(dataset, graph, repair, verify=True, batch_size=32):
    """Reads the calibration data once, as far as repair and its check need it.

    Args:
        dataset: See `repair_channels`.
        graph: The recorded `Graph` of the model.
        repair: What `resolve_repair` returned.
        verify: See `repair_channels`.
        batch_size: See `repair_channels`.

    Returns:
        List of batches `(inputs,)`, each a flat list of tensors. It is data as
        `verify_removal` and `mimic` take it.
    """
    if repair is None and not verify:
        return []
    data = CalibrationData(dataset, graph.input_structure, batch_size, False)
    num_read = 1 if repair is None else None  # the check reads the first batch only
    return [(inputs,) for inputs, _, _ in itertools.islice(data, num_read)]


def repair_layers(
    cut,
    batches,
    repair="least_squares",
    targets=None,
    progress=None,
    checkpoint=None,
):
    """Repairs the layers of a smaller model, from its input to its output.

    Args:
        cut: A `Cut`. The weights of its model are changed.
        batches: What `read_batches` returned.
        repair: What `resolve_repair` returned. Nothing is trained yet.
        targets: `RecordedTargets` of the same data, or to be filled, or `None`.
        progress: A `Progress`, or `None`.
        checkpoint: The `Checkpoint` of the repair, or `None`.
    """
    if repair is None:
        return
    progress = progress or Progress(0)
    progress.begin("repair")
    progress.show("repairing")
    graph = cut.channel_map.graph
    inputs = [batch for (batch,) in batches]
    inputs = rebatch(inputs, graph, num_workers=current_workers().count)
    with one_blas_thread():
        repairer = Repairer(
            cut,
            inputs,
            closed_form_of(repair),
            targets=targets,
            checkpoint=checkpoint,
        )
        repairer.advance(len(graph.calls), progress)
    progress.note("repaired")
