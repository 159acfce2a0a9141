"""Times models on a runtime, or by a user's function."""

import math
import numbers

from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.latency.runtime import Runtime
from keras_shapley_prune.latency.timing import Timing, time_in_turn


def time_models(
    models, runtime, examples=None, num_runs=30, max_seconds=None, name="target"
):
    """Times one inference of several models, which take turns.

    Args:
        models: List of `keras.Model`.
        runtime: What `resolve_runtime` returned. A function is called once for each
            model: it knows best how often it has to run what it measures.
        examples: See `Runtime.load`. Not for functions.
        num_runs: See `time_in_turn`. Not for functions.
        max_seconds: See `time_in_turn`. Not for functions.
        name: String, the argument that gives the runtime.

    Returns:
        List of `Timing`, one for each model.

    Raises:
        ValueError: If a model cannot be run, or a function returns no time.
    """
    if not isinstance(runtime, Runtime):
        return [_ask(runtime, model, name) for model in models]
    with kept_states(*models):
        runs = [runtime.load(model, examples) for model in models]
        return time_in_turn(runs, num_runs, max_seconds, clock=runtime.clock)


def _ask(function, model, name):
    """Returns the `Timing` of a model by a user's function."""
    seconds = function(model)
    number = isinstance(seconds, numbers.Real) and not isinstance(seconds, bool)
    if not number or not 0 < seconds < math.inf:
        raise ValueError(
            f"Argument `{name}` should be a function that returns the seconds of one "
            f"inference, a number above 0. Received: {show(function)}, which returned "
            f"{show(seconds)}"
        )
    seconds = float(seconds)
    return Timing(seconds, seconds, seconds, seconds, 1)
