"""Tests of what the package shows: names, docstrings, cost of the import."""

import ast
import dataclasses
import inspect
import json
import operator
import os
import re
import subprocess
import sys
import textwrap

import keras
import pytest

import keras_shapley_prune
from keras_shapley_prune import PruningBudget

NAMES = keras_shapley_prune.__all__
NAMESPACES = ("estimators", "games")  # modules whose classes are public
IN_NAMESPACES = [
    f"{name}.{class_name}"
    for name in NAMESPACES
    for class_name in getattr(keras_shapley_prune, name).__all__
]


def _get(name):
    """Returns a public object by its name, such as `games.Loss`."""
    return operator.attrgetter(name)(keras_shapley_prune)


def test_all_is_sorted_and_complete():
    assert sorted(NAMES) == NAMES
    assert len(set(NAMES)) == len(NAMES)
    public = {
        name
        for name, value in vars(keras_shapley_prune).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(NAMES) - set(NAMESPACES)
    for name in NAMESPACES:
        assert set(getattr(keras_shapley_prune, name).__all__) == {
            class_name
            for class_name, value in vars(getattr(keras_shapley_prune, name)).items()
            if inspect.isclass(value)
        }
    namespace = {}
    exec("from keras_shapley_prune import *", namespace)
    assert set(NAMES) <= set(namespace)


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", keras_shapley_prune.__version__)


def _public_functions():
    for name in NAMES:
        value = getattr(keras_shapley_prune, name)
        if inspect.ismodule(value):
            continue
        if not inspect.isclass(value):
            yield name, value
            continue
        for attribute, member in vars(value).items():
            if isinstance(member, (classmethod, staticmethod)):
                member = member.__func__
            own = inspect.isfunction(member) and not attribute.startswith("_")
            keras_method = attribute in ("build", "call", "compute_output_shape")
            if own and not keras_method:
                yield f"{name}.{attribute}", member


def _classes():
    """Returns the public classes, by name."""
    found = [(name, _get(name)) for name in (*NAMES, *IN_NAMESPACES)]
    return [(name, value) for name, value in found if inspect.isclass(value)]


def _arguments_of(function):
    """Returns the names of the parameters, without those of a method's owner."""
    parameters = inspect.signature(function).parameters
    return [name for name in parameters if name not in ("self", "cls")]


def _check_section(text, title, arguments):
    """Fails unless a section of a docstring has an entry for each argument."""
    section = re.split(r"^(?=\w[\w ]*:$)", text.split(f"{title}:\n")[1], flags=re.M)[0]
    described = re.findall(r"^    \*{0,2}(\w+): ", section, re.M)
    assert described == arguments


@pytest.mark.parametrize("name", [*NAMES, *IN_NAMESPACES])
def test_every_public_object_has_a_docstring(name):
    value = _get(name)
    first, *rest = inspect.getdoc(value).splitlines()
    assert first.endswith((".", ":"))
    assert value.__doc__ != object.__doc__
    assert not rest or rest[0] == ""


@pytest.mark.parametrize(("name", "function"), list(_public_functions()))
def test_docstrings_name_every_argument_and_what_is_returned(name, function):
    text = inspect.getdoc(function)
    assert text, name
    arguments = _arguments_of(function)
    if arguments:
        _check_section(text, "Args", arguments)
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    if any(isinstance(node, ast.Return) and node.value for node in nodes):
        assert "Returns:" in text or text.startswith("Returns ")
    if any(isinstance(node, ast.Raise) for node in nodes):
        assert "Raises:" in text


@pytest.mark.parametrize(("name", "cls"), _classes())
def test_classes_describe_every_argument_of_their_constructor(name, cls):
    text = inspect.getdoc(cls)
    if arguments := _arguments_of(cls):
        # A record that only the package makes lists its fields, and that is enough.
        title = "Args" if "Args:" in text else "Attributes"
        _check_section(text, title, arguments)
    else:
        assert "Args:" not in text
    assert not cls.__init__.__doc__ or cls.__init__.__doc__ in _INHERITED, name
    source = textwrap.dedent(inspect.getsource(cls))
    checks = [
        node
        for node in ast.walk(ast.parse(source))
        if getattr(node, "name", None) in ("__init__", "__post_init__")
    ]
    calls = [ast.unparse(node) for check in checks for node in ast.walk(check)]
    if any(re.match(r"raise |(\w+\.)*_?check_\w+\(", call) for call in calls):
        assert "Raises:" in text


_INHERITED = {object.__init__.__doc__, keras.layers.Layer.__init__.__doc__}


MOST_ARGUMENTS = 10
SHORTHAND = {field.name for field in dataclasses.fields(PruningBudget)} - {"ratio"}


@pytest.mark.parametrize(("name", "function"), [*_public_functions(), *_classes()])
def test_arguments_are_few(name, function):
    """The keywords that make up a budget are the one exception."""
    arguments = _arguments_of(function)
    if name == "prune_until":
        arguments.remove("shorthand")
    if name == "prune":
        assert set(arguments) > SHORTHAND
        arguments = [a for a in arguments if a not in SHORTHAND]
    assert len(arguments) <= MOST_ARGUMENTS


def _run(code):
    """Runs code in a new process, and returns what its last line of JSON holds."""
    # Away from the working directory's modules and from the tests'.
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return json.loads(result.stdout.splitlines()[-1])


def test_nothing_heavy_is_imported_until_a_name_is_asked_for():
    found = _run("""
import json, pickle, sys
import keras_shapley_prune
light = not {"numpy", "keras", "tensorflow"} & set(sys.modules)
try:
    keras_shapley_prune.prun
except AttributeError as error:
    missing = str(error), error.name, error.obj is keras_shapley_prune
names = dir(keras_shapley_prune)
from keras_shapley_prune import *
budget = pickle.loads(pickle.dumps(PruningBudget(0.25)))
print(json.dumps({
    "light": light, "missing": missing, "names": names, "ratio": budget.ratio,
    "game": keras_shapley_prune.games.KL.__name__, "star": sorted(globals()),
}))
""")
    assert found["light"]
    text = "module 'keras_shapley_prune' has no attribute 'prun'"
    assert found["missing"] == [text, "prun", True]
    assert set(NAMES) <= set(found["names"]) and set(NAMES) <= set(found["star"])
    assert found["ratio"] == 0.25 and found["game"] == "KL"


@pytest.mark.parametrize(
    "imports",
    [
        "import keras, keras_shapley_prune",
        pytest.param(
            "import tensorflow, keras_shapley_prune, keras", marks=pytest.mark.slow
        ),
        pytest.param(
            "from keras_shapley_prune import ChannelMask; import keras",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_was_saved_can_be_loaded_by_keras_alone(imports, tmp_path):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    path = tmp_path / "masked.keras"
    keras_shapley_prune.mask_channels(model, remove={"hidden": [0]}).save(path)
    code = f"""
{imports}
import json
model = keras.models.load_model({str(path)!r})
print(json.dumps([type(layer).__name__ for layer in model.layers]))
"""
    # Of a module that is not found in the working directory, of tests run from there.
    names = _run(code)
    assert "ChannelMask" in names


HEAVY = """sklearn matplotlib tensorflow_datasets tensorflow_model_optimization
    pandas tf_keras litert_quantizer ai_edge_litert openvino""".split()


def test_the_import_is_light():
    code = """
import json, os, sys
os.environ.pop("TF_USE_LEGACY_KERAS", None)
import keras, tensorflow
before = set(sys.modules)
environment = dict(os.environ)
import keras_shapley_prune
print(json.dumps({
    "modules": sorted({m.split(".")[0] for m in set(sys.modules) - before}),
    "changed": environment != dict(os.environ),
    "legacy": os.environ.get("TF_USE_LEGACY_KERAS"),
    "tf.keras": tensorflow.keras.Model is keras.Model,
    "saved": [*keras.saving.get_custom_objects()],
}))
"""
    found = _run(code)
    assert "keras_shapley_prune" in found["modules"]
    assert not set(found["modules"]) & set(HEAVY)
    assert found["legacy"] is None
    assert not found["changed"]
    assert found["tf.keras"]
    assert "keras_shapley_prune>ChannelMask" in found["saved"]
