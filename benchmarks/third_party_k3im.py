"""k3im's constructors, each with small values for what it requires."""

import importlib
import inspect
import pkgutil
import re

import k3im

# The arguments of k3im's constructors by their names: all share a vocabulary.
ARGUMENTS = {
    "image_size": 16,
    "img_size": 16,
    "patch_size": 4,
    "image_patch_size": 4,
    "frames": 4,
    "frame_patch_size": 2,
    "seq_len": 16,
    "num_classes": 5,
    "channels": 3,
    "dim": 32,
    "embedding_dim": 32,
    "embed_dim": 32,
    "projection_dim": 32,
    "sm_dim": 32,
    "lg_dim": 48,
    "depth": 2,
    "cls_depth": 2,
    "spatial_depth": 2,
    "temporal_depth": 2,
    "num_blocks": 2,
    "num_transformer_blocks": 2,
    "transformer_layers": 2,
    "transformer_units": [48, 32],
    "token_learner_units": 4,
    "heads": 4,
    "num_heads": 4,
    "dim_head": 8,
    "mlp_dim": 48,
    "num_mlp": 48,
    "hidden_units": 32,
    "dim_coefficient": 2,
    "kernel_size": 3,
    "stride": 1,
    "padding": 1,
    "window_size": 2,
    "shift_size": 1,
    "qkv_bias": True,
    "pool": "mean",
    "freq_patch_size": 8,
    "dropout_rate": 0.1,
    "attention_dropout": 0.1,
    "projection_dropout": 0.1,
    "stochastic_depth_rate": 0.1,
}
# What differs from that for a constructor.
CHANGES = {
    "EANet": {"input_shape": (16, 16, 3)},
    "CCT": {"input_shape": (16, 16, 3)},
    "CCT_1DModel": {"input_shape": (32, 3)},
    "CCT3DModel": {"input_shape": (8, 16, 16, 3)},
    "ConvMixer3DModel": {"image_size": 12, "num_frames": 12, "filters": 32, "depth": 2},
    "VideoMixerModel": {"mlp_dim": 32},
    "SwinTModel": {"patch_size": (2, 2)},
    "CrossViT": {"image_size": 48, "channels": 3},
    # Patches of time, width and height, and colors: as wide as they are embedded.
    "FocalNetModel": {"embed_dim": 32, "depths": [1, 1], "img_size": 32},
    "MlpMixer": {"img_size": 32, "patch_size": 8, "embed_dim": 32, "num_blocks": 2},
}


# Constructors that are called neither "…Model" nor by a size.
OTHERS = """CCT ConvMixer CrossViT DeepViT EANet MlpMixer SimpleViT SimpleViTFFT
    SimpleViT_RT SimpleViTPD ViTokenLearner VideoEANet ViT ViViT""".split()


def list_builders():
    """Yields pairs of a constructor's name and a callable that builds its network."""
    for entry in pkgutil.iter_modules(k3im.__path__, "k3im."):
        module = importlib.import_module(entry.name)
        for name, value in vars(module).items():
            own = inspect.isfunction(value) and value.__module__ == entry.name
            if own and re.match(r"(focalnet|mixer)_", name):
                yield name, lambda f=value: f(img_size=64, num_classes=5)
            elif own and (name.endswith("Model") or name in OTHERS):
                yield name, lambda f=value, n=name: build(f, CHANGES.get(n, {}))


def build(function, changes):
    """Returns a network of a constructor that gets no more than what it requires.

    Args:
        function: The constructor.
        changes: Dict of arguments that are not those of `ARGUMENTS`.
    """
    parameters = inspect.signature(function).parameters.values()
    required = [p.name for p in parameters if p.default is p.empty]
    given = {name: ARGUMENTS[name] for name in required if name in ARGUMENTS}
    return function(**(given | changes))
