"""The check that what was cut computes what was masked."""

import keras
import numpy as np

from keras_shapley_prune.cut.layer_copies import embed_weight
from keras_shapley_prune.cut.masked_run import MaskedRun
from keras_shapley_prune.inputs.arguments import check_integer, check_kind
from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.trace.agreement import describe_difference
from keras_shapley_prune.trace.batches import has_fixed_batch, suited_size
from keras_shapley_prune.trace.wanted_units import map_for_units


@undisturbed
def verify_removal(model, pruned, keep, dataset, channel_map=None, batch_size=32):
    """Checks that a pruned model computes what the masked model does.

    The promise of the package: what is removed is exactly what was masked, and so what
    was ranked. Both networks are run on the first batch. The masked one is `model` at
    its full size, in which removed units are read as zero, call by call as rankers
    run it; `mask_channels` makes a model of that.

    `prune` and `repair_channels` do this by themselves, on the repaired weights. By
    hand it is for a model that `remove_channels` has returned.

    Args:
        model: The `keras.Model` that `pruned` was cut from, with the same weights.
        pruned: What `remove_channels(model, keep)` returned.
        keep: Boolean array, shape `(num_units,)`, the units that were kept.
        dataset: What `model.predict` takes, see `prune`. Only the first `batch_size`
            examples, or its first batch, are read.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        batch_size: Integer, the largest number of examples that are run.

    Raises:
        RuntimeError: If the outputs differ by more than rounding: by more than 1e-4
            of the largest number in an output, in float32; or if they hold NaN or
            infinity where those of `model` hold none.
        ValueError: If `pruned`, `keep` or the data does not fit the model.

    Example:

    ```python
    plan = keras_shapley_prune.plan_pruning(model, ranking, ratio=0.5)
    smaller = keras_shapley_prune.remove_channels(model, plan.keep)
    keras_shapley_prune.verify_removal(model, smaller, plan.keep, images)
    ```
    """
    check_integer("batch_size", batch_size, 1)
    channel_map = map_for_units(model, channel_map, keep)
    keep = channel_map.check_keep(keep)
    check_pair(channel_map.graph, pruned)
    inputs = _read_first(dataset, channel_map.graph, batch_size)
    network = MaskedRun(channel_map, keep, inputs)
    _compare(network, pruned, inputs, channel_map.graph)


def check_pair(graph, pruned):
    """Raises a `ValueError` unless a model takes what another one does.

    Args:
        graph: The recorded `Graph` of the other.
        pruned: Anything: a `keras.Model` is right.
    """
    check_kind("pruned", pruned, keras.Model, "what `remove_channels` returned")
    shapes = [[tuple(x.shape) for x in graph.inputs]]
    shapes.append([tuple(x.shape) for x in getattr(pruned, "inputs", None) or ()])
    if shapes[0] != shapes[1]:
        raise ValueError(
            "Argument `pruned` should be a model of the same inputs as `model`, of "
            f"shapes {shapes[0]}. Received: model {pruned.name!r}, with inputs of "
            f"shapes {shapes[1]}"
        )


def verify_cut(cut, dataset, num_examples=8):
    """Does what `verify_removal` does, where weights have been repaired since.

    They are those of the smaller model, put back into their places in the original,
    of which the others are masked.

    Args:
        cut: A `Cut`.
        dataset: See `verify_removal`.
        num_examples: Integer, how many examples are run, at most.

    Raises:
        RuntimeError: See `verify_removal`.
    """
    graph = cut.channel_map.graph
    inputs = _read_first(dataset, graph, num_examples)
    # Large images are fewer: Keras holds all that its layers return.
    some = suited_size(graph, keras.tree.flatten(inputs))
    if some < num_examples and not has_fixed_batch(graph):
        inputs = keras.tree.map_structure(lambda x: x[:some], inputs)
    with HeldState(_find_weights(cut)):
        network = MaskedRun(cut.channel_map, cut.keep, inputs)
    _compare(network, cut.model, inputs, graph)


def _find_weights(cut):
    """Returns pairs of a weight of the original and its value in the smaller model."""
    pairs = []
    for original, smaller in cut.operations.items():
        if isinstance(original, keras.Layer) and original is not smaller:
            weights = zip(original.weights, smaller.weights, strict=True)
            for ours, theirs in weights:
                value = keras.ops.convert_to_numpy(theirs)
                value = embed_weight(original, ours, value, cut.kept_at(original))
                pairs.append((ours, value))
    return pairs


def _read_first(dataset, graph, num_examples):
    """Returns the first examples, as the model takes them."""
    data = CalibrationData(dataset, graph.input_structure, num_examples, False)
    # One batch is enough: a mistake in the cut shows in nearly every example.
    batch, _, _ = next(iter(data))
    some = all(tensor.shape[0] is None for tensor in graph.inputs)
    first = [tensor[:num_examples] if some else tensor for tensor in batch]
    if not len(first[0]):  # nothing would be compared, and all would be well
        raise ValueError(
            "Argument `dataset` should begin with a batch of at least one example. "
            "Received: an empty batch"
        )
    return keras.tree.pack_sequence_as(graph.input_structure, first)


def _compare(network, pruned, inputs, graph):
    """Raises a `RuntimeError` if a model computes something else than expected.

    Args:
        network: A `MaskedRun` of the same examples.
        pruned: The model.
        inputs: The examples.
        graph: The recorded `Graph` of the original.
    """
    expected, received = network.outputs, network.run_alike(pruned, inputs)
    places = [
        [path for path, _ in keras.tree.flatten_with_path(outputs)]
        for outputs in (received, expected)
    ]
    if places[0] == places[1]:
        difference = describe_difference(expected, received, network.tolerance)
    else:
        difference = f"outputs at {places[0]} instead of {places[1]}"
    if difference:
        raise RuntimeError(
            "Expected the pruned model to compute what the masked model computes. If a "
            "layer was registered with `register_layer`, its `flow` or `weights` may "
            "be wrong; if one was found by trial, see `inspect`, it may mix "
            "channels in rare cases; else this is an error of keras_shapley_prune. "
            f"Received from the pruned model: {difference}"
        )
    _check_finite(received, inputs, graph)


def _check_finite(received, inputs, graph):
    """Raises a `RuntimeError` if outputs are not finite where the original's are.

    An output of which some numbers are not finite in the original too may have others
    of that kind elsewhere: the logarithm of a 0, say.
    """
    kinds = list(map(_find_kinds, keras.tree.flatten(received)))
    if not any(kinds):  # the original need not be run
        return
    with HeldState():
        expected = keras.tree.flatten(graph.run(inputs))
    for place, (kind, before) in enumerate(zip(kinds, expected, strict=True)):
        if new := kind - _find_kinds(before):
            raise RuntimeError(
                "Expected a pruned model whose outputs are finite where the "
                "original's are. Received from the pruned model: "
                f"{' and '.join(sorted(new))} in output {place} (counted from 0)"
            )


def _find_kinds(output):
    """Returns which of NaN and infinity an output holds, a set of strings."""
    values = keras.ops.convert_to_numpy(keras.ops.cast(output, "float64"))
    kinds = {"NaN": np.isnan(values), "infinity": np.isinf(values)}
    return {kind for kind, found in kinds.items() if found.any()}
