"""Layer types that a few words declare: a flow, the axes of weights, a size."""

from keras_shapley_prune.layer_types.flows import expand, keep, mix
from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.unit_ids import count_kept


class DeclaredType(LayerType):
    """A layer type that is data: the short form of `register_layer`, and most layers.

    Args:
        flow: Callable `fn(call, channels)`, see `LayerType.flow`.
        size: String, the config entry with the number of output channels, or `None`.
        weights: Dict, see `LayerType.weights`.
        unfit: Callable `fn(call)`, see `LayerType.unfit`.
        parent: The `LayerType` of what the layer is a subclass of, or `None`. Where
            its kernels are applied, and what it returns, is taken from there.
        across: Callable `fn(call, channels)`, see `LayerType.flow_across`.
    """

    def __init__(
        self, flow, size=None, weights=None, unfit=None, parent=None, across=None
    ):
        self._flow, self._size, self._unfit = flow, size, unfit
        self._across = across
        self._weights = dict(weights or {})
        self._parent = parent or LayerType()

    def flow(self, call, channels):
        return self._flow(call, channels)

    def flow_across(self, call, channels):
        flow = super().flow_across if self._across is None else self._across
        return flow(call, channels)

    def weights(self, operation):
        return self._weights

    def resize(self, config, kept):
        if self._size is not None:
            config[self._size] = count_kept(kept["o"])

    @property
    def has_size(self):
        return self._size is not None or type(self).resize is not DeclaredType.resize

    def unfit(self, call):
        return None if self._unfit is None else self._unfit(call)

    def is_elementwise(self, operation):
        # A subclass that says more of its weights has some.
        declared = type(self).weights is DeclaredType.weights
        return declared and self._flow is keep and not self._weights

    @property
    def is_vague(self):
        """Boolean, whether it leaves open what repair and FLOPs depend on.

        It does where it mixes channels, or has kernels.
        """
        kernels = [self._is_kernel(*pair) for pair in self._weights.items()]
        return self._flow is mix or any(kernels)

    def _is_kernel(self, name, letters):
        # Where channels expand, what has but one axis is a scale or a bias.
        depthwise = self._flow is expand and "i" in letters and len(letters) > 1
        return depthwise or super()._is_kernel(name, letters)

    def positions(self, call):
        return self._parent.positions(call)

    def output_activation(self, operation):
        return self._parent.output_activation(operation)
