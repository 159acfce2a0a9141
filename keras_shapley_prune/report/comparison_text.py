"""A comparison as text: a table of layers, and the numbers of the whole model."""

from keras_shapley_prune.trace.lock_text import group_reasons, name_some


def render_text(comparison):
    """Returns what `print` shows of a `Comparison`.

    Args:
        comparison: A `Comparison`.
    """
    titles = [quantity.title for quantity in comparison.quantities]
    # Names of layers, locks and quantities share the first column.
    width = max([len(name) for name in [*comparison.units, *comparison.locks, *titles]])
    lines = [f"!! {alarm}" for alarm in comparison.alarms]
    lines.append(f"{'layer':{width}}  {'units':>15}")
    told, without = _tell_locks(comparison.units, comparison.locks)
    for name, (before, after) in comparison.units.items():
        reason = f"  {told[name]}" if name in told else ""
        lines.append(f"{name:{width}}  {before:>6} → {after:>6}{reason}")
    for names, reason in without.items():
        lines.append(f"{names:{width}}  {'':>15}  {reason}")
    for quantity in comparison.quantities:
        lines.append(f"{quantity.title:{width}}  {quantity}")
    if comparison.runtime is not None:
        lines.append(f"{'timed by':{width}}  {comparison.runtime.description}")
    if comparison.agreement is not None:
        lines.append(f"{'outputs':{width}}  {comparison.agreement}")
    return "\n".join(lines)


def _tell_locks(units, locks):
    """Returns what to say of locked layers, each reason once.

    Args:
        units: Dict, those that have a row of their own, see `Comparison`.
        locks: Dict: layer name -> reason.

    Returns:
        Tuple of two dicts: layer name -> text, and for layers without a row, several
        names -> text.
    """
    told, without = {}, {}
    for group in group_reasons(locks):
        text = f"locked: {group.reason}"
        for name in [name for name in group.layers if name in units]:
            told[name] = text
            # Those below it are for the same reason.
            text = text if text.startswith("locked as") else f"locked as {name}"
        others = [name for name in group.layers if name not in units]
        if others:
            without[name_some(others)] = text
    return told, without
