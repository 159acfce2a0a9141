"""The command line: what its commands print and write, and how they fail."""

import json
import os
import pathlib
import runpy
import subprocess
import sys
import warnings

import channels_first_models
import h5py
import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from models import classifier, labelled_images

import keras_shapley_prune
from keras_shapley_prune import Comparison, Ranking
from keras_shapley_prune.command_line import main, prune_commands
from keras_shapley_prune.command_line.input_files import import_modules
from keras_shapley_prune.command_line.lines import fit_lines
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.repair.agreement import DisagreementWarning

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Most models of these tests are not trained.
FAST = ["--ranker", "l1_norm", "--quiet", "--force"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a trained model and two draws of data."""
    folder = tmp_path_factory.mktemp("files")
    keras.utils.set_random_seed(0)
    model = classifier()
    model.fit(*labelled_images(200), epochs=8, verbose=0)
    model.save(folder / "model.keras")
    for name, seed in (("data", 1), ("validation", 2)):
        x, y = labelled_images(60, seed)
        np.savez(folder / f"{name}.npz", x=x, y=y)
    return folder


@pytest.fixture
def folder(files, tmp_path, monkeypatch):
    """The working directory, with these files in it."""
    for path in files.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder):
    return {path.name for path in folder.iterdir() if not path.is_symlink()}


def load(path):
    return keras.models.load_model(path)


def units_of(model):
    return model.get_layer("conv").filters, model.get_layer("hidden").units


def test_inspect(folder, capsys):
    assert main(["inspect", "model.keras"]) == 0
    printed = capsys.readouterr()
    costs, channels = printed.out.split("\n\n")
    assert "conv          6            60            1,728   91.5%\n" in costs
    assert channels.startswith("classifier: 14 removable units in 2 groups")
    assert "classes (4 units): model output" in printed.out
    assert not printed.err
    assert not written(folder)


def test_inspect_blocks(tmp_path, capsys):
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    y = keras.layers.Conv2D(4, 3, padding="same", name="branch")(x)
    model = keras.Model(inputs, keras.layers.Add(name="sum")([x, y]))
    model.save(tmp_path / "model.keras")
    path = str(tmp_path / "model.keras")
    assert main(["inspect", path, "--granularity", "block"]) == 0
    assert "sum: branch" in capsys.readouterr().out


def test_one_ranking_serves_many_ratios(folder, capsys, monkeypatch):
    data = ["--data", "data.npz", "--num-examples", "40"]
    assert main(["rank", "model.keras", *data, "-o", "rankings/ranking.json"]) == 0
    printed = capsys.readouterr()
    ranking = Ranking.load("rankings/ranking.json")
    assert printed.out == f"{fit_lines(str(ranking))}\nwrote rankings/ranking.json\n"
    assert "data.npz: 40 examples of shape (6, 6, 1), values from" in printed.err
    assert ranking.num_examples == 40 and set(ranking) == {"conv", "hidden"}

    monkeypatch.setattr(prune_commands, "make_ranking", None)  # not again
    arguments = ["prune", "model.keras", *data, "--ranking", "rankings/ranking.json"]
    ratios = ["--ratio", "0.25", "0.5", "-o", "out/pruned_{ratio}.keras"]
    assert main([*arguments, *ratios]) == 0
    printed, progress = capsys.readouterr()
    assert progress.count("repaired, ") == progress.count("checked, ") == 2
    assert "asked: 25.0% of the units" in printed and "asked: 50.0%" in printed
    assert printed.endswith("wrote out/pruned_0.25.keras\nwrote out/pruned_0.5.keras\n")
    pruned = load("out/pruned_0.5.keras")
    assert units_of(pruned) == (3, 4)
    assert load("out/pruned_0.25.keras").get_layer("hidden").units == 6
    assert pruned.compiled
    assert {path.name for path in pathlib.Path("out").iterdir()} == {
        "pruned_0.25.keras",
        "pruned_0.5.keras",
    }


def test_prune_does_what_the_function_does(folder, capsys):
    data = ["--data", "data.npz", "--num-examples=60", "--seed=0", "-q"]
    assert main(["prune", "model.keras", *data, "-o", "pruned.keras"]) == 0
    assert not capsys.readouterr().err
    order = np.random.default_rng(0).permutation(60)
    with np.load("data.npz") as arrays:
        x, y = arrays["x"][order], arrays["y"][order]
    expected = keras_shapley_prune.prune(load("model.keras"), (x, y), verbose=0)
    np.testing.assert_allclose(load("pruned.keras")(x), expected(x), atol=1e-5)


def test_minutes_of_training(folder, monkeypatch):
    found = []

    def record(model, plan, examples, repair, **options):
        found.append(repair)
        return model

    monkeypatch.setattr(prune_commands, "apply_plan", record)
    arguments = ["prune", "model.keras", "--data", "data.npz", *FAST, "-o", "p.keras"]
    arguments += ["--repair", "mimic", "--seed", "7"]
    for minutes in ([], ["--minutes", "5"], ["--minutes", "1/2"]):
        assert main([*arguments, *minutes]) == 0
    settings = [(repair.minutes, repair.num_steps, repair.seed) for repair in found]
    assert settings == [(None, None, 7), (5, None, 7), (0.5, None, 7)]


@pytest.mark.parametrize("minutes", ["0", "-1", "soon", "nan"])
def test_minutes_are_a_number_above_zero(folder, capsys, minutes):
    arguments = ["prune", "model.keras", "--data", "data.npz", "-o", "p.keras"]
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--repair", "mimic", f"--minutes={minutes}"])
    assert f"Received: '{minutes}'" in capsys.readouterr().err


def test_minutes_are_for_mimic_only(folder, capsys):
    arguments = ["prune", "model.keras", "--data", "data.npz", "-o", "p.keras"]
    assert main([*arguments, "--minutes", "5"]) == 2
    expected = "`--minutes` needs `--repair mimic`. Received: --repair least_squares"
    assert expected in capsys.readouterr().err
    assert not written(folder)


@pytest.mark.filterwarnings("default")  # 30 % of the FLOPs cannot be met exactly
def test_every_kind_of_file(folder, capsys):
    pytest.importorskip("ai_edge_litert")
    arguments = [
        *["prune", "model.keras", "--data", "data.npz", *FAST, "--of", "flops"],
        *["--scope", "global", "--round-to", "2", "--ignore", "hidden"],
        *["--repair", "mean", "-o", "pruned.keras", "--export", "saved"],
        *["--litert", "pruned.tflite", "--report", "report.json"],
    ]
    assert main([*arguments, "--ratio", "0.3", "--validation-data", "data.npz"]) == 0
    pruned = load("pruned.keras")
    assert units_of(pruned) == (4, 8)
    x, _ = labelled_images(1)
    saved = tf.saved_model.load("saved")
    np.testing.assert_allclose(saved.serve(x), pruned(x), atol=1e-5)
    assert pathlib.Path("pruned.tflite").read_bytes()[4:8] == b"TFL3"
    comparison = Comparison.load("report.json")
    assert comparison.method == "l1_norm" and "accuracy" in comparison.metrics
    assert "of the flops are removed, not 30.0%" in capsys.readouterr().err

    assert main(arguments) == 0  # all are replaced, the SavedModel too
    assert not Comparison.load("report.json").metrics  # of the calibration data
    names = {"pruned.keras", "saved", "pruned.tflite", "report.json"}
    assert written(folder) == names


def test_int8(folder):
    pytest.importorskip("litert_quantizer")
    arguments = ["prune", "model.keras", "--data", "data.npz", *FAST, "--int8"]
    assert main([*arguments, "--litert", "small.tflite"]) == 0
    assert written(folder) == {"small.tflite"}


def test_dry_run_prints_the_plan(folder, capsys):
    arguments = ["prune", "model.keras", "--ranker", "l1_norm", "--layers", "c*"]
    assert main([*arguments, "-o", "pruned.keras", "--dry-run"]) == 0  # without data
    printed = capsys.readouterr()
    assert "conv             6 →      3" in printed.out and not printed.err
    assert "hidden" not in printed.out
    assert not written(folder)


@pytest.mark.filterwarnings("default")
def test_ranking_of_some_layers(folder, capsys):
    rank = ["rank", "model.keras", *FAST, "--layers", "conv", "-o", "ranking.json"]
    assert main(rank) == 0
    capsys.readouterr()
    arguments = ["prune", "model.keras", "--ranking", "ranking.json", "--dry-run"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    told = "Argument `--ranking` is a ranking without these groups, which lose nothing"
    assert f"{told}: hidden\n" in printed.err and "hidden" not in printed.out
    assert main([*arguments, "--layers", "conv"]) == 0
    assert not capsys.readouterr().err


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", ["prune --dry-run", "prune-until --max-drop 0.5"])
def test_a_ranking_made_for_less_is_told(folder, few_trials, capsys, command):
    ranker = keras_shapley_prune.ShapleyRanker()
    x = np.load("data.npz")["x"]
    ranker.rank(load("model.keras"), x, ratio=0.1, verbose=0).save("shallow.json")
    arguments = [*command.split(), "model.keras", "--ranking", "shallow.json"]
    arguments += ["--data", "data.npz", "--validation-data", "validation.npz"]
    assert main([*arguments, "--force", "--quiet", "-o", "pruned.keras"]) == 0
    told = "warning: Argument `--ranking` is a ranking that has looked at "
    assert capsys.readouterr().err.count(told) == 1


@pytest.mark.filterwarnings("default")
def test_warnings_have_the_names_of_options(folder, few_trials, capsys):
    arguments = ["prune-until", "model.keras", "--data", "data.npz", *FAST]
    assert main([*arguments, "--max-drop", "0.5", "-o", "pruned.keras"]) == 0
    told = "Expected `--validation-data`: examples that the network is not fitted to"
    assert told in capsys.readouterr().err


@pytest.mark.eager
def test_prune_until(folder, few_trials, capsys):
    arguments = [
        *["prune-until", "model.keras", "--data", "data.npz", "--max-drop", "0.05"],
        *["--validation-data", "validation.npz", "--ranker", "l1_norm"],
    ]
    assert main([*arguments, "-o", "pruned.keras", "--report", "report.html"]) == 0
    printed = capsys.readouterr()
    assert "of the flops removed: " in printed.err
    assert "parameters  152 → " in printed.out
    assert "accuracy" in pathlib.Path("report.html").read_text(encoding="utf-8")
    data = tuple(np.load("validation.npz")[name] for name in "xy")
    before, after = (
        load(name).evaluate(*data, verbose=0)[1]
        for name in ("model.keras", "pruned.keras")
    )
    assert after >= before - 0.05
    assert load("pruned.keras").count_params() < 152

    assert main(["rank", "model.keras", *FAST, "-o", "ranking.json"]) == 0
    arguments[-2:] = ["--ranking", "ranking.json"]
    assert main([*arguments, "-o", "again.keras"]) == 0
    np.testing.assert_array_equal(
        load("again.keras")(data[0]), load("pruned.keras")(data[0])
    )


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line(folder, few_trials, capsys):
    arguments = ["prune-until", "model.keras", "--data", "data.npz", *FAST]
    arguments += ["--metric", "loss", "--max-drop", "0", "--repair", "none"]
    arguments += ["--validation-data", "validation.npz"]
    assert main([*arguments, "-o", "pruned.keras"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("keras-shapley-prune: warning: Nothing can be removed")


@pytest.mark.filterwarnings("default")
def test_a_budget_that_is_missed_is_told(folder, capsys):
    arguments = ["prune", "model.keras", "--data", "data.npz", *FAST, "--dry-run"]
    assert main([*arguments, "--round-to", "5"]) == 0
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("keras-shapley-prune: warning: ")
    assert "of the units are removed, not 50.0%: round_to=5" in line
    assert "asked: 50.0% of the units" in printed.out


@pytest.mark.slow
@pytest.mark.eager
def test_the_mode_of_a_metric(folder, capsys):
    arguments = ["prune-until", "model.keras", "--data", "data.npz", *FAST]
    arguments += ["--validation-data", "validation.npz"]
    arguments += ["--metric", "accuracy", "--max-drop", "0.05", "-o"]
    assert main([*arguments, "right.keras"]) == 0
    # The wrong way round nothing is too bad: much more is removed.
    assert main([*arguments, "wrong.keras", "--mode", "min"]) == 0
    right, wrong = (load(f"{name}.keras").count_params() for name in ("right", "wrong"))
    assert wrong < right


@pytest.mark.eager
def test_report(folder, capsys):
    main(["prune", "model.keras", "--data", "data.npz", *FAST, "-o", "pruned.keras"])
    capsys.readouterr()
    assert main(["report", "model.keras", "pruned.keras"]) == 0
    printed = capsys.readouterr().out
    assert "conv             6 →      3" in printed and "accuracy" not in printed
    data = ["--data", "validation.npz", "-o", "report.json"]
    assert main(["report", "model.keras", "pruned.keras", *data]) == 0
    assert "wrote report.json" in capsys.readouterr().out
    assert Comparison.load("report.json").units["conv"] == (6, 3)
    data[-1] = "report.html"
    assert main(["report", "model.keras", "pruned.keras", *data]) == 0
    assert pathlib.Path("report.html").read_text(encoding="utf-8").startswith("<!")


@pytest.mark.slow
@pytest.mark.eager
def test_report_of_what_will_run(folder, capsys):
    pytest.importorskip("ai_edge_litert")
    arguments = ["prune", "model.keras", "--data", "data.npz", *FAST]
    report = ["--report", "report.json", "--runtime", "litert", "--batch-size", "3"]
    assert main([*arguments, "-o", "pruned.keras", *report]) == 0
    found = Comparison.load("report.json").runtime
    assert found.name == "LiteRT" and found.batch_size == 3
    assert "float32, batch of 3, 1 thread" in found.description
    assert found.file_size[1] < found.file_size[0]
    capsys.readouterr()
    assert main(["report", "model.keras", "pruned.keras", "--runtime", "litert"]) == 0
    printed = capsys.readouterr().out
    assert "LiteRT, batch of 1" in printed and "\ntimed by " in printed
    assert "tensorflow" not in printed.lower()


@pytest.mark.slow
def test_old_files_and_own_layers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    classifier().save("model.h5")
    assert main(["inspect", "model.h5"]) == 0
    (tmp_path / "own_layers_of_this_test.py").write_text(
        "import keras\n"
        "@keras.saving.register_keras_serializable('test')\n"
        "class Own(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return x[..., ::-1]\n"
    )
    code = """
import keras, own_layers_of_this_test
layers = [keras.layers.Dense(3), own_layers_of_this_test.Own(), keras.layers.Dense(2)]
keras.Sequential([keras.Input((4,)), *layers]).save("own.keras")
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert main(["inspect", "own.keras"]) == 2
    assert "`--import MODULE`" in capsys.readouterr().err
    assert main(["inspect", "own.keras", "--import", "own_layers_of_this_test"]) == 0
    assert "Own is not a registered layer" in capsys.readouterr().out
    assert main(["inspect", "own.keras", "--import", "no_module_of_this_test"]) == 2


OWN = """
import keras
from keras.activations import relu

def dice_loss(y_true, y_pred):
    return 1 - keras.ops.mean(y_true * y_pred)

class OwnMetric(keras.metrics.Mean):
    pass

def twice(x):
    return 2 * relu(x)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a module of losses and the like; returns its name, and what is in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_functions_of_this_test.py").write_text(OWN)
    found = {"__name__": "__main__"}
    exec(OWN, found)
    return "own_functions_of_this_test", found


def _save(path, **compiled):
    model = classifier()
    if compiled:
        model.compile("adam", **compiled)
    model.save(path)
    return model


COMPILED = {
    "loss": lambda own: {"loss": own["dice_loss"]},
    "metric": lambda own: {"loss": "mean_squared_error", "metrics": [own["dice_loss"]]},
    "class": lambda own: {"loss": own["dice_loss"], "metrics": [own["OwnMetric"]()]},
}


@pytest.mark.sweep(2)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("case", COMPILED)
def test_what_it_was_compiled_with_need_not_be_known(own, case, suffix, capsys):
    module, functions = own
    _save(f"net{suffix}", **COMPILED[case](functions))
    x, _ = labelled_images(20)
    np.savez("data.npz", x=x)
    arguments = [
        "prune",
        f"net{suffix}",
        "--data",
        "data.npz",
        *FAST,
        "-o",
        "out.keras",
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if "warning" in line]
    assert len(lines) == 1 and "The result is not compiled" in lines[0]
    assert not load("out.keras").compiled

    assert main([*arguments, "--import", module]) == 0
    assert "not compiled" not in capsys.readouterr().err
    with keras.saving.custom_object_scope(functions):
        assert load("out.keras").compiled


@pytest.mark.eager
@pytest.mark.filterwarnings("default")
def test_metrics_need_what_it_was_compiled_with(own, few_trials, capsys):
    module, functions = own
    _save("net.keras", loss=functions["dice_loss"])
    x, y = labelled_images(20)
    np.savez("data.npz", x=x, y=np.eye(4)[y])
    arguments = ["prune-until", "net.keras", "--data", "data.npz", "--metric", "loss"]
    arguments += [*FAST, "--max-drop", "9", "-o", "out.keras"]
    arguments += ["--validation-data", "data.npz"]
    assert main(arguments) == 2
    assert "a model that is not compiled" in capsys.readouterr().err
    assert main([*arguments, "--import", module]) == 0


def test_functions_of_a_model_are_handed_over(own, capsys):
    module, functions = own
    stack = [
        keras.layers.Dense(3, activation=functions["twice"]),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential([keras.Input((4,)), *stack])
    for name in ("own.keras", "own.h5"):
        model.save(name)
        assert main(["inspect", name]) == 2
        assert "twice" in capsys.readouterr().err
        assert main(["inspect", name, "--import", module]) == 0
        assert not capsys.readouterr().err


def test_what_a_module_imports_from_keras_is_not_handed_over(own):
    module, _ = own
    assert set(import_modules([module])) == {"dice_loss", "OwnMetric", "twice"}


@pytest.mark.filterwarnings("default")
def test_a_file_of_keras_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    stack = [keras.layers.DepthwiseConv2D(3), keras.layers.Conv2D(4, 1, name="conv")]
    stack += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *stack])
    model.compile("adam", "categorical_crossentropy")
    model.save("old.h5")
    with h5py.File("old.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
    assert main(["inspect", "old.h5"]) == 0
    printed = capsys.readouterr()
    assert "4 removable units" in printed.out and not printed.err
    with h5py.File("old.h5", "r+") as file:
        config["config"]["layers"][1]["config"]["groups"] = 3
        file.attrs["model_config"] = json.dumps(config)
    assert main(["inspect", "old.h5"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("passed to DepthwiseConv2D: {'groups': 3}")
    assert len(line) < 800


PRUNE = "prune model.keras --data data.npz -o out.keras"
WRONG = {
    "": "the following arguments are required: COMMAND",
    "inspect": "required: MODEL",
    "inspect model.txt": "ends with one of",
    "inspect none.keras": "that exists. Received: 'none.keras'",
    "inspect broken.keras": "that Keras can load",
    "rank model.keras -o r.json": "Argument `--data` should be given",
    "rank model.keras --data data.npz -o r.csv": "`--output` should end with .json",
    "rank model.keras --ranker best -o r.json": "invalid choice: 'best'",
    "rank model.keras --data none.npz -o r.json": "Received: 'none.npz'",
    "rank model.keras --data wide.npz -o r.json": "Received: shape",
    "rank model.keras --data data.npz --layers none -o r.json": "none",
    "rank model.keras --data data.npz --rescale 1/0 -o r.json": "a fraction such as",
    "prune model.keras --data data.npz": "should be given, or `--dry-run`",
    "prune model.keras -o out.keras": "given, for --repair least_squares",
    "prune model.keras --repair none -o out.keras": "given, for --ranker shapley",
    "prune model.keras --repair none --ranker l1_norm --litert l.tflite --int8": "for",
    f"{PRUNE} --ratio 1": "[0, 1). Received: '1'",
    f"{PRUNE} --ratio much": "[0, 1). Received: 'much'",
    f"{PRUNE} --rescale 255": "Did you mean no --rescale?",
    f"{PRUNE} --ratio 0.2 0.4": "Paths should hold {ratio}",
    f"{PRUNE} --round-to 0": "an integer of at least 1. Received: '0'",
    f"{PRUNE} --num-examples -1": "--num-examples",
    f"{PRUNE} --int8": "`--int8` needs `--litert` or `--runtime litert`",
    f"{PRUNE} --int8 --runtime litert --of flops": "needs `--report` or `--of latency`",
    f"{PRUNE} --ranking r --ranker l1_norm": "exclude each other",
    f"{PRUNE} --ranking none.json": "that exists. Received: 'none.json'",
    f"{PRUNE} --ranking data.npz": "that the command `rank` wrote",
    f"{PRUNE} --report out.keras": "should end with .html or .json",
    f"{PRUNE} --export .": "holds something else",
    "prune model.keras --data data.npz -o model.keras": "a file of its own",
    "prune model.keras --data data.npz -o model.keras/p.keras": "is a file",
    "prune-until model.keras --data data.npz": "`--report` should be given. Received",
    f"{PRUNE} --round-to 64": "`--min-units` should let a group lose units",
    "prune model.keras --data nan.npz -o out.keras": "nan for input",
    "prune-until model.keras --data data.npz -o o_{ratio}.keras": "not hold {ratio}",
    "prune-until model.keras --data data.npz --mode up -o o.keras": "choice: 'up'",
    f"{PRUNE} --max-drop 0.1": "unrecognized arguments: --max-drop",
    "prune-until model.keras --data data.npz --max-drop -1 -o o.keras": "--max-drop",
    "prune-until model.keras --data data.npz --metric f1 -o o.keras": "metric='f1'",
    "report model.keras": "required: AFTER",
    "report model.keras model.keras -o model.txt": "should end with .html or .json",
}


@pytest.mark.sweep(3)
@pytest.mark.parametrize("command", WRONG)
def test_wrong_usage_is_told_in_one_line(folder, capsys, command):
    (folder / "broken.keras").write_text("none")
    np.savez(folder / "wide.npz", x=np.zeros((4, 9)), y=np.zeros(4))
    x, y = labelled_images(20)
    x[3, 0, 0, 0] = np.nan
    np.savez(folder / "nan.npz", x=x, y=y)
    before = written(folder)
    try:
        code = main([*command.split(), *(["-q"] if command else [])])
    except SystemExit as error:
        code = error.code
    printed = capsys.readouterr()
    assert code == 2
    assert not printed.out
    (line,) = printed.err.splitlines()
    assert line.startswith("keras-shapley-prune: error: ")
    assert WRONG[command] in line
    assert written(folder) == before


def test_weights_alone_need_no_data(folder, capsys):
    arguments = ["prune", "model.keras", "--ranker", "l1_norm", "--repair", "none"]
    files = ["-o", "pruned.keras", "--report", "report.json"]
    assert main([*arguments, *files]) == 0
    assert "checked on numbers drawn at random\n" in capsys.readouterr().err
    x, _ = labelled_images(3)
    expected = keras_shapley_prune.prune(
        load("model.keras"), x, ranker="l1_norm", repair=None, verbose=0
    )
    np.testing.assert_allclose(load("pruned.keras")(x), expected(x), atol=1e-6)
    assert Comparison.load("report.json").units["conv"] == (6, 3)


def test_inputs_of_any_size_need_data(tmp_path, capsys):
    stack = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    stack.append(keras.layers.Dense(2))
    path = tmp_path / "open.keras"
    keras.Sequential([keras.Input((None, None, 1)), *stack]).save(path)
    arguments = ["prune", str(path), "--ranker", "l1_norm", "--repair", "none"]
    assert main([*arguments, "-o", str(tmp_path / "out.keras")]) == 2
    assert "the model takes inputs of any size" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("more", "code"), [([], 3), (["--force"], 0)])
def test_a_network_that_does_something_else(folder, capsys, monkeypatch, more, code):
    """It is written, and the exit code tells."""

    def disagree(model, plan, *arguments, **others):
        warnings.warn("Expected a pruned network", DisagreementWarning, stacklevel=2)
        return remove_channels(model, plan.keep)

    monkeypatch.setattr(prune_commands, "apply_plan", disagree)
    arguments = ["prune", "model.keras", "--data", "data.npz", "--ranker", "l1_norm"]
    assert main([*arguments, "-o", "out.keras", *more]) == code
    printed = capsys.readouterr()
    assert printed.err.endswith("prune: warning: Expected a pruned network\n")
    assert printed.out.endswith("wrote out.keras\n")
    assert written(folder) == {"out.keras"}


@pytest.mark.filterwarnings("default")
@pytest.mark.filterwarnings("default")
def test_models_in_the_wrong_order(folder, capsys):
    main(["prune", "model.keras", "--data", "data.npz", *FAST, "-o", "pruned.keras"])
    capsys.readouterr()
    assert main(["report", "pruned.keras", "model.keras"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "pruned.keras, has fewer" in line and line.endswith("in the wrong order?")
    assert main(["report", "model.keras", "pruned.keras"]) == 0
    assert not capsys.readouterr().err


def test_who_reads_the_output_may_stop(folder, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["inspect", "model.keras"]) == 141
    assert not capsys.readouterr().err


def test_a_failed_check_leaves_no_file(folder, capsys, monkeypatch):
    """The second of two models fails: the first is not there either."""

    def fail(model, plan, *arguments, **others):
        if plan.units["conv"][1] == 3:
            raise RuntimeError("Expected the pruned model\nto compute")
        return remove_channels(model, plan.keep)

    monkeypatch.setattr(prune_commands, "apply_plan", fail)
    (folder / "out_0.2.keras").write_text("kept")
    arguments = ["prune", "model.keras", "--data", "data.npz", *FAST]
    ratios = ["--ratio", "0.2", "0.5", "-o", "out_{ratio}.keras"]
    assert main([*arguments, *ratios]) == 1
    message = "keras-shapley-prune: error: Expected the pruned model to compute\n"
    assert capsys.readouterr().err == message
    assert (folder / "out_0.2.keras").read_text() == "kept"
    assert written(folder) == {"out_0.2.keras"}


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version(argument, capsys):
    with pytest.raises(SystemExit) as ended:
        main([argument])
    assert ended.value.code == 0
    assert "keras-shapley-prune" in capsys.readouterr().out


def test_entry_points(folder, monkeypatch, capsys):
    """Both run the same `main`, and return its exit code."""
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert "keras-shapley-prune = keras_shapley_prune.command_line:main\n" in setup
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    arguments = ["rank", "model.keras", "--ranker", "l1_norm", "-o", "ranking.json"]
    done = subprocess.run(
        [sys.executable, "-m", "keras_shapley_prune", *arguments],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("l1_norm: ")
    assert not done.stderr  # and nothing of TensorFlow
    assert json.loads((folder / "ranking.json").read_text())["method"] == "l1_norm"
    monkeypatch.setattr(sys, "argv", ["", "inspect", "none.keras"])
    with pytest.raises(SystemExit) as ended:  # a traceback, if another error
        runpy.run_module("keras_shapley_prune", run_name="__main__")
    failed = capsys.readouterr()
    assert ended.value.code == 2 and not failed.out
    assert failed.err.splitlines()[-1].startswith("keras-shapley-prune: error: ")


@pytest.mark.slow
@pytest.mark.eager
def test_a_model_of_channels_first_is_converted(folder, capsys):
    model = channels_first_models.residual()
    model.save("first.keras")
    np.savez("images.npz", x=models.images(model, 24), y=np.zeros(24, int))
    data = ["--data", "images.npz", "--ranker", "l1_norm", "--force"]
    assert main(["inspect", "first.keras"]) == 0
    assert "stem: 8 units" in capsys.readouterr().out
    assert main(["rank", "first.keras", *data, "-o", "ranking.json"]) == 0
    assert "are made anew with" in capsys.readouterr().err
    assert "stem" in Ranking.load("ranking.json")
    output = ["-o", "pruned.keras", "--report", "report.json"]
    assert main(["prune", "first.keras", *data, "--repair", "none", *output]) == 0
    printed = capsys.readouterr()
    assert "are made anew with" in printed.err
    assert "made anew" not in printed.out
    pruned = load("pruned.keras")
    assert pruned.input_shape == (None, 3, 12, 10)
    assert pruned.get_layer("stem").filters == 4
    assert Comparison.load("report.json").units["stem"] == (8, 4)
