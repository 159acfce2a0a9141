"""Constructors of third-party packages, each at the smallest sensible input.

    pip install kimm kyolo k3im segmodels-keras keras-hub

`list_constructors` names all of a package without building one, from small to large;
a package that is not installed has none. Inputs are of 64x64 at least where a network
halves its images five times: with one position left, attention computes nothing.
"""

import dataclasses
import importlib
import inspect
import pathlib
import re
from collections.abc import Callable

import keras

import keras_shapley_prune

SIZES = (64, 96, 128, 160, 224, 256, 299, 331)
CLASSES = 5

# The architectures of kimm; its names are one of these and a size.
KIMM_FAMILIES = """ConvMixer ConvNeXt DenseNet EfficientNet EfficientNetLite
    EfficientNetV2 GhostNet GhostNetV2 GhostNetV3 HGNet HGNetV2 InceptionNeXt
    InceptionV3 LCNet MobileNetV2 MobileNetV3 MobileOne MobileViT MobileViTV2 RegNetX
    RegNetY RepVGG ResNet TinyNet VGG VisionTransformer Xception""".split()

# Those that k3im spells in several ways.
K3IM_NAMES = {"CAiT": "CaiT", "focalnet": "FocalNet", "ViTFFT": "ViT", "ViTPD": "ViT"}
K3IM_NAMES |= dict.fromkeys(("Mixer", "mixer", "MlpMixer", "MLPMixer"), "MLP-Mixer")


@dataclasses.dataclass(frozen=True)
class Constructor:
    """What builds one network.

    Attributes:
        package: String, what pip installs it as.
        family: String, the architecture that it is a size of.
        name: String, unlike that of any other of the package.
        build: Callable without arguments that returns a `keras.Model`.
        random: Boolean, whether its weights are to be made random.
    """

    package: str
    family: str
    name: str
    build: Callable
    random: bool = True


def list_constructors(packages, mlperf):
    """Returns the `Constructor`s of packages: of each family the smallest first.

    Args:
        packages: Sequence of names, among `PACKAGES`.
        mlperf: String, the folder of MLPerf Tiny's `.h5` files.
    """
    ranked = []
    for package in packages:
        families = {}
        for constructor in PACKAGES[package](mlperf):
            families.setdefault(constructor.family, []).append(constructor)
        for members in families.values():
            ranked.extend(enumerate(sorted(members, key=lambda c: size_of(c.name))))
    return [constructor for _, constructor in sorted(ranked, key=lambda pair: pair[0])]


def size_of(name):
    """Returns what sorts the names of a family's networks from small to large.

    Args:
        name: String such as `"ConvNeXtTiny"`, `"yolov8n"` or `"RegNetX032"`.
    """
    words = "atto femto pico nano tiny small medium base large xlarge huge".split()
    found = re.findall("|".join(sorted(words, key=len, reverse=True)), name.lower())
    word = words.index(found[-1]) if found else -1
    number = [int(digits) for digits in re.findall(r"\d+", name)]
    letter = re.search(r"(?:\d|MobileViT)([ntsmbclex]|X*S)$", name)
    order = "XXS XS S n t s m b c l e x".split()
    return word, order.index(letter[1]) if letter else -1, number, name


def build_images(constructor, sizes=SIZES, **options):
    """Returns a network for the smallest images that it takes."""
    for size in sizes:
        try:
            return constructor(input_shape=(size, size, 3), **options)
        except ValueError as error:
            fault = error
    raise fault


def list_kimm(mlperf):
    """kimm's networks; those with branches that can be merged in both forms."""
    models = importlib.import_module("kimm.models")
    for name, value in vars(models).items():
        if not (inspect.isclass(value) and issubclass(value, keras.Model)):
            continue
        if name == "BaseModel":
            continue
        family = max((f for f in KIMM_FAMILIES if name.startswith(f)), key=len)
        forms = [{}]
        if "reparameterized" in inspect.signature(value.__init__).parameters:
            forms.append({"reparameterized": True})
        for form in forms:
            yield Constructor(
                "kimm",
                family,
                name + (", reparameterized" if form else ""),
                lambda value=value, form=form: build_images(
                    value,
                    weights=None,
                    classes=CLASSES,
                    classifier_activation=None,
                    **form,
                ),
            )


def list_kyolo(mlperf):
    """kyolo's detectors of each size, with the heads of inference."""
    kyolo = importlib.import_module("kyolo")
    for name in kyolo.list_models():
        family = re.match(r"yolov?\d+", name)[0].replace("yolo", "YOLO")
        yield Constructor(
            "kyolo",
            family,
            name,
            lambda name=name: build_images(getattr(kyolo, name), nc=CLASSES),
        )


def list_segmodels(mlperf):
    """segmodels-keras' decoders on each of its backbones."""
    segmodels = importlib.import_module("segmodels_keras")
    for decoder in ("Unet", "FPN", "Linknet", "PSPNet"):
        # The pyramid of PSPNet pools parts of a third and a sixth of the image.
        sizes = (96, 192, 288) if decoder == "PSPNet" else SIZES
        for backbone in segmodels.get_available_backbone_names():
            yield Constructor(
                "segmodels-keras",
                decoder,
                f"{decoder}, {backbone}",
                lambda d=decoder, b=backbone, sizes=sizes: build_images(
                    lambda **k: getattr(segmodels, d)(b, **k),
                    sizes,
                    encoder_weights=None,
                    classes=CLASSES,
                    activation="linear",
                ),
            )


def list_k3im(mlperf):
    """k3im's constructors; its FocalNets and MLP-Mixers have sizes too."""
    for name, build in importlib.import_module("third_party_k3im").list_builders():
        family = re.sub("Model|_?[13]D|_.*|^(Simple|Video)", "", name)
        yield Constructor("k3im", K3IM_NAMES.get(family, family), name, build)


def list_hub(mlperf):
    """KerasHub's backbones, alone and with a classifier on top."""
    hub = importlib.import_module("third_party_hub")
    for name, build in hub.BACKBONES.items():
        family = name.split(",")[0]
        yield Constructor("keras-hub", family, name, build)
        if name in hub.WITHOUT_CLASSIFIER:
            continue
        yield Constructor(
            "keras-hub", family, f"{name}, classifier", lambda b=build: _classify(b())
        )


def _classify(backbone):
    """Returns a classifier that reads the mean over all positions of a backbone."""
    features = backbone.output
    if isinstance(features, dict):  # the pooled ones of a text model, or the last
        features = features.get("pooled_output", list(features.values())[-1])
    axes = tuple(range(1, len(features.shape) - 1))
    if axes:
        features = keras.ops.mean(features, axis=axes)
    logits = keras.layers.Dense(CLASSES, name="logits")(features)
    return keras.Model(backbone.input, logits, name="classifier")


def _load(path):
    """Returns the network of a file, without how it was compiled."""
    if not path.exists():
        raise FileNotFoundError(
            f"Expected a file of MLPerf Tiny in the folder --mlperf. Received: {path}"
        )
    return keras_shapley_prune.load_model(path)


def list_mlperf(mlperf):
    """MLPerf Tiny's trained networks, files of Keras 2."""
    for name in ("ad01", "pretrainedResnet", "str_ww_ref_model", "vww_96"):
        path = pathlib.Path(mlperf) / f"{name}.h5"
        yield Constructor(
            "mlperf", "MLPerf Tiny", name, lambda p=path: _load(p), random=False
        )


PACKAGES = {
    "mlperf": list_mlperf,
    "keras-hub": list_hub,
    "k3im": list_k3im,
    "kimm": list_kimm,
    "kyolo": list_kyolo,
    "segmodels-keras": list_segmodels,
}
