"""`to_channels_last`: the same model, its channels on the last axis."""

import keras
from keras.layers import InputLayer

from keras_shapley_prune.cut.channels_last.converter import Converter
from keras_shapley_prune.cut.equivalence import find_difference
from keras_shapley_prune.cut.model_classes import (
    check_class,
    new_sequential,
    take_class,
)
from keras_shapley_prune.cut.optimizer_slots import carry_slots
from keras_shapley_prune.inputs.compiling import (
    compile_with,
    copy_compile_config,
    names_outputs,
)
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.registry import find_data_format
from keras_shapley_prune.layer_types.stock.time_distributed import find_wrapped
from keras_shapley_prune.layer_types.trainable_flags import take_own_flag
from keras_shapley_prune.trace.functional_models import (
    functional_view,
    input_structure,
    new_inputs,
)


@undisturbed
def to_channels_last(model):
    """Returns a model that computes the same with the channels on the last axis.

    Channels are followed on the last axis, so layers with
    `data_format="channels_first"` cannot be pruned. Here they are made anew with
    `"channels_last"`, and so is what stands between them: normalizations and
    concatenations of axis 1, reductions, reshapings, squeeze-and-excitation blocks,
    and what `TimeDistributed` and `Bidirectional` wrap. The result takes and returns
    what `model` does: inputs and outputs are transposed. A `Dense` layer behind a
    `Flatten` has the rows of its kernel in another order. Layers keep their names;
    weights, states and flags are copied.

    Around an operation that is not known in the other order, tensors are transposed
    back and forth. It is not changed, and locks what it reads.

    `prune` and `prune_until` do this on their own. To rank, plan or report, do it first
    and use the result as the model.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.

    Returns:
        A functional `keras.Model` (a `keras.Sequential` if `model` is one; of the class
        of `model` if that has a `train_step` of its own, see `remove_channels`),
        compiled like `model` if that is compiled, with a new optimizer. It shares no
        weights with `model`.

    Raises:
        ValueError: If `model` is not of that form, or a layer cannot be re-created from
            its config.
        RuntimeError: If the result does not return what `model` returns, on random
            numbers: a wrong network is never returned.

    Example:

    ```python
    inputs = keras.Input((3, 32, 32))
    x = keras.layers.Conv2D(16, 3, data_format="channels_first")(inputs)
    x = keras.layers.BatchNormalization(axis=1)(x)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = keras.Model(inputs, keras.layers.Dense(10)(x))
    converted = keras_shapley_prune.to_channels_last(model)
    print(keras_shapley_prune.inspect(converted))
    ```
    """
    return _convert(model)


def _convert(model, keep_optimizer=False):
    """Does what `to_channels_last` does, see `convert_if_needed`."""
    view = functional_view(model)  # says what is wrong with a model that has no graph
    check_class(model, stacklevel=5)
    converter = Converter(model, _names_that_matter(model, view))
    converted = converter.convert()
    converter.copy_trainable_flags()
    converter.copy_weights()
    difference = find_difference(model, converted)
    if difference:
        raise RuntimeError(
            f"Expected the model with its channels last to return what model "
            f"{model.name!r} returns. Received: one that {difference}"
        )
    converted = _in_its_class(model, converted, converter.copies)
    take_own_flag(model, converted)
    compile_with(converted, copy_compile_config(model))
    if keep_optimizer and getattr(model, "optimizer", None) is not None:
        carry_slots(model, converted, converter.pair_weights())
    return converted


def convert_if_needed(model, verbose=0, keep_optimizer=False, name="model"):
    """Returns a model that has nothing in channels_first, converted if it has.

    Args:
        model: A `keras.Model`.
        verbose: See `prune`. Unless it is 0, a line says that it was converted.
        keep_optimizer: Boolean, whether the optimizer goes on from where it is.
        name: String, the argument that `model` is given for.

    Returns:
        `model` itself, or what `to_channels_last` returns.

    Raises:
        ValueError: If it has no graph of layers.
    """
    check_model(model, name)
    if not is_channels_first(model):
        return model
    converted = _convert(model, keep_optimizer)
    if verbose != 0:
        print(
            f"{model.name}: layers with data_format='channels_first' are made anew "
            "with 'channels_last'; inputs and outputs are as before"
        )
    return converted


def is_channels_first(model):
    """Returns whether layers or raw operations of a model are channels_first.

    Args:
        model: A `keras.Model`.
    """
    inner = find_wrapped(model)  # a model at every time step
    if isinstance(inner, keras.Model):
        return is_channels_first(inner)
    if isinstance(model, keras.Model):
        parts = [*model.layers, *getattr(model, "operations", ())]
        return any(map(is_channels_first, dict.fromkeys(parts)))
    return find_data_format(model) == "channels_first"


def _in_its_class(model, converted, copies):
    """Returns a model as a Sequential one, or one of a class of the user's."""
    inner = [o for o in converted.operations if not isinstance(o, InputLayer)]
    are_layers = all(isinstance(operation, keras.Layer) for operation in inner)
    if isinstance(model, keras.Sequential) and are_layers:
        inputs = new_inputs(input_structure(model))
        converted = new_sequential(model, [inputs, *inner], own_class=True)
    return take_class(model, converted, copies)


def _names_that_matter(model, view):
    """Returns a dict: layer -> name of its output, where outputs are told by name.

    They are in labels, losses and metrics that are dicts.
    """
    if not names_outputs(model):
        return {}
    layers = [tensor._keras_history.operation for tensor in view.outputs]
    return {layer: layer.name for layer in layers}
