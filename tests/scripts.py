"""Loads scripts that are in no package: examples, benchmarks, the hooks of the site."""

import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
TUTORIALS = sorted({path.stem for path in EXAMPLES.glob("*.py")} - {"to_notebook"})


def load(path):
    """Returns the module of a script, which is not run as one."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
