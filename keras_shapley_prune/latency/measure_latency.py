"""How long one inference takes: models that take turns."""

import keras
import tensorflow as tf

from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.inputs.arguments import (
    blaming,
    check_at_least,
    check_integer,
    show,
)
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.inputs.one_line import describe
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.latency.loading import compile_call
from keras_shapley_prune.latency.runtime import Runtime, resolve_runtime
from keras_shapley_prune.latency.time_models import time_models
from keras_shapley_prune.latency.timing import time_in_turn


@undisturbed
def measure_latency(models, inputs, num_runs=30, max_seconds=None, runtime=None):
    """Measures the time of one inference of several models, taking turns.

    Each model is made ready, and run at least twice, before anything is timed. Since
    the models take turns, other programs on the machine slow all of them. A run of less
    than half a millisecond is repeated until that has passed, and its mean counts as
    one run.

    Args:
        models: List of `keras.Model`.
        inputs: What the models take, one batch. Its size is that of every run, unless
            a `Runtime` gives another: then its examples are repeated, or some left out.
            With a runtime it may be `None`: inputs are drawn.
        num_runs: Integer, how many timed runs of each model.
        max_seconds: Float, or `None`: after so many seconds no other run is started,
            once each model has had three.
        runtime: `None` for the compiled forward pass, a `tf.function`, and the time
            that passes; `"tensorflow"` for the same, or `"litert"` for the file that
            `export_litert` writes, and the time that the processor spends, see
            `Runtime`; a `Runtime`, which also says how many threads and whether int8;
            or a function that takes a model and returns seconds, such as one that runs
            it on a phone. It is called once for each model, and `num_runs` is not read.

    Returns:
        List of floats: the median time of each model in seconds.

    Raises:
        ImportError: If LiteRT is asked for, and not installed.
        ValueError: If an argument is not of that form, a model does not take the
            inputs, or LiteRT cannot do what it does.

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
    if runtime is None:
        # Functions can be measured too, and have no states that are known.
        with kept_states(*(one for one in models if isinstance(one, keras.Model))):
            runs = _compile(models, inputs)
            timings = time_in_turn(runs, num_runs, max_seconds)
    else:
        timings = _measure_on(runtime, models, inputs, num_runs, max_seconds)
    return [timing.median for timing in timings]


def _compile(models, inputs):
    """Returns the compiled forward passes of models, a list."""
    try:
        inputs = keras.tree.map_structure(tf.convert_to_tensor, inputs)
        return [compile_call(model, inputs) for model in models]
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise ValueError(
            "Argument `inputs` should be one batch of what the models take. Received: "
            f"inputs of type {type(inputs)}, of which Keras says: {describe(error)}"
        ) from error


def _measure_on(runtime, models, inputs, num_runs, max_seconds):
    """Returns the `Timing` of each model on a runtime."""
    resolved = resolve_runtime(runtime, "runtime")
    for model in models:
        check_model(model, "models")
    if isinstance(runtime, str) and inputs is not None:
        resolved = Runtime(runtime, batch_size=_count(inputs))
    examples = None if inputs is None else [(inputs,)]
    with blaming("examples", "inputs"):
        return time_models(models, resolved, examples, num_runs, max_seconds, "runtime")


def _count(inputs):
    """Returns how many examples a batch holds; 1 where it is none, which is refused."""
    try:
        return max(1, len(keras.tree.flatten(inputs)[0]))
    except (IndexError, TypeError):
        return 1


def _check_models(models):
    several = isinstance(models, (list, tuple)) and len(models) > 0
    # Whatever can be called: a network need not be a model to be timed.
    fits = several and all(callable(m) and not isinstance(m, type) for m in models)
    if not fits:
        raise ValueError(
            "Argument `models` should be a list of `keras.Model`s. "
            f"Received: models={show(models)}"
        )
