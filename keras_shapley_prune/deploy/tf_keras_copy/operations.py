"""What the raw operations of Keras 3 (`keras.ops`) are in tf_keras: layers."""

import math

from keras_shapley_prune.deploy.tf_keras_copy.layers import apply_activation, no_equal


def apply_operation(tf_keras, operation, args, make_name):
    """Applies the layers that compute what a raw operation of `keras.ops` does.

    Args:
        tf_keras: The module `tf_keras`.
        operation: A `keras.Operation` that is no layer.
        args: List of its arguments, symbolic tensors of tf_keras and constants.
        make_name: Callable `fn(ending)` that returns the name of a new layer.

    Returns:
        A symbolic tensor of tf_keras.

    Raises:
        ValueError: If no layer of tf_keras computes it.
    """
    kind = type(operation).__name__
    if kind in ("Relu6", "HardSigmoid", "HardSilu"):
        activation = {"Relu6": "relu6", "HardSigmoid": "hard_sigmoid"}.get(kind)
        return apply_activation(tf_keras, activation or "hard_silu", args[0], make_name)
    make = _OPERATIONS.get(kind)
    found = make and make(tf_keras.layers, operation, args, make_name(""))
    if found is None:
        raise no_equal(
            operation,
            "of the operations of `keras.ops`, those that a layer computes have: "
            f"{', '.join(sorted(_OPERATIONS))}, each in the form that the layer has",
        )
    layer, inputs = found
    return layer(inputs)


def _is_number(value):
    return isinstance(value, (int, float)) or getattr(value, "shape", None) == ()


def _line(slope_and_offset):
    """Returns a function that makes the layer of an operation with a number."""

    def make(layers, number, name):
        # `Rescaling` computes slope * x + offset.
        slope, offset = slope_and_offset(float(number))
        return layers.Rescaling(slope, offset, name=name)

    return make


_plus, _times = _line(lambda c: (1, c)), _line(lambda c: (c, 0))


def _binary(join, number_right=None, number_left=None):
    """Returns an entry of `_OPERATIONS`: of two tensors, or a tensor and a number."""

    def make(layers, operation, args, name):
        left, right = args
        if _is_number(right) and number_right:
            return number_right(layers, right, name), left
        if _is_number(left) and number_left:
            return number_left(layers, left, name), right
        # Symbolic tensors of tf_keras have a node, constants have none.
        if join and hasattr(left, "node") and hasattr(right, "node"):
            return getattr(layers, join)(name=name), [left, right]
        return None

    return make


def _unary(make_layer):
    """Returns an entry of `_OPERATIONS`, of one tensor."""

    def make(layers, operation, args, name):
        layer = make_layer(layers, operation, name)
        return None if layer is None else (layer, args[0])

    return make


def _activation(activation):
    return _unary(lambda layers, _, name: layers.Activation(activation, name=name))


def _pooling(kind):
    """Returns an entry of `_OPERATIONS`: a reduction over all positions."""

    def make(layers, operation, args, name):
        rank = len(args[0].shape)
        axis = operation.axis
        axes = [axis] if isinstance(axis, int) else list(axis or ())
        # Global pooling is over all axes but those of the batch and of the channels.
        if sorted(a % rank for a in axes) != list(range(1, rank - 1)):
            return None
        pooling = getattr(layers, f"Global{kind}Pooling{rank - 2}D")
        return pooling(
            keepdims=operation.keepdims, data_format="channels_last", name=name
        ), args[0]

    return make


def _concatenate(layers, operation, args, name):
    (parts,) = args
    return layers.Concatenate(operation.axis, name=name), list(parts)


def _reshape(layers, operation, args, name):
    shape, target = args[0].shape[1:], tuple(operation.newshape)[1:]
    # `Reshape` never touches the batch axis, so that the rest has to be of one size.
    if None in shape or (-1 not in target and math.prod(shape) != math.prod(target)):
        return None
    if -1 in target and operation.newshape[0] == -1:
        return None
    return layers.Reshape(target, name=name), args[0]


def _transpose(layers, operation, args, name):
    axes = operation.axes
    # `Permute` numbers axes as here, that of the batch being 0, but cannot move that.
    if not axes or axes[0] != 0:
        return None
    return layers.Permute(tuple(axes[1:]), name=name), args[0]


_divide = _binary(None, _line(lambda c: (1 / c, 0)))

# `fn(layers, operation, args, name)` returns the layer and what it reads, or `None`.
_OPERATIONS = {
    "Add": _binary("Add", _plus, _plus),
    "Subtract": _binary("Subtract", _line(lambda c: (1, -c)), _line(lambda c: (-1, c))),
    "Multiply": _binary("Multiply", _times, _times),
    "Divide": _divide,
    "TrueDivide": _divide,
    "Maximum": _binary("Maximum"),
    "Minimum": _binary("Minimum"),
    "Relu": _unary(lambda layers, _, name: layers.ReLU(name=name)),
    "ReLU": _unary(  # what `keras.activations.relu` is in a graph
        lambda layers, op, name: layers.ReLU(
            op.max_value, op.negative_slope, op.threshold, name=name
        )
    ),
    "Concatenate": _concatenate,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Mean": _pooling("Average"),
    "Max": _pooling("Max"),
    "Softmax": _unary(lambda layers, op, name: layers.Softmax(op.axis, name=name)),
    "Elu": _unary(lambda layers, op, name: layers.ELU(op.alpha, name=name)),
    "LeakyRelu": _unary(
        lambda layers, op, name: layers.LeakyReLU(op.negative_slope, name=name)
    ),
    "Gelu": _unary(
        lambda layers, op, name: (
            None if op.approximate else layers.Activation("gelu", name=name)
        )
    ),
    "Exp": _activation("exponential"),
    "Silu": _activation("swish"),
    **{
        name.capitalize(): _activation(name)
        for name in ("sigmoid", "tanh", "selu", "softplus", "softsign")
    },
}
