"""Tests of one bar over several ratios."""

from bars import check_whole, drawn

from keras_shapley_prune import PruningBudget
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.report.ratio_progress import RatioProgress, plan_bar


def run(verbose):
    budgets = [PruningBudget(ratio) for ratio in (0.25, 0.625)]
    with Progress(verbose, plan_bar({"cut": 3.0}, budgets)) as progress:
        progress.begin("plan")
        progress.begin("original")
        progress.show("measuring the original")
        for number in range(2):
            part = RatioProgress(progress, number, budgets)
            part.begin("cut")
            part.show("cutting")
            part.add(1.0)
            part.note("cut")
            part.begin("measure")
            part.show_share("measuring", 0.5)


def test_each_label_says_which_ratio(capsys):
    run(1)
    out = capsys.readouterr().out
    check_whole(out)
    shown = {label: percent for percent, label in reversed(drawn(out))}
    # 2 seconds for the original, and 3 and 2 for each ratio: 12 in all.
    assert shown["measuring the original"] == 0
    assert shown["25%: cutting"] == 16
    assert shown["25%: measuring"] == 50  # half of its 2 seconds
    assert shown["62.5%: cutting"] == 58


def test_lines(capsys):
    run(2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["25%", "62.5%"]
    assert lines[1].startswith("62.5%: cut, ")
