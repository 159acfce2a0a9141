"""What pruning knows of Keras's own layers: the only files that name layer types.

One file a family of layers, with its `LayerType` subclasses; where nothing but data
tells the types apart, one line a type. Importing them fills the registry of
`registry.py`.
"""

from keras_shapley_prune.layer_types.stock import (
    applications,
    attention,
    conv_lstm,
    convolutions,
    dense,
    dot_product_attention,
    elementwise,
    joins,
    normalizations,
    own_weights,
    products,
    raw_elementwise,
    raw_shaping,
    recurrent,
    reductions,
    reversible_embeddings,
    sequence_attention,
    sizes_of_others,
    softmax,
    spatial,
    time_distributed,
    transforms,
)

__all__ = [
    "applications",
    "attention",
    "conv_lstm",
    "convolutions",
    "dense",
    "dot_product_attention",
    "elementwise",
    "joins",
    "normalizations",
    "own_weights",
    "products",
    "raw_elementwise",
    "raw_shaping",
    "recurrent",
    "reductions",
    "reversible_embeddings",
    "sequence_attention",
    "sizes_of_others",
    "softmax",
    "spatial",
    "time_distributed",
    "transforms",
]
