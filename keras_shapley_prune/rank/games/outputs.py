"""Games on the network's outputs: the loss, the KL divergence, or any function."""

import dataclasses
import typing
from collections.abc import Callable, Mapping

import keras

from keras_shapley_prune.inputs.arguments import check_choice, show
from keras_shapley_prune.inputs.losses import resolve_loss
from keras_shapley_prune.rank.estimators.adaptive import Adaptive
from keras_shapley_prune.rank.estimators.corrected import CorrectedGradient
from keras_shapley_prune.rank.estimators.exact import Exact
from keras_shapley_prune.rank.estimators.gradient import Gradient
from keras_shapley_prune.rank.estimators.permutation import (
    Permutation,
    SharedPermutation,
)
from keras_shapley_prune.rank.games.game import Game
from keras_shapley_prune.rank.reductions import resolve_reduction
from keras_shapley_prune.rank.sampled.sampler import OutputSampler
from keras_shapley_prune.rank.sampled.values import (
    CallableValue,
    DivergenceValue,
    LossValue,
)


class OutputGame(Game):
    """A coalition is worth what the outputs of the network are worth.

    In that network the group's other units are masked, after normalization and
    activation.
    """

    estimators: typing.ClassVar[dict] = {
        "permutation": Permutation,
        "gradient": Gradient,
        "corrected_gradient": CorrectedGradient,
        "adaptive": Adaptive,
        "exact": Exact,
        "shared_permutation": SharedPermutation,
    }

    def __post_init__(self):
        check_choice("replacement", self.replacement, ["mean", "zero"])
        resolve_reduction(self.reduction)

    def open_value(self, model):
        """Returns the `Value` of a model's outputs.

        Args:
            model: The `keras.Model`.
        """
        raise NotImplementedError

    def open_sampler(self, model, estimator, staging, sequential, batch_size, seed):
        return OutputSampler(
            self.open_value(model),
            estimator,
            self.replacement,
            batch_size,
            method=self.describe_method(estimator, staging),
            staging=staging,
            sequential=sequential,
            seed=seed,
        )

    def _describe_settings(self):
        """Returns what is not the default, for `describe`."""
        text = ", removed units replaced by means" if self.replacement == "mean" else ""
        if self.reduction != "mean":
            reduction = getattr(self.reduction, "__name__", self.reduction)
            text += f", {reduction} over the examples"
        return text


@dataclasses.dataclass(frozen=True, repr=False)
class Loss(OutputGame):
    """A coalition is worth minus the model's loss.

    The game of "Shapley Value as Principled Metric for Structured Network Pruning"
    (Ancona, Öztireli, Gross, arXiv:2006.01795, section 3.2), with `replacement="zero"`
    and the mean over the examples. It needs labels. What it costs depends on the
    estimator: every coalition runs the part of the network behind the group.

    Args:
        loss: What `model.compile(loss=...)` takes. `None` for the loss that the model
            is compiled with.
        replacement: What is read of a removed unit: `"zero"`, or `"mean"`, what it
            contributes on average to the layers that read it (where the layer's bias
            can take that, as after `repair="mean"`).
        reduction: How the values of the examples become one: `"mean"` (the Shapley
            value of the mean), `"rms"` (root of the mean square), `"mean+2std"` (with
            any factor; the paper's), or a callable `fn(samples)`: float array of
            shape `(num_examples, num_units)` -> `(num_units,)`, finite numbers.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    game = keras_shapley_prune.games.Loss(replacement="mean", reduction="rms")
    ranker = keras_shapley_prune.ShapleyRanker(game, "gradient")
    ```
    """

    loss: object = None
    replacement: str = "zero"
    reduction: str | Callable = "mean"

    def __post_init__(self):
        super().__post_init__()
        _check_loss(self.loss)

    def describe(self):
        return f"the loss{self._describe_settings()}"

    def open_value(self, model):
        return LossValue(resolve_loss(model, self.loss))


@dataclasses.dataclass(frozen=True, repr=False)
class KL(OutputGame):
    """A coalition is worth minus the Kullback-Leibler divergence of the outputs.

    `-KL(original || masked)`: how far the outputs are from those of the original
    network. No labels are needed. What it costs depends on the estimator, as with
    `Loss`.

    Args:
        replacement: See `Loss`.
        reduction: See `Loss`.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    game = keras_shapley_prune.games.KL(reduction="rms")
    ranker = keras_shapley_prune.ShapleyRanker(game, "gradient")
    ```
    """

    replacement: str = "zero"
    reduction: str | Callable = "mean"

    def describe(self):
        return f"the KL divergence{self._describe_settings()}"

    def open_value(self, model):
        return DivergenceValue(model)


@dataclasses.dataclass(frozen=True, repr=False)
class Custom(OutputGame):
    """A coalition is worth what a function says of the outputs.

    A function that is given as `ShapleyRanker(game)` becomes this game. What it costs
    depends on the estimator, as with `Loss`.

    Args:
        function: Callable `fn(labels, outputs)`, in TensorFlow, that returns one value
            for each example, the higher the better. `labels` is `()` if the data has
            none; `outputs` is a tensor, or a list of them if the model has several.
        replacement: See `Loss`.
        reduction: See `Loss`.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    def first_class(labels, outputs):
        return outputs[:, 0]


    game = keras_shapley_prune.games.Custom(first_class, replacement="mean")
    ranker = keras_shapley_prune.ShapleyRanker(game)
    ```
    """

    function: Callable
    replacement: str = "zero"
    reduction: str | Callable = "mean"

    def __post_init__(self):
        super().__post_init__()
        if not callable(self.function) or isinstance(self.function, type):
            raise ValueError(
                "Argument `function` should be a callable `fn(labels, outputs)`. "
                f"Received: function={show(self.function)}"
            )

    def describe(self):
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"the function {name}{self._describe_settings()}"

    def open_value(self, model):
        return CallableValue(self.function)


def _check_loss(loss):
    """Raises a `ValueError` unless it is known that `compile` could take a loss."""
    # A model of several outputs may have a list or a dict of losses.
    entries = [loss]
    if isinstance(loss, Mapping):
        entries = list(loss.values())
    elif isinstance(loss, (list, tuple)):
        entries = list(loss)
    for entry in entries:
        try:
            # Raises a `ValueError` for a name that Keras does not know.
            if isinstance(entry, str):
                keras.losses.get(entry)
            fits = entry is None or isinstance(entry, (str, dict)) or callable(entry)
            fits = fits and not isinstance(entry, type)
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                "Argument `loss` should be what `model.compile(loss=...)` takes, such "
                f"as 'mse' or a `keras.losses.Loss`. Received: loss={loss!r}"
            )
