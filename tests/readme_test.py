"""The README and the guides that go on from it: their Python and commands run."""

import configparser
import contextlib
import csv
import io
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys

import pytest

from keras_shapley_prune import command_line
from keras_shapley_prune.layer_types import registry

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# In an order in which each finds the names that those before it have made.
GUIDES = (
    "getting_started",
    "steps",
    "latency",
    "reports",
    "what_can_be_pruned",
    "rankers",
    "command_line",
)
COMMANDS = (
    'python -m pip install ".[examples]" && python examples/quickstart.py',
    'python -m pip install ".[test]" && python -m pytest',
)


def blocks(language, text=README):
    """The contents of the fenced blocks of one language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for found, content in fenced if found == language]


def guide(name):
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the Python blocks are run, outside of the project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_here(program):
    """Returns what a program prints; this process has imported TensorFlow already."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(program), run_name="__main__")
    return printed.getvalue()


def run_anew(program):
    """Returns what a program prints in a process of its own."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, program],
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_first_python_line_is_before_line_32():
    lines = README.splitlines()
    assert lines.index("```python") + 2 < 32


def test_picture_is_before_line_40():
    pictures = [n for n, line in enumerate(README.splitlines(), 1) if line[:2] == "!["]
    assert pictures[0] < 40


def test_the_commands_stand_there():
    """The one that runs the main job at the beginning, that of the tests at the end."""
    lines = README.splitlines()
    assert COMMANDS[0] in lines[:60]
    assert lines.index(COMMANDS[1]) > lines.index("## Contributing")


def test_everything_that_is_optional_can_be_installed_at_once():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = {
        k: set(v.split("\n")) for k, v in config["options.extras_require"].items()
    }
    assert extras["all"] == extras["plots"] | extras["litert"] | extras["tfmot"]


# What the others call, measure and draw, other tests do too.
QUICK = ("getting_started", "what_can_be_pruned")
PRINTED = {
    "getting_started": r"^asked: 50.0% of the units, layer scope; reached: 50.0%$",
    "steps": r"^conv2d 32 read by",
    "what_can_be_pruned": r"^stem: 8 units$(.|\n)*^block/wide: 32 units$",
}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("guides", "run"),
    [(QUICK, run_here), pytest.param(GUIDES, run_anew, marks=pytest.mark.slow)],
)
def test_snippets_and_commands_print_what_is_shown(
    guides, run, folder, few_trials, monkeypatch, capsys
):
    """One test: another process would have to run the whole program again."""
    for package in ("sklearn", "matplotlib", "pydot"):
        pytest.importorskip(package, reason="the guides' Python needs it")
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))
    code = blocks("python")
    for name in guides:
        code += blocks("python", guide(name))
    program = folder / "snippets.py"
    program.write_text("\n".join(code), encoding="utf-8")
    printed = run(program)
    assert (folder / "ranking.json").exists() == ("steps" in guides)
    shown = blocks("")[0].splitlines()
    exact = [line for line in shown if not line.startswith("accuracy")]
    assert len(exact) < len(shown)  # accuracies depend on the machine
    assert printed.splitlines()[: len(exact)] == exact
    assert re.search(r"^accuracy .*% → .*%", printed, re.MULTILINE)
    for name in PRINTED.keys() & guides:
        assert re.search(PRINTED[name], printed, re.MULTILINE), name
    (short,), (session,) = blocks("console"), blocks("console", guide("command_line"))
    for command in (short + session).split("$ keras-shapley-prune ")[1:]:
        line, shown = command.replace("\\\n", "").split("\n", 1)
        assert command_line.main(shlex.split(line)) == 0
        output = capsys.readouterr().out
        assert not shown or without_scores(output) == without_scores(shown)
    assert (folder / "pruned.keras").exists()
    assert (folder / "pruned_0.5.keras").exists()


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 180


def test_the_table_is_of_what_was_measured():
    """Each row stands on the page of its benchmark, or in the file of it."""
    table = README.split("| original 91.7 % |")[1].split("\n\n")[0]
    cells = [line.split("|")[2].strip(" *") for line in table.splitlines()[2:]]
    path = ROOT / "benchmarks" / "results" / "ranking_quality.csv"
    with open(path, newline="", encoding="utf-8") as file:
        unrepaired = [
            f"{100 * float(row['accuracy']):.1f}"
            for row in csv.DictReader(file)
            if (row["network"], row["seed"], row["repair"]) == ("resnet20", "0", "None")
            and row["ranking"] == "Shapley, reconstruction, staged"
        ]
    known = guide("peers") + " / ".join(unrepaired)
    assert len(cells) == 6
    for cell in cells:
        assert all(part in known for part in cell.removeprefix("– / ").split(" / "))
        assert cell in known or cell.startswith("–"), cell


def without_scores(text):
    """Numbers with a point or an exponent depend on the machine."""
    return re.sub(r" *\d[\d.]*(\.|e-)\d+", " #", text)


LINKS = sorted(set(re.findall(r"\[([^\]]*)\]\(([^)#]+)[^)]*\)", README)))
WEB = [link for link in LINKS if ":" in link[1]]


@pytest.mark.parametrize(("text", "target"), [x for x in LINKS if x not in WEB])
def test_relative_links_exist(text, target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize(("text", "target"), WEB)
def test_web_links_are_whole_and_papers_are_those_they_say(text, target):
    """No test reads the web: an address is one, a paper's has the number shown."""
    assert re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(/[\w.~%+@=&?/-]*)?", target)
    if text.startswith("arXiv:") or "arxiv.org" in target:
        assert target == f"https://arxiv.org/abs/{text.removeprefix('arXiv:')}"
        assert re.search(r"/\d{4}\.\d{5}$", target)
