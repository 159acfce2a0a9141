"""Model folding: clusters of filters, each replaced by its mean.

"Forget the Data and Fine-Tuning! Just Fold the Network to Compress" (ICLR 2025, arXiv
2502.10216), for convolutions with BatchNormalization that one convolution reads.
"""

import collections

import keras
import numpy as np
from scipy.cluster import hierarchy, vq

import keras_shapley_prune as ksp

NUM_STARTS = 10  # of k-means, as in the authors' code

# A network that computes what the original does, which of its units are kept, and for
# folding a dict: layer -> its kernel, shape (height, width, num_kept, num_outputs).
Start = collections.namedtuple("Start", "model keep folded")


def fold(model, ratio, layers, seed):
    """Returns the `Start` that keeps the means of clusters of filters.

    The means are added to the network as further filters that nothing reads yet, so
    that it computes what it did, and the original filters can be removed from it.
    """
    folds = []
    for group in ksp.trace_channels(model).select_groups(layers):
        producer = model.get_layer(group.producers[0])
        reader = model.get_layer(group.consumers[0])
        norm = next(
            layer
            for layer in model.layers
            if isinstance(layer, keras.layers.BatchNormalization)
            and layer.input is producer.output
        )
        rows = weights_of_filters(producer, norm, reader)
        num_kept = len(rows) - round(ratio * len(rows))
        labels = cluster(rows, num_kept, seed)
        merge = np.equal(labels, np.arange(num_kept)[:, None]).astype("float32")
        folds.append((producer.name, norm.name, reader.name, merge))
    wide, folded = widen(model, folds)
    channel_map = ksp.trace_channels(wide)
    keep = np.ones(channel_map.num_units, bool)
    for name, _, _, merge in folds:
        (group,) = channel_map.select_groups(name)
        keep[group.units[: merge.shape[1]]] = False
    return Start(wide, keep, folded)


def weights_of_filters(producer, norm, reader):
    """Returns all weights of each filter, as the authors cluster them."""
    parts = [w.numpy().T for w in (*producer.weights, *norm.trainable_weights)]
    parts.append(np.moveaxis(reader.kernel.numpy(), -2, 0))
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def cluster(rows, num_clusters, seed):
    """Returns the cluster of each row: k-means, from Ward's clusters and at random."""
    ward = hierarchy.cut_tree(hierarchy.ward(rows), num_clusters).ravel()
    means = np.stack([rows[ward == k].mean(axis=0) for k in range(num_clusters)])
    found = [(means, ward), vq.kmeans2(rows, means, minit="matrix")]
    generator = np.random.default_rng(seed)
    for _ in range(NUM_STARTS if len(set(ward)) < len(rows) else 0):
        found.append(vq.kmeans2(rows, num_clusters, minit="++", rng=generator))
    full = [pair for pair in found if len(set(pair[1])) == num_clusters]
    return min(full, key=lambda pair: np.square(rows - pair[0][pair[1]]).sum())[1]


def widen(model, folds):
    """Returns a network with the means of clusters as further filters, and the kernels.

    Args:
        model: The `keras.Model`.
        folds: List of the names of a producer, its BatchNormalization and its reader,
            and a float array of 0 and 1, shape `(num_clusters, num_filters)`.
    """
    mean_of, sum_of, folded = {}, {}, {}
    for producer, norm, reader, merge in folds:
        mean_of[producer] = mean_of[norm] = merge / merge.sum(axis=1, keepdims=True)
        sum_of[reader] = merge

    def widened(layer):
        config = layer.get_config()
        if "filters" in config and layer.name in mean_of:
            config["filters"] += len(mean_of[layer.name])
        return type(layer).from_config(config)

    wide = keras.models.clone_model(model, clone_function=widened)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in mean_of:
            mean = mean_of[layer.name]
            weights = [np.concatenate([w, w @ mean.T], axis=-1) for w in weights]
        if layer.name in sum_of:
            kernel = np.swapaxes(layer.kernel.numpy(), -2, -1) @ sum_of[layer.name].T
            folded[layer.name] = np.swapaxes(kernel, -2, -1)
            weights[0] = np.concatenate([weights[0], 0 * folded[layer.name]], axis=-2)
        if weights:
            wide.get_layer(layer.name).set_weights(weights)
    return wide, folded
