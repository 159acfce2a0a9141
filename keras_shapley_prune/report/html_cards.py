"""The numbers of a whole model on the page: a card for each, accuracy first."""

import html

from keras_shapley_prune.inputs.metric_direction import mode_of_name
from keras_shapley_prune.report.html_charts import draw_bar

# What the page is read for, from the first to the last.
_ACCURACY, _AGREEMENT, _COST, _RUNTIME, _MEASURED, _LOSS = range(6)


def render_cards(comparison):
    """Returns the section of all numbers.

    Args:
        comparison: A `Comparison`.
    """
    timed = comparison.runtime.quantities if comparison.runtime is not None else []
    cards = [(_rank(q, timed), _render_card(q)) for q in comparison.quantities]
    if comparison.agreement is not None:
        cards.append((_AGREEMENT, _render_agreement(comparison.agreement)))
    cards = "".join(card for _, card in sorted(cards, key=lambda pair: pair[0]))
    return (
        f'<section aria-label="In numbers"><div class="cards">{cards}</div></section>\n'
    )


def _rank(quantity, timed):
    if quantity.unit == "metric":
        return _LOSS if _mode_of(quantity.title) == "min" else _ACCURACY
    if quantity in timed:  # where the model will run comes before where it was made
        return _RUNTIME
    return _COST if quantity.unit == "count" else _MEASURED


def _render_card(quantity):
    title = html.escape(_title(quantity))
    if not quantity.is_known:
        body = f'<dd class="soft">{html.escape(quantity.why_unknown)}</dd>'
        return f'<dl class="card"><dt>{title}</dt>{body}</dl>'
    (before, after), change = _texts(quantity)
    largest = max(quantity.before, quantity.after)
    bar = ""
    # A bar is an amount, which a negative number is not.
    if min(quantity.before, quantity.after) >= 0 < largest:
        # An accuracy is a share of the whole, whatever it was before.
        largest = 1.0 if _is_accuracy(quantity) else largest
        label = f"{title}: {before} before, {after} after"
        bar = draw_bar(quantity.before, quantity.after, largest, label)
    change = f'<span class="change {_judge(quantity)}">{change}</span>'
    spread = getattr(quantity, "spread", "")
    spread = f'<dd class="soft">{html.escape(spread)}</dd>' if spread else ""
    return (
        f'<dl class="card"><dt>{title}</dt><dd class="value">{after}</dd>'
        f'<dd>{bar}<span class="was-text">from {before}</span> {change}</dd>'
        f"{spread}</dl>"
    )


def _render_agreement(agreement):
    """Returns the card of how often two models agree."""
    count = f"{agreement.num_examples:,} {agreement.examples}"
    share = f"{max(agreement.share, 0):.1%}"
    if agreement.num_classes:
        title, what = "agreement", f"of {count}: both name the same class"
    else:
        title, what = "output kept", f"of its variance, on {count}"
    bar = draw_bar(1, max(agreement.share, 0), 1, f"{title}: {share} {what}")
    kind = "bad" if not agreement.share >= agreement.lowest else ""
    return (
        f'<dl class="card"><dt>{title}</dt><dd class="value {kind}">{share}</dd>'
        f'<dd>{bar}<span class="was-text">{html.escape(what)}</span></dd></dl>'
    )


def _texts(quantity):
    """Returns the texts before and after, and that of the change."""
    if not _is_accuracy(quantity):
        return quantity.texts, quantity.change
    before, after = quantity.before, quantity.after
    points = f"{100 * (after - before):+.1f} points"
    return (f"{before:.1%}", f"{after:.1%}"), points


def _is_accuracy(quantity):
    """Returns whether a quantity is a share that is read as a percentage."""
    named = "acc" in quantity.title.lower() and quantity.unit == "metric"
    return named and all(0 <= v <= 1 for v in (quantity.before, quantity.after))


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
