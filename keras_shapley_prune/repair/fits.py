"""Fits of one layer of a pruned network to what it returns in the original."""

from functools import partial

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.linear_forms import to_rows
from keras_shapley_prune.layer_types.masked_calls import mask_inputs
from keras_shapley_prune.layer_types.registry import find_layer_type, find_linear_form
from keras_shapley_prune.layer_types.unit_ids import INSIDE
from keras_shapley_prune.repair.depthwise import apply_depthwise
from keras_shapley_prune.repair.gram import Gram
from keras_shapley_prune.repair.layer_data import LayerData, read_whole, thin_out
from keras_shapley_prune.repair.ridge import choose_ridge, solve_towards
from keras_shapley_prune.repair.wide_ridge import fit_wide

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
    prior, columns_of = form.matrix, np.flatnonzero(stays)
    matrix, bias = np.zeros(prior.shape), np.zeros(prior.shape[1])
    blocks = [(columns[stays[columns]], outputs) for columns, outputs in form.blocks]
    max_rows = MAX_BYTES // (4 * len(matrix))
    wide = max(len(columns) for columns, _ in blocks) > MAX_COLUMNS
    if not wide:  # one pass over the data for all blocks
        places = [((np.cumsum(stays) - 1)[columns], o) for columns, o in blocks]
        many = len(columns_of) > MAX_COLUMNS
        rows_of = _rows_at(form, columns_of)
        data = LayerData(repairer, calls, rows_of, max_rows if many else None)
        grams = _collect(data, places)
    for number, (columns, outputs) in enumerate(blocks):
        block = np.ix_(columns, outputs)
        if wide:
            rows_of, some = _rows_at(form, columns), outputs if blocks[1:] else None
            data = LayerData(repairer, calls, rows_of, max_rows, some)
            fitted = fit_wide(data, prior[block], can_shift, repairer.ridge)
        else:
            for gram in grams[number]:
                _check_finite(gram.xx, calls)
            fitted = _fit_grams(*grams[number], prior[block], can_shift, repairer.ridge)
        matrix[block], bias[outputs] = fitted
    _check_finite(matrix, calls)
    form.assign(matrix)
    return bias


def _rows_at(form, columns):
    """Returns the function that makes a layer's rows, with some columns only."""

    def rows_of(inputs):
        rows = form.rows(inputs)
        whole = len(columns) == rows.shape[-1]
        return rows if whole else tf.gather(rows, columns, axis=2)

    return rows_of


def _fit_grams(rest, held_out, prior, can_shift, ridge):
    """Returns the weights and the bias that fit second moments best."""
    if ridge is None:
        ridge = choose_ridge(rest, held_out, prior, can_shift)
    mean_x, mean_y, xx, xy, _ = (rest + held_out).covariances(can_shift)
    weights = solve_towards(xx, xy, prior, ridge)
    return weights, mean_y - mean_x @ weights


def collect_at(repairer, call, position, max_columns):
    """Returns the moments of what one call reads, as it is to be reconstructed.

    Of a layer with more columns than `max_columns` the taps are not told apart: what
    each tap contributes to the output is reconstructed by itself (heads have no taps).
    What a layer reads that has no `LinearForm` is reconstructed itself, or what it is
    multiplied with.

    Args:
        repairer: A `Repairer`.
        call: A `Call` of the copy that has not been passed yet.
        position: Integer, which of its inputs, or `INSIDE`.
        max_columns: Integer.

    Returns:
        Tuple of a `Gram`, the weights it belongs to, the channel of the input that
        each column comes from, and the blocks of the weights, see `LinearForm`.
    """
    form = find_linear_form(call.operation)
    form = form if form is not None and form.site == position else None
    few = form is not None and len(form.channel_of) <= max_columns
    if few or position == INSIDE:
        ((rest, held_out),) = _collect(LayerData(repairer, [call], form.rows))
        _check_finite((rest + held_out).xx, [call])
        return rest + held_out, form.matrix, form.channel_of, form.blocks
    channels = np.arange(call.inputs[position].shape[-1])
    projected = find_layer_type(call.operation).projection(call, position)
    if form is not None:
        by_channel = form.matrix[np.argsort(form.channel_of, kind="stable")]
        weights = by_channel.reshape(len(channels), -1)
    elif projected is not None:
        weights = projected
    else:
        weights = np.eye(len(channels))
    if weights.shape[1] > len(channels):  # fewer columns will have the same moments
        weights = np.linalg.qr(weights.T, mode="r").T
    gram = Gram(len(channels), weights.shape[1])
    for _, before, after in repairer.passes([call]):
        rows = to_rows(after[call.inputs[position]])
        target = to_rows(before[repairer.twin(call).inputs[position]])
        rows, target = thin_out([rows, target], repairer.num_examples)
        gram.add(rows, tf.matmul(target, tf.constant(weights, tf.float32)))
    return gram, weights, channels, [(channels, np.arange(weights.shape[1]))]


def fit_bias(repairer, form, calls):
    """Returns the bias under which a layer's outputs have their old mean.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        form: The `LinearForm` of the layer, `None` for a depthwise one.
        calls: List of its calls.
    """
    wanted, seen, count = 0.0, 0.0, 0
    for call, before, after in repairer.passes(calls):
        twin = repairer.twin(call)
        masks = repairer.find_masks(call)
        if form is None:
            (inputs,) = mask_inputs([after[call.inputs[0]]], masks)
            target = apply_depthwise(twin.operation, before[twin.inputs[0]], bias=True)
            outputs = apply_depthwise(call.operation, inputs)
        else:
            wanted_form = find_linear_form(twin.operation)
            target = wanted_form.apply(read_whole(wanted_form, twin, before))
            inputs = repairer.read(form, call, after)
            if form.site in masks:
                inputs = form.mask(inputs, masks[form.site])
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


def _collect(data, blocks=None):
    """Returns second moments of what a layer reads with what it should return.

    Args:
        data: A `LayerData`.
        blocks: List of `(columns, outputs)`: integer arrays, or `None` for one of all.

    Returns:
        List of tuples of two `Gram`s, one a block: of four fifths of the examples, and
        of the rest.
    """
    grams = None
    for rows, target, held_out in data.pairs():
        if grams is None:
            sizes = int(rows.shape[-1]), int(target.shape[-1])
            blocks = blocks or [tuple(map(np.arange, sizes))]
            shapes = [(len(columns), len(outputs)) for columns, outputs in blocks]
            grams = [(Gram(*shape), Gram(*shape)) for shape in shapes]
        for part, chosen in enumerate((~held_out, held_out)):
            if not chosen.any():
                continue
            examples = np.flatnonzero(chosen)
            some = tf.gather(rows, examples), tf.gather(target, examples)
            for pair, block in zip(grams, blocks, strict=True):
                whole = len(block[0]) == sizes[0] and len(block[1]) == sizes[1]
                taken = some if whole else map(partial(tf.gather, axis=-1), some, block)
                pair[part].add(*taken)
    return grams


def _check_finite(array, calls):
    if not np.isfinite(array).all():
        raise ValueError(
            "Expected finite values in the network on the calibration data. Received: "
            "values that are not, in what layer "
            f"{calls[0].name!r} reads"
        )
