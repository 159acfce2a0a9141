"""`mimic`: trains a pruned network to have the original's features."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.repair.augmentation import augment
from keras_shapley_prune.repair.imitation import Imitation
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels

MIN_EXAMPLES = 4
CHECK_EVERY = 25  # steps from one look at the held-out examples to the next


def mimic(
    pruned,
    original,
    dataset,
    num_steps=1000,
    learning_rate=1e-3,
    batch_size=32,
    seed=0,
    verbose=0,
    progress=None,
):
    """Returns a copy of a pruned model, trained to have the original's features.

    A short training without labels, after "Compressing Models with Few Samples:
    Mimicking then Replacing" (Wang et al., 2022, https://arxiv.org/abs/2201.02620).
    The features are what the last layers with a kernel read, before each output; if
    they read what a pooling returns, what is pooled. The loss is their squared error,
    relative to their variance in the original. The last layers themselves get the
    original's weights back. Where one of them reads another number of channels than in
    the original, what it returns is imitated, before its activation, and it is trained
    like the others.

    Images (inputs of rank 4) are flipped and shifted at random, for both networks
    alike. Normalizations keep their statistics, Dropout is off. All other weights that
    lead to the features are trained, those of frozen layers too. The result has the
    smallest loss on a tenth of the examples, which is held out: if training does not
    lower it, a copy of `pruned`. With fewer than four examples nothing is trained.

    Args:
        pruned: A `keras.Model`, made from `original` by `remove_channels` or
            `repair_channels`. It is not changed.
        original: The built Sequential or functional `keras.Model` it was made from.
        dataset: Calibration data, what `model.predict` takes, in examples of one
            size; labels are not read.
        num_steps: Integer, the steps of Adam.
        learning_rate: Float, its learning rate at first; it falls to zero as a cosine.
        batch_size: Integer, examples a step.
        seed: Integer. The same seed gives the same weights.
        verbose: 1 for a progress bar, 0 for silence.
        progress: A `Progress` in whose step the network is trained, or `None`.

    Returns:
        A model like `pruned`, with other weights, not compiled.

    Raises:
        ValueError: If a number is not positive, `pruned` does not come from
            `original`, or the data does not fit the model.

    Example:

    ```python
    smaller = keras_shapley_prune.repair_channels(model, keep, images)
    smaller = mimic(smaller, model, images)
    ```
    """
    _check_positive(
        num_steps=num_steps, learning_rate=learning_rate, batch_size=batch_size
    )
    graph, student = record_graph(original), _copy(pruned)
    _unfreeze(student)  # the model that is returned keeps its flags
    imitation = Imitation(graph, record_graph(student))
    arrays = _read_arrays(dataset, graph, batch_size)
    trained = _copy(pruned)  # gets the best weights so far
    if len(arrays[0]) < MIN_EXAMPLES or not imitation.variables:
        return trained
    generator = np.random.default_rng(seed)
    # A tenth of the examples is held out, and never trained on.
    order = generator.permutation(len(arrays[0]))
    parts = np.split(order, [max(1, len(order) // 10)])
    held_out, rest = ([array[part] for array in arrays] for part in parts)
    imitation.measure_variances(_slices(rest, batch_size))
    # To beat is the network as it came, before its last layers get the original's
    # weights back: that alone can make it worse.
    lowest = imitation.error(_slices(held_out, batch_size))
    imitation.restore_heads()
    batches = _draw_batches(rest, batch_size, generator)
    bar = keras.utils.Progbar(num_steps, verbose=verbose, stateful_metrics=["error"])
    for step in _train(imitation, batches, num_steps, learning_rate):
        error = imitation.error(_slices(held_out, batch_size))
        bar.update(step, [("error", error)])
        if progress is not None:
            progress.add(CHECK_EVERY / num_steps)
        if error < lowest:
            lowest = error
            trained.set_weights(student.get_weights())
    return trained


def _train(imitation, batches, num_steps, learning_rate):
    """Trains with Adam, yields the number of the step every `CHECK_EVERY` steps."""
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
    # In half precision, gradients of a mean over many values would vanish.
    optimizer = keras.optimizers.Adam(schedule, loss_scale_factor=1024.0)
    optimizer.build(imitation.variables)

    @tf.function
    def take_step(inputs):
        with tf.GradientTape() as tape:
            loss = optimizer.scale_loss(imitation.loss(inputs))
        gradients = tape.gradient(loss, imitation.variables)
        optimizer.apply(gradients, imitation.variables)

    for step in range(1, num_steps + 1):
        take_step([tf.constant(array) for array in next(batches)])
        if step % CHECK_EVERY == 0 or step == num_steps:
            yield step


def _copy(model):
    channel_map = trace_channels(model)
    # Removing nothing copies layers whose configs hold functions, as cloning cannot.
    return remove_channels(model, np.ones(channel_map.num_units, bool), channel_map)


def _unfreeze(layer):
    layer.trainable = True
    for inner in getattr(layer, "layers", ()):
        _unfreeze(inner)


def _read_arrays(dataset, graph, batch_size):
    """Returns the inputs as a list of arrays."""
    data = CalibrationData(dataset, graph.input_structure, batch_size, False)
    batches = [[value.numpy() for value in inputs] for inputs, _, _ in data]
    return [np.concatenate(values) for values in zip(*batches, strict=True)]


def _slices(arrays, batch_size):
    """Returns batches of arrays as lists of tensors."""
    starts = range(0, len(arrays[0]), batch_size)
    return [[tf.constant(a[s : s + batch_size]) for a in arrays] for s in starts]


def _draw_batches(arrays, batch_size, generator):
    """Yields augmented batches without end, from one shuffling after the other."""
    num_examples, drawn = len(arrays[0]), np.array([], int)
    batch_size = min(batch_size, num_examples)
    while True:
        # A shuffling is used up before the next one: all examples are seen equally
        # often.
        if len(drawn) < batch_size:
            drawn = np.append(drawn, generator.permutation(num_examples))
        batch, drawn = drawn[:batch_size], drawn[batch_size:]
        yield augment([array[batch] for array in arrays], generator)


def _check_positive(**numbers):
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(
                f"Argument `{name}` should be positive. Received: {name}={number}"
            )
