"""Fits of one layer of a pruned network to what it returns in the original."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_specs import find_linear_form
from keras_shapley_prune.linear_forms import to_rows
from keras_shapley_prune.repair.gram import Gram
from keras_shapley_prune.repair.ridge import choose_ridge, solve_towards
from keras_shapley_prune.repair.scales import apply_depthwise
from keras_shapley_prune.repair.targets import SkipCompensation
from keras_shapley_prune.repair.wide_layers import fit_wide

ROWS_A_COLUMN = 64  # more positions than that tell a fit nothing new
MAX_COLUMNS = 4608  # that a Gram is made for: 3 x 3 taps of 512 channels
MAX_BYTES = 2**28  # of the rows of a wider layer that are made at a time


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

    prior, ridge = form.matrix[stays], repairer.ridge
    matrix = np.zeros(form.matrix.shape)
    if len(prior) > MAX_COLUMNS:
        data = LayerData(repairer, calls, rows_left, MAX_BYTES // (4 * len(matrix)))
        matrix[stays], bias = fit_wide(data, prior, can_shift, ridge)
        _check_finite(matrix, calls)
        form.assign(matrix)
        return bias
    rest, held_out = _collect(LayerData(repairer, calls, rows_left))
    _check_finite(rest.xx, calls)
    _check_finite(held_out.xx, calls)
    if ridge is None:
        ridge = choose_ridge(rest, held_out, prior, can_shift)
    mean_x, mean_y, xx, xy, _ = (rest + held_out).covariances(can_shift)
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
        rest, held_out = _collect(LayerData(repairer, [call], form.rows))
        _check_finite((rest + held_out).xx, [call])
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
        rows, target = _thin_out([rows, target], repairer.num_examples)
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


class LayerData:
    """What a linear layer reads and what it should return, as rows, batch by batch.

    Every fifth example is held out.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        calls: List of calls of the layer.
        rows_of: Callable: input tensor -> rows, `(batch, positions, columns)`.
        max_rows: Integer, how many are made at a time, or `None`. A single example
            may have more.
    """

    def __init__(self, repairer, calls, rows_of, max_rows=None):
        self._repairer, self._calls = repairer, calls
        self._rows_of, self._max_rows = rows_of, max_rows
        self._wanted = find_linear_form(repairer.twin(calls[0]).operation)
        self._lacking = {
            call: SkipCompensation(*repairer.graphs, repairer.twin(call))
            for call in calls
        }

    def rows(self):
        """Yields rows, and a boolean array of which examples are held out."""
        for call, _, after, pieces in self._batches():
            for examples, held_out in pieces:
                rows = self._rows_of(after[call.inputs[0]][examples])
                yield _thin_out([rows], self._repairer.num_examples)[0], held_out

    def pairs(self):
        """Yields rows, their targets and which examples are held out."""
        for call, before, after, pieces in self._batches():
            target = self._wanted.apply(before[self._repairer.twin(call).inputs[0]])
            target = to_rows(target + self._lacking[call](before, after))
            for examples, held_out in pieces:
                rows = self._rows_of(after[call.inputs[0]][examples])
                pair = [rows, target[examples]]
                yield *_thin_out(pair, self._repairer.num_examples), held_out

    def _batches(self):
        """Yields what `Repairer.passes` does, and the examples to be read at a time."""
        first = 0
        for call, before, after in self._repairer.passes(self._calls):
            inputs = after[call.inputs[0]]
            count = size = len(inputs)
            if self._max_rows is not None:
                shape = call.operation.compute_output_shape(tuple(inputs.shape))
                size = max(self._max_rows // math.prod(shape[1:-1]), 1)
            held_out = (first + np.arange(count)) % 5 == 0
            first = (first + count) % self._repairer.num_examples  # then the next call
            pieces = [slice(start, start + size) for start in range(0, count, size)]
            yield call, before, after, [(piece, held_out[piece]) for piece in pieces]


def _collect(data):
    """Returns second moments of what a layer reads with what it should return.

    Args:
        data: A `LayerData`.

    Returns:
        Tuple of two `Gram`s: of four fifths of the examples, and of the rest.
    """
    grams = None
    for rows, target, held_out in data.pairs():
        if grams is None:
            shape = int(rows.shape[-1]), int(target.shape[-1])
            grams = Gram(*shape), Gram(*shape)
        for gram, chosen in zip(grams, (~held_out, held_out), strict=True):
            if chosen.any():
                examples = np.flatnonzero(chosen)
                gram.add(tf.gather(rows, examples), tf.gather(target, examples))
    return grams


def _check_finite(array, calls):
    if not np.isfinite(array).all():
        raise ValueError(
            "Expected finite values in the network on the calibration data. Received: "
            "values that are not, in what layer "
            f"{calls[0].name!r} reads"
        )


def _thin_out(tensors, num_examples):
    """Returns as many random positions of each example as a fit needs.

    Args:
        tensors: List of tensors, shape `(batch, positions, ...)`, the rows first.
        num_examples: Integer.
    """
    _, positions, columns = tensors[0].shape
    wanted = -(-ROWS_A_COLUMN * columns // num_examples)
    if wanted >= positions:
        return tensors
    chosen = np.random.default_rng(0).permutation(positions)[:wanted]
    return [tf.gather(tensor, chosen, axis=1) for tensor in tensors]
