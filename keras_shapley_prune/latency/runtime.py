"""`Runtime`: on what, and how, the latency of a model is measured."""

import dataclasses
import time

import keras
import tensorflow as tf

from keras_shapley_prune.deploy.fold_normalization import copy_folded
from keras_shapley_prune.deploy.quantization import import_quantizer
from keras_shapley_prune.inputs.arguments import (
    check_boolean,
    check_choice,
    check_integer,
    show,
)
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.latency.loading import (
    import_interpreter,
    litert_version,
    load_litert,
    load_tensorflow,
)
from keras_shapley_prune.latency.processor import (
    count_tensorflow_threads,
    find_processor,
    runs_alone,
)

RUNTIMES = ("tensorflow", "litert")


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What runs a model, on this machine, and how.

    The strings `"tensorflow"` and `"litert"` are short for `Runtime("tensorflow")` and
    `Runtime("litert")`.

    What runs in one thread is timed by the seconds that the processor spends on it,
    since other programs on the machine would only be counted too. They are what passes
    on a machine that does nothing else. With several threads, it is what passes.

    Args:
        name: `"tensorflow"`, the compiled forward pass, a `tf.function` of
            `model(x, training=False)`; or `"litert"`, the `.tflite` file that
            `export_litert` writes, run by LiteRT with XNNPACK, which needs the packages
            of `pip install litert-quantizer ai-edge-litert`.
        batch_size: Integer, examples an inference.
        threads: Integer, how many threads LiteRT may use, `None` for one. TensorFlow
            keeps the threads that it started with in this process, so that for it
            `None` is the only value; `describe` tells how many they are.
        int8: Boolean, whether the LiteRT file is quantized to 8-bit integers.
        folded: Boolean, whether TensorFlow runs what `fold_normalization` makes of the
            model, which is what will be served then. LiteRT's converter folds always.

    Raises:
        ValueError: If an argument is not of that form, TensorFlow is asked for threads
            or int8, or LiteRT for `folded`.

    Example:

    ```python
    phone = keras_shapley_prune.Runtime("litert", threads=2, int8=True)
    models = [model, pruned]
    seconds = keras_shapley_prune.measure_latency(models, images, runtime=phone)
    print(phone.describe(), seconds)
    ```
    """

    name: str = "tensorflow"
    batch_size: int = 1
    threads: int | None = None
    int8: bool = False
    folded: bool = False

    def __post_init__(self):
        check_choice("name", self.name, RUNTIMES)
        check_integer("batch_size", self.batch_size, 1)
        check_boolean("int8", self.int8)
        check_boolean("folded", self.folded)
        if self.threads is not None:
            if self.name == "tensorflow":
                raise ValueError(
                    "Argument `threads` should be None for the runtime 'tensorflow', "
                    "whose threads cannot be changed once it runs (set them before, by "
                    "`tf.config.threading.set_intra_op_parallelism_threads`). "
                    f"Received: threads={show(self.threads)}"
                )
            check_integer("threads", self.threads, 1)
        if self.int8 and self.name == "tensorflow":
            raise ValueError(
                "Argument `int8` should be False for the runtime 'tensorflow', which "
                f"computes as the model does. Received: int8={self.int8}"
            )
        if self.folded and self.name == "litert":
            raise ValueError(
                "Argument `folded` should be False for the runtime 'litert', whose "
                f"converter folds by itself. Received: folded={self.folded}"
            )
        # As Python's own, which JSON and the interpreter take, not those of NumPy.
        threads = None if self.threads is None else int(self.threads)
        for name, value in (
            ("batch_size", int(self.batch_size)),
            ("threads", threads),
            ("int8", bool(self.int8)),
            ("folded", bool(self.folded)),
        ):
            object.__setattr__(self, name, value)

    def load(self, model, examples=None):
        """Makes a model ready to run.

        A model with states, such as a stateful recurrent layer, changes them when it is
        run by TensorFlow.

        Args:
            model: A built Sequential or functional `keras.Model`.
            examples: Inputs to run it on, what `prune` takes: the first ones, repeated
                if the batch is larger. They also give the sizes that a model leaves
                open, and the ranges of int8. `None` for inputs that are drawn.

        Returns:
            A function of no arguments that computes one inference and returns when the
            outputs are there. It has been run once. Its attribute `file_size` is the
            size of the `.tflite` file in bytes, `None` for TensorFlow.

        Raises:
            ImportError: If the packages of LiteRT are missing.
            ValueError: If the model does not take such batches or examples, or LiteRT
                cannot do what it does.
        """
        check_model(model)
        if self.folded:
            model = copy_folded(model)  # which is not checked: it is timed only
        if self.name == "tensorflow":
            return load_tensorflow(model, self.batch_size, examples)
        options = {"threads": self.threads, "int8": self.int8}
        return load_litert(model, self.batch_size, examples, **options)

    @property
    def title(self):
        """String, its name as people read it."""
        title = {"tensorflow": "TensorFlow", "litert": "LiteRT"}[self.name]
        return f"{title}{' int8' * self.int8}{' folded' * self.folded}"

    @property
    def clock(self):
        """Function that returns seconds: how its runs are timed.

        Of one thread it is the time that the processor spends on it, which is the time
        that passes where nothing else runs; of several, the time that passes.
        """
        if self.name == "litert":
            return time.perf_counter if (self.threads or 1) > 1 else time.thread_time
        return time.process_time if runs_alone() else time.perf_counter

    def describe(self):
        """Returns one line: runtime and version, numbers, batch, threads, processor."""
        if self.name == "tensorflow":
            parts = [f"TensorFlow {tf.__version__}"]  # its numbers are the model's
            parts += ["normalizations folded"] * self.folded
            threads = count_tensorflow_threads()
        else:
            parts = [f"LiteRT {litert_version()} (XNNPACK)".replace("  ", " ")]
            parts.append("int8" if self.int8 else "float32")
            threads = self.threads or 1
        parts.append(f"batch of {self.batch_size}")
        alone = self.clock is not time.perf_counter
        counted = " (processor time)" if alone else ""
        parts.append(f"{threads} thread{'s' if threads > 1 else ''}{counted}")
        return ", ".join([*parts, find_processor()])


def resolve_runtime(target, name="target"):
    """Returns what an argument names as the `Runtime`, or the function, that it is.

    Args:
        target: `"tensorflow"`, `"litert"`, a `Runtime`, or a function that takes a
            `keras.Model` and returns seconds.
        name: String, the argument that it is given for.

    Returns:
        A `Runtime`, or the function.

    Raises:
        ImportError: If the packages of LiteRT are needed and missing.
        ValueError: If it is none of these.
    """
    runtime = target
    if isinstance(target, str) and target in RUNTIMES:
        runtime = Runtime(target)
    if isinstance(runtime, Runtime):
        if runtime.name == "litert":  # best known before any work
            import_interpreter()
            if runtime.int8:
                import_quantizer()
        return runtime
    # A class and a model can be called as well, but neither times one.
    if not callable(target) or isinstance(target, (type, keras.Model)):
        raise ValueError(
            f"Argument `{name}` should be one of {list(RUNTIMES)}, a `Runtime`, or a "
            "function that takes a model and returns the seconds of one inference. "
            f"Received: {name}={show(target)}"
        )
    return target


def describe_runtime(runtime):
    """Returns one line about what `resolve_runtime` returned."""
    if isinstance(runtime, Runtime):
        return runtime.describe()
    name = getattr(runtime, "__name__", type(runtime).__name__)
    return f"the function {name!r}"
