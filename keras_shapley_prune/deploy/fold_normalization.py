"""`fold_normalization`: the same network with fewer operations."""

from keras_shapley_prune.cut.equivalence import find_difference
from keras_shapley_prune.cut.layer_copies import copy_weights, copy_with_bias
from keras_shapley_prune.cut.model_classes import check_class
from keras_shapley_prune.cut.model_copies import ModelCopier
from keras_shapley_prune.deploy.foldable import find_foldable
from keras_shapley_prune.inputs.compiling import (
    compile_with,
    copy_compile_config,
    names_outputs,
)
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.bias_folding import find_affine, has_bias
from keras_shapley_prune.layer_types.registry import find_form
from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.layer_types.stock.time_distributed import find_wrapped
from keras_shapley_prune.trace.functional_models import functional_view
from keras_shapley_prune.trace.recording import record_graph


@undisturbed
def fold_normalization(model):
    """Returns a copy of `model` without its BatchNormalizations, where they can go.

    In inference, a `BatchNormalization` multiplies each channel by a number and adds
    another one. A convolution or dense layer before it can do both: its kernel is
    multiplied, and it gets a bias. Keras computes a `BatchNormalization` by some six
    operations that TensorFlow cannot fuse, so the copy is faster there, and in a
    SavedModel. A LiteRT file is not: its converter folds by itself.

    The copy computes what `model` computes in inference, up to rounding. If it is
    trained, it is trained without normalization. So fold last, behind pruning and
    fine-tuning. A budget of latency that counts on it has the target
    `Runtime("tensorflow", folded=True)`.

    A `BatchNormalization` is folded if it alone reads what a convolution (also
    depthwise, separable or transposed), `Dense` or `EinsumDense` returns. Not folded,
    as the result would not be the same, are those behind an activation; those that
    normalize another axis than the last; those that are called with `training=True`;
    those of which, or of whose layer, only some calls are such a pair, or that stand in
    another nested model; and those behind layers with constraints. Where several
    outputs, or labels and losses in a dict, go by the names of layers, the layers that
    return them are kept. With `data_format="channels_first"` nothing is folded: see
    `to_channels_last`. What is not folded is copied as it is; if there is nothing to
    fold, all is.

    Args:
        model: A built Sequential or functional `keras.Model`, trained. It is not
            changed.

    Returns:
        A functional `keras.Model` (a `keras.Sequential` if `model` is one; of the class
        of `model` if that has a `train_step` of its own, see `remove_channels`),
        compiled like `model` if that is compiled, with a new optimizer. Layers keep
        their names, and nested models are nested in it too. It shares no weights with
        `model`.

    Raises:
        ValueError: If `model` is not of that form, or a layer cannot be re-created from
            its config.
        RuntimeError: If the result does not return what `model` returns, on random
            numbers: a wrong network is never returned.

    Example:

    ```python
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(16, 3, use_bias=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = keras.Model(inputs, keras.layers.Dense(10)(x))
    folded = keras_shapley_prune.fold_normalization(model)
    folded.summary()
    folded.export("serving", verbose=False)
    ```
    """
    functional_view(model)  # says what is wrong with a model that has no graph
    check_class(model)
    copied = copy_folded(model)
    difference = find_difference(model, copied)
    if difference:
        raise RuntimeError(
            "Expected the model with folded normalizations to return what model "
            f"{model.name!r} returns. Received: one that {difference}"
        )
    return compile_with(copied, copy_compile_config(model))


def copy_folded(model):
    """Returns what `fold_normalization` does, not checked and not compiled.

    Args:
        model: A built Sequential or functional `keras.Model`.
    """
    graph = record_graph(model)
    copier = _FoldingCopier(graph, find_foldable(graph, names_outputs(model)))
    copied = copier.copy_model(model)
    # The flag of a model sets those of its layers, so all copies have to be there.
    copier.copy_trainable_flags()
    copier.copy_weights()
    return copied


class _FoldingCopier(ModelCopier):
    """Re-creates a model, and those nested in it, without some normalizations.

    Args:
        graph: The recorded `Graph` of the model.
        foldable: Dict: linear layer -> the normalization that is folded into it.
    """

    def __init__(self, graph, foldable):
        super().__init__(graph)
        self._foldable, self._folded = foldable, set(foldable.values())
        self.has_gone = bool(foldable)

    def make(self, operation):
        if operation in self._foldable:
            return copy_with_bias(operation)
        return super().make(operation)

    def copy_weights_of(self, operation, copied):
        original = innermost(operation)
        if original in self._foldable:
            _fold(original, self._foldable[original], innermost(copied))
        else:
            super().copy_weights_of(operation, copied)

    def find_layers(self, model):
        return [layer for layer in model.layers if not self._is_folded(layer)]

    def make_caller(self, model):
        def call(operation, *args, **kwargs):
            if self._is_folded(operation):
                return args[0]
            return self.copy(operation)(*args, **kwargs)

        return call

    def _is_folded(self, operation):
        while (wrapped := find_wrapped(operation)) is not None:
            operation = wrapped
        return operation in self._folded


def _fold(layer, normalization, copied):
    """Sets the weights of a copy that does what two layers do.

    Args:
        layer: The original linear layer.
        normalization: The layer that reads what it returns.
        copied: The copy of `layer`, with a bias.
    """
    if has_bias(layer):
        copy_weights(layer, copied, {})
    else:  # the bias of the copy is its last weight, set below
        for weight, target in zip(layer.weights, copied.weights[:-1], strict=True):
            target.assign(weight)
    form = find_form(copied)
    factors, shift = find_affine(normalization)
    # (kernel * x + bias) * factors + shift
    bias = form.bias.astype("float64") if has_bias(layer) else 0
    form.scale(factors)
    form.assign_bias(bias * factors + shift)
