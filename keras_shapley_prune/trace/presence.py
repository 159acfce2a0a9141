"""Which calls are still there once some inputs of additions have been removed."""

ALWAYS = frozenset({frozenset()})  # there, whatever is removed
NEVER = frozenset()


def find_presence(graph, edges):
    """Finds out on which of some removable inputs it depends whether a call is needed.

    A call is needed if an output of the model can be reached from it. A nested model
    that is needed needs all that enters it, and returns all that it returns: its
    signature remains.

    Args:
        graph: A `Graph`.
        edges: Dict: `(call index, input position)` that can be removed -> unit.

    Returns:
        Dict: index of a call that may not be needed -> frozenset of clauses, each a
        frozenset of units. The call is there if all units of one of them are.
    """
    live, before, found = dict.fromkeys(graph.outputs, ALWAYS), None, {}
    # What nested models need may be known only after the calls in them have been
    # looked at: until nothing changes any more.
    while live != before:
        before, found = dict(live), {}
        for nested in graph.nested:
            whole = present_if_any(live.get(tensor, NEVER) for tensor in nested.outputs)
            for tensor in (*nested.inputs, *nested.outputs):
                live[tensor] = _either(live.get(tensor, NEVER), whole)
        for call in reversed(graph.calls):
            clauses = present_if_any(live.get(tensor, NEVER) for tensor in call.outputs)
            if clauses != ALWAYS:
                found[call.index] = clauses
            for position, tensor in enumerate(call.inputs):
                unit = edges.get((call.index, position))
                needed = clauses if unit is None else _and(clauses, unit)
                live[tensor] = _either(live.get(tensor, NEVER), needed)
        if not graph.nested:  # calls are in running order: one pass finds all
            break
    return found


def is_present(clauses, keep):
    """Returns whether a call is there if only some units are.

    Args:
        clauses: Frozenset of frozensets of units, see `find_presence`.
        keep: Boolean array, shape `(num_units,)`.
    """
    return any(all(keep[unit] for unit in clause) for clause in clauses)


def present_if_any(several):
    """Returns the clauses of what is there if one of several calls is.

    Args:
        several: Iterable of the clauses of these calls.
    """
    found = NEVER
    for clauses in several:
        found = _either(found, clauses)
    return found


def _either(clauses, others):
    """Returns clauses of which one is met if one of either is, none implied by another.

    So what is always there is `ALWAYS`, and two ways to say the same are equal.
    """
    if clauses is others or not others:
        return clauses
    if not clauses or ALWAYS in (clauses, others):
        return others if not clauses else ALWAYS
    both = clauses | others
    return frozenset(c for c in both if not any(other < c for other in both))


def _and(clauses, unit):
    one = frozenset({unit})
    return _either(NEVER, frozenset(clause | one for clause in clauses))
