"""Fits of one layer of a pruned network to what it returns in the original."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_specs import find_linear_form
from keras_shapley_prune.linear_forms import to_rows
from keras_shapley_prune.repair.gram import Gram
from keras_shapley_prune.repair.ridge import choose_ridge, solve_towards
from keras_shapley_prune.repair.scales import apply_depthwise
from keras_shapley_prune.repair.targets import SkipCompensation

ROWS_A_COLUMN = 64  # more positions than that tell a fit nothing new


def fit_matrix(repairer, form, calls, can_shift):
    """Sets the kernel of a linear layer by ridge regression.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        form: The `LinearForm` of the layer.
        calls: List of the calls to fit.
        can_shift: Boolean, whether a bias can go with it.

    Returns:
        Float array, shape `(num_outputs,)`: the bias to go with it.
    """
    stays = repairer.columns_left(form, calls[0])

    def rows_left(inputs):
        rows = form.rows(inputs)
        return rows if stays.all() else tf.boolean_mask(rows, stays, axis=2)

    rest, held_out = _collect(repairer, calls, rows_left)
    prior, ridge = form.matrix[stays], repairer.ridge
    if ridge is None:
        ridge = choose_ridge(rest, held_out, prior, can_shift)
    mean_x, mean_y, xx, xy, _ = (rest + held_out).covariances(can_shift)
    matrix = np.zeros(form.matrix.shape)
    matrix[stays] = solve_towards(xx, xy, prior, ridge)
    form.assign(matrix)
    return mean_y - mean_x @ matrix[stays]


def collect_at(repairer, call, position, max_columns):
    """Returns the moments of what one call reads, as it is to be reconstructed.

    Of a layer with more columns than `max_columns` the taps are not told apart: what
    each tap contributes to the output is reconstructed by itself. What a layer reads
    that has no `LinearForm` is reconstructed itself.

    Args:
        repairer: A `Repairer`.
        call: A `Call` of the copy that has not been passed yet.
        position: Integer, which of its inputs.
        max_columns: Integer.

    Returns:
        Tuple of a `Gram`, the weights it belongs to, and the channel of the input that
        each column comes from.
    """
    form = find_linear_form(call.operation)
    if form is not None and len(form.channel_of) <= max_columns:
        rest, held_out = _collect(repairer, [call], form.rows)
        return rest + held_out, form.matrix, form.channel_of
    channels = np.arange(call.inputs[position].shape[-1])
    weights = np.eye(len(channels))
    if form is not None:
        by_channel = form.matrix[np.argsort(form.channel_of, kind="stable")]
        weights = by_channel.reshape(len(channels), -1)
        weights = np.linalg.qr(weights.T, mode="r").T
    gram = Gram(len(channels), weights.shape[1])
    for _, before, after in repairer.passes([call]):
        rows = to_rows(after[call.inputs[position]])
        target = to_rows(before[repairer.twin(call).inputs[position]])
        rows, target = _thin_out(rows, target, repairer.num_examples)
        gram.add(rows, tf.matmul(target, tf.constant(weights, tf.float32)))
    return gram, weights, channels


def fit_bias(repairer, form, calls):
    """Returns the bias under which a layer's outputs have their old mean.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        form: The `LinearForm` of the layer, `None` for a `DepthwiseConv2D`.
        calls: List of its calls.
    """
    wanted, seen, count = 0.0, 0.0, 0
    for call, before, after in repairer.passes(calls):
        twin = repairer.twin(call)
        inputs = repairer.edit_input(call, 0, after[call.inputs[0]])
        if form is None:
            target = apply_depthwise(twin.operation, before[twin.inputs[0]], bias=True)
            outputs = apply_depthwise(call.operation, inputs)
        else:
            target = find_linear_form(twin.operation).apply(before[twin.inputs[0]])
            outputs = form.apply(inputs) - (0 if form.bias is None else form.bias)
        target, outputs = to_rows(target), to_rows(outputs)
        wanted = wanted + tf.reduce_sum(target, axis=[0, 1]).numpy()
        seen = seen + tf.reduce_sum(outputs, axis=[0, 1]).numpy()
        count += int(target.shape[0] * target.shape[1])
    return (wanted - seen) / count


def estimate_statistics(repairer, calls):
    """Sets the statistics of a BatchNormalization to those of what it reads.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        calls: List of the calls of the layer.
    """
    sums, squares, count = 0.0, 0.0, 0
    for call, _, after in repairer.passes(calls):
        rows = tf.cast(to_rows(after[call.inputs[0]]), tf.float64)
        sums = sums + tf.reduce_sum(rows, axis=[0, 1]).numpy()
        squares = squares + tf.reduce_sum(rows**2, axis=[0, 1]).numpy()
        count += int(rows.shape[0] * rows.shape[1])
    normalization, mean = calls[0].operation, sums / count
    normalization.moving_mean.assign(mean)
    normalization.moving_variance.assign(np.maximum(squares / count - mean**2, 0))


def _collect(repairer, calls, rows_of):
    """Returns second moments of what a layer reads with what it should return.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        calls: List of calls of a linear layer.
        rows_of: Callable: input tensor -> rows, `(batch, positions, columns)`.

    Returns:
        Tuple of two `Gram`s: of four fifths of the examples, and of the rest.
    """
    grams, first = None, 0
    wanted = find_linear_form(repairer.twin(calls[0]).operation)
    lacking = {c: SkipCompensation(*repairer.graphs, repairer.twin(c)) for c in calls}
    for call, before, after in repairer.passes(calls):
        target = wanted.apply(before[repairer.twin(call).inputs[0]])
        target = to_rows(target + lacking[call](before, after))
        rows = rows_of(after[call.inputs[0]])
        rows, target = _thin_out(rows, target, repairer.num_examples)
        if grams is None:
            shape = int(rows.shape[-1]), int(target.shape[-1])
            grams = Gram(*shape), Gram(*shape)
        fifth = (first + np.arange(len(rows))) % 5
        first = (first + len(rows)) % repairer.num_examples  # then the next call
        for gram, chosen in zip(grams, (fifth > 0, fifth == 0), strict=True):
            if chosen.any():
                examples = np.flatnonzero(chosen)
                gram.add(tf.gather(rows, examples), tf.gather(target, examples))
    if not all(np.isfinite(gram.xx).all() for gram in grams):
        raise ValueError(
            "Expected finite values in the network on the calibration data. Received: "
            "values that are not, in what layer "
            f"{calls[0].operation.name!r} reads"
        )
    return grams


def _thin_out(rows, target, num_examples):
    """Returns as many random positions of each example as a fit needs."""
    positions = rows.shape[1]
    wanted = -(-ROWS_A_COLUMN * rows.shape[2] // num_examples)
    if wanted >= positions:
        return rows, target
    chosen = np.random.default_rng(0).permutation(positions)[:wanted]
    return tf.gather(rows, chosen, axis=1), tf.gather(target, chosen, axis=1)
