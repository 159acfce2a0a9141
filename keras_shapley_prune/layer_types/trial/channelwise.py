"""Whether each output channel depends on the input channel at its own place alone."""

import itertools

import numpy as np

from keras_shapley_prune.layer_types.trial.probes import (
    choose_parts,
    draw,
    probe_shapes,
    select_halves,
)
from keras_shapley_prune.layer_types.trial.quiet_runs import (
    NotElementwiseError,
    NotRepeatableError,
)

# How far two runs of one function may be apart, as a share of what it reads and
# returns: rounding, which differs with the number of channels.
TOLERANCES = {"float64": 1e-10, "float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}


def find_usable_shapes(run, shape):
    """Returns the shapes on which something can be run and keeps its channels.

    Args:
        run: A `QuietRun`.
        shape: See `probe_shapes`.

    Raises:
        NotElementwiseError: If there is none.
    """
    for shapes in probe_shapes(shape):
        usable = []
        for probed in shapes:
            try:
                run_whole(run, draw(np.random.default_rng(0), probed))
                usable.append(probed)
            except NotElementwiseError as error:
                reason = error
        if usable:
            return usable
    raise reason


def run_whole(run, array):
    """Returns what is made of an array, which has as many channels.

    Args:
        run: A `QuietRun`.
        array: Float array, the channels last.

    Raises:
        NotElementwiseError: If it cannot be run, or has not as many.
    """
    returned = run(array)
    channels = array.shape[-1]
    if returned.ndim < 2:
        raise NotElementwiseError(f"it returns shape {returned.shape}")
    if returned.shape[-1] != channels:
        raise NotElementwiseError(
            f"it returns {returned.shape[-1]} channels of {channels}"
        )
    if not np.isfinite(returned).any():
        raise NotElementwiseError("it returns no numbers")
    return returned


def check_apart(run, shape, most=None):
    """Raises an error if an output channel changes with another input channel.

    Args:
        run: A `QuietRun`.
        shape: Tuple of integers, the shape of what is read.
        most: Integer, how many changes are tried at most, `None` for enough.

    Raises:
        NotElementwiseError: If one does; it says which one.
    """
    generator = np.random.default_rng(0)
    base = draw(generator, shape)
    expected = run_whole(run, base)
    if _find_changed(run, base, expected, run_whole(run, base)).any():
        raise NotRepeatableError("it returns other values each time it is called")
    for turn, selected in enumerate(itertools.islice(select_halves(shape[-1]), most)):
        changed = np.where(selected, draw(generator, shape, turn), base)
        differs = _find_changed(run, changed, expected, run_whole(run, changed))
        if differs[~selected].any():
            channel = np.flatnonzero(differs & ~selected)[0]
            _blame(run, base, changed, expected, selected, channel)


def check_parts(run, run_part, shape, sizes):
    """Raises an error if some channels alone are not computed as among all others.

    Args:
        run: A `QuietRun`.
        run_part: Callable `fn(chosen)` that returns the `QuietRun` of what has only
            the channels of an integer array.
        shape: Tuple of integers, the shape of what is read.
        sizes: Sequence of integers, how many channels are tried alone.

    Raises:
        NotElementwiseError: If they are not.
    """
    generator = np.random.default_rng(1)
    base = draw(generator, shape)
    returned = run_whole(run, base)
    for chosen in choose_parts(generator, shape[-1], sizes):
        part = base[..., chosen]
        try:
            received = run_part(chosen)(part)
        except NotElementwiseError as error:
            count = f"on {len(chosen)} of {shape[-1]} channels"
            raise NotElementwiseError(f"{count} {error}") from error
        expected = returned[..., chosen]
        if received.shape != expected.shape or (
            _find_changed(run, part, expected, received).any()
        ):
            raise NotElementwiseError(
                f"on {len(chosen)} of {shape[-1]} channels it returns something else "
                "than on all"
            )


def _find_changed(run, inputs, expected, received):
    """Returns a boolean array, shape `(channels,)`: where two outputs differ."""
    if expected.shape != received.shape:
        raise NotElementwiseError("it returns other shapes of other numbers")
    # Cancellation leaves errors of the size of what was read, and of the one in
    # functions such as exp(x) - 1.
    scale = 1 + _scale_of(expected)
    if len(inputs) == len(expected):
        scale = scale + _scale_of(inputs)
    scale = scale.reshape(len(scale), *[1] * (expected.ndim - 2), -1)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        far = ~(
            np.abs(expected - received) <= TOLERANCES.get(run.precision, 1e-5) * scale
        )
    same = (expected == received) | (np.isnan(expected) & np.isnan(received))
    return (far & ~same).any(axis=tuple(range(far.ndim - 1)))


def _scale_of(array):
    """Returns the largest finite numbers, shape `(examples, channels)`."""
    finite = np.where(np.isfinite(array), np.abs(array), 0)
    return finite.max(axis=tuple(range(1, array.ndim - 1)), initial=0)


def _blame(run, base, changed, expected, selected, channel):
    """Raises the error that says which input channel an output channel reads."""

    def reads(candidates):
        some = np.isin(np.arange(base.shape[-1]), candidates)
        probe = np.where(some, changed, base)
        return _find_changed(run, probe, expected, run_whole(run, probe))[channel]

    candidates = np.flatnonzero(selected)
    while len(candidates) > 1:
        halves = np.array_split(candidates, 2)
        candidates = next((half for half in halves if reads(half)), None)
        if candidates is None:
            raise NotElementwiseError(
                f"output channel {channel} changed when only other input channels did"
            )
    raise NotElementwiseError(
        f"output channel {channel} changed when only input channel {candidates[0]} did"
    )
