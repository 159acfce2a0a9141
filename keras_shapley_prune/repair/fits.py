"""Fits of one layer of a pruned network to what it returns in the original."""

import itertools
from functools import partial

import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.layer_types.linear_forms import to_rows
from keras_shapley_prune.layer_types.masked_calls import mask_inputs
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair.depthwise import apply_depthwise
from keras_shapley_prune.repair.gram import Gram, check_finite, totals
from keras_shapley_prune.repair.layer_data import HeldPairs, LayerData
from keras_shapley_prune.repair.readers import Reader
from keras_shapley_prune.repair.rectified_fit import Pieces, RectifiedFit
from keras_shapley_prune.repair.rectifier import find_rectifier
from keras_shapley_prune.repair.ridge import RidgeSystem, choose_ridge
from keras_shapley_prune.repair.taken_rows import choose_positions, rows_at
from keras_shapley_prune.repair.targets import read_whole
from keras_shapley_prune.repair.wide_ridge import fit_wide

MAX_COLUMNS = 4608  # that a Gram is made for: 3 x 3 taps of 512 channels
MAX_BYTES = 2**28  # of the rows of a layer that are held, or made at a time


def fit_matrix(repairer, form, calls, can_shift):
    """Sets the kernel of a linear layer by ridge regression.

    If a ReLU alone reads what it returns, it is fitted to what comes out of the ReLU,
    see `RectifiedFit`; but not if a block has more columns than a `Gram` is made for.

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
        data = LayerData(repairer, calls, columns_of, max_rows if many else None)
        graph, find_masks = repairer.channel_map.graph, repairer.find_masks
        rectifier = find_rectifier(graph, calls[0], find_masks)
        # Held once as they are, and once about their mean.
        pairs = HeldPairs(data, repairer.memory_for_rows // 2 if rectifier else 0)
        grams = _collect(pairs, places, repairer.workers)
    for number, (columns, outputs) in enumerate(blocks):
        block = np.ix_(columns, outputs)
        if wide:
            some = outputs if blocks[1:] else None
            data = LayerData(repairer, calls, columns, max_rows, some)
            fitted = fit_wide(data, prior[block], can_shift, repairer.ridge)
        else:
            for gram in grams[number]:
                check_finite(gram.xx, calls[0])
            pieces = rectifier and Pieces(pairs, *places[number], rectifier)
            fitted = _fit_grams(
                *grams[number], prior[block], can_shift, repairer.ridge, pieces
            )
        matrix[block], bias[outputs] = fitted
    check_finite(matrix, calls[0])
    check_finite(bias, calls[0])
    form.assign(matrix)
    return bias


def _fit_grams(rest, held_out, prior, can_shift, ridge, pieces=None):
    """Returns the weights and the bias that fit second moments best."""
    if ridge is None:
        ridge = choose_ridge(rest, held_out, prior, can_shift)
        (ridge,) = current_workers().agree(ridge)
    mean_x, mean_y, xx, xy, _ = (rest + held_out).covariances(can_shift)
    system = RidgeSystem(xx, ridge)
    weights = system.solve(xy, prior)
    if pieces is not None and system.strength:
        pieces.centre(mean_x, np.diag(xx) > 0)
        fit = RectifiedFit(pieces, system, prior, can_shift)
        weights, mean_y = fit.improve(weights, mean_y)
    return weights, mean_y - mean_x @ weights


def collect_at(repairer, call, position):
    """Returns the moments of what one call reads, as it is to be reconstructed.

    Args:
        repairer: A `Repairer`.
        call: A `Call` of its network that has not been passed yet.
        position: Integer, which of its inputs, or `INSIDE`.

    Returns:
        Tuple of a `Reader` and the covariances `(xx, xy, yy)` of its columns, of them
        with what it should return, and of that.
    """
    reader = Reader(call, position)
    if not repairer.has_changed(call):
        gram = Gram(len(reader.channel_of), 0)
        for batch in repairer.own_batches:
            values = repairer.look_ahead(batch, call.index)
            gram.add(reader.take(values, {}, repairer.num_examples))
        (gram,) = totals([gram], repairer.workers)
        check_finite(gram.xx, call)
        return reader, reader.complete(gram.covariances()[2])
    if reader.form is not None:
        block = tuple(map(np.arange, reader.weights.shape))
        pairs = LayerData(repairer, [call]).pairs()
        ((rest, held_out),) = _collect(pairs, [block], repairer.workers)
        gram = rest + held_out
        check_finite(gram.xx, call)
    else:
        gram = Gram(*reader.weights.shape)
        weights = tf.constant(reader.weights, tf.float32)
        tensor, count = call.inputs[position], repairer.num_examples
        for _, before, after in repairer.both(call):
            rows, target = to_rows(after[tensor]), to_rows(before[tensor])
            chosen = choose_positions(rows.shape[1], rows.shape[2], count)
            rows, target = rows_at(rows, chosen), rows_at(target, chosen)
            gram.add(rows, tf.matmul(target, weights))
        (gram,) = totals([gram], repairer.workers)
    return reader, gram.covariances()[2:]


def fit_bias(repairer, form, calls):
    """Returns the bias under which a layer's outputs have their old mean.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        form: The `LinearForm` of the layer, `None` for a depthwise one.
        calls: List of its calls.
    """
    wanted, seen, count = 0.0, 0.0, 0
    for call, before, after in repairer.both(*calls):
        twin, masks = repairer.twin(call), repairer.find_masks(call)
        if form is None:
            (inputs,) = mask_inputs([after[call.inputs[0]]], masks)
            target = apply_depthwise(twin.operation, before[call.inputs[0]], bias=True)
            outputs = apply_depthwise(call.operation, inputs)
        else:
            wanted_form = find_linear_form(twin.operation)
            target = wanted_form.apply(read_whole(wanted_form, twin, before))
            inputs = repairer.read(form, call, after)
            if form.site in masks:
                inputs = form.mask(inputs, masks[form.site])
            outputs = form.apply(inputs) - (0 if form.bias is None else form.bias)
        target, outputs = to_rows(target), to_rows(outputs)
        target = rows_at(target, repairer.kept_positions(call))
        if (some := repairer.kept_outputs(call)) is not None:
            target = tf.gather(target, some, axis=-1)
        wanted = wanted + tf.reduce_sum(target, axis=[0, 1]).numpy()
        seen = seen + tf.reduce_sum(outputs, axis=[0, 1]).numpy()
        count += int(target.shape[0] * target.shape[1])
    size = calls[0].outputs[0].shape[-1] if form is None else form.matrix.shape[1]
    wanted, seen, count = _total(repairer.workers, size, wanted, seen, count)
    return (wanted - seen) / count


def estimate_statistics(repairer, calls):
    """Sets the statistics of a BatchNormalization to those of what it reads.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        calls: List of the calls of the layer.
    """
    sums, squares, count = 0.0, 0.0, 0
    for call, _, after in repairer.both(*calls):
        rows = tf.cast(to_rows(after[call.inputs[0]]), tf.float64)
        sums = sums + tf.reduce_sum(rows, axis=[0, 1]).numpy()
        squares = squares + tf.reduce_sum(rows**2, axis=[0, 1]).numpy()
        count += int(rows.shape[0] * rows.shape[1])
    normalization = calls[0].operation
    (size,) = normalization.moving_mean.shape
    sums, squares, count = _total(repairer.workers, size, sums, squares, count)
    mean = sums / count
    normalization.moving_mean.assign(mean)
    normalization.moving_variance.assign(np.maximum(squares / count - mean**2, 0))


def _total(workers, size, first, second, count):
    """Returns the sums of two vectors and of a number over all workers."""
    # A worker that has no batch has no vector either.
    vectors = (np.broadcast_to(vector, [size]) for vector in (first, second))
    return workers.sum(*vectors, count)


def _collect(pairs, blocks, workers):
    """Returns second moments of what a layer reads with what it should return.

    Args:
        pairs: Iterable of what `LayerData.pairs` yields.
        blocks: List of `(columns, outputs)`, integer arrays.
        workers: The `Workers`, over all of which sums are taken.

    Returns:
        List of tuples of two `Gram`s, one a block: of four fifths of the examples, and
        of the rest.
    """
    shapes = [(len(columns), len(outputs)) for columns, outputs in blocks]
    grams = [(Gram(*shape), Gram(*shape)) for shape in shapes]
    for rows, target, _, held_out in pairs:
        sizes = int(rows.shape[-1]), int(target.shape[-1])
        for part, chosen in enumerate((~held_out, held_out)):
            if not chosen.any():
                continue
            examples = np.flatnonzero(chosen)
            some = tf.gather(rows, examples), tf.gather(target, examples)
            for sums, block in zip(grams, blocks, strict=True):
                whole = len(block[0]) == sizes[0] and len(block[1]) == sizes[1]
                taken = some if whole else map(partial(tf.gather, axis=-1), some, block)
                sums[part].add(*taken)
    totalled = iter(totals(itertools.chain.from_iterable(grams), workers))
    return list(zip(totalled, totalled, strict=True))
