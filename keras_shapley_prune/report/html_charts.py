"""The charts of a report: SVG that takes its colours from the page's style."""

import html

import numpy as np

from keras_shapley_prune.report.scales import find_limits, find_ticks, format_tick

WIDTH, HEIGHT = 340, 170
LEFT, RIGHT, TOP, BOTTOM = 54, 8, 18, 22


def draw_bar(before, after, largest, label):
    """Returns a bar as SVG: what was there, and over it what was kept.

    Args:
        before: Number.
        after: Number.
        largest: Number, as long as the whole width.
        label: String, what a screen reader says and a pointer shows.
    """
    # In percent of the width, whatever that is on the page.
    was, now = (100 * value / max(largest, 1e-300) for value in (before, after))
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img">'
        f"<title>{html.escape(label)}</title>"
        f'<rect class="was" width="{was:.2f}" height="10"/>'
        f'<rect class="now" width="{now:.2f}" height="10"/></svg>'
    )


def draw_scores(group):
    """Returns the scores of a group as SVG, in the order of removal.

    Args:
        group: A `GroupComparison` with scores.
    """
    scores, cut = group.scores, group.num_removed
    order = scores.order
    values, errors = scores.values[order], scores.standard_errors[order]
    sampled = np.isfinite(errors)
    low, high, logarithmic = find_limits(values, np.where(sampled, errors, 0))
    drawn = np.maximum(values, low)  # what is far below stands at the lower edge
    xs = LEFT + (WIDTH - LEFT - RIGHT) * (np.arange(len(order)) + 0.5) / len(order)

    def to_y(value):
        low_, high_, value = (
            (np.log10(v) if logarithmic else v) for v in (low, high, value)
        )
        # SVG counts downwards.
        share = (value - low_) / (high_ - low_)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = [_draw_ticks(low, high, logarithmic, to_y)]
    removed = np.arange(len(order)) < cut
    for kind, chosen in (("removed", removed), ("kept", ~removed)):
        # A unit without a value has its place on the axis, and no dot.
        chosen = chosen & np.isfinite(values)
        bars = chosen & sampled
        # On a logarithmic axis error bars may be longer than the axis.
        tops = to_y(np.clip(values + errors, low, high)[bars])
        ends = to_y(np.clip(values - errors, low, high)[bars])
        strokes = zip(xs[bars], tops, ends, strict=True)
        error_bars = "".join(f"M{x:.1f} {a:.1f}V{b:.1f}" for x, a, b in strokes)
        parts.append(f'<path class="error {kind}" d="{error_bars}"/>')
        for style, shown in (("dot", bars), ("dot alone", chosen & ~sampled)):
            points = zip(xs[shown], to_y(drawn[shown]), strict=True)
            # A line of no length with round ends is a dot: one path draws them all.
            dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
            parts.append(f'<path class="{style} {kind}" d="{dots}"/>')
    parts.append(_draw_cut(cut, len(order)))
    known = values[np.isfinite(values)]
    span = f", from {known.min():.3g} to {known.max():.3g}" if len(known) else ""
    label = (
        f"{group.name}: scores of {len(order)} units in the order of removal{span}; "
        f"{cut} removed, {len(order) - cut} kept"
    )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{html.escape(label)}</title>{''.join(parts)}</svg>"
    )


def _draw_ticks(low, high, logarithmic, to_y):
    ticks = find_ticks(low, high, logarithmic)
    lines = "".join(f"M{LEFT} {to_y(t):.1f}H{WIDTH - RIGHT}" for t in ticks)
    labels = "".join(
        f'<text x="{LEFT - 6}" y="{to_y(tick) + 3.5:.1f}" text-anchor="end">'
        f"{format_tick(tick)}</text>"
        for tick in ticks
    )
    return f'<path class="grid" d="{lines}"/>{labels}'


def _draw_cut(cut, count):
    x = LEFT + (WIDTH - LEFT - RIGHT) * cut / count
    baseline = HEIGHT - 7
    words = ""
    if cut:
        words += f'<text class="removed" x="{LEFT}" y="{baseline}">{cut} removed</text>'
    words += (
        f'<text class="kept" x="{WIDTH - RIGHT}" y="{baseline}" text-anchor="end">'
        f"{count - cut} kept</text>"
    )
    if not cut:
        return words
    return f'<path class="cut" d="M{x:.1f} {TOP - 8}V{HEIGHT - BOTTOM}"/>{words}'
