"""Which call of a pruned network stands for which of the original."""


def pair_calls(calls, others):
    """Returns a dict: call of a pruned network -> that of the original.

    By their names, and calls of one name in their order: what has gone with a block has
    no partner, and calls side by side may be in another order without it.

    Args:
        calls: Sequence of the `Call`s of the original, in running order; those that
            have gone may be left out, if they are known.
        others: Sequence of those of the pruned network.

    Returns:
        The dict; `None` if a call of the pruned network has no partner, or a call has
        gone of which others have the name, so that it is not known which.
    """
    ours, theirs = _by_name(calls), _by_name(others)
    pairs = {}
    for name, found in theirs.items():
        if len(ours.get(name, ())) != len(found):
            return None
        pairs.update(zip(found, ours[name], strict=True))
    return pairs


def _by_name(calls):
    named = {}
    for call in calls:
        named.setdefault(call.name, []).append(call)
    return named
