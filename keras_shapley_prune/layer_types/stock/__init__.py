"""What pruning knows of Keras's own layers: the only files that name layer types.

One file a family, one line a type. Importing them fills the registry of
`registry.py`.
"""

from keras_shapley_prune.layer_types.stock import (
    attention,
    convnext,
    convolutions,
    dense,
    elementwise,
    inception_resnet,
    joins,
    normalizations,
    raw_elementwise,
    raw_shaping,
    recurrent,
    softmax,
    spatial,
)

__all__ = [
    "attention",
    "convnext",
    "convolutions",
    "dense",
    "elementwise",
    "inception_resnet",
    "joins",
    "normalizations",
    "raw_elementwise",
    "raw_shaping",
    "recurrent",
    "softmax",
    "spatial",
]
