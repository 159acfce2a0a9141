"""The seconds that `plan` predicts against those `rank` takes; a part of engine.py.

The constants of the estimate were set on some networks, so its errors there say little.
Others were not looked at: what it says of them is what it says of yours.
"""

import dataclasses
import functools
import pathlib
import time
from unittest import mock

import cost_case
import keras
import networks
import numpy as np

import keras_shapley_prune as ksp

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@dataclasses.dataclass
class Case:
    """What is planned, then ranked.

    Attributes:
        label: String, the network.
        load: Callable: options, number of images -> the model and its images.
        num_images: Integer.
        game: String, as `ShapleyRanker` takes it.
        estimator: String, as `ShapleyRanker` takes it, or `None`.
    """

    label: str
    load: object
    num_images: int
    game: str = "reconstruction"
    estimator: str | None = None


def digits_cnn(args, num_images):
    """Returns the CNN of examples/quickstart.py, untrained, and images of noise."""
    import quickstart

    model = quickstart.build_model((8, 8, 1), 10)
    return model, random_images(model, num_images)


def random_images(model, num_images):
    """Returns images of noise."""
    shape = num_images, *model.input_shape[1:]
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _application(name, size):
    return functools.partial(cost_case.application, name=name, size=size)


def _cifar10(name):
    def load(args, num_images):
        problem = networks.cifar10(args, name)
        return problem.model, problem.calibration(num_images, 0)[0]

    return load


def _mobilenet(args, num_images):
    path = pathlib.Path(args.pretrained) / "mobilenet025_imagenet.keras"
    model = keras.models.load_model(path, compile=False)
    return model, random_images(model, num_images)


SET_ON = [  # the constants were set on these
    Case("digits CNN, 8x8", digits_cnn, 200),
    Case("digits CNN, 8x8", digits_cnn, 200, "loss", "permutation"),
    Case("digits CNN, 8x8", digits_cnn, 200, "kl", "gradient"),
    Case("ResNet-20, 32x32", _cifar10("resnet20"), 200),
    Case("ResNet-20, 32x32", _cifar10("resnet20"), 32, "loss", "permutation"),
    Case("ResNet-20, 32x32", _cifar10("resnet20"), 200, "kl", "gradient"),
    Case("MobileNet 0.25, 224x224", _mobilenet, 100),
    Case("MobileNet 0.25, 224x224", _mobilenet, 50, "kl", "gradient"),
    Case("MobileNetV2, 96x96", _application("MobileNetV2", 96), 100),
]
OTHERS = [
    Case("ResNet-8, 32x32", _cifar10("resnet8"), 100),
    Case("ResNet-8, 32x32", _cifar10("resnet8"), 100, "kl", "gradient"),
    Case("VGG16-BN, 32x32", cost_case.vgg16_bn, 50),
    Case("MobileNet, 128x128", _application("MobileNet", 128), 100),
    Case("ResNet50V2, 64x64", _application("ResNet50V2", 64), 100),
    Case("DenseNet121, 64x64", _application("DenseNet121", 64), 100),
    Case("EfficientNetB0, 128x128", _application("EfficientNetB0", 128), 50),
    Case("MobileNet, 128x128", _application("MobileNet", 128), 50, "kl", "gradient"),
]


def measure(args):
    """Yields rows: network, game, estimator, images, set on it?, planned, taken.

    Args:
        args: The parsed options.
    """
    for cases in (SET_ON, OTHERS):
        for case in cases:
            row = (case.label, case.game, case.estimator or "", case.num_images)
            yield *row, cases is SET_ON, *time_case(case, args)


def time_case(case, args):
    """Returns the seconds planned and taken."""
    model, images = case.load(args, num_images=case.num_images)
    model.compile("sgd", LOSS)
    labels = np.random.default_rng(0).integers(0, model.output_shape[-1], len(images))
    ranker, data = ksp.ShapleyRanker(case.game, case.estimator), (images, labels)
    # By the clock of engine.py, which other programs do not run.
    with mock.patch("time.perf_counter", time.process_time):
        planned = ranker.estimate_cost(model, data).seconds
    start = time.process_time()
    ranker.rank(model, data, verbose=0)
    return planned, time.process_time() - start
