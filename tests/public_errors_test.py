"""Every public function and command, wrongly called, ends in a documented error.

The calls are in `wrong_calls/`. A right error is a `ValueError` that this package
raises, names the argument that is wrong and says what was received, before data has
been read beyond its first batch, and within a second of the processor's time. A command
ends with a code and one line.
"""

import inspect
import pathlib
import shlex
import time

import pytest
from wrong_calls.cases import MOST_SECONDS, NOISE
from wrong_calls.commands import COMMANDS, write_files
from wrong_calls.functions import PRUNING
from wrong_calls.methods import METHODS
from wrong_calls.reports import DEPLOYING, MEASURING
from wrong_calls.settings import SETTINGS
from wrong_calls.stored import STORED
from wrong_calls.world import World

import keras_shapley_prune
from keras_shapley_prune.command_line import main

EACH = 4  # by day, one in four of the values that another function is given too
CALLS = [*PRUNING, *MEASURING, *DEPLOYING, *SETTINGS, *METHODS, *STORED]
# Records that only the package makes, what is derived from, what has no argument.
NOT_CALLED = {
    *("ChannelMap", "ChannelMask", "Comparison", "LatencyTable", "LayerType"),
    *("games.Game", "estimators.Exact"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("wrong_calls"))


@pytest.fixture(scope="module")
def command_world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("wrong_commands"))
    write_files(world)
    return world


def _some():
    """Call's number -> its cases by day: of each function, and each kind of value."""
    seen, some = set(), {}
    for number, call in enumerate(CALLS):
        some[number] = [
            case
            for index, case in enumerate(call.cases)
            if index % EACH == number % EACH or case.label not in seen
        ]
        seen |= {case.label for case in call.cases}
    return some


SOME = _some()


@pytest.mark.parametrize("share", ["some", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", SOME, ids=[call.name for call in CALLS])
def test_wrong_calls(number, share, world, monkeypatch):
    monkeypatch.chdir(world.folder)
    cases = SOME[number] if share == "some" else CALLS[number].cases
    assert cases
    endings = {str(case): case.judge(world) for case in cases}
    assert not {case: ending for case, ending in endings.items() if ending}


def test_the_table_is_of_the_whole_api():
    assert sum(len(call.cases) for call in CALLS) + len(COMMANDS) > 2000
    covered = {call.name.partition(" ")[0] for call in CALLS}
    names = set(keras_shapley_prune.__all__) - {"estimators", "games"}
    for namespace in ("estimators", "games"):
        module = getattr(keras_shapley_prune, namespace)
        names |= {f"{namespace}.{name}" for name in module.__all__}
    assert names - NOT_CALLED <= covered
    # Of each argument there is a wrong value.
    for call in CALLS:
        target = getattr(keras_shapley_prune, call.name, None)
        if target is not None:
            arguments = set(inspect.signature(target).parameters)
            wrong = {name for key in call.wrong for name in key.split(",")}
            free = {"progress", "budget", "shorthand"}
            assert arguments - free <= wrong, call.name


@pytest.mark.parametrize("name", ["inspect", "rank", "prune", "prune-until", "report"])
def test_wrong_commands(name, command_world, monkeypatch, capsys):
    monkeypatch.chdir(command_world.folder)
    commands = [c for c in COMMANDS if (c.split() or ["inspect"])[0] == name]
    endings = {command: _judge(command, capsys) for command in commands}
    assert not {command: ending for command, ending in endings.items() if ending}


def _paths():
    return [str(path) for path in pathlib.Path().rglob("*")]


def _judge(command, capsys):
    """Returns how a command ended otherwise than promised, or `None`."""
    before, start = sorted(_paths()), time.process_time()
    options = ["-q"] if command else []
    # The model is not trained, of which a warning would tell.
    options += ["--force"] if "--data " in command else []
    try:
        code = main([*shlex.split(command), *options])
    except SystemExit as error:
        code = error.code
    seconds = time.process_time() - start
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    right = code in (1, 2) and len(lines) == 1 and not printed.out
    right = right and lines[0].startswith("keras-shapley-prune: error: ")
    if not right or any(noise in printed.err for noise in NOISE):
        return f"code {code}: {printed.out}{printed.err}"
    if COMMANDS[command].strip("`") not in lines[0]:
        return f"does not name {COMMANDS[command]}: {printed.err}"
    if sorted(_paths()) != before:
        return f"wrote {set(_paths()) - set(before)}"
    return f"{seconds:.1f} seconds" if seconds > MOST_SECONDS else None
