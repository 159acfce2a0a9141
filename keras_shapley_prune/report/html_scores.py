"""The scores on the page: a chart for each group that has any."""

import html

from keras_shapley_prune.report.html_charts import draw_scores
from keras_shapley_prune.report.html_layers import breakable, tell_prefix
from keras_shapley_prune.report.short_names import drop_prefix

_MOST_NAMES = 3  # of the layers of a group that are written out
_MOST_OPEN = 12  # charts; more are shown when asked for


def render_scores(comparison):
    """Returns the section of the scores, empty if there are none.

    Args:
        comparison: A `Comparison`.
    """
    groups = [group for group in comparison.groups if group.scores is not None]
    if not groups:
        return ""
    names = [group.name for group in groups]
    names += [n for group in groups for n in (*group.producers, *group.consumers)]
    prefix, short = drop_prefix(names)
    method = html.escape(str(comparison.method))
    intro = (
        f"Scores, with standard errors: {method}. Units stand in the order of removal; "
        "pale ones were not sampled, their score is what the loss of each alone costs. "
        "The units of a group are removed together, in all layers that carry them."
        f"{tell_prefix(prefix)}"
    )
    is_open = " open" if len(groups) <= _MOST_OPEN else ""
    count = f"{len(groups)} group{'s' * (len(groups) != 1)}"
    cards = "".join(_render_group(group, short) for group in groups)
    return (
        f'<section><h2>Scores</h2><p class="soft">{intro}</p>'
        f"<details{is_open}><summary>{count}</summary>"
        f'<div class="groups">{cards}</div></details></section>\n'
    )


def _render_group(group, short):
    before, after = group.units
    return (
        f'<figure class="card"><figcaption><h3>{breakable(short[group.name])}: '
        f"{before:,} → {after:,}</h3>"
        f'<p class="soft">from {_list(group.producers, short)}<br>'
        f"to {_list(group.consumers, short)}</p></figcaption>"
        f"{draw_scores(group)}</figure>"
    )


def _list(names, short):
    # The group of a residual stage may have dozens of producers.
    shown = ", ".join(breakable(short[name]) for name in names[:_MOST_NAMES])
    rest = len(names) - _MOST_NAMES
    return (shown or "nothing") + (f" and {rest} more" if rest > 0 else "")
