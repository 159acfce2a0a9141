"""Resident memory over 50 calls of each kind: `python benchmarks/soak.py --memory`.

Each kind runs in a process of its own, always on the same network and data. What the
process holds after the 10th call, when TensorFlow and its allocator have what they
need, is compared with what it holds after the 50th. Garbage is collected before, and
what the C library has free is given back: it keeps small pieces between others for the
next call, so that resident memory grows for a while though nothing is held. Both are
in the table, with these pieces (as a process is seen from outside) and without, and
`in_use`, by how much the bytes grow that the C library has handed out and that have not
come back. All threads share one heap: where each has one of its own, the free pieces
turn up in another heap each time (0.09 to 0.13 MiB a call with `Mimic`, of which 0.001
are held).

A call that keeps its pruned network for good holds at least that network's weights,
and everything that keeps a network keeps more than these. So growth without the free
pieces is flat below half of the weights of the smallest network that a call makes.
Kinds that are in soak_memory.csv are not measured again.
"""

import contextlib
import csv
import ctypes
import functools
import gc
import multiprocessing
import os
import pathlib
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FIELDS = "kind first last with_free growth in_use limit verdict seconds".split()
FIRST, LAST = 10, 50  # calls after which memory is read
RATIO = 0.5
SHARE = 0.5  # of the pruned network's weights, a call: what is flat
MIB = 2**20


def make_network():
    """Returns a compiled classifier of 8 x 8 images, of about 1 MiB of weights."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    network = [
        keras.Input((8, 8, 3)),
        layers.Conv2D(32, 3, padding="same", name="first"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(64, 3, padding="same", activation="relu", name="second"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(384, activation="relu", name="third"),
        layers.Dense(512, activation="relu", name="fourth"),
        layers.Dense(10, activation="softmax", name="classes"),
    ]
    model = keras.Sequential(network)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def make_data(num_examples=16):
    """Returns `(x, y)`, random."""
    import numpy as np

    generator = np.random.default_rng(0)
    x = generator.normal(size=(num_examples, 8, 8, 3)).astype("float32")
    return x, generator.integers(0, 10, num_examples)


def open_kinds():
    """Returns a dict: kind -> function that does it once, and returns nothing."""
    import keras

    import keras_shapley_prune as ksp

    model, data = make_network(), make_data()
    pruned = ksp.prune(model, data, RATIO, ranker="l1_norm", repair=None, verbose=0)
    channel_map = ksp.trace_channels(model)
    keep = channel_map.without(())
    for group in channel_map.groups:
        keep[group.units[::2]] = False

    class Code(keras.Model):
        """A model without a graph, of the same layers."""

        def __init__(self):
            super().__init__()
            self.steps = list(model.layers)

        def call(self, inputs):
            x = inputs
            for layer in self.steps:
                x = layer(x)
            return x

    code = Code()
    code(data[0])
    prune = functools.partial(
        ksp.prune, model, data, RATIO, ranker="l1_norm", repair=None, verbose=0
    )
    rank = functools.partial(prune, layers=["first", "second"])
    gradient = ksp.estimators.Gradient()
    repairs = ["mean", "batchnorm", "least_squares"]
    return {
        "prune, repair=None, l1_norm": prune,
        **{f"prune, repair={r!r}": functools.partial(prune, repair=r) for r in repairs},
        "prune, repair=Mimic(3 steps)": lambda: prune(repair=ksp.Mimic(3)),
        "prune, ranker=reconstruction": lambda: rank(ranker=ksp.ShapleyRanker()),
        "prune, ranker=loss": lambda: rank(ranker=ksp.ShapleyRanker("loss", gradient)),
        "prune, ranker=kl": lambda: rank(ranker=ksp.ShapleyRanker("kl", gradient)),
        "prune, keep_optimizer": lambda: prune(keep_optimizer=True),
        "trace_channels": lambda: ksp.trace_channels(model),
        "mask_channels": lambda: ksp.mask_channels(model, keep),
        "remove_channels": lambda: ksp.remove_channels(model, keep),
        "compare": lambda: ksp.compare(model, pruned, verbose=0),
        "to_functional": lambda: ksp.to_functional(code),
        "verify_removal": lambda: ksp.verify_removal(
            model, ksp.remove_channels(model, keep), keep, data[0]
        ),
    }


def measure(sender, kind):
    """Measures a kind in this process, and sends its row."""
    import warnings

    warnings.simplefilter("ignore")
    began = time.process_time()
    call = open_kinds()[kind]
    seen, held, used = {}, {}, {}
    for number in range(1, LAST + 1):
        call()
        if number in (FIRST, LAST):
            gc.collect()
            seen[number] = read_memory()
            give_back()
            held[number], used[number] = read_memory(), read_in_use()
    with_free, growth, in_use = (
        (memory[LAST] - memory[FIRST]) / (LAST - FIRST) for memory in (seen, held, used)
    )
    sender.send(
        {
            "kind": kind,
            "first": f"{held[FIRST]:.1f}",
            "last": f"{held[LAST]:.1f}",
            "with_free": f"{with_free:.3f}",
            "growth": f"{growth:.3f}",
            "in_use": f"{in_use:.3f}",
            "limit": f"{find_limit():.3f}",
            "verdict": "flat" if max(growth, in_use) < find_limit() else "grows",
            "seconds": f"{time.process_time() - began:.0f}",
        }
    )


def give_back():
    """Lets the C library give back to the system what it has free; glibc only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def find_limit():
    """Returns how many MiB a call may add: see the module's docstring."""
    weights = sum(weight.numpy().nbytes for weight in make_network().weights)
    # Half of the units are removed on both sides of most kernels.
    return SHARE * (1 - RATIO) ** 2 * weights / MIB


def read_memory():
    """Returns how many MiB this process has in memory; Linux only."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


class _Heaps(ctypes.Structure):
    """What glibc's `mallinfo2` returns: numbers of pieces and bytes of all heaps."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks "
        "fordblks keepcost".split()
    ]


def read_in_use():
    """Returns how many MiB have been handed out and not come back; 0 without glibc."""
    try:
        find = ctypes.CDLL("libc.so.6").mallinfo2
    except (OSError, AttributeError):
        return 0.0
    find.restype = _Heaps
    heaps = find()
    return (heaps.uordblks + heaps.hblkhd) / MIB


def list_kinds():
    """Returns the names of all kinds, as a process of its own knows them."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send_kinds, args=(sender,))
    child.start()
    kinds = receiver.recv()
    child.join()
    return kinds


def _send_kinds(sender):
    sender.send(list(open_kinds()))


def measure_all(output):
    """Measures every kind, prints a table, and returns whether any of them grows.

    Args:
        output: `pathlib.Path`, the folder of soak_memory.csv.
    """
    # Python's own allocator keeps free pieces, too, and cannot give them back.
    os.environ["PYTHONMALLOC"] = "malloc"  # for the children
    os.environ["MALLOC_ARENA_MAX"] = "1"
    context, path = multiprocessing.get_context("spawn"), output / "soak_memory.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    for kind in list_kinds():
        if kind in [row["kind"] for row in rows]:
            continue
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=measure, args=(sender, kind))
        child.start()
        sender.close()
        rows.append(receiver.recv())
        child.join()
        write_rows(path, rows)
    print("| kind | MiB after 10 | after 50 | a call, with free | a call | limit | |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row[name] for name in FIELDS[:-1]) + " |")
    return any(row["verdict"] != "flat" for row in rows)


def write_rows(path, rows):
    """Writes the table so far."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
