"""Where a command's examples come from: a folder, an `.npz` file, or TFDS."""

import dataclasses
import pathlib
import re

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.command_line.input_files import InputError
from keras_shapley_prune.command_line.npz_files import (
    TEXT,
    count_examples,
    read_npz,
)
from keras_shapley_prune.inputs.compiling import compile_arguments
from keras_shapley_prune.inputs.one_line import describe, first_line

_TFDS = re.compile(r"tfds:(?P<name>[^:]+(:\d[\d.*]+)?)(:(?P<split>.+))?")
_COLORS = {1: "grayscale", 3: "rgb", 4: "rgba"}


@dataclasses.dataclass(frozen=True)
class DataSource:
    """Examples, how many of them, and how they are made into what the model takes.

    Attributes:
        name: String: a folder of class folders (or of images without classes), an
            `.npz` file with the arrays x and perhaps y, or `"tfds:NAME[:SPLIT]"`
            (`train` if it is not given). In an `.npz` file, arrays with the names of
            the model's inputs may stand in the place of x.
        num_examples: Integer, at most so many are drawn.
        seed: Integer, for the draw.
        image_size: Tuple `(height, width)`, or `None` for what the model takes.
        rescale: Float: values are multiplied by it.
        offset: Float: it is added to them then.
        data_dir: Where TensorFlow Datasets keeps its files, or `None` for its default.
    """

    name: str
    num_examples: int = 200
    seed: int = 0
    image_size: tuple | None = None
    rescale: float = 1.0
    offset: float = 0.0
    data_dir: str | None = None

    def load(self, model):
        """Draws examples for a model, into memory.

        Classes are numbered in alphabetical order of their folders, or as in TFDS.
        They are one-hot vectors if the model's loss wants that.

        Args:
            model: The `keras.Model` that takes them.

        Returns:
            Tuple of arrays `(x, y)`; of `(x,)` if there are no labels. With several
            inputs, x has the structure of the model's.

        Raises:
            InputError: If there are none, or they cannot be read.
            ImportError: If TensorFlow Datasets is needed and not installed.
        """
        try:
            x, y = self._read(model)
        except InputError:
            # It is a `ValueError` itself, and says already what is wrong.
            raise
        except ImportError:
            raise
        except Exception as error:  # of many kinds, by what the files hold
            raise InputError(
                f"Data {self.name!r} should be readable. Received: {describe(error)}"
            ) from error
        if not count_examples(x):
            raise InputError(f"Data {self.name!r} should hold examples. Received: none")
        # Otherwise the numbers keep their type.
        if (self.rescale, self.offset) != (1.0, 0.0):
            x = keras.tree.map_structure(self._scale, x)
        return (x,) if y is None else (x, y)

    def _scale(self, array):
        if array.dtype.kind in TEXT:
            return array
        return array.astype("float32") * self.rescale + self.offset

    def _read(self, model):
        if self.name.startswith("tfds:"):
            return self._read_tfds(model)
        path = pathlib.Path(self.name)
        if path.suffix == ".npz" and path.is_file():
            return self._read_npz(path, model)
        if path.is_dir():
            return self._read_folder(path, model)
        raise InputError(
            "Data should be a folder, an .npz file or tfds:NAME[:SPLIT], that exists. "
            f"Received: {self.name!r}"
        )

    def _read_npz(self, path, model):
        x, y = read_npz(path, model)
        # The arrays may be sorted by class.
        drawn = np.random.default_rng(self.seed).permutation(count_examples(x))
        drawn = drawn[: self.num_examples]
        x = keras.tree.map_structure(lambda part: part[drawn], x)
        return x, None if y is None else y[drawn]

    def _read_folder(self, path, model):
        *size, channels = self._image_shape(model)
        if channels not in _COLORS:
            raise InputError(
                f"Data in a folder has {sorted(_COLORS)} channels. Received: a model "
                f"that takes {channels}"
            )
        # Folders within are classes; without any, the images have no labels.
        has_classes = any(entry.is_dir() for entry in path.iterdir())
        dataset = keras.utils.image_dataset_from_directory(
            path,
            labels="inferred" if has_classes else None,
            label_mode="int" if has_classes else None,
            color_mode=_COLORS[channels],
            image_size=tuple(size),
            batch_size=None,
            seed=self.seed,
            verbose=False,
        )
        # Keras has shuffled the files by the seed.
        try:
            return _gather(dataset.take(self.num_examples), model, has_classes)
        except tf.errors.OpError as error:
            path, error = _find_unreadable(dataset.file_paths) or (self.name, error)
            raise InputError(
                f"Data {self.name!r} should be readable, each of its images. Received: "
                f"{path!r}, of which TensorFlow says: {first_line(error)}"
            ) from error

    def _read_tfds(self, model):
        match = _TFDS.fullmatch(self.name)
        if match is None:
            raise InputError(
                f"Data should be tfds:NAME[:SPLIT]. Received: {self.name!r}"
            )
        try:
            import tensorflow_datasets as tfds  # heavy, and an extra
        except ImportError as error:
            raise ImportError(
                f"Data {self.name!r} needs the package tensorflow-datasets. Install "
                "it with: pip install tensorflow-datasets importlib_resources"
            ) from error
        *size, channels = self._image_shape(model)
        dataset = tfds.load(
            match["name"],
            split=match["split"] or "train",
            data_dir=self.data_dir,
            as_supervised=True,
        )
        received = dataset.element_spec[0].shape[-1]
        # Grey images are made into coloured ones and back, nothing else.
        if received != channels and {received, channels} != {1, 3}:
            raise InputError(
                f"Data {self.name!r} has images of {received} channels. Received: a "
                f"model that takes {channels}"
            )
        # Its files are in a random order already: a window is enough to draw from.
        window = 4 * self.num_examples
        dataset = dataset.shuffle(window, self.seed).take(self.num_examples)
        dataset = dataset.map(lambda x, y: (_fit_image(x, size, channels), y))
        return _gather(dataset, model, has_labels=True)

    def _image_shape(self, model):
        """Returns `(height, width, channels)` of the images that a model takes."""
        shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
        if len(shapes) == 1 and len(shapes[0]) == 3:
            *size, channels = shapes[0]
            if _takes_channels_first(model):
                channels, *size = shapes[0]
            # The option is for models that take images of any size.
            height, width = self.image_size or size
            if None not in (height, width, channels):
                return height, width, channels
        raise InputError(
            f"Data {self.name!r} holds images, and the model should take one image "
            "(with `--image-size`, one of any size; an .npz file serves other models). "
            f"Received: a model with inputs of shape {shapes}"
        )


def _takes_channels_first(model):
    """Returns whether the colors of the images that a model takes are the first axis.

    A model that was made `channels_last` goes on to take what it took before.
    """
    colors, *size = model.inputs[0].shape[1:]
    if len(size) != 2 or colors not in _COLORS or size[-1] in _COLORS:
        return False
    return all(length is None or length > colors for length in size)


def _find_unreadable(paths):
    """Returns the first of the images that cannot be read and why, or `None`."""
    for path in paths:
        try:
            tf.io.decode_image(tf.io.read_file(path), expand_animations=False)
        except tf.errors.OpError as error:
            return path, error
    return None


def _fit_image(image, size, channels):
    """Returns an image of another size and number of channels."""
    image = tf.image.resize(tf.cast(image, tf.float32), size)
    if image.shape[-1] == channels:
        return image
    if channels == 1:
        return tf.image.rgb_to_grayscale(image)
    return tf.image.grayscale_to_rgb(image)


def _gather(dataset, model, has_labels):
    """Returns the arrays of a dataset of single examples."""
    examples = list(dataset.as_numpy_iterator())
    columns = zip(*examples, strict=True) if has_labels else [examples]
    x, *labels = (np.array(column) for column in columns)
    if _takes_channels_first(model):
        x = np.moveaxis(x, -1, 1)
    if not has_labels:
        return x, None
    (y,) = labels
    if _wants_vectors(model):
        y = keras.utils.to_categorical(y, model.outputs[0].shape[-1])
    return x, y


def _wants_vectors(model):
    """Returns whether a model is compiled with a loss of one-hot labels."""
    # A string, an object with a name, or a function.
    loss = compile_arguments(model)["loss"] if model.compiled else None
    name = loss if isinstance(loss, str) else getattr(loss, "name", None)
    name = name or getattr(loss, "__name__", "")
    return name in (
        "categorical_crossentropy",
        "CategoricalCrossentropy",
        "categorical_focal_crossentropy",
        "CategoricalFocalCrossentropy",
    )
