"""examples/quickstart.py, on few examples."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scripts import EXAMPLES, load
from tfds_sets import make_builder

pytest.importorskip("matplotlib")
FEW = ["--epochs=1", "--fit-epochs=1", "--calibration-examples=8"]


@pytest.fixture(scope="module")
def quickstart():
    return load(EXAMPLES / "quickstart.py")


@pytest.fixture
def tfds():
    pytest.importorskip("importlib_resources")
    return pytest.importorskip("tensorflow_datasets")


@pytest.mark.slow
def test_digits(quickstart, tmp_path, capsys):
    output = tmp_path / "output"
    quickstart.main([*FEW, "--ratio=0.25", f"--output={output}"])
    printed = capsys.readouterr().out
    assert "conv1" in printed and "pruned + fit" in printed

    assert (output / "quickstart.png").read_bytes()[:4] == b"\x89PNG"
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "conv1: 32 → 24" in page and "latency, batch 32" in page
    pruned = keras.models.load_model(output / "pruned.keras")
    assert pruned.get_layer("conv1").filters == 24
    _, (images, _), _ = quickstart.load_digits()
    served = tf.saved_model.load(output / "saved_model")
    np.testing.assert_allclose(
        served.serve(images[:5]), pruned(images[:5]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_any_set_of_tensorflow_datasets(quickstart, tfds, tmp_path):
    make_builder(tfds, "TinyGray", (8, 8, 1), ["train", "test"])
    output = tmp_path / "output"
    quickstart.main(
        [
            "--dataset=tiny_gray",
            f"--data-dir={tmp_path / 'data'}",
            "--train-examples=40",
            *FEW,
            f"--output={output}",
        ]
    )
    assert (tmp_path / "data" / "tiny_gray" / "1.0.0").is_dir()
    pruned = keras.models.load_model(output / "pruned.keras")
    assert pruned.input_shape == (None, 8, 8, 1)
    assert pruned.output_shape == (None, 3)
    assert pruned.get_layer("conv3").filters == 64


def test_larger_images_get_a_deeper_network(quickstart):
    model = quickstart.build_model((28, 28, 1), 10)
    names = [layer.name for layer in model.layers if layer.name.startswith("conv")]
    assert names == ["conv1", "conv2", "conv3", "conv4", "conv5"]


def test_set_without_a_test_split_and_with_large_images(quickstart, tfds, tmp_path):
    make_builder(tfds, "TinyColor", (None, None, 3), ["train"])
    train, test, num_classes = quickstart.load_tfds("tiny_color", tmp_path, 1000)
    assert num_classes == 3
    assert train[0].shape == (48, 32, 32, 3) and train[0].dtype == np.float32
    assert test[0].shape == (12, 32, 32, 3) and test[1].shape == (12,)
    assert 0 <= train[0].min() < 0.1 and 0.9 < train[0].max() <= 1


def test_wrong_ratio_ends_before_anything_is_done(quickstart, tmp_path, capsys):
    output = tmp_path / "output"
    with pytest.raises(SystemExit):
        quickstart.main(["--ratio=1", f"--output={output}"])
    assert "[0, 1)" in capsys.readouterr().err
    assert not output.exists()
