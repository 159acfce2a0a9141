"""A comparison as one HTML page: no script, nothing that has to be loaded."""

import html

from keras_shapley_prune.report.html_cards import render_cards
from keras_shapley_prune.report.html_layers import breakable, render_layers
from keras_shapley_prune.report.html_notes import render_notes
from keras_shapley_prune.report.html_scores import render_scores
from keras_shapley_prune.report.html_style import STYLE


def render_html(comparison):
    """Returns the page of a `Comparison` as a string.

    Args:
        comparison: A `Comparison`.
    """
    # Names and reasons are the user's text, and may hold anything.
    name = html.escape(comparison.name)
    sections = [
        _render_head(comparison),
        render_cards(comparison),
        render_layers(comparison),
        render_scores(comparison),
        render_notes(comparison),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Its own style, and nothing else: no script, no image, no request.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{name}, pruned</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(sections)}</main>\n</body>\n</html>\n"
    )


def _render_head(comparison):
    alarms = "".join(
        f'<p class="alarm"><strong>Warning</strong> {html.escape(alarm)}.</p>'
        for alarm in comparison.alarms
    )
    return (
        '<header><p class="kicker">Pruning report</p>'
        f"<h1>{breakable(comparison.name)}</h1>{alarms}"
        f'<p class="lead">{_tell_units(comparison.groups)}</p>'
        f"{_render_origin(comparison.origin)}</header>\n"
    )


def _tell_units(groups):
    """Returns a sentence: how much of what can be removed was removed."""
    if not groups:
        return "This model has no units that can be removed."
    before = sum(group.units[0] for group in groups)
    after = sum(group.units[1] for group in groups)
    return (
        f"{before - after:,} of {before:,} removable units were removed: filters, "
        f"neurons or heads, in {len(groups)} group{'s' * (len(groups) != 1)}."
    )


def _render_origin(origin):
    """Returns a list of what is known of how the comparison came about."""
    if not origin:
        return ""
    entries = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>"
        for name, text in origin.items()
    )
    return f'<dl class="origin">{entries}</dl>'
