"""What a progress bar drew."""

import re


def drawn(text):
    """Returns a list of `(percent, label)` from what a `Progress` printed."""
    text = re.sub("\x1b\\[\\d+m|\b", "", text)
    lines = [line for line in re.split("[\r\n]", text) if line.strip()]
    found = [re.fullmatch(r" *(\d+)/100 .*/%(?: - (.*?))? *", line) for line in lines]
    assert all(found), lines
    return [(int(one[1]), one[2] or "") for one in found]


def labels_of(text):
    """Returns the labels in their order, each once."""
    return list(dict.fromkeys(label for _, label in drawn(text)))


def check_whole(text):
    """Fails unless a bar never goes back and reaches its end once, at the very end."""
    percents = [percent for percent, _ in drawn(text)]
    assert percents == sorted(percents)
    assert percents.count(100) == 1
    assert text.endswith("\n")
    assert text.count("\n") == 1


def split_closing(text):
    """Returns what a bar printed, and the list of the lines below it."""
    bar, end, below = text.partition("\n")
    return bar + end, below.splitlines()
