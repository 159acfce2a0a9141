"""Layers that work on the positions of each channel by itself.

Augmentation layers among them change nothing but positions, the same way in each
channel. Those that mix or change colours are for images, and lock.
"""

from keras import layers

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.flows import keep
from keras_shapley_prune.layer_types.registry import LAYER_TYPES

for name in """MaxPooling AveragePooling GlobalMaxPooling GlobalAveragePooling
        AdaptiveMaxPooling AdaptiveAveragePooling ZeroPadding Cropping
        UpSampling""".split():
    for rank in (1, 2, 3):
        layer_class = getattr(layers, f"{name}{rank}D", None)
        if layer_class is not None:  # adaptive pooling is newer than Keras 3.12
            LAYER_TYPES[layer_class] = DeclaredType(keep)
for name in """CenterCrop Resizing RandomCrop RandomFlip RandomPerspective
        RandomRotation RandomTranslation RandomZoom""".split():
    if hasattr(layers, name):
        LAYER_TYPES[getattr(layers, name)] = DeclaredType(keep)
