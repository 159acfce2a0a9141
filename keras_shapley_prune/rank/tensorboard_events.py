"""Scores and frontiers as event files that TensorBoard shows.

The `histogram` and `scalar` of `tf.summary` need the package tensorboard to write.
Here it is needed to look only: the events are written in its format by
`tf.summary.write`.
"""

import os

import numpy as np
import tensorflow as tf

NUM_BINS = 30


def write_ranking(logdir, ranking, frontier=(), step=0):
    """Writes a ranking and a frontier, see `Ranking.to_tensorboard`.

    Args:
        logdir: String or path-like.
        ranking: A `Ranking`.
        frontier: List of `FrontierPoint`.
        step: Integer.
    """
    writer = tf.summary.create_file_writer(os.fspath(logdir))
    with writer.as_default():
        for name, scores in ranking.items():
            values = scores.values[np.isfinite(scores.values)]
            errors = scores.standard_errors[np.isfinite(scores.standard_errors)]
            write_histogram(f"scores/{name}", values, step)
            write_histogram(f"standard_errors/{name}", errors, step)
            if len(values):
                write_scalar(f"negative/{name}", np.mean(values < 0), step)
        for point in frontier:
            write_scalar(f"frontier/{point.metric}", point.value, point.flops)
    writer.close()


def write_histogram(tag, values, step, num_bins=NUM_BINS):
    """Writes a histogram; nothing if there are no values.

    Args:
        tag: String.
        values: Float array of finite numbers.
        step: Integer.
        num_bins: Integer.
    """
    if not len(values):
        return
    counts, edges = np.histogram(values, bins=num_bins)
    # What the plugin reads of each bin: its left edge, its right edge, and the count.
    bins = np.stack([edges[:-1], edges[1:], counts], axis=1)
    metadata = _metadata("histograms", "DATA_CLASS_TENSOR")
    tf.summary.write(tag, tf.constant(bins, tf.float64), step, metadata)


def write_scalar(tag, value, step):
    """Writes a number.

    Args:
        tag: String.
        value: Number.
        step: Integer.
    """
    metadata = _metadata("scalars", "DATA_CLASS_SCALAR")
    tf.summary.write(tag, tf.constant(value, tf.float32), step, metadata)


def _metadata(plugin, data_class):
    metadata = tf.compat.v1.SummaryMetadata(data_class=data_class)
    metadata.plugin_data.plugin_name = plugin
    return metadata
