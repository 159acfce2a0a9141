"""The table of layers on the page: what share of each was kept, and what is locked."""

import html
import re

from keras_shapley_prune.report.html_charts import draw_bar
from keras_shapley_prune.report.short_names import drop_prefix

_MOST_IN_ONE = 16  # rows; more stand in two tables, side by side where there is room


def render_layers(comparison):
    """Returns the section of all layers, empty if there are none.

    Args:
        comparison: A `Comparison`.
    """
    # Layers that produce no units can lock those of others.
    names = list(dict.fromkeys([*comparison.units, *comparison.locks]))
    if not names:
        return ""
    prefix, short = drop_prefix(names)
    rows = [_render_row(comparison, name, short[name]) for name in names]
    half = -(-len(rows) // 2) if len(rows) > _MOST_IN_ONE else len(rows)
    tables = [_render_table(rows[:half]), _render_table(rows[half:])]
    return (
        '<section><h2>Layers</h2><p class="soft">The share of the units of each layer '
        f"that was kept, and why a layer is locked.{tell_prefix(prefix)}</p>"
        f'<div class="tables">{"".join(tables)}</div></section>\n'
    )


def _render_table(rows):
    if not rows:
        return ""
    return (
        '<table><thead><tr><th scope="col">layer</th><th scope="col">kept</th>'
        '<th scope="col" class="number">units</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _render_row(comparison, name, short):
    bar = numbers = reason = ""
    if name in comparison.units:
        before, after = comparison.units[name]
        share = f"{after / max(before, 1):.0%}"
        # Each bar is a whole layer: a share is read the same wherever it stands.
        bar = draw_bar(before, after, before, f"{name}: {before} units, {after} kept")
        bar = f'<div class="share">{bar}<span>{share}</span></div>'
        numbers = f"{before:,} → {after:,}" if after != before else f"{before:,}"
    if name in comparison.locks:
        why = html.escape(comparison.locks[name])
        reason = f'<span class="reason"><span class="tag">locked</span> {why}</span>'
    return (
        f'<tr><th scope="row">{breakable(short)}{reason}</th>'
        f'<td class="bar-cell">{bar}</td><td class="number">{numbers}</td></tr>'
    )


def tell_prefix(prefix):
    """Returns a sentence on what names are shown without, as HTML; may be empty."""
    return f" Names are shown without “{html.escape(prefix)}”." if prefix else ""


def breakable(name):
    """Returns a name as HTML that breaks where its words do."""
    # Names have no spaces, and would not fit a phone in one piece.
    return re.sub(r"([_/.])", r"\1<wbr>", html.escape(name))
