"""Networks out of the uses of the registry: one for all uses that act alike.

Uses that do the same to the channels they read are branches of one network: they share
its two producers, and each has a consumer of its own. What cuts, ties or locks channels
in its own way (convolutions in groups, slices, reshapes) has a network by itself.
"""

import collections
import dataclasses
from collections.abc import Callable

import keras
import models
import registry_builders as builders
from keras import layers, ops

from keras_shapley_prune.layer_types import registry

REGISTERED = {layer_class.__name__ for layer_class in registry.LAYER_TYPES}


@dataclasses.dataclass(frozen=True)
class Use:
    """One use of an entry of the registry; `rank` is the number of positions."""

    name: str
    number: int
    rank: int
    make: Callable

    def __str__(self):
        return f"{self.name}-{self.number}"


def _names(text="", *, of_each_rank=""):
    """Names, and those that have a rank: `"Conv{}"` is Conv1D, Conv2D and Conv3D."""
    of_rank = [n.format(f"{r}D") for n in of_each_rank.split() for r in (1, 2, 3)]
    return {*text.split(), *of_rank}


_ALIKE = {
    "LAYERS": {
        "mixing": _names(
            "Dense EinsumDense LSTM GRU SimpleRNN",
            of_each_rank="Conv{} Conv{}Transpose SeparableConv{} DepthwiseConv{}",
        ),
        "channel by channel": _names(
            """Activation ActivityRegularization AlphaDropout BatchNormalization
            CenterCrop Dropout ELU GaussianDropout GaussianNoise Identity LayerScale
            LeakyReLU Normalization PReLU Permute RandomCrop RandomFlip
            RandomPerspective RandomRotation RandomTranslation RandomZoom ReLU
            RepeatVector Rescaling Resizing StochasticDepth""",
            of_each_rank="""AdaptiveAveragePooling{} AdaptiveMaxPooling{}
            AveragePooling{} Cropping{} GlobalAveragePooling{} GlobalMaxPooling{}
            MaxPooling{} SpatialDropout{} UpSampling{} ZeroPadding{}""",
        ),
        "joins": _names(
            "Add Average CustomScaleLayer Maximum Minimum Multiply Subtract"
        ),
    },
    "OPERATIONS": {
        "elementwise": _names(
            "Arccosh BitwiseInvert BitwiseNot Cast Clip SaturateCast Threshold"
        )
        | {builders.class_name(name) for name in builders.UNARY},
        "joins": {builders.class_name(name) for name in builders.BINARY},
        "along an axis": _names(
            """ArraySplit AveragePool CropImages ExpandDims GaussianBlur MaxPool Moments
            Moveaxis Nanpercentile Nanquantile PadImages Percentile Quantile Resize Roll
            Squeeze Swapaxes Transpose Unstack"""
        )
        | {builders.class_name(n) for n in (*builders.REDUCTIONS, *builders.ALONG)},
    },
}
_IN_GROUPS = {f"Conv{rank}D-{number}" for rank in (1, 2, 3) for number in (4, 5, 6)}
LARGEST = 30  # branches a network: what fails is found again among so many


def _kind(table, use):
    """The name of the network that a use is a branch of, without its rank."""
    if str(use) not in _IN_GROUPS:
        for kind, names in _ALIKE[table].items():
            if use.name in names:
                return kind
    return str(use)


def networks():
    """Returns a dict: id -> list of the uses that are branches of that network."""
    found = collections.defaultdict(list)
    for table in ("LAYERS", "OPERATIONS"):
        for name, uses in sorted(getattr(builders, table).items()):
            if table == "LAYERS" and name not in REGISTERED:  # not in Keras 3.12
                continue
            if not builders.is_in_keras(name):
                continue
            for number, (rank, make) in enumerate(uses):
                use = Use(name, number, rank, make)
                found[f"{table.lower()}: {_kind(table, use)}, {rank}"].append(use)
    return {
        f"{key}, {start // LARGEST}" if len(uses) > LARGEST else key: uses[
            start : start + LARGEST
        ]
        for key, uses in found.items()
        for start in range(0, len(uses), LARGEST)
    }


def build(uses):
    """Returns a network with uses of entries between producers and consumers.

    Returns:
        Tuple of the model and a list with the use of each output (`None` for the two
        of the producers, which are read directly, too).
    """
    keras.utils.set_random_seed(0)
    inputs = keras.Input(builders.SHAPES[uses[0].rank])
    a = layers.Dense(8, activation="sigmoid", name="a")(inputs)
    b = layers.Dense(8, activation="sigmoid", name="b")(inputs)
    outputs, owners = [], []
    for use in uses:
        for tensor in keras.tree.flatten(use.make(a, b)):
            tensor = ops.cast(tensor, "float32")
            outputs.append(layers.Dense(3)(tensor) if tensor.shape[-1] else tensor)
            owners.append(use)
    outputs += [layers.Dense(2)(tensor) for tensor in (a, b)]
    model = models.randomize(keras.Model(inputs, outputs))
    return model, [*owners, None, None]
