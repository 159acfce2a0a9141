"""Products of two tensors: attention that is written out, and layers that do it."""

from keras import layers

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.flows import (
    dot_letters,
    einsum_letters,
    matmul_letters,
    multiply,
)
from keras_shapley_prune.layer_types.registry import LAYER_TYPES, OPERATION_TYPES
from keras_shapley_prune.layer_types.stock.constants import (
    forbid_array_arguments,
    lock,
)


class ProductType(DeclaredType):
    """A product of two tensors, or an einsum of one.

    Args:
        letters_of: Callable `fn(call)`, see `flows.multiply`.
        **options: As of a `DeclaredType`.
    """

    def __init__(self, letters_of, **options):
        super().__init__(multiply(letters_of), **options)
        self._letters_of = letters_of

    def products(self, call):
        """Each entry of the output is a sum over the axes that are not in it."""
        letters = self._letters_of(call)
        if isinstance(letters, str) or len(call.inputs) == 1:
            return []
        axes = _find_axes(call, letters)
        lengths = [call.inputs[place].shape[axis] for place, axis in axes]
        return [(axes, tuple(lengths), None if None in lengths else 1)]


def _find_axes(call, letters):
    """Returns where the axes of a product are, but for that of the examples.

    Returns:
        Tuple of `(input position, axis)`, see `LayerType.products`.
    """
    first, second, _ = letters
    found = {}
    for place, side in enumerate((first, second)):
        for axis, letter in enumerate(side):
            length = call.inputs[place].shape[axis]
            known = found.get(letter)
            # Of an axis that is spread over another one, the other counts.
            if known is None or call.inputs[known[0]].shape[known[1]] == 1 != length:
                found[letter] = place, axis
    is_open = [call.inputs[p].shape[a] is None for p, a in found.values()]
    examples = is_open.index(True) if any(is_open) else 0
    return tuple(axes for i, axes in enumerate(found.values()) if i != examples)


OPERATION_TYPES |= {
    "Einsum": ProductType(einsum_letters, unfit=forbid_array_arguments),
    "Matmul": ProductType(matmul_letters, unfit=forbid_array_arguments),
}
LAYER_TYPES[layers.Dot] = ProductType(dot_letters)
for name in "Dot Inner Kron Outer Tensordot Vdot".split():
    OPERATION_TYPES[name] = lock("mixes the channels of what it multiplies")
