"""How much of what a network computes is held at a time."""

import os

from keras_shapley_prune.inputs.arguments import check_integer

SHARE = 4  # a quarter of what is free
LARGEST = 2**30  # more saves next to nothing


def resolve_memory(memory=None):
    """Returns how many bytes of activations may be held.

    Args:
        memory: Integer, or `None` for a quarter of what is free, at most 1 GiB.

    Raises:
        ValueError: If `memory` is something else.
    """
    if memory is None:
        return min(free_memory() // SHARE, LARGEST)
    check_integer("memory", memory, 1)
    return memory


def free_memory():
    """Returns how many bytes of memory are free, or can be made so."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            fields = dict(line.split(":") for line in lines)
        return 1024 * int(fields["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):  # not Linux: half of what there is
        try:
            pages = os.sysconf("SC_PHYS_PAGES")
            return os.sysconf("SC_PAGE_SIZE") * pages // 2
        except (AttributeError, OSError, ValueError):
            return SHARE * LARGEST
