"""The tutorials: their cells run, and print what is shown in the documentation.

By default on few examples and epochs: the same lines, other numbers. The tests that are
`slow` run them as they are, and compare the numbers too.
"""

import functools
import re

import keras
import pytest
from scripts import EXAMPLES, TUTORIALS, load

from keras_shapley_prune.layer_types import registry

pytest.importorskip("sklearn", reason='needs pip install ".[examples]"')

# What the first code cell is changed to. Beside that, an epoch has two steps.
FEW = {
    "flops_budget": {"EPOCHS": 1},
    "iterative_pruning": {"EPOCHS": 1, "FIT_EPOCHS": 1, "NUM_ROUNDS": 2, "KEPT": 0.5},
    "mobilenet_phone": {"PRETRAIN_EPOCHS": 1, "EPOCHS": 1, "FIT_EPOCHS": 1},
    "own_layer": {"EPOCHS": 1},
    "segmentation": {"NUM_TRAIN": 32, "EPOCHS": 1, "FILTERS": 4},
    "serve_savedmodel": {"EPOCHS": 1},
    "transformer": {"NUM_BLOCKS": 1, "EPOCHS": 1, "FIT_EPOCHS": 1},
}
LONG = ("mobilenet_phone",)  # eight conversions for LiteRT
NEEDED = {
    "mobilenet_phone": ("ai_edge_litert.interpreter", "litert_quantizer"),
    "segmentation": ("matplotlib",),
}
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")
CONVERTER = load(EXAMPLES / "to_notebook.py")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Function: name of a tutorial and settings -> what each of its cells prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))

    def run_tutorial(name, settings):
        for package in NEEDED.get(name, ()):
            pytest.importorskip(package, reason="needs one of the extras")
        source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
        for setting, value in settings.items():
            line = re.compile(rf"^{setting} = .*$", re.MULTILINE)
            source, count = line.subn(f"{setting} = {value}", source)
            assert count == 1, setting
        return CONVERTER.run_cells(CONVERTER.split_cells(source))

    return run_tutorial


def shown(name):
    return CONVERTER.read_outputs(EXAMPLES / f"{name}.py")


@pytest.fixture
def short_epochs(monkeypatch):
    """Training, and measuring, looks at two batches."""
    for method, argument in (("fit", "steps_per_epoch"), ("evaluate", "steps")):
        short = functools.partialmethod(getattr(keras.Model, method), **{argument: 2})
        monkeypatch.setattr(keras.Model, method, short)


def without_numbers(text):
    """The lines of a text without numbers, each once: there may be fewer rows."""
    lines = NUMBER.sub("#", text).splitlines()
    return list(dict.fromkeys(" ".join(line.split()) for line in lines))


def without_times(text):
    """Cuts off a last column of microseconds."""
    head, found, table = text.partition("microseconds\n")
    return head + found + re.sub(r" +\d+$", "", table, flags=re.MULTILINE)


@pytest.mark.eager
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in LONG else name
        for name in FEW
    ],
)
def test_cells_print_the_lines_that_are_shown(name, run, short_epochs, few_trials):
    printed = run(name, FEW[name])
    assert printed.keys() == shown(name).keys()
    for number, text in shown(name).items():
        assert without_numbers(printed[number]) == without_numbers(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_cells_print_the_numbers_that_are_shown(name, run):
    """To within a tenth, or five: another machine rounds, and so trains, otherwise."""
    printed = run(name, {})
    for number, text in shown(name).items():
        expected, found = (
            [float(x.replace(",", "")) for x in NUMBER.findall(without_times(one))]
            for one in (text, printed[number])
        )
        assert found == pytest.approx(expected, rel=0.1, abs=5)


def test_all_tutorials_are_run():
    kept = {path.stem for path in EXAMPLES.glob("*.txt")}
    assert {*TUTORIALS} - {"quickstart"} == kept == FEW.keys()
