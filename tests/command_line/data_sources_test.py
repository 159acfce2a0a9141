"""Where the command line's examples come from: folders, .npz files, TFDS."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from models import classifier
from tfds_sets import make_builder

from keras_shapley_prune.command_line.data_sources import DataSource
from keras_shapley_prune.command_line.input_files import InputError


@pytest.fixture
def npz(tmp_path):
    x = np.arange(40 * 36).reshape(40, 6, 6, 1)
    path = tmp_path / "data.npz"
    np.savez(path, x=x, y=np.arange(40))
    return str(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes: dark and bright images, twice as high as wide, in color."""
    for number, name in enumerate(["bright", "dark"]):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(6):
            pixels = np.full((12, 6, 3), 10 if number else 200 + index, "uint8")
            path = tmp_path / "photos" / name / f"{index}.png"
            tf.io.write_file(str(path), tf.io.encode_png(pixels))
    return tmp_path / "photos"


def model_of(shape, loss=None):
    model = keras.Sequential([keras.Input(shape), keras.layers.Flatten()])
    if None not in shape:
        model.add(keras.layers.Dense(3))
    if loss is not None:
        model.compile(loss=loss)
    return model


def test_npz_is_drawn_by_seed(npz):
    model = classifier()
    x, y = DataSource(npz, 10).load(model)
    assert x.shape == (10, 6, 6, 1) and x.dtype == int  # as it is in the file
    np.testing.assert_array_equal(x[:, 0, 0, 0], 36 * y)
    assert len(set(y.tolist())) == 10
    assert not np.array_equal(y, np.sort(y))
    np.testing.assert_array_equal(DataSource(npz, 10).load(model)[1], y)
    assert not np.array_equal(DataSource(npz, 10, seed=1).load(model)[1], y)
    assert len(DataSource(npz, 1000).load(model)[0]) == 40


def test_rescale_and_offset(npz):
    raw, _ = DataSource(npz).load(classifier())
    scaled, _ = DataSource(npz, rescale=0.5, offset=-1.0).load(classifier())
    np.testing.assert_allclose(scaled, raw * 0.5 - 1)
    assert scaled.dtype == np.float32


def test_npz_without_labels(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 2)))
    (x,) = DataSource(str(tmp_path / "x.npz")).load(classifier())
    assert x.shape == (3, 2)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"images": np.zeros(3)}, r"numbers x.*Received: {'images': \(3,\)}"),
        ({"x": np.zeros(3), "y": np.zeros(2)}, "an entry for each example"),
        ({"x": np.array("a")}, "numbers x"),
        ({"x": np.array(["a"])}, "numbers x"),
        ({"x": np.array([{}])}, "should be readable"),  # a pickle is not opened
        ({"x": np.zeros((0, 6, 6, 1))}, "should hold examples"),
    ],
)
def test_npz_that_holds_something_else(tmp_path, arrays, match):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=match):
        DataSource(str(tmp_path / "x.npz")).load(classifier())


def test_npz_of_strings_and_for_several_inputs(tmp_path):
    city = keras.Input((1,), dtype="string", name="city")
    age = keras.Input((2,), name="age")
    known = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(city)
    both = layers.Concatenate()([known, age])
    model = keras.Model({"city": city, "age": age}, layers.Dense(2)(both))
    names = np.array([["a"], ["b"], ["c"]])
    numbers = np.arange(6.0).reshape(3, 2)
    path = tmp_path / "x.npz"
    np.savez(path, city=names, age=numbers, y=np.arange(3))
    x, y = DataSource(str(path), 2, rescale=0.5).load(model)
    np.testing.assert_array_equal(x["city"], names[y])
    np.testing.assert_array_equal(x["age"], numbers[y] / 2)
    np.savez(path, x=names)
    (x,) = DataSource(str(path)).load(keras.Model(city, layers.Dense(2)(known)))
    assert sorted(x.ravel()) == ["a", "b", "c"]
    with pytest.raises(
        InputError, match=r"numbers/strings x, or arrays \['age', 'city'\]"
    ):
        DataSource(str(path)).load(model)


def test_sources_that_are_not_there(tmp_path):
    (tmp_path / "text.npz").write_text("none")
    with pytest.raises(InputError, match=r"should be an .npz file"):
        DataSource(str(tmp_path / "text.npz")).load(classifier())
    for name in ("nowhere", str(tmp_path / "nowhere.npz")):
        with pytest.raises(InputError, match=r"that exists. Received: '"):
            DataSource(name).load(classifier())


def test_folder_of_class_folders(folder):
    source = DataSource(str(folder), 8)
    x, y = source.load(model_of((6, 4, 3)))
    assert x.shape == (8, 6, 4, 3) and x.dtype == np.float32
    assert set(y.tolist()) == {0, 1}  # both are drawn
    assert (x[y == 0] >= 200).all() and (x[y == 1] == 10).all()
    again, _ = source.load(model_of((6, 4, 3)))
    np.testing.assert_array_equal(again, x)


def test_folder_in_grey_and_with_one_hot_labels(folder):
    x, y = DataSource(str(folder)).load(model_of((5, 5, 1), "categorical_crossentropy"))
    assert x.shape == (12, 5, 5, 1)
    assert y.shape == (12, 3) and (y.sum(axis=1) == 1).all()
    loss = keras.losses.CategoricalCrossentropy()
    assert DataSource(str(folder)).load(model_of((5, 5, 1), loss))[1].shape == (12, 3)


def test_folder_without_classes(folder):
    (x,) = DataSource(str(folder / "dark")).load(model_of((4, 4, 3)))
    assert x.shape == (6, 4, 4, 3) and (x == 10).all()


def test_folder_for_a_model_of_channels_first(folder):
    source = DataSource(str(folder), 8)
    last, _ = source.load(model_of((6, 5, 3)))
    first, _ = source.load(model_of((3, 6, 5)))
    np.testing.assert_array_equal(first, np.moveaxis(last, -1, 1))


def test_image_size_of_a_model_that_takes_any(folder):
    model = model_of((None, None, 3))
    x, _ = DataSource(str(folder), image_size=(3, 2)).load(model)
    assert x.shape[1:] == (3, 2, 3)
    with pytest.raises(InputError, match="--image-size"):
        DataSource(str(folder)).load(model)


@pytest.mark.parametrize(
    ("shape", "match"), [((7,), "one image"), ((4, 4, 2), "takes")]
)
def test_models_that_take_no_images(folder, shape, match):
    with pytest.raises(InputError, match=match):
        DataSource(str(folder)).load(model_of(shape))


def test_folders_without_readable_images(tmp_path):
    with pytest.raises(InputError, match=r"should be readable. Received: No images"):
        DataSource(str(tmp_path)).load(model_of((4, 4, 3)))
    (tmp_path / "broken.png").write_text("none")
    with pytest.raises(InputError, match="should be readable"):
        DataSource(str(tmp_path)).load(model_of((4, 4, 3)))


def test_tensorflow_datasets(tmp_path):
    pytest.importorskip("importlib_resources")
    tfds = pytest.importorskip("tensorflow_datasets")
    make_builder(tfds, "TinySource", (8, 8, 1), ["train", "test"])

    def load(name, model, **options):
        source = DataSource(name, data_dir=str(tmp_path), **options)
        return source.load(model)

    x, y = load("tfds:tiny_source", model_of((8, 8, 1)))
    assert x.shape == (60, 8, 8, 1) and 200 < x.max() <= 255
    assert np.bincount(y).tolist() == [20, 20, 20]
    colored, _ = load("tfds:tiny_source:1.0.0:train[:20]", model_of((4, 6, 3)))
    assert colored.shape == (20, 4, 6, 3)
    np.testing.assert_array_equal(colored[..., 0], colored[..., 2])
    few, _ = load("tfds:tiny_source:test", model_of((8, 8, 1)), num_examples=9)
    same, _ = load("tfds:tiny_source:test", model_of((8, 8, 1)), num_examples=9)
    other, _ = load(
        "tfds:tiny_source:test", model_of((8, 8, 1)), num_examples=9, seed=1
    )
    assert len(few) == 9
    np.testing.assert_array_equal(few, same)
    assert not np.array_equal(few, other)
    with pytest.raises(InputError, match="images of 1 channels"):
        load("tfds:tiny_source", model_of((8, 8, 2)))
    with pytest.raises(InputError, match=r"should be readable.*validation"):
        load("tfds:tiny_source:validation", model_of((8, 8, 1)))
    with pytest.raises(InputError, match="should be readable"):
        load("tfds:no_such_set_of_images", model_of((8, 8, 1)))
    with pytest.raises(InputError, match="should be tfds:NAME"):
        load("tfds:", model_of((8, 8, 1)))
