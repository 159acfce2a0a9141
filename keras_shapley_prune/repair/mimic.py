"""`mimic`: trains a pruned network to have the original's features."""

import warnings

import keras

from keras_shapley_prune.checkpoint.checkpoint import (
    check_checkpoint,
    open_checkpoint,
)
from keras_shapley_prune.cut.surgery import copy_whole
from keras_shapley_prune.devices.workers import check_strategy
from keras_shapley_prune.inputs.arguments import check_verbose, show
from keras_shapley_prune.inputs.models import check_model, warn_of_order
from keras_shapley_prune.inputs.progress import show_progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.repair.imitation import Imitation
from keras_shapley_prune.repair.mimic_settings import Mimic
from keras_shapley_prune.repair.pace import Pace
from keras_shapley_prune.repair.training import Training
from keras_shapley_prune.repair.training_data import TrainingData
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels
from keras_shapley_prune.trace.wanted_units import map_for_units

MIN_EXAMPLES = 4


@undisturbed
def mimic(
    pruned,
    original,
    dataset,
    settings=None,
    keep=None,
    channel_map=None,
    verbose="auto",
    progress=None,
    checkpoint=None,
    callbacks=None,
):
    """Returns a copy of a pruned model, trained to have the original's features.

    A short training without labels, after "Compressing Models with Few Samples:
    Mimicking then Replacing" (Wang et al., 2022, https://arxiv.org/abs/2201.02620).
    The features are what the last layers with a kernel read, before each output; if
    they read what a pooling returns, what is pooled. One half of the loss is their
    squared error, relative to their variance in the original. The other half is the
    same of what every linear layer reads, over the channels that the pruned model has.
    The last layers themselves get the original's weights back. Where one of them reads
    another number of channels than in the original, what it returns is imitated, before
    its activation, and it is trained like the others.

    Images (inputs of rank 4) are flipped, shifted and mixed in pairs at random, for
    both networks alike. Normalizations keep their statistics, Dropout is off. All other
    weights that lead to the features are trained, those of frozen layers too. The
    result has features with a smaller error than before on mixtures of a tenth of the
    examples, which is held out: if training does not lower it, it is a copy of
    `pruned`. With fewer than four examples nothing is trained.

    It can be interrupted (`KeyboardInterrupt`): a warning tells after how many steps,
    and the best network so far is returned. To go on, call it again with what it
    returned, and the same seed, so that the same examples are held out. What it returns
    is then never farther from the original's features than what it was given.

    Each device of the `tf.distribute` strategy in whose scope it is called takes a
    slice of each batch: as large as on one device, and drawn alike.

    Args:
        pruned: A `keras.Model`, made from `original` by `remove_channels` or
            `repair_channels`, or returned by `mimic`. It is not changed.
        original: The built Sequential or functional `keras.Model` it was made from.
        dataset: Calibration data, what `model.predict` takes, in examples of one
            size; labels are not read.
        settings: A `Mimic`: how long, and on what else. `None` for `Mimic()`.
        keep: Boolean array, shape `(num_units,)`, the units that `pruned` was made of.
            `None` if it is not known: then no layer from whose inputs channels have
            been removed is compared with the original's.
        channel_map: The `ChannelMap` of `original`, if it has been traced already.
        verbose: `"auto"` or 1 for a progress bar with the held-out error, 2 for a line
            at the end, 0 for silence.
        progress: The `Progress` of `prune`, in whose step the network is trained, and
            which then counts in place of `verbose`, or `None`.
        checkpoint: String or path-like, a folder that keeps how far the training has
            come, or `None`, see `prune`. After an interruption, the same call goes on.
        callbacks: A `keras.callbacks.Callback`, or a list of them. Each look at the
            held-out examples, every 25 steps, is an epoch to them, with the held-out
            `error` in its `logs`: `EarlyStopping("error", mode="min")` ends the
            training, `CSVLogger` writes it down. There are no batches for them, and no
            optimizer of Keras whose rate they could change.

    Returns:
        A model like `pruned`, with other weights, not compiled. A `UserWarning` tells
        if `pruned` is larger than `original`.

    Raises:
        ValueError: If `pruned` does not come from `original`, it has other units than
            `keep`, the data does not fit the model, or `checkpoint` is of another run.

    Example:

    ```python
    plan = keras_shapley_prune.plan_pruning(model, ranking, ratio=0.5)
    smaller = keras_shapley_prune.apply_plan(model, plan, images)
    settings = keras_shapley_prune.Mimic(num_steps=50)
    smaller = keras_shapley_prune.mimic(smaller, model, images, settings, plan.keep)
    ```
    """
    settings = Mimic() if settings is None else settings
    if not isinstance(settings, Mimic):
        raise ValueError(
            "Argument `settings` should be a `keras_shapley_prune.Mimic` or `None`. "
            f"Received: {settings!r}"
        )
    check_verbose(verbose)
    _check_callbacks(callbacks)
    check_model(pruned, "pruned")
    check_checkpoint(checkpoint)
    check_strategy()
    # The time runs from here: it is the user's.
    pace = Pace(settings.most_steps, settings.minutes)
    channel_map = map_for_units(original, channel_map, keep, name="original")
    absent = frozenset()
    if keep is not None:
        keep = channel_map.check_keep(keep)
        absent = channel_map.absent_calls(keep)
    pruned_map = trace_channels(pruned)
    student = copy_whole(pruned, pruned_map).model
    _unfreeze(student)
    student_graph = record_graph(student)
    ids = channel_map.ids
    imitation = Imitation(channel_map.graph, student_graph, ids, keep, absent)
    # Behind `undisturbed`: the line that called `mimic`.
    warn_of_order(original, pruned, "`original` and `pruned`", stacklevel=3)
    data = TrainingData(dataset, channel_map.graph, settings)
    trained = copy_whole(pruned, pruned_map).model  # it keeps the flags of `pruned`
    if data.num_examples < MIN_EXAMPLES or not imitation.layers:
        return trained
    checkpoint = open_checkpoint(
        checkpoint,
        pruned,
        data.batches,
        original=original,
        settings=settings,
        keep=keep,
    )
    imitation.measure_variances(data.known)
    imitation.hold_out(data.held_out)
    rate = settings.learning_rate
    entry = checkpoint.entry("training")
    training = Training(student, imitation, data, rate, pace, entry)
    planned = {"mimic": 1.0}  # all there is, if it is no step of something longer
    try:
        with (
            checkpoint.explain_interruption(),
            show_progress(progress, verbose, planned) as shown,
        ):
            if progress is None:
                shown.begin("mimic")
                shown.show("training")
            report = _Report(student, shown, callbacks)
            training.run(report.look)
            report.end()
            if progress is None:
                shown.note("trained")
    except KeyboardInterrupt:
        again = "With the argument `checkpoint` the same call would go on from there"
        warnings.warn(
            f"The training was interrupted after {pace.num_done} steps: the best "
            f"network so far is returned. {checkpoint.advice or again}",
            stacklevel=3,
        )
    else:
        if pace.num_done == 0 and not pace.goes_on():
            warnings.warn(
                "Expected more time than reading and measuring the data take. Received:"
                f" minutes={settings.minutes}. Nothing was trained",
                stacklevel=3,
            )
    if training.best is not None:
        trained.set_weights(training.best)
    elif pace.num_done and not training.error < training.start:
        warnings.warn(
            "Expected training to bring the network nearer to the original. Received: "
            f"a held-out error of {training.error:.3g} after {pace.num_done} steps, "
            f"and of {training.start:.3g} before: the network is returned as it came. "
            "Take a smaller `learning_rate`, more steps or more images",
            stacklevel=3,
        )
    return trained


class _Report:
    """Tells a bar and callbacks of a training.

    Args:
        student: The `keras.Model` that is trained.
        progress: A `Progress`.
        callbacks: See `mimic`.
    """

    def __init__(self, student, progress, callbacks):
        student.stop_training = False
        self._student, self._progress, self._count = student, progress, 0
        self._callbacks = keras.callbacks.CallbackList(callbacks, model=student)
        self._callbacks.on_train_begin()
        self._callbacks.on_epoch_begin(0)

    def look(self, share, error):
        """Tells of a look at the held-out examples; returns whether to stop.

        Args:
            share: Float, how much of the training is done.
            error: Float, the held-out error.
        """
        self._progress.show_share(f"training, error {error:.3g}", share)
        self._callbacks.on_epoch_end(self._count, {"error": error})
        self._count += 1
        if not self._student.stop_training:
            self._callbacks.on_epoch_begin(self._count)
        return self._student.stop_training

    def end(self):
        """Tells callbacks that the training has ended."""
        self._callbacks.on_train_end()


def _check_callbacks(callbacks):
    """Raises a `ValueError` unless an argument is one callback of Keras, or several."""
    several = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    known = keras.callbacks.Callback
    if callbacks is not None and not all(isinstance(one, known) for one in several):
        raise ValueError(
            "Argument `callbacks` should be a `keras.callbacks.Callback`, a list of "
            f"them, or None. Received: callbacks={show(callbacks)}"
        )


def _unfreeze(layer):
    layer.trainable = True
    for inner in getattr(layer, "layers", ()):
        _unfreeze(inner)
