"""Tests of the package's layout: folders are steps, and imports go down only."""

import ast
import importlib
import pathlib
import types

import pytest

import keras_shapley_prune

PACKAGE = pathlib.Path(keras_shapley_prune.__file__).parent
NAME = PACKAGE.name
# A file or folder at the root imports from those that stand below it here.
FLOORS = [
    "__main__",
    "public_names",
    "command_line",
    "pruning_until",
    "report",
    "pruning",
    "rank",
    "repair",
    "plan",
    "latency",
    "deploy",
    "cut",
    "trace",
    "train",
    "layer_types",
    "checkpoint",
    "devices",
    "inputs",
]
FILES = sorted(PACKAGE.rglob("*.py"))


def parts_of(path):
    """Returns the dotted name of a file within the package, as a tuple."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported_by(path):
    """Yields the modules of this package that a file imports, as tuples."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            if first == NAME and rest:
                yield tuple(rest)


def module_of(parts):
    """Returns the module that an imported name is, or stands in, as a tuple."""
    while parts:
        path = PACKAGE.joinpath(*parts)
        if path.is_dir() or path.with_suffix(".py").exists():
            return parts
        parts = parts[:-1]
    return parts


@pytest.mark.parametrize("path", FILES, ids=lambda path: ".".join(parts_of(path)))
def test_imports_go_down_only(path):
    parts = parts_of(path)
    if not parts:
        return  # the public names come from everywhere
    own = FLOORS.index(parts[0])
    for imported in imported_by(path):
        assert imported[0] in FLOORS, f"{path} imports {imported} from the root"
        assert FLOORS.index(imported[0]) >= own, f"{path} imports {imported}"


def test_there_is_no_circle():
    """Also not within a folder."""
    needs = {
        parts_of(path): {module_of(parts) for parts in imported_by(path)}
        for path in FILES
    }
    free = set()
    while needs:
        ready = {name for name, needed in needs.items() if needed - {name} <= free}
        assert ready, f"circles among {sorted('.'.join(name) for name in needs)}"
        free |= ready
        needs = {name: needed for name, needed in needs.items() if name not in ready}


def test_few_modules_at_the_root():
    assert len(list(PACKAGE.glob("*.py"))) <= 8
    folders = {
        path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()
    }
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert folders | files == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: ".".join(parts_of(path)))
def test_no_module_is_hidden_by_a_name_of_its_package(path):
    *parents, own = (NAME, *parts_of(path))
    if own in ("__main__", NAME):
        return
    package = importlib.import_module(".".join(parents))
    importlib.import_module(".".join([*parents, own]))
    assert isinstance(getattr(package, own), types.ModuleType)


def test_the_map_names_every_folder():
    for name in FLOORS[1:]:
        ending = "/" if (PACKAGE / name).is_dir() else ".py"
        assert f"`{name}{ending}`" in keras_shapley_prune.__doc__, name


def test_the_tests_have_the_same_folders():
    tests = pathlib.Path(__file__).parent
    packages = {"/".join(parts_of(p)) for p in FILES if p.name == "__init__.py"}
    for path in tests.rglob("*_test.py"):
        place = path.relative_to(tests)
        others = "benchmarks", "examples", "keras_io"
        if place.parts[0] in others or len(place.parts) == 1:
            continue
        folder = place.parent.as_posix()
        assert folder in packages, f"{place} tests no folder of the package"
