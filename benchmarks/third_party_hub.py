"""KerasHub's backbones at the sizes of its own tests (keras_hub/src/models/*_test.py).

Where those tests leave the size of images open, it is 64x64. Each entry builds an
untrained backbone.
"""

import keras
import keras_hub

models = keras_hub.models
IMAGE = (64, 64, 3)


def resnet(block_type="bottleneck_block", deep=False, **options):
    """A ResNet of three stages; `deep` has the stem of the -vd variant."""
    return models.ResNetBackbone(
        input_conv_filters=[32, 32, 64] if deep else [64],
        input_conv_kernel_sizes=[3, 3, 3] if deep else [7],
        stackwise_num_filters=[64, 64, 64],
        stackwise_num_blocks=[2, 2, 2],
        stackwise_num_strides=[1, 2, 2],
        block_type=block_type,
        image_shape=IMAGE,
        **options,
    )


def cspnet(stage_type="csp", block_type="dark_block"):
    return models.CSPNetBackbone(
        stem_filters=32,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_strides=2,
        stackwise_depth=[1, 2, 8],
        stackwise_num_filters=[16, 24, 48],
        image_shape=IMAGE,
        down_growth=True,
        bottle_ratio=(0.5, 1.0),
        block_ratio=(1.0, 0.5),
        expand_ratio=(2.0, 1.0),
        block_type=block_type,
        stage_type=stage_type,
        stem_padding="same",
    )


def efficientnet(version):
    """The stages of EfficientNetV2-like networks, or only unfused ones, fewer deep."""
    fused = 3 if version == 2 else 0
    kinds = ["fused"] * fused + ["unfused"] * (6 - fused)
    return models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3] * 6,
        stackwise_num_repeats=[2, 2, 2, 3, 3, 3],
        stackwise_input_filters=[24, 24, 48, 64, 128, 160],
        stackwise_output_filters=[24, 48, 64, 128, 160, 256],
        stackwise_expansion_ratios=[1, 4, 4, 4, 6, 6],
        stackwise_squeeze_and_excite_ratios=[0.0] * fused + [0.25] * (6 - fused),
        stackwise_strides=[1, 2, 2, 2, 1, 2],
        stackwise_block_types=kinds,
        stackwise_force_input_filters=[0] * 6,
        stackwise_nores_option=[False] * 6,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        image_shape=IMAGE,
    )


def mobilenet():
    relu, swish = "relu", "hard_swish"
    return models.MobileNetBackbone(
        stackwise_expansion=[[40, 56], [64, 144, 144], [72, 72], [144, 288, 288]],
        stackwise_num_blocks=[2, 3, 2, 3],
        stackwise_num_filters=[[16] * 2, [24] * 3, [24] * 2, [48] * 3],
        stackwise_kernel_size=[[3] * 2, [5] * 3, [5] * 2, [5] * 3],
        stackwise_num_strides=[[2, 1], [2, 1, 1], [1, 1], [2, 1, 1]],
        stackwise_se_ratio=[[None] * 2, [0.25] * 3, [0.25] * 2, [0.25] * 3],
        stackwise_activation=[
            [relu] * 2,
            [swish] * 3,
            [swish] * 2,
            [swish] * 3,
            [swish],
        ],
        stackwise_padding=[[1] * 2, [2] * 3, [2] * 2, [2] * 3],
        output_num_filters=1024,
        input_activation=swish,
        output_activation=swish,
        input_num_filters=16,
        image_shape=IMAGE,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=288,
    )


def mobilenet_v5():
    return models.MobileNetV5Backbone(
        stackwise_block_types=[["er"], ["uir", "uir"]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[24], [48, 48]],
        stackwise_strides=[[2], [2, 1]],
        stackwise_act_layers=[["relu"], ["relu", "relu"]],
        stackwise_exp_ratios=[[4.0], [6.0, 6.0]],
        stackwise_se_ratios=[[0.0], [0.0, 0.0]],
        stackwise_dw_kernel_sizes=[[0], [5, 5]],
        stackwise_dw_start_kernel_sizes=[[0], [0, 0]],
        stackwise_dw_end_kernel_sizes=[[0], [0, 0]],
        stackwise_exp_kernel_sizes=[[3], [0, 0]],
        stackwise_pw_kernel_sizes=[[1], [0, 0]],
        stackwise_num_heads=[[0], [0, 0]],
        stackwise_key_dims=[[0], [0, 0]],
        stackwise_value_dims=[[0], [0, 0]],
        stackwise_kv_strides=[[0], [0, 0]],
        stackwise_use_cpe=[[False], [False, False]],
        image_shape=(32, 32, 3),
        stem_size=16,
        use_msfa=False,
    )


def hgnet(affine=False, light=False):
    return models.HGNetV2Backbone(
        embedding_size=32,
        stem_channels=[3, 16, 32],
        hidden_act="relu",
        use_learnable_affine_block=affine,
        image_shape=IMAGE,
        depths=[1, 1],
        hidden_sizes=[64, 128],
        stackwise_stage_filters=[[32, 16, 64, 1, 1, 3], [64, 32, 128, 1, 1, 3]],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[light, light],
        out_features=["stem", "stage1", "stage2"],
    )


def mit():
    """Wider than in its test, for the same reason as `vit_det`."""
    return models.MiTBackbone(
        layerwise_depths=[2, 2],
        image_shape=(32, 32, 3),
        hidden_dims=[8, 16],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[8, 4],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
    )


def dino(kind, **options):
    return kind(
        num_layers=2,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=64,
        layer_scale_init_value=1.0,
        **options,
    )


def dino_v2(**options):
    shape = (70, 70, 3)
    return dino(models.DINOV2Backbone, patch_size=14, image_shape=shape, **options)


def dino_v3(**options):
    return dino(models.DINOV3Backbone, patch_size=16, image_shape=IMAGE, **options)


def vit(**options):
    return models.ViTBackbone(
        image_shape=(28, 28, 3),
        patch_size=(4, 4),
        num_layers=3,
        hidden_dim=48,
        num_heads=6,
        mlp_dim=192,
        use_mha_bias=True,
        **options,
    )


def deit():
    return models.DeiTBackbone(
        image_shape=(28, 28, 3),
        patch_size=4,
        num_layers=3,
        hidden_dim=48,
        num_heads=6,
        intermediate_dim=192,
        use_mha_bias=True,
    )


def vit_det():
    """Wider than in its test: a LayerNormalization of one channel is always 0."""
    return models.ViTDetBackbone(
        image_shape=(16, 16, 3),
        patch_size=2,
        hidden_size=16,
        num_layers=2,
        global_attention_layer_indices=[2, 5, 8, 11],
        intermediate_dim=64,
        num_heads=2,
        num_output_channels=8,
        window_size=2,
    )


def swin():
    return models.SwinTransformerBackbone(
        image_shape=(32, 32, 3),
        embed_dim=32,
        depths=(2, 2),
        num_heads=(2, 4),
        window_size=4,
    )


def bert(length=5):
    """Wider than in its test: heads of one number each would hide what goes wrong."""
    return models.BertBackbone(
        vocabulary_size=10,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=length,
    )


def deeplab():
    encoder = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 64],
        stackwise_num_blocks=[2, 2, 2],
        stackwise_num_strides=[1, 2, 2],
        block_type="basic_block",
    )
    return models.DeepLabV3Backbone(
        image_encoder=encoder,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P4",
        dilation_rates=[6, 12, 18],
        upsampling_size=4,
        image_shape=(96, 96, 3),
    )


def retinanet():
    encoder = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
    )
    return models.RetinaNetBackbone(
        image_encoder=encoder, min_level=3, max_level=7, use_p5=True
    )


def basnet():
    """Of fewer blocks than in its test, as its decoder is 512 filters wide."""
    encoder = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
    )
    return models.BASNetBackbone(
        image_encoder=encoder, num_classes=1, image_shape=(32, 32, 3)
    )


def tower(kind, **options):
    """An encoder of CLIP or SigLIP, of images or of texts."""
    return kind(
        hidden_dim=64, num_layers=2, num_heads=2, intermediate_dim=128, **options
    )


def image_tower(kind):
    return tower(kind, patch_size=16, image_shape=IMAGE)


def text_tower(kind):
    return tower(kind, vocabulary_size=64, embedding_dim=64, max_sequence_length=5)


def clip():
    return models.CLIPBackbone(
        vision_encoder=image_tower(models.CLIPVisionEncoder),
        text_encoder=text_tower(models.CLIPTextEncoder),
        projection_dim=64,
    )


def siglip():
    return models.SigLIPBackbone(
        vision_encoder=image_tower(models.SigLIPVisionEncoder),
        text_encoder=text_tower(models.SigLIPTextEncoder),
    )


def d_fine():
    """Fewer queries than in its test."""
    encoder = models.HGNetV2Backbone(
        embedding_size=16,
        stem_channels=[3, 16, 16],
        hidden_act="relu",
        use_learnable_affine_block=True,
        image_shape=IMAGE,
        depths=[1, 1, 1, 1],
        hidden_sizes=[32, 32, 64, 64],
        stackwise_stage_filters=[
            [16, 16, 32, 1, 3, 3],
            [32, 16, 32, 1, 3, 3],
            [32, 32, 64, 1, 3, 5],
            [64, 32, 64, 1, 3, 5],
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
        out_features=["stage3", "stage4"],
    )
    return models.DFineBackbone(
        backbone=encoder,
        decoder_in_channels=[32, 32],
        encoder_hidden_dim=32,
        num_denoising=0,
        num_labels=5,
        hidden_dim=32,
        learn_initial_query=False,
        num_queries=10,
        anchor_image_size=IMAGE[:2],
        feat_strides=[16, 32],
        num_feature_levels=2,
        encoder_in_channels=[64, 64],
        encode_proj_layers=[1],
        num_attention_heads=4,
        encoder_ffn_dim=64,
        num_encoder_layers=1,
        hidden_expansion=0.5,
        depth_multiplier=0.5,
        eval_idx=-1,
        num_decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=64,
        decoder_n_points=[6, 6],
        lqe_hidden_dim=16,
        num_lqe_layers=2,
        out_features=["stage3", "stage4"],
        image_shape=IMAGE,
        seed=0,
    )


def depth_anything():
    encoder = models.DINOV2Backbone(
        patch_size=14,
        num_layers=4,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=64,
        image_shape=(84, 84, 3),
    )
    return models.DepthAnythingBackbone(
        image_encoder=encoder,
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_dims=[16, 32, 64, 128],
        fusion_hidden_dim=32,
        head_hidden_dim=16,
        head_in_index=-1,
        feature_keys=["stage1", "stage2", "stage3", "stage4"],
    )


def feature_pyramid():
    """All stages of a ResNet, as detectors read them."""
    backbone = resnet("basic_block")
    return keras.Model(backbone.input, backbone.pyramid_outputs)


def sam_encoder():
    return models.ViTDetBackbone(
        image_shape=(128, 128, 3),
        patch_size=16,
        hidden_size=16,
        num_layers=4,
        global_attention_layer_indices=[2],
        intermediate_dim=64,
        num_heads=2,
        num_output_channels=8,
        window_size=2,
    )


def sam():
    return models.SAMBackbone(
        image_encoder=sam_encoder(),
        prompt_encoder=keras_hub.layers.SAMPromptEncoder(
            hidden_size=8,
            image_embedding_size=(8, 8),
            input_image_size=(128, 128),
            mask_in_channels=16,
        ),
        mask_decoder=keras_hub.layers.SAMMaskDecoder(
            num_layers=2,
            hidden_size=8,
            intermediate_dim=32,
            num_heads=2,
            embedding_dim=8,
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=8,
        ),
    )


def parseq():
    encoder = models.ViTBackbone(
        image_shape=(32, 128, 3),
        patch_size=(4, 8),
        num_layers=2,
        num_heads=2,
        hidden_dim=64,
        mlp_dim=128,
        use_class_token=False,
    )
    return models.PARSeqBackbone(
        image_encoder=encoder,
        vocabulary_size=97,
        max_label_length=25,
        decoder_hidden_dim=64,
        num_decoder_layers=1,
        num_decoder_heads=2,
        decoder_mlp_dim=128,
    )


def video_prism():
    return models.VideoPrismBackbone(
        num_frames=4,
        patch_size=8,
        hidden_dim=16,
        intermediate_dim=32,
        num_heads=2,
        num_spatial_layers=2,
        num_temporal_layers=2,
        num_auxiliary_layers=0,
        image_shape=(32, 32, 3),
    )


BACKBONES = {
    "ResNet, basic": lambda: resnet("basic_block"),
    "ResNet, bottleneck": resnet,
    "ResNet, V2": lambda: resnet(use_pre_activation=True),
    "ResNet, vd": lambda: resnet("bottleneck_block_vd", deep=True),
    "CSPNet": cspnet,
    "CSPNet, cs3": lambda: cspnet("cs3", "bottleneck_block"),
    "DenseNet": lambda: models.DenseNetBackbone(
        [2, 4, 6, 4], compression_ratio=0.5, growth_rate=8, image_shape=IMAGE
    ),
    "EfficientNet": lambda: efficientnet(1),
    "EfficientNet, V2": lambda: efficientnet(2),
    "MobileNet": mobilenet,
    "MobileNetV5": mobilenet_v5,
    "HGNetV2": hgnet,
    "HGNetV2, affine": lambda: hgnet(affine=True),
    "HGNetV2, light": lambda: hgnet(light=True),
    "VGG": lambda: models.VGGBackbone([2, 3, 3], [8, 64, 64], (16, 16, 3)),
    "Xception": lambda: models.XceptionBackbone(
        [[32, 64], [128, 128], [256, 256]], [False, True, False], image_shape=IMAGE
    ),
    "MiT": mit,
    "SegFormer": lambda: models.SegFormerBackbone(
        projection_filters=64, image_encoder=mit()
    ),
    "DeepLabV3": deeplab,
    "RetinaNet": retinanet,
    "ViT": vit,
    "ViT, without class token": lambda: vit(use_class_token=False),
    "DeiT": deit,
    "DINOV2": lambda: dino_v2(num_register_tokens=0, use_swiglu_ffn=False),
    "DINOV2, registers": lambda: dino_v2(num_register_tokens=4, use_swiglu_ffn=True),
    "DINOV3": lambda: dino_v3(num_register_tokens=4, use_gated_mlp=False),
    "ViTDet": vit_det,
    "Swin": swin,
    "BERT": bert,
    "BERT, longer": lambda: bert(12),
    "BASNet": basnet,
    "CLIP": clip,
    "CLIP, images": lambda: image_tower(models.CLIPVisionEncoder),
    "SigLIP": siglip,
    "SigLIP, images": lambda: image_tower(models.SigLIPVisionEncoder),
    "DFine": d_fine,
    "DepthAnything": depth_anything,
    "FeaturePyramid": feature_pyramid,
    "SAM": sam,
    "SAM, images": sam_encoder,
    "PARSeq": parseq,
    "VideoPrism": video_prism,
}

# What ends in no features of an image: similarities, boxes, maps, letters.
WITHOUT_CLASSIFIER = {
    "BASNet",
    "CLIP",
    "SigLIP",
    "DFine",
    "DepthAnything",
    "SAM",
    "PARSeq",
}
