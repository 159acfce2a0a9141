"""Which axes of a reshaped tensor hold what which axes of the original held."""


def match_blocks(before, after):
    """Splits two shapes of as many entries into blocks that correspond.

    A row-major reshape moves entries within blocks of neighbouring axes only: those
    whose lengths multiply to the same number, counted from the last axis on.

    Args:
        before: Tuple of integers, or `None` where a length is unknown.
        after: The same.

    Returns:
        List of pairs of lists, axes of `before` and of `after`. What is left before an
        unknown length is one block.

    Example:

    ```python
    match_blocks((None, 49, 64), (None, 49, 4, 16))  # [([2], [2, 3]), ...]
    ```
    """
    blocks, i, j = [], len(before), len(after)
    while i or j:
        ins, outs, length, other = [], [], 1, 1
        while not (ins and outs and length == other):
            if i and before[i - 1] is not None and (not ins or length < other):
                i -= 1
                ins.insert(0, i)
                length *= before[i]
            elif j and after[j - 1] is not None and (not outs or other < length):
                j -= 1
                outs.insert(0, j)
                other *= after[j]
            else:  # an unknown length, which takes all that is left with it
                ins, outs, i, j = [*range(i), *ins], [*range(j), *outs], 0, 0
                break
        blocks.append((ins, outs))
    return blocks
