"""What the command line says without TensorFlow."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

from keras_shapley_prune.command_line.parser import build_parser, parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = ["inspect", "rank", "prune", "prune-until", "report"]
CODE = """
import contextlib, io, json, resource, sys
from keras_shapley_prune.command_line import main
codes, widths = [], []
for arguments in {commands}:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(arguments)
        except SystemExit as ended:
            codes.append(ended.code)
    widths += map(len, out.getvalue().splitlines())
spent = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([codes, max(widths), spent.ru_utime + spent.ru_stime, [*sys.modules]]))
"""


def test_help_and_errors_of_options_need_no_tensorflow():
    commands = [["--help"], *([name, "--help"] for name in COMMANDS), ["--version"]]
    wrong = [["prune", "m.keras", "--ratio", "50"], ["rank", "--sed", "1"], ["prun"]]
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(commands=commands + wrong)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    )
    codes, width, seconds, modules = json.loads(done.stdout)
    assert codes == [0] * len(commands) + [2] * len(wrong)
    assert width <= 80
    assert seconds < 0.5
    assert not {"tensorflow", "keras", "numpy"} & set(modules)


def test_every_command_has_a_function_to_call():
    for name in COMMANDS:
        module, function = parse([name, "m.keras", *NEEDED.get(name, [])]).run
        path = ROOT / "keras_shapley_prune" / "command_line" / f"{module}.py"
        assert f"\ndef {function}(options):" in path.read_text(encoding="utf-8")


NEEDED = {"rank": ["-o", "r.json"], "report": ["p.keras"]}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("prune m.keras --raito 0.5", "--raito 0.5. Did you mean --ratio? (see"),
        ("prune m.keras --quite=1", "--quite=1. Did you mean --quiet?"),
        ("prune m.keras --colour", "arguments: --colour (see"),
        ("prune m.keras --ranker l1norm", "Did you mean l1_norm?"),
        ("prune m.keras --ranker best", "'reconstruction') (see"),
        ("prune-until m.keras --max-drop 2", "Received: 2. Did you mean 0.02, 2 perc"),
        ("prune-until m.keras --max-drop 1 --metric top_k_acc", "Did you mean 0.01"),
        ("pruneuntil m.keras", "Did you mean prune-until?"),
    ],
)
def test_typos(command, expected, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(command.split())
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_loss_may_rise_by_more_than_one():
    options = parse(["prune-until", "m.keras", "--max-drop", "9", "--metric", "loss"])
    assert options.max_drop == 9


def test_help_of_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    for name in COMMANDS:
        with contextlib.suppress(SystemExit):
            build_parser().parse_args([name, "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60
