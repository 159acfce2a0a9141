"""Tests of the HTML report: its source, and what a browser shows on a phone."""

import dataclasses
import re

import numpy as np
import pytest
from browser import open_browser
from comparisons import RUNTIME, SCORES, make

from keras_shapley_prune import Comparison, GroupScores
from keras_shapley_prune.repair.agreement import Agreement
from keras_shapley_prune.report.group_comparison import GroupComparison
from keras_shapley_prune.report.html_report import render_html

LONG = "a_layer_of_a_backbone/with_a_very_long_name/" + "x" * 80


def large():
    """Returns a comparison of many layers with long and odd names."""
    names = [f"block{n}/conv" for n in range(30)] + [LONG, "<b>&amp;"]
    scores = GroupScores(np.geomspace(1e-6, 1, 500), np.full(500, 1e-7), 1)
    groups = [
        GroupComparison(name, (500, 250), tuple(names[:9]), (name, LONG), scores)
        for name in names
    ]
    return make(
        units=dict.fromkeys(names, (500, 250)),
        locks={LONG: "a reason_of_one_long_word_" + "y" * 90},
        groups=tuple(groups),
        parameters=(123_456_789_012, 12_345_678_901),
        runtime=dataclasses.replace(RUNTIME, name=LONG, description="z" * 200),
        name=LONG,
    )


def alarming():
    """Returns a comparison with long warnings, and a long description of the data."""
    origin = {"date": "2026-01-02", "ranked by": "w" * 150}
    return make(alarms=("words and " * 30, "x" * 200), origin=origin)


def test_it_needs_nothing_else():
    page = render_html(make())
    assert not re.search(r"(?i)\b(src|href)=|url\(|@import|<script|<link|https?:", page)
    assert 'name="viewport" content="width=device-width' in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("<svg") == page.count("<title>") - 1  # and that of the page


def test_names_are_escaped():
    page = render_html(large())
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;amp;" in page
    page = render_html(make())
    assert "a &lt;fast&gt; one" in page


def test_it_stays_small():
    assert len(render_html(large())) < 30 * 32_000


def test_little_is_known():
    page = render_html(Comparison({}, (1, 1), (None, None), {}))
    assert "unknown: a spatial size is not known" in page
    assert "no units that can be removed" in page
    assert "Latency" not in page


def test_gains_and_losses_are_told_apart():
    page = render_html(make())
    assert '<span class="change good">-75.0%</span>' in page
    assert '<span class="change bad">-2.5 points</span>' in page  # accuracy
    assert '<span class="change bad">+0.2500</span>' in page  # loss
    same = render_html(make(metrics={"accuracy": (0.5, 0.5)}))
    assert '<span class="change soft">+0.0 points</span>' in same


def test_accuracy_comes_first_and_losses_last():
    comparison = make(runtime=RUNTIME, agreement=Agreement(0.9, 10, 50, "examples"))
    titles = re.findall("<dt>(.*?)</dt>", render_html(comparison))
    assert titles[:4] == ["accuracy", "agreement", "parameters", "FLOPs"]
    assert titles[4:6] == ["LiteRT int8 file", "latency, LiteRT int8, batch 1"]
    assert titles[-1] == "loss"


def test_a_layer_is_shown_by_its_share_whatever_its_width():
    page = render_html(
        make(units={"net/wide": (400, 200), "net/slim": (4, 2)}, locks={})
    )
    bars = re.findall(r'<rect class="now" width="([.\d]+)"', page.split("Layers")[1])
    assert bars[:2] == ["50.00", "50.00"]
    assert "Names are shown without “net/”" in page
    assert ">wide<" in page and "400 → 200" in page


def test_what_is_badly_wrong_stands_above_everything_else():
    page = render_html(make(alarms=("<all> is lost",)))
    assert page.index("&lt;all&gt; is lost.") < page.index("removable units")
    assert 'class="alarm"' not in render_html(make())
    assert str(make(alarms=("all is lost",))).startswith("!! all is lost\nlayer")


def test_how_it_came_about():
    origin = {"date": "2026-01-02", "budget": "asked: 50%; reached: <51%"}
    page = render_html(make(origin=origin))
    assert "<dt>date</dt><dd>2026-01-02</dd>" in page
    assert "reached: &lt;51%" in page
    assert 'class="origin"' not in render_html(make())


def test_sections_that_say_nothing_are_left_out():
    page = render_html(make())
    assert all(f"<h2>{title}</h2>" in page for title in ("Layers", "Scores"))
    bare = Comparison({}, (1, 1), (None, None), {})
    assert "<h2>" not in render_html(bare)


def test_many_charts_are_shown_when_asked_for():
    assert "<details>" in render_html(large())
    assert "<details open>" in render_html(make())


def test_a_runtime_with_its_spread():
    page = render_html(make(runtime=RUNTIME))
    assert "latency, LiteRT int8, batch 1" in page
    assert "half of the runs: 12.0 to 13.0 → 5.00 to 5.50 ms" in page
    assert "LiteRT int8: the median of 100 paired runs" in page
    assert "2 threads, a &lt;fast&gt; one." in page
    one = dataclasses.replace(RUNTIME, num_runs=1, quartiles=None, name="<phone>")
    page = render_html(make(runtime=one))
    assert "half of the runs" not in page and "&lt;phone&gt;: timed by " in page
    reason = dataclasses.replace(one, seconds=(None, None), unknown="<no> such layer")
    page = render_html(make(runtime=reason))
    assert "unknown: &lt;no&gt; such layer" in page and "timed by" not in page


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def write(tmp_path):
    def write(comparison):
        comparison.to_html(tmp_path / "report.html")
        return tmp_path / "report.html"

    return write


WIDTHS = "[document.documentElement.scrollWidth, innerWidth]"
# What stands out of the page to the right, or out of its card.
STICKING_OUT = """[...document.querySelectorAll("body *")].filter(element => {
    const card = element.closest(".card, main").getBoundingClientRect();
    return element.getBoundingClientRect().right > Math.min(card.right, innerWidth) + 1;
}).map(element => element.outerHTML)"""


def test_what_a_phone_shows(browser, write):
    path = write(make())
    browser.open(path)
    text = browser.run("document.body.innerText")
    for shown in ("small", "500", "from 2,000", "-75.0%", "4,500", "from 9,000"):
        assert shown in text
    for shown in ("1 kB", "400 B", "10.00 ms", "87.5%", "from 90.0%", "+0.2500"):
        assert shown in text
    for shown in ("conv: 4 → 2", "locked", "model output", "axis=1", "Shapley values"):
        assert shown in text
    assert "a <fast> one" in text
    assert "2 removed" in browser.run("document.querySelector('svg.chart').textContent")
    assert browser.requests == [f"file://{path}"]
    assert browser.errors == []


@pytest.mark.sweep(2)
@pytest.mark.parametrize("width", [320, 375, 1280])
@pytest.mark.parametrize("build", [make, large, alarming])
def test_nothing_sticks_out(browser, write, width, build):
    browser.open(write(build()), width=width)
    scrolled, inner = browser.run(WIDTHS)
    assert scrolled <= inner == width
    assert browser.run(STICKING_OUT) == []


def test_charts_are_seen_and_named(browser, write):
    browser.open(write(make()))
    sizes = browser.run(
        "[...document.querySelectorAll('svg')]"
        ".map(chart => [chart.clientWidth, chart.clientHeight])"
    )
    assert len(sizes) > 8
    assert all(width > 40 and height > 4 for width, height in sizes)
    tree = browser.send("Accessibility.getFullAXTree")["nodes"]
    names = [n["name"]["value"] for n in tree if n["role"]["value"] in ("img", "image")]
    assert "conv: 4 units, 2 kept" in names
    assert any(name.startswith("conv: scores of 4 units") for name in names)
    assert len(names) == len(sizes)


def test_text_is_large_enough_to_read(browser, write):
    browser.open(write(make()))
    smallest = browser.run(
        """Math.min(...[...document.querySelectorAll("main *")]
        .map(e => parseFloat(getComputedStyle(e).fontSize)))"""
    )
    assert smallest >= 11


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_the_light_and_in_the_dark(browser, write, dark):
    browser.open(write(make(alarms=("all is lost",))), dark=dark)
    page = luminance(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert (page < 0.1) == dark
    selectors = ("h1", ".soft", ".card .value", ".good", ".bad", ".reason", ".alarm")
    for selector in selectors:
        found = f"getComputedStyle(document.querySelector('{selector}')).color"
        text = luminance(browser.run(found))
        lighter, darker = max(text, page), min(text, page)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, selector  # WCAG AA


def luminance(color):
    """Returns the relative luminance of `rgb(r, g, b)`, after WCAG 2."""
    parts = np.array([int(n) for n in re.findall(r"\d+", color)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_scores_are_those_of_the_group():
    group = GroupComparison("conv", (4, 2), ("conv",), ("logits",), SCORES)
    assert "from conv" not in render_html(make(groups=()))
    assert "from conv" in render_html(make())
    without = dataclasses.replace(group, scores=None)
    page = render_html(make(groups=(without,))).split("</style>")[1]
    assert "chart" not in page and "Scores" not in page
    assert 'class="chart"' in render_html(make(groups=(group,)))
