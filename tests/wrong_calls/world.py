"""What wrong calls are made in: one tiny model, its ranking, plan, data and files."""

import functools
import json
import pathlib

import keras
import models
import numpy as np
from wrong_calls.cases import LongWorkError

import keras_shapley_prune as ksp
from keras_shapley_prune.report.ablation import AblationCurve
from keras_shapley_prune.report.frontier import FrontierPoint


class Spy(keras.utils.PyDataset):
    """Batches of which only the first may be read: that is what checks look at."""

    def __init__(self, with_labels=True):
        super().__init__()
        x, y = models.labelled_images(64)
        self._batch = (x, y) if with_labels else (x,)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index:
            raise LongWorkError(f"batch {index} of the data was read")
        return self._batch


class Subclassed(keras.Model):
    """A model that is code; it may be built, but has no graph."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(4)

    def call(self, inputs):
        return self.dense(keras.ops.reshape(inputs, (-1, 36)))


class World:
    """Everything, each made when it is first asked for.

    Args:
        folder: `pathlib.Path`, an empty folder for files.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.x, self.y = models.labelled_images(24)

    @functools.cached_property
    def model(self):
        return models.classifier()

    @functools.cached_property
    def plain(self):
        """A model that is not compiled."""
        return models.classifier(compiled=False)

    @functools.cached_property
    def locked(self):
        """A model of which nothing can be removed."""
        layers = [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(4)]
        return keras.Sequential(layers, name="locked")

    @functools.cached_property
    def other(self):
        """Another model: nothing of the first fits it."""
        layers = [keras.Input((5,)), keras.layers.Dense(7), keras.layers.Dense(2)]
        return keras.Sequential(layers, name="other")

    @functools.cached_property
    def open(self):
        """A model that takes images of any size."""
        inputs = keras.Input((None, None, 1))
        x = keras.layers.Conv2D(4, 3)(inputs)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(2)(x), name="open")

    @functools.cached_property
    def subclassed(self):
        model = Subclassed(name="code")
        model(self.x)
        return model

    @functools.cached_property
    def map(self):
        return ksp.trace_channels(self.model)

    @functools.cached_property
    def other_map(self):
        return ksp.trace_channels(self.other)

    @functools.cached_property
    def ranking(self):
        return ksp.BaselineRanker("l1_norm").rank(self.model)

    @functools.cached_property
    def other_ranking(self):
        return ksp.BaselineRanker("l1_norm").rank(self.other)

    @functools.cached_property
    def plan(self):
        return ksp.plan_pruning(self.model, self.ranking)

    @functools.cached_property
    def pruned(self):
        return ksp.remove_channels(self.model, self.plan.keep)

    @functools.cached_property
    def comparison(self):
        return ksp.compare(self.model, self.pruned, ranking=self.ranking, verbose=0)

    @functools.cached_property
    def ranker(self):
        return ksp.ShapleyRanker()

    @functools.cached_property
    def mimic(self):
        return ksp.Mimic(num_steps=1)

    @functools.cached_property
    def points(self):
        return [FrontierPoint(0.0, 100, 200, 0.5, "accuracy")]

    @functools.cached_property
    def curves(self):
        return [AblationCurve("conv", 6, (0, 5), (0.5, 0.1), "loss")]

    def path(self, name, content=None):
        """Returns a path in the folder, of a file of that content if it is given."""
        path = self.folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            path.write_text(content, encoding="utf-8")
        return path

    def saved(self, kind):
        """Returns the content of the file that holds the ranking, plan or comparison.

        Args:
            kind: String, one of these three.
        """
        path = self.folder / f"saved_{kind}.json"
        if not path.exists():
            thing = getattr(self, kind)
            getattr(thing, "to_json" if kind == "comparison" else "save")(path)
        return json.loads(path.read_text(encoding="utf-8"))


def images(number=24, *shape):
    """Returns random images, or other random numbers."""
    return np.random.default_rng(0).random((number, *(shape or (6, 6, 1))), "float32")
