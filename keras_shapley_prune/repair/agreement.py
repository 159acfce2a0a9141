"""How often a pruned network says what the original says, without labels."""

import dataclasses
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.compiling import compile_arguments
from keras_shapley_prune.inputs.losses import output_names, per_output
from keras_shapley_prune.repair.augmentation import mix_pairs
from keras_shapley_prune.repair.augmented_copies import MAX_COPIES, augment_batches
from keras_shapley_prune.repair.sample import FEWEST, first_examples
from keras_shapley_prune.trace.batches import rebatch
from keras_shapley_prune.trace.graph import find_activation, find_dependents
from keras_shapley_prune.trace.recording import record_graph

COMPARED = 24  # examples: both networks are run, which is to take a tenth of `prune`
# Losses by a part of their names, with which a linear output is no logits of classes.
_WITHOUT_CLASSES = "error mse mae mape msle huber cosh cosine poisson binary".split()


class DisagreementWarning(UserWarning):
    """A pruned network does not do what the original does."""


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How much of what the original returns the pruned network returns too.

    Attributes:
        share: Float. If `num_classes`, the share of the examples on which both name
            the same class; else the share of the variance of the original's output
            that the pruned network explains, at most 1, below 0 if its mean would be
            nearer. Of several outputs, the lowest.
        num_classes: Integer, or `None` if that output does not name a class.
        num_examples: Integer.
        examples: String, what they are.
        fitted_share: Float, the same on the examples that it was fitted to, of which
            they are variations; `None` if they are no variations.
    """

    share: float
    num_classes: int | None
    num_examples: int
    examples: str
    fitted_share: float | None = None

    @property
    def lowest(self):
        """Float, what the share should reach: half of the way from guessing to 1."""
        return (1 + 1 / self.num_classes) / 2 if self.num_classes else 0.5

    @property
    def is_low(self):
        """Boolean, whether the pruned network hardly does what the original does.

        Some networks, such as transformers of digits, take mixed images for something
        else, and agree on others all the same: then they agree on nearly all examples
        that they were fitted to.
        """
        fitted = self.share if self.fitted_share is None else self.fitted_share
        # Also what is not a number does not reach it.
        return not self.share >= self.lowest and not fitted >= (1 + self.lowest) / 2

    def __str__(self):
        percent, on = f"{100 * self.share:.0f}%", f"{self.num_examples} {self.examples}"
        if self.num_classes:
            return f"agrees with the original on {percent} of {on}"
        return f"explains {percent} of the variance of the original on {on}"


def measure_agreement(model, graph, pruned, batches, progress):
    """Compares a pruned network with the original on calibration data.

    The weights were fitted to the examples themselves, on which it agrees too often,
    the more the fewer there are. So images are flipped, shifted and mixed in pairs: on
    these it agrees about as often as on other images (docs/accuracy.md).

    Args:
        model: The original `keras.Model`.
        graph: Its recorded `Graph`.
        pruned: The pruned `keras.Model`.
        batches: List of lists of input tensors, those of a `Sample`.
        progress: A `Progress`, in whose step `"compare"` this is done.

    Returns:
        An `Agreement`, or `None` if there is nothing to compare.
    """
    classes = find_classes(model, graph)
    if not batches or not classes:
        return None
    progress.begin("compare")
    progress.show("comparing")
    batches = rebatch(first_examples(batches, graph, COMPARED), graph)
    varied = vary_images(batches)
    examples = "varied images" if varied else "examples that it was fitted to"
    graphs = graph, record_graph(pruned)
    outputs = [run_rows(one, varied or batches) for one in graphs]
    fitted = [run_rows(one, batches) for one in graphs] if varied else None
    count, found = sum(int(inputs[0].shape[0]) for inputs in batches), []
    for at, number in classes.items():
        share = share_alike(outputs[0][at], outputs[1][at], number)
        on_fitted = fitted and share_alike(fitted[0][at], fitted[1][at], number)
        found.append(Agreement(share, number, count, examples, on_fitted))
    # What comes near to guessing is the worst, whatever is measured.
    return min(found, key=lambda one: one.share - one.lowest)


def warn_of_disagreement(agreement, stacklevel=4):
    """Warns if pruning has changed too much.

    Args:
        agreement: What `measure_agreement` returned.
        stacklevel: Integer, see `warnings.warn`. By default, the line that called the
            public function that calls the one that calls this.
    """
    if agreement is None or agreement.num_examples < FEWEST:
        return
    if agreement.is_low:
        warnings.warn(
            "Expected a pruned network that does about what the original does. "
            f"Received: one that {agreement}, below {100 * agreement.lowest:.0f}%. "
            "Remove less (a smaller `ratio`), give more data, or train the result",
            DisagreementWarning,
            stacklevel=stacklevel,
        )


def vary_images(batches):
    """Returns batches of which images are flipped, shifted and mixed in pairs.

    Args:
        batches: List of lists of input tensors, one list a batch.

    Returns:
        List of lists of tensors; empty if no input is an image.
    """
    varied = []
    for make in augment_batches(batches, MAX_COPIES):  # no layer was fitted to that
        varied.append([mix_pairs(tensor) for tensor in make()])
    return varied


def find_classes(model, graph):
    """Returns a dict: index of a float output -> its number of classes, or `None`.

    Outputs that are drawn anew in every run are not in it: nothing agrees with them.
    """
    found, drawn = {}, find_dependents(graph, graph.unrepeatable)
    drawn = {tensor for call in drawn for tensor in call.outputs}
    for at, (tensor, loss) in enumerate(
        zip(graph.outputs, _losses_of(model, graph), strict=True)
    ):
        floats = tf.as_dtype(tensor.dtype).is_floating
        if not floats or not tensor.shape or tensor in drawn:
            continue
        last = find_activation(graph, tensor)
        is_vector = len(tensor.shape) == 2 and (tensor.shape[1] or 0) > 1
        is_class = last == "softmax" or (
            last in (None, "linear") and _allows_classes(loss)
        )
        found[at] = tensor.shape[1] if is_vector and is_class else None
    return found


def _losses_of(model, graph):
    """Returns what each output was compiled with, `None` where that is not known."""
    loss = compile_arguments(model).get("loss") if model.compiled else None
    if not isinstance(loss, (dict, list, tuple)):
        return [loss] * len(graph.outputs)
    paths = [path for path, _ in keras.tree.flatten_with_path(graph.output_structure)]
    if any(len(path) > 1 for path in paths):  # outputs within outputs have no names
        return [None] * len(graph.outputs)
    return per_output(loss, output_names(model), "loss")


def _allows_classes(loss):
    """Returns whether a loss, or that there is none, lets an output be logits."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", None)
    name = (name or type(loss).__name__).lower()
    return not any(part in name for part in _WITHOUT_CLASSES)


def run_rows(graph, batches):
    """Returns the flat outputs of a network as arrays, a row an example or position."""
    outputs = []
    for inputs in batches:
        returned = graph.run(list(map(tf.convert_to_tensor, inputs)))
        outputs.append(list(map(_to_rows, keras.tree.flatten(returned))))
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]


def _to_rows(tensor):
    """Returns an output with its channels last, whatever the size of the images is."""
    return tf.cast(tensor, "float64").numpy().reshape(-1, (1, *tensor.shape[1:])[-1])


def share_alike(expected, received, num_classes):
    """Returns the share of an output that is alike, see `Agreement.share`.

    Args:
        expected: Float array, shape `(rows, channels)`.
        received: Float array of that shape.
        num_classes: Integer or `None`, see `Agreement`.
    """
    # What is not finite in the original cannot be met or missed.
    known = np.isfinite(expected).all(axis=1)
    if not known.any():
        return 1.0
    expected, received = expected[known], received[known]
    strange = ~np.isfinite(received).all(axis=1)
    if num_classes:
        agree = expected.argmax(axis=1) == received.argmax(axis=1)
        return float(np.mean(agree & ~strange))
    if strange.any():
        return -np.inf
    error = np.sum((received - expected) ** 2)
    variance = np.sum((expected - expected.mean(axis=0)) ** 2)
    # An output that is the same for all examples is right or wrong.
    return float(1 - error / variance) if variance else float(error == 0)
