"""One case of cost.py, in a process of its own: the peak of its memory is its own.

    python benchmarks/cost_case.py mobilenet_v2_160 [--pretrained DIR] [--profile]

Prints one line of JSON. Untrained networks of keras.applications get statistics of
BatchNormalization that fit the images, as a trained network has them.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))

import keras
import networks
import numpy as np
from keras import layers

import keras_shapley_prune as ksp


def low_frequency_images(num_images, size):
    """Returns noise of blocks of 8x8 pixels, with some noise of single pixels."""
    generator = np.random.default_rng(0)
    images = np.empty((num_images, size, size, 3), "float32")
    for image in images:  # one by one: no second copy of all is made
        blocks = generator.normal(size=(size // 8, size // 8, 3))
        image[:] = blocks.repeat(8, axis=0).repeat(8, axis=1)
        image += 0.3 * generator.standard_normal(image.shape, "float32")
    return images


def set_statistics(model, images):
    """Sets the statistics of each BatchNormalization to those of what it reads."""
    norms = [x for x in model.layers if isinstance(x, layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(images, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def application(args, name, size, num_images):
    """Returns a network of keras.applications with random weights, and images."""
    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, name)
    model = make(weights=None, input_shape=(size, size, 3))
    images = low_frequency_images(num_images, size)
    set_statistics(model, images[:16])
    return model, images


def vgg16_bn(args, num_images=200):
    """Returns VGG16 with BatchNormalization, random weights, and images."""
    import engine

    keras.utils.set_random_seed(0)
    model, images = engine.vgg16_bn(), low_frequency_images(num_images, 32)
    set_statistics(model, images[:16])
    return model, images


def resnet20(args, num_images=200):
    """Returns ResNet-20, pretrained, and images of CIFAR-10."""
    problem = networks.cifar10(args, "resnet20")
    return problem.model, problem.calibration(num_images, 0)[0]


def digits(args, epochs=4):
    """Returns the CNN of examples/quickstart.py and digits."""
    import quickstart

    keras.utils.set_random_seed(1)
    (x, y), _, num_classes = quickstart.load_digits()
    model = quickstart.build_model(x.shape[1:], num_classes)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model, x[:200]


def prune(model, images, memory):
    """Prunes with the defaults."""
    return ksp.prune(model, images, memory=memory, verbose=0)


def rank(model, images, memory):
    """Ranks alone, with the defaults."""
    return ksp.ShapleyRanker().rank(model, images, verbose=0)


@dataclasses.dataclass
class Case:
    """What is measured.

    Attributes:
        label: String, of the table.
        load: Callable: options -> the model and its images.
        before: String, what was measured before.
        bar: String, what it should be at most.
        run: Callable, `prune` or `rank`.
        memory: The argument of `prune`.
        num_predicts: Integer, how often `predict` runs before, the first not counted,
            and half as often after.
    """

    label: str
    load: object
    before: str
    bar: str
    run: object = prune
    memory: int | None = None
    num_predicts: int = 5


def _application(name, size, num_images):
    return functools.partial(application, name=name, size=size, num_images=num_images)


CASES = {
    "mobilenet_v2_160": Case(
        "MobileNetV2 160x160, 100 images",
        _application("MobileNetV2", 160, 100),
        "31 forwards, 2.9 GB",
        "8 forwards, 1.5 GB",
    ),
    "mobilenet_v2_224": Case(
        "MobileNetV2 224x224, 200 images",
        _application("MobileNetV2", 224, 200),
        "25 forwards, 6 GB",
        "8 forwards, 3 GB",
    ),
    "efficientnet_b0_224": Case(
        "EfficientNetB0 224x224, 200 images",
        _application("EfficientNetB0", 224, 200),
        "25 forwards, 6 GB",
        "8 forwards, 3 GB",
    ),
    "resnet50_224": Case(
        "ResNet50 224x224, 200 images",
        _application("ResNet50", 224, 200),
        "78 forwards, 8.3 GB (64 images)",
        "8 forwards, 4 GB",
        num_predicts=2,
    ),
    "resnet20": Case("ResNet-20 32x32, 200 images", resnet20, "20 CPU s", "5 CPU s"),
    "vgg16_bn": Case(
        "VGG16-BN 32x32, 200 images, ranking", vgg16_bn, "137 s", "25 s", rank
    ),
    "digits": Case("digits quickstart's prune", digits, "1.7 CPU s", "0.7 CPU s"),
    "mobilenet_v2_512": Case(
        "MobileNetV2 512x512, 200 images, memory=2**30",
        _application("MobileNetV2", 512, 200),
        "-",
        "4 GB",
        memory=2**30,
        num_predicts=1,
    ),
}


def memory_of_process():
    """Returns the resident memory of this process and its peak so far, in MB.

    `ru_maxrss` would begin with that of the process which started this one.
    """
    with open("/proc/self/status", encoding="ascii") as lines:
        fields = dict(line.split(":", 1) for line in lines)
    return [int(fields[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM")]


def forget_peak():
    """Lets the peak begin anew: `predict` has one of its own."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def measure(case, args):
    """Returns what a case costs, a dict."""
    model, images = case.load(args)
    predicts, before = [], case.num_predicts

    def predict(times):
        for _ in range(times):
            start = time.process_time()
            model.predict(images, verbose=0)
            predicts.append(time.process_time() - start)

    predict(before)
    resident, _ = memory_of_process()
    forget_peak()
    clock, start = time.perf_counter(), time.process_time()
    case.run(model, images, case.memory)
    cpu, wall = time.process_time() - start, time.perf_counter() - clock
    _, peak = memory_of_process()
    predict((before + 1) // 2)
    forward = float(np.median(predicts[1:]))
    return {
        "cpu_seconds": cpu,
        "predict_seconds": forward,
        "forwards": cpu / forward,
        "wall_seconds": wall,
        "resident_mb": resident,
        "peak_mb": peak,
    }


def measure_wall(case, args):
    """Returns the wall seconds of three runs, a dict."""
    model, images = case.load(args)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        case.run(model, images, case.memory)
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("case", choices=list(CASES))
    parser.add_argument("--wall", action="store_true", help="wall seconds, three runs")
    parser.add_argument("--profile", action="store_true", help="seconds of each part")
    args = networks.parse_arguments(parser)
    case = CASES[args.case]
    if not args.wall:  # one core, so that NumPy's products do not run beside each other
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if args.profile:
        import cost_profile

        found = cost_profile.measure(case, args)
    else:
        found = measure_wall(case, args) if args.wall else measure(case, args)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
