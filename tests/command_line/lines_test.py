"""Lines that fit the terminal."""

from keras_shapley_prune.command_line.lines import fit_lines, progress


def test_lines_are_broken_between_words(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = "short\n  from " + ", ".join(f"layer-{number}" for number in range(8))
    lines = fit_lines(text).splitlines()
    assert lines[0] == "short"
    assert len(lines) > 2 and max(map(len, lines)) <= 40
    assert lines[1].startswith("  from layer-0,")
    assert all(line.startswith("      layer-") for line in lines[2:])
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())


def test_names_stay_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    name = "n" * 50
    assert fit_lines(f"wrote {name}").splitlines()[-1].strip() == name


def test_progress_goes_to_standard_error(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    bar = "\r" + 60 * "="
    with progress():
        print("repaired, " * 10)
        print("short\n" + "checked, " * 10)
        print(bar, end="")
    printed = capsys.readouterr()
    assert not printed.out
    *lines, last = printed.err.split("\n")
    assert max(map(len, lines)) <= 40 and "short" in lines
    assert last == bar
