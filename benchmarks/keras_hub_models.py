"""Networks of KerasHub, many of which are made of layers made of layers.

    pip install keras-hub && python benchmarks/keras_hub_models.py [--output DIR]

Small networks of KerasHub's classes, as they are and after `to_functional`: how many of
the units can be removed, and, half of each group removed at random, the largest
difference between the outputs of the masked and of the pruned network, relative to the
largest output. The outputs of a backbone are locked. Weights are random, see
applications.py.

Writes keras_hub.csv, prints the table of docs/applications.md.
"""

import argparse
import os
import pathlib
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import applications
import keras
import keras_hub
import networks
import numpy as np

import keras_shapley_prune as ksp

SHAPE = (64, 64, 3)
FIELDS = "model units removable after_to_functional largest_difference"


def resnet(block_type="bottleneck_block", **options):
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[16],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256],
        stackwise_num_blocks=[2, 2, 2],
        stackwise_num_strides=[1, 2, 2],
        block_type=block_type,
        image_shape=SHAPE,
        **options,
    )


def efficientnet(block_types, expansion):
    return keras_hub.models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[2, 2],
        stackwise_input_filters=[16, 16],
        stackwise_output_filters=[16, 24],
        stackwise_expansion_ratios=expansion,
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_strides=[1, 2],
        stackwise_block_types=block_types,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        image_shape=SHAPE,
    )


def mobilenet():
    return keras_hub.models.MobileNetBackbone(
        stackwise_expansion=[[40, 56], [64, 144, 144], [72, 72]],
        stackwise_num_blocks=[2, 3, 2],
        stackwise_num_filters=[[16, 16], [24, 24, 24], [32, 32]],
        stackwise_kernel_size=[[3, 3], [5, 5, 5], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1, 1], [1, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25, 0.25], [0.3, 0.3]],
        stackwise_activation=[["relu6"] * 2, ["hard_swish"] * 3, ["hard_swish"] * 2],
        stackwise_padding=[[1, 1], [2, 2, 2], [2, 2]],
        output_num_filters=96,
        input_num_filters=16,
        input_activation="hard_swish",
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=96,
        image_shape=SHAPE,
    )


MODELS = {
    "ResNet": resnet,
    "ResNet V2": lambda: resnet(use_pre_activation=True),
    "ResNet-vd": lambda: resnet("bottleneck_block_vd"),
    "ResNet, ImageClassifier": lambda: keras_hub.models.ImageClassifier(
        backbone=resnet(), num_classes=5
    ),
    "VGG": lambda: keras_hub.models.VGGBackbone([1, 1, 2], [16, 32, 32], SHAPE),
    "DenseNet": lambda: keras_hub.models.DenseNetBackbone(
        [2, 3, 2], compression_ratio=0.5, growth_rate=8, image_shape=SHAPE
    ),
    "Xception": lambda: keras_hub.models.XceptionBackbone(
        [[16, 16], [32, 32], [48, 48], [64, 64]],
        [False, True, True, False],
        image_shape=(71, 71, 3),
    ),
    "CSPNet": lambda: keras_hub.models.CSPNetBackbone(
        stem_filters=16,
        stem_kernel_size=3,
        stem_strides=2,
        stackwise_depth=[1, 2],
        stackwise_strides=[1, 2],
        stackwise_num_filters=[32, 64],
        stage_type="cs3",
        block_type="bottleneck_block",
        bottle_ratio=0.5,
        block_ratio=0.5,
        expand_ratio=1.0,
        down_growth=True,
        cross_linear=True,
        image_shape=SHAPE,
    ),
    "EfficientNet": lambda: efficientnet(["v1", "v1"], [1, 6]),
    "EfficientNetV2": lambda: efficientnet(["fused", "unfused"], [4, 6]),
    "MobileNetV3": mobilenet,
    "BERT": lambda: keras_hub.models.BertBackbone(
        vocabulary_size=50,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=12,
    ),
    "ViT": lambda: keras_hub.models.ViTBackbone(
        (32, 32, 3), 8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64
    ),
    "Swin": lambda: keras_hub.models.SwinTransformerBackbone(
        image_shape=(32, 32, 3),
        patch_size=4,
        embed_dim=16,
        depths=(1, 1),
        num_heads=(2, 2),
        window_size=4,
    ),
}


def draw(tensor, generator):
    """Returns a random batch of what one input takes."""
    shape = [4, *(length or 6 for length in tensor.shape[1:])]
    if "int" in tensor.dtype:
        return generator.integers(0, 2, shape).astype(tensor.dtype)
    return generator.normal(size=shape).astype("float32")


def measure(name, builder):
    """Returns one row of the table."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    model = builder()
    applications.randomize(model, generator)
    before = share_removable(ksp.trace_channels(model))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        functional = ksp.to_functional(model)
    for warning in caught:
        if "to_functional" in str(warning.message):
            print(f"{name}: {warning.message}")
    channel_map = ksp.trace_channels(functional)
    keep = applications.draw_half(channel_map, generator)
    x = keras.tree.map_structure(lambda t: draw(t, generator), functional.input)
    masked = ksp.mask_channels(functional, keep, channel_map)
    try:
        pruned = ksp.remove_channels(functional, keep, channel_map)
        difference = f"{applications.largest_difference(masked, pruned, x):.0e}"
    except ValueError as error:
        print(f"{name}: {error}")
        difference = "not pruned"
    after = share_removable(channel_map)
    return name, f"{channel_map.num_units:,}", before, after, difference


def share_removable(channel_map):
    """Returns which share of the units that are known is not locked, as a string."""
    removable = sum(group.num_units for group in channel_map.groups)
    return f"{removable / max(channel_map.num_units, 1):.0%}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="benchmarks/results")
    options = parser.parse_args()
    rows = [measure(name, builder) for name, builder in MODELS.items()]
    networks.write_csv(options.output / "keras_hub.csv", FIELDS, rows)
    print("| model | units | removable | after `to_functional` | largest difference |")
    print("|---" * 5 + "|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
