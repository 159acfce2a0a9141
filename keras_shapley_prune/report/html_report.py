"""A comparison as one HTML page: no script, nothing that has to be loaded."""

import html
import re

from keras_shapley_prune.inputs.metric_direction import mode_of_name
from keras_shapley_prune.report.html_charts import draw_bar, draw_scores
from keras_shapley_prune.report.html_style import STYLE

MOST_NAMES = 4  # of the layers of a group that are written out


def render_html(comparison):
    """Returns the page of a `Comparison` as a string.

    Args:
        comparison: A `Comparison`.
    """
    # Names and reasons are the user's text, and may hold anything.
    name = html.escape(comparison.name)
    sections = [
        _render_head(comparison),
        _render_quantities(comparison.quantities),
        _render_layers(comparison),
        _render_groups(comparison),
        _render_notes(comparison),
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
    before = sum(group.units[0] for group in comparison.groups)
    after = sum(group.units[1] for group in comparison.groups)
    lead = (
        f"{before - after:,} of {before:,} removable units were removed: filters, "
        f"neurons or heads, in {len(comparison.groups)} groups."
    )
    if not comparison.groups:
        lead = "This model has no units that can be removed."
    return (
        '<header><p class="kicker">Pruning report</p>'
        f"<h1>{html.escape(comparison.name)}</h1>"
        f'<p class="lead">{lead}</p></header>\n'
    )


def _render_quantities(quantities):
    cards = "".join(map(_render_card, quantities))
    return (
        f'<section aria-label="In numbers"><div class="cards">{cards}</div></section>\n'
    )


def _render_card(quantity):
    title = html.escape(_title(quantity))
    if not quantity.is_known:
        body = f'<dd class="soft">{html.escape(quantity.why_unknown)}</dd>'
        return f'<dl class="card"><dt>{title}</dt>{body}</dl>'
    before, after = quantity.texts
    largest = max(quantity.before, quantity.after)
    bar = ""
    # A bar is an amount, which a negative number is not.
    if min(quantity.before, quantity.after) >= 0 < largest:
        label = f"{title}: {before} before, {after} after"
        bar = draw_bar(quantity.before, quantity.after, largest, label)
    change = f'<span class="change {_judge(quantity)}">{quantity.change}</span>'
    spread = getattr(quantity, "spread", "")
    spread = f'<dd class="soft">{html.escape(spread)}</dd>' if spread else ""
    return (
        f'<dl class="card"><dt>{title}</dt><dd class="value">{after}</dd>'
        f'<dd>{bar}<span class="was-text">from {before}</span> {change}</dd>'
        f"{spread}</dl>"
    )


def _title(quantity):
    if quantity.unit == "seconds":
        return f"latency, {quantity.title.replace(' of', '')}"
    title = "peak activations" if quantity.title == "activations" else quantity.title
    known = quantity.is_known and quantity.sizes
    return f"{title} for {quantity.sizes}" if known else title


def _judge(quantity):
    """Returns the class that colours a change: better, worse or neither."""
    # All costs should fall; of metrics, only losses and errors.
    mode = _mode_of(quantity.title) if quantity.unit == "metric" else "min"
    gain = quantity.before - quantity.after
    gain *= {"min": 1, "max": -1, None: 0}[mode]
    return "good" if gain > 0 else "bad" if gain < 0 else "soft"


def _mode_of(title):
    """Returns which way a metric gets better; any words may name an output first."""
    words = title.split("_")
    outputs = ["_".join(words[:count]) for count in range(1, len(words))]
    return mode_of_name(title, outputs)


def _render_layers(comparison):
    # All bars have one scale: a wide layer has a long bar.
    largest = max([before for before, _ in comparison.units.values()], default=1)
    rows = []
    for name, (before, after) in comparison.units.items():
        label = f"{name}: {before} units before, {after} after"
        bar = draw_bar(before, after, largest, label)
        numbers = f"{before:,} → {after:,}"
        rows.append(_render_row(comparison, name, bar, numbers))
    # Layers that produce no units can lock those of others.
    others = [name for name in comparison.locks if name not in comparison.units]
    rows += [_render_row(comparison, name, "", "") for name in others]
    return (
        "<section><h2>Layers</h2><table>"
        '<caption class="soft">Units before and after, and why a layer is '
        "locked</caption>"
        '<thead><tr><th scope="col">layer</th><th scope="col">'
        "what was kept</th>"
        '<th scope="col" class="number">units</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></section>\n"
    )


def _render_row(comparison, name, bar, numbers):
    reason = ""
    if name in comparison.locks:
        why = html.escape(comparison.locks[name])
        reason = f'<span class="reason"><span class="tag">locked</span> {why}</span>'
    return (
        f'<tr><th scope="row">{_breakable(name)}{reason}</th>'
        f'<td class="bar-cell">{bar}</td><td class="number">{numbers}</td></tr>'
    )


def _render_groups(comparison):
    if not comparison.groups:
        return ""
    intro = "Units that are removed together, in all layers that carry them."
    if any(group.scores is not None for group in comparison.groups):
        method = html.escape(str(comparison.method))
        intro += (
            f" Scores, with standard errors: {method}. Units stand in the order of "
            "removal; pale ones were not sampled, their score is what the loss of each "
            "alone costs."
        )
    cards = "".join(map(_render_group, comparison.groups))
    return (
        f'<section><h2>Groups</h2><p class="soft">{intro}</p>'
        f'<div class="groups">{cards}</div></section>\n'
    )


def _render_group(group):
    before, after = group.units
    chart = "" if group.scores is None else draw_scores(group)
    return (
        f'<figure class="card"><figcaption><h3>{_breakable(group.name)}: '
        f"{before:,} → {after:,}</h3>"
        f'<p class="soft">from {_list(group.producers)}<br>'
        f"to {_list(group.consumers)}</p></figcaption>{chart}</figure>"
    )


def _list(names):
    # The group of a residual stage may have dozens of producers.
    shown = ", ".join(map(_breakable, names[:MOST_NAMES]))
    rest = len(names) - MOST_NAMES
    return (shown or "nothing") + (f" and {rest} more" if rest > 0 else "")


def _breakable(name):
    """Returns a name as HTML that breaks where its words do."""
    # Names have no spaces, and would not fit a phone in one piece.
    return re.sub(r"([_/.])", r"\1<wbr>", html.escape(name))


def _render_notes(comparison):
    notes = ["FLOPs: two for each multiplication and addition, of one example."]
    if comparison.file_size is not None:
        notes.append("File size: the <code>.keras</code> file, without the optimizer.")
    if comparison.activations is not None:
        notes.append(
            "Activations: the largest sum of tensors that are alive at once as the "
            "layers run one after the other, of one example; counted, not measured."
        )
    if comparison.latency:
        found = comparison.environment
        notes.append(
            "Latency: the median of paired runs, the two models taking turns, on "
            f"{html.escape(str(found.get('machine')))} ({found.get('cores')} cores), "
            f"TensorFlow {html.escape(str(found.get('tensorflow')))}, "
            f"Keras {html.escape(str(found.get('keras')))}."
        )
    if comparison.runtime is not None and not comparison.runtime.unknown:
        notes.append(_describe_runtime(comparison.runtime))
    if comparison.metrics:
        notes.append("Metrics: those that the original is compiled with.")
    items = "".join(f"<li>{note}</li>" for note in notes)
    return (
        "<section><h2>How it was counted</h2>"
        f'<ul class="notes soft">{items}</ul></section>\n'
    )


def _describe_runtime(found):
    """Returns the note about where the models will run."""
    name, description = html.escape(found.name), html.escape(found.description)
    if found.num_runs < 2:
        return f"{name}: timed by {description}."
    return (
        f"{name}: the median of {found.num_runs} paired runs, the two models taking "
        f"turns, on {description}."
    )
