"""Only the files of `layer_types/stock/` name types of layers: the sources are read."""

import ast
import pathlib

import keras
import pytest

import keras_shapley_prune
from keras_shapley_prune.layer_types.registry import LAYER_TYPES, OPERATION_TYPES

PACKAGE = pathlib.Path(keras_shapley_prune.__file__).parent
# What layers are made of, and what models are made of but no channels pass.
FREE = {"Layer", "InputLayer", "Input"}
LAYERS = {
    name
    for name, value in vars(keras.layers).items()
    if isinstance(value, type) and name not in FREE
}
NAMES = LAYERS | {kind.__name__ for kind in LAYER_TYPES} | set(OPERATION_TYPES)


def _may_not_name(path):
    place = path.relative_to(PACKAGE).as_posix()
    # A copy in tf_keras, or of a file of Keras 2, is a translation, layer by layer.
    translations = "deploy/tf_keras_copy/", "inputs/h5_files.py"
    return not place.startswith(("layer_types/stock/", *translations))


def find_names(tree):
    """Yields the names of layer types in a source: imported, read, or compared with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            raw = (node.module or "").startswith(("keras.layers", "keras.src"))
            yield from (alias.name for alias in node.names if raw)
        elif isinstance(node, ast.Attribute):
            owner = getattr(node.value, "attr", getattr(node.value, "id", None))
            if owner == "layers":
                yield node.attr
        elif isinstance(node, ast.Compare):
            values = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
            yield from (value for value in values if isinstance(value, str))


FILES = sorted(path for path in PACKAGE.rglob("*.py") if _may_not_name(path))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_other_file_names_a_layer_type(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not set(find_names(tree)) & NAMES


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(x, keras.layers.Dense)",
        "kinds = {layers.LSTM: 4}",
        "from keras.layers import Softmax",
        "from keras.src.ops.numpy import Reshape",
        "type(x).__name__ == 'Permute'",
        "type(x).__name__ in ('Add', 'Subtract')",
    ],
)
def test_the_search_finds_a_name(source):
    assert set(find_names(ast.parse(source))) & NAMES
