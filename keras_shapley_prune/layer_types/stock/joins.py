"""Layers that join branches or move channels."""

from keras import layers

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.flows import concatenate, join, permute, reshape
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.unit_ids import count_kept


class SumType(DeclaredType):
    """An addition."""

    sums_inputs = True


class TargetType(DeclaredType):
    """A reshaping to a target shape that stands in its config.

    Args:
        flow: As of a `DeclaredType`.
        target: String, the name of the config entry.
        **options: As of a `DeclaredType`.
    """

    def __init__(self, flow, target, **options):
        super().__init__(flow, **options)
        self._target = target

    def resize(self, config, kept):
        lengths = config[self._target]
        lengths = [lengths] if isinstance(lengths, int) else list(lengths)
        for letter, mask in kept.items():
            # Aligned to the right: of a layer, the shape is that of an example.
            axis = -1 if letter == "o" else int(letter[1:] or 0)
            inside = letter[0] == "o" and -len(lengths) <= axis
            # A length of -1 is computed from the others, whatever they are. One that is
            # no number is read from another tensor.
            if inside and isinstance(lengths[axis], int) and lengths[axis] != -1:
                lengths[axis] = count_kept(mask)
        config[self._target] = tuple(lengths)


for name in "Subtract Multiply Average Maximum Minimum".split():
    LAYER_TYPES[getattr(layers, name)] = DeclaredType(join)
LAYER_TYPES |= {
    layers.Add: SumType(join),
    layers.Concatenate: DeclaredType(concatenate),
    layers.Flatten: DeclaredType(reshape),
    layers.Reshape: TargetType(reshape, "target_shape"),
    layers.Permute: DeclaredType(permute(lambda layer, rank: [0, *layer.dims])),
}
