"""The `LayerType` of a layer that a trial has shown to keep its channels apart."""

from keras_shapley_prune.layer_types.flows import keep
from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.unit_ids import count_kept


class TrialType(LayerType):
    """A layer, or raw operation, that is elementwise along the channels by trial.

    Args:
        letters: Sequence of strings, one for each weight, see `LayerType.weights`.
        sizes: Sequence of strings, entries of the config that are the number of
            channels, or a shape that ends with it.
        parent: The `LayerType` of what the layer is a subclass of: it says at how many
            positions a kernel is applied.
    """

    def __init__(self, letters=(), sizes=(), parent=None):
        self._letters, self._sizes = tuple(letters), tuple(sizes)
        self._parent = parent or LayerType()

    def flow(self, call, channels):
        return keep(call, channels)

    def weights(self, operation):
        return list(zip(getattr(operation, "weights", ()), self._letters, strict=False))

    def resize(self, config, kept):
        set_sizes(config, self._sizes, count_kept(kept["i"]))

    @property
    def has_size(self):
        return bool(self._sizes)

    def is_elementwise(self, operation):
        return not self._letters

    def positions(self, call):
        return self._parent.positions(call)

    def output_activation(self, operation):
        return self._parent.output_activation(operation)


def set_sizes(config, names, num_channels):
    """Sets the entries of a config that are, or end with, the number of channels.

    Args:
        config: Dict, changed in place.
        names: Iterable of strings, the entries.
        num_channels: Integer.
    """
    for name in names:
        value = config[name]
        alone = isinstance(value, int)
        config[name] = num_channels if alone else (*value[:-1], num_channels)


def find_sizes(config, num_channels):
    """Returns the entries of a config that may be, or end with, the number of channels.

    Args:
        config: Dict.
        num_channels: Integer.
    """

    def is_size(value):
        if isinstance(value, (tuple, list)) and value:
            value = value[-1]
        return type(value) is int and value == num_channels

    return [name for name, value in config.items() if is_size(value)]
