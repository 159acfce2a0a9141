"""Published neighbours that train nothing, beside our least squares.

    python benchmarks/neighbours.py [--networks ...] [--ratios ...] [--seeds 2]
        [--pretrained DIR] [--output DIR]

ResNets lose a share of the channels inside of each block, with 200 unlabelled images:

    folding     arXiv 2502.10216 (ICLR 2025): each cluster of filters is replaced by its
                mean, the kernels that read them are summed
    GRAIL       arXiv 2602.23795: ridge regression on second moments reconstructs all
                channels behind the ReLU from those that are kept, and the map is merged
                into the kernel that reads them
    ours        `repair_channels` by least squares

What is kept is chosen by L1 norms or our default ranking, or is the means of clusters.
As their authors do for ResNets, the neighbours have a second row in which BatchNorm
statistics are then those of the images. They are written anew here, in Keras.

Accuracy is that on the first 3,000 test images, seconds are CPU seconds of selection
and repair. Rows that are in neighbours.csv already are not computed again. Prints the
means over the seeds.
"""

import argparse
import collections
import itertools
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import networks
import numpy as np
from folding import Start, fold

import keras_shapley_prune as ksp
from keras_shapley_prune.cut.surgery import cut_out
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.rank.resolve_ranker import rank_for
from keras_shapley_prune.repair.repair_channels import read_batches, repair_layers
from keras_shapley_prune.trace.watched_pass import WatchedPass

FIELDS = "network seed ratio method channels repair accuracy seconds".split()
NETWORKS = ("resnet20", "resnet56", "resnet8")
RATIOS = (0.25, 0.5, 0.75)
CHANNELS = ("L1 norm", "default", "clusters")
ALPHA = 1e-3  # GRAIL's ridge, a share of the mean of the Gram matrix's diagonal
NUM_IMAGES = 200


def finish_folding(start, images):
    """Returns the folded network."""
    pruned = ksp.remove_channels(start.model, start.keep)
    for name, kernel in start.folded.items():
        pruned.get_layer(name).kernel.assign(kernel)
    return pruned


def finish_grail(start, images):
    """Returns the network with GRAIL's maps, each of the network compressed so far."""
    network = keras.models.clone_model(start.model)
    network.set_weights(start.model.get_weights())
    channel_map = ksp.trace_channels(network)
    graph, watches = channel_map.graph, []
    for group in channel_map.groups:
        kept = start.keep[group.units]
        if not kept.all():  # where nothing is cut, a ridge would do harm only
            reader = network.get_layer(group.consumers[0])
            call = next(call for call in graph.calls if call.operation is reader)

            def compensate(values, call=call, kept=kept):
                hidden = values[call.inputs[0]].numpy().reshape(-1, len(kept))
                merge_map(call.operation.kernel, hidden.astype("float64"), kept)
                return ()

            watches.append((call.index, compensate))
    WatchedPass(graph, watches, compiled=False).run([images])
    return ksp.remove_channels(network, start.keep, channel_map)


def merge_map(kernel, hidden, kept):
    """Merges the map from kept channels to all of `hidden` into a kernel, in place."""
    gram = hidden.T @ hidden
    inner = gram[np.ix_(kept, kept)]
    inner = inner + ALPHA * np.diag(inner).mean() * np.eye(len(inner))
    merged = np.zeros(kernel.shape)
    # All taps share the map: no tap makes up for its neighbours, and there is no bias.
    back = np.linalg.solve(inner, gram[kept])
    merged[:, :, kept] = np.einsum("kh,xyho->xyko", back, kernel.numpy())
    kernel.assign(merged)


def finish_ours(start, images):
    """Returns the network that is repaired by least squares."""
    channel_map = ksp.trace_channels(start.model)
    cut = cut_out(start.model, start.keep, channel_map)
    for name, kernel in start.folded.items():  # what the ridge pulls towards
        cut.model.get_layer(name).kernel.assign(kernel)
    batches = read_batches(images, channel_map.graph, "least_squares")
    repair_layers(cut, batches)
    return cut.model


def estimate_statistics(model, images):
    """Sets the statistics of BatchNormalizations to those of the images."""
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0  # what was remembered does not count
    keras.Model(model.inputs, model.outputs)([images], training=True)


def make_start(problem, images, ratio, channels, seed):
    """Returns the `Start` of one of CHANNELS."""
    model, layers = problem.model, problem.layers
    if channels == "clusters":
        return fold(model, ratio, layers, seed)
    ranker = ksp.BaselineRanker("l1_norm") if channels == "L1 norm" else None
    budget, channel_map = PruningBudget(ratio, layers=layers), ksp.trace_channels(model)
    ranking = rank_for(model, images, budget, ranker, channel_map, verbose=0)
    plan = ksp.plan_pruning(model, ranking, ratio, channel_map, layers=layers)
    return Start(model, plan.keep, {})


def measure(problem, seed, ratio, channels):
    """Yields method, repair, accuracy and seconds of all that start alike."""
    images, _ = problem.calibration(NUM_IMAGES, seed)
    began = time.process_time()
    start = make_start(problem, images, ratio, channels, seed)
    selection = time.process_time() - began
    neighbour = ("folding", "none", finish_folding)
    if channels != "clusters":
        neighbour = ("GRAIL", "ridge", finish_grail)
    for method, repair, finish in (neighbour, ("ours", "least squares", finish_ours)):
        began = time.process_time()
        pruned = finish(start, images)
        seconds = selection + time.process_time() - began
        yield method, repair, problem.accuracy(pruned), seconds
        if method != "ours":
            began = time.process_time()
            estimate_statistics(pruned, images)
            seconds += time.process_time() - began
            name = "BatchNorm" if repair == "none" else f"{repair}, BatchNorm"
            yield method, name, problem.accuracy(pruned), seconds


def show(rows):
    """Prints the means over the seeds, a line a method."""
    found = {}
    for row in rows:
        key = tuple(row[k] for k in ("network", "method", "channels", "repair"))
        of_ratio = found.setdefault(key, collections.defaultdict(list))
        figures = [float(row[k]) for k in ("accuracy", "seconds")]
        of_ratio[float(row["ratio"])].append(figures)
    for key, of_ratio in found.items():
        means = np.stack(
            [np.mean(of_ratio[ratio], axis=0) for ratio in sorted(of_ratio)]
        )
        accuracy = " / ".join(f"{100 * figure:.1f}" for figure in means[:, 0])
        print(f"| {' | '.join(key)} | {accuracy} | {means[:, 1].mean():.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--ratios", nargs="+", type=float, default=RATIOS)
    parser.add_argument("--seeds", type=int, default=2)
    args = networks.parse_arguments(parser)
    path = args.output / "neighbours.csv"
    rows = networks.read_csv(path)
    keys = ("network", "seed", "ratio", "channels")
    done = {tuple(row[key] for key in keys) for row in rows}
    for network in args.networks:
        problem = networks.NETWORKS[network](args)
        for case in itertools.product(range(args.seeds), args.ratios, CHANNELS):
            if (network, *map(str, case)) in done:
                continue
            for method, repair, *figures in measure(problem, *case):
                figures = [round(figure, 4) for figure in figures]
                row = network, *case[:2], method, case[2], repair, *figures
                rows.append(dict(zip(FIELDS, row, strict=True)))
                print(*row, flush=True)
            networks.write_csv(path, " ".join(FIELDS), (row.values() for row in rows))
    show(rows)


if __name__ == "__main__":
    main()
