"""Networks and data of soak.py: they depend on nothing but a generator."""

import contextlib
import dataclasses

import keras
import models
import numpy as np
import random_graphs
from keras import layers

NUM_EXAMPLES = 8
MOST_STEPS = 3  # of a random network; each adds two layers and more
POLICIES = ("float32",) * 18 + ("float64", "mixed_float16")
ATTEMPTS = 50  # networks that are drawn until Keras can run one of them


class Choices:
    """What `random_graphs.build` chooses by, out of a NumPy generator."""

    def __init__(self, generator):
        self.generator = generator

    def pick(self, values):
        """Returns one of a sequence."""
        return values[self.integer(0, len(values) - 1)]

    def several(self, values):
        """Returns a list of up to four of a sequence."""
        return [self.pick(values) for _ in range(self.integer(0, 4))]

    def integer(self, low, high):
        """Returns an integer, both ends included."""
        return int(self.generator.integers(low, high, endpoint=True))

    def boolean(self):
        """Returns whether."""
        return bool(self.integer(0, 1))


@dataclasses.dataclass
class Subject:
    """A compiled network with the data of its case.

    Attributes:
        model: The `keras.Model`.
        policy: String, the dtype policy it was built with.
        x: Calibration inputs, structured as the model takes them.
        y: Targets of `x`.
        fresh: Inputs that nothing was ranked or fitted on.
    """

    model: keras.Model
    policy: str
    x: object
    y: object
    fresh: object


def draw_subject(choices):
    """Returns the `Subject` of a case.

    Random networks come with one classifier behind all branches, or with a small head
    for each. One of 16 cases has a network of tests/models.py.
    """
    policy = choices.pick(POLICIES)
    for _ in range(ATTEMPTS):
        keras.utils.set_random_seed(choices.integer(0, 2**31))
        with contextlib.suppress(_UnusableError), using_policy(policy):
            return _finish(_draw_model(choices), policy, choices)
    raise RuntimeError(f"None of {ATTEMPTS} networks can be run")


@contextlib.contextmanager
def using_policy(policy):
    """Sets the dtype policy of layers that are made within."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class _UnusableError(Exception):
    """Keras cannot run the network, or its outputs are not finite."""


def _draw_model(choices):
    if choices.integer(1, 16) == 1:
        # Seeds of initializers and of weights; both are the case's own.
        return models.fresh(choices.pick(models.BUILDERS), choices.integer(0, 9))
    try:
        model = random_graphs.build(choices, MOST_STEPS)
        outputs = _rows_of_examples(model)
    except Exception as error:  # of any kind: the step is wrong for its tensors
        raise _UnusableError from error
    if choices.boolean():
        # In single precision: half would round what is compared.
        flat = [layers.Flatten(dtype="float32")(tensor) for tensor in outputs]
        joined = layers.Concatenate(dtype="float32")(flat) if flat[1:] else flat[0]
        head = layers.Dense(4, activation="softmax", dtype="float32")
        outputs = head(joined)
    return keras.Model(model.inputs, outputs)


def _rows_of_examples(model):
    """Returns the outputs that have one row an example, as `fit` takes them."""
    inputs = models.images(model, NUM_EXAMPLES)
    found = models.outputs_of(model, inputs)
    outputs = zip(model.outputs, found, strict=True)
    return [tensor for tensor, array in outputs if len(array) == NUM_EXAMPLES]


def _finish(model, policy, choices):
    seed = choices.integer(0, 2**31)
    x = models.inputs_of(model, NUM_EXAMPLES, seed)
    outputs = models.outputs_of(model, x)
    if not all(np.isfinite(output).all() for output in outputs):
        raise _UnusableError
    generator = np.random.default_rng(seed)
    if len(outputs) == 1 and isinstance(model.outputs[0].shape[-1], int):
        is_head = getattr(model.layers[-1], "activation", None)
        is_head = is_head is keras.activations.softmax and outputs[0].ndim == 2
    else:
        is_head = False
    if is_head:
        loss = "sparse_categorical_crossentropy"
        y = generator.integers(0, outputs[0].shape[-1], NUM_EXAMPLES)
    else:
        loss = ["mse"] * len(outputs)
        y = [generator.normal(size=output.shape).astype("f") for output in outputs]
        loss, y = (loss[0], y[0]) if len(y) == 1 else (loss, y)
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
    if choices.boolean():
        optimizer = keras.optimizers.Adam(1e-3)
    model.compile(optimizer, loss)
    fresh = models.inputs_of(model, 5, seed + 1)
    return Subject(model, policy, x, y, fresh)
