"""How long one inference takes: models that take turns."""

import time

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.inputs.arguments import check_at_least, check_integer, show
from keras_shapley_prune.inputs.one_line import describe
from keras_shapley_prune.inputs.undisturbed import undisturbed


@undisturbed
def measure_latency(models, inputs, num_runs=30, max_seconds=None):
    """Measures the time of one inference of several models, taking turns.

    Each model is a `tf.function`, which is traced and run twice before anything is
    timed. Since the models take turns, other programs on the machine slow all of them.

    Args:
        models: List of `keras.Model`.
        inputs: What the models take, one batch. Its size is that of every run.
        num_runs: Integer, how many timed runs of each model.
        max_seconds: Float, or `None`: after so many seconds no other run is started,
            once each model has had three.

    Returns:
        List of floats: the median time of each model in seconds.

    Raises:
        ValueError: If an argument is not of that form, or a model does not take the
            inputs.

    Example:

    ```python
    seconds = keras_shapley_prune.measure_latency([model, pruned], images[:32])
    print(f"{seconds[0] / seconds[1]:.2f} times as fast")
    ```
    """
    _check_models(models)
    check_integer("num_runs", num_runs, 1)
    if max_seconds is not None:
        check_at_least("max_seconds", max_seconds, 0)
    # Functions can be measured too, and have no states that are known.
    with kept_states(*(one for one in models if isinstance(one, keras.Model))):
        return _measure(models, inputs, num_runs, max_seconds)


def _measure(models, inputs, num_runs, max_seconds):
    steps = [tf.function(lambda x, m=model: m(x, training=False)) for model in models]
    try:
        inputs = keras.tree.map_structure(tf.convert_to_tensor, inputs)
        for step in steps:  # trace, and warm up
            step(inputs)
            step(inputs)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise ValueError(
            "Argument `inputs` should be one batch of what the models take. Received: "
            f"inputs of type {type(inputs)}, of which Keras says: {describe(error)}"
        ) from error
    # One run of each model after the other: what slows the machine slows them alike.
    seconds = []
    while len(seconds) < num_runs:
        if (
            max_seconds is not None
            and len(seconds) >= 3
            and np.sum(seconds) > max_seconds
        ):
            break
        seconds.append([_time(step, inputs) for step in steps])
    return np.median(seconds, axis=0).tolist()


def _check_models(models):
    several = isinstance(models, (list, tuple)) and len(models) > 0
    # Whatever can be called: a network need not be a model to be timed.
    fits = several and all(callable(m) and not isinstance(m, type) for m in models)
    if not fits:
        raise ValueError(
            "Argument `models` should be a list of `keras.Model`s. "
            f"Received: models={show(models)}"
        )


def _time(step, inputs):
    # Reading the outputs as arrays waits until they have been computed.
    start = time.perf_counter()
    keras.tree.map_structure(lambda tensor: tensor.numpy(), step(inputs))
    return time.perf_counter() - start
