"""Networks of third-party packages: masked == pruned, how much can be removed, and why.

    pip install kimm kyolo k3im segmodels-keras keras-hub
    python benchmarks/third_party.py [--packages NAME ...] [--only PATTERN ...]
        [--mlperf DIR] [--redo [failed]] [--table] [--output benchmarks/results]

Each constructor of a package is built at the smallest sensible input, with random
weights, and made functional if layers are made of layers. Half of the units of each
group, and then 30 %, are removed at random: what counts is the largest difference
between the outputs of the masked and of the pruned network, relative to the largest
output, which has to be below 1e-4. The share of units removable leaves out those that
are locked as outputs of the model.

Each constructor runs in a process of its own, one after the other. It is given up at
6 GiB or 5 minutes of CPU time. Rows go to third_party.csv as they are measured. What is
in it is not measured again, unless `--redo` says so: all that is selected, or what
failed only. `--table` measures nothing. Prints the table of docs/applications.md.
"""

import argparse
import csv
import fnmatch
import multiprocessing
import os
import pathlib
import re
import resource
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import networks
import third_party_models
from third_party_measures import FIELDS, describe, measure

GIB = 2**30
MAX_GIB = 6
MAX_SECONDS = 300
PRELOADED = "kimm kyolo k3im segmodels_keras keras_hub third_party_measures".split()


def run(constructor, options):
    """Returns the row of a constructor, measured in a process of its own.

    Args:
        constructor: A `Constructor`.
        options: Parsed options.
    """
    began = time.perf_counter()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    key = constructor.package, constructor.name
    child = multiprocessing.Process(
        target=_measure_and_send, args=(sender, *key, options.mlperf)
    )
    child.start()
    sender.close()
    row, peak = None, 0.0
    while row is None and child.is_alive():
        peak = max(peak, read_memory(child.pid))
        if peak > MAX_GIB:
            row = {"status": f"skipped: more than {MAX_GIB} GiB"}
        elif receiver.poll(0.3):
            row = _receive(receiver)
    if row is None and receiver.poll():
        row = _receive(receiver)
    child.kill()
    child.join()
    if row is None:
        too_slow = child.exitcode == -24  # SIGXCPU
        reason = f"skipped: more than {MAX_SECONDS} CPU seconds"
        row = {"status": reason if too_slow else f"crashed: exit {child.exitcode}"}
    named = dict(zip(("package", "name"), key, strict=True), family=constructor.family)
    elapsed = {"seconds": round(time.perf_counter() - began, 1), "gib": round(peak, 2)}
    return named | row | elapsed


def _measure_and_send(sender, package, name, mlperf):
    """Measures a constructor in this process, within its limits, and sends the row."""
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS + 5))
    # By name: builders are closures, which no process can be given.
    constructors = third_party_models.list_constructors([package], mlperf)
    constructor = next(c for c in constructors if c.name == name)
    try:
        row = measure(constructor)
    except Exception as error:  # whatever it is, it is what this row says
        row = {"status": describe(error)}
    sender.send(row)


def _receive(receiver):
    """Returns what a process has sent, `None` if it ended without."""
    try:
        return receiver.recv()
    except EOFError:
        return None


def read_memory(pid):
    """Returns how many GiB a process has in memory; Linux only, elsewhere 0."""
    path = pathlib.Path(f"/proc/{pid}/statm")
    try:
        pages = int(path.read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / GIB


def key_of(row):
    """Returns what tells a row from others."""
    return row["package"], row["name"]


def has_failed(row):
    """Returns whether nothing was pruned and compared, or that was not the same."""
    return row["status"] != "ok"


def select(rows, constructors, redo):
    """Returns which rows are kept, and which constructors are to be measured.

    Args:
        rows: List of dicts, the table so far.
        constructors: List of all `Constructor`s that are selected.
        redo: `None`, `"failed"` or `"all"`.
    """
    chosen = {(c.package, c.name) for c in constructors}

    def is_redone(row):
        again = redo == "all" or (redo == "failed" and has_failed(row))
        return again and key_of(row) in chosen

    kept = [row for row in rows if not is_redone(row)]
    done = {key_of(row) for row in kept}
    return kept, [c for c in constructors if (c.package, c.name) not in done]


def summarize(rows):
    """Returns the Markdown of all families: a sentence, a table, a list of reasons.

    Args:
        rows: List of dicts of strings, as they are read from the CSV.
    """
    families = {}
    for row in sorted(rows, key=key_of):
        families.setdefault((row["package"], row["family"]), []).append(row)
    compared = sum(bool(row["half"]) for row in rows)
    lines = [
        f"{len(rows)} networks, {compared} compared, {_count_mismatches(rows)} "
        "mismatches.",
        "",
        "| family | networks | compared | removable: least, median | difference |",
        "|" + "---|" * 5,
    ]
    lines += [_summarize_family(*key, members) for key, members in families.items()]
    locked = [_list_reasons(*key, members) for key, members in families.items()]
    return "\n".join([*lines, "", *filter(None, locked)])


def _count_mismatches(rows):
    return sum(row["status"].startswith("mismatch") for row in rows)


def _summarize_family(package, family, rows):
    compared = [row for row in rows if row["half"]]
    shares = [float(row["share"]) for row in rows if row["share"]]
    share = f"{min(shares):.1%}, {statistics.median(shares):.1%}" if shares else "–"
    worst = [max(float(row["half"]), float(row["third"])) for row in compared]
    largest = f"{max(worst):.0e}" if worst else "–"
    cells = [f"{package} {family}", len(rows), len(compared), share, largest]
    return f"| {' | '.join(map(str, cells))} |"


def _list_reasons(package, family, rows):
    """Returns an entry of what is locked in a family, `None` if nothing is."""
    measured = [row for row in rows if row["share"]]
    reasons = gather_reasons(measured)[:2]
    # Layers whose units are not even known count by their share of the parameters.
    hidden = max((float(row["unknown"]) for row in measured), default=0)
    if hidden >= 0.005:
        reasons.append(f"up to {hidden:.0%} of the parameters in what is not followed")
    others = {row["status"] for row in rows if has_failed(row)}
    reasons += [status[:100] for status in sorted(others)[:2]]
    return f"- {package} {family}: {'; '.join(reasons)}" if reasons else None


def gather_reasons(rows):
    """Returns the lock reasons of rows with their counts, the most frequent first."""
    counts = {}
    for row in rows:
        for entry in filter(None, row["reasons"].split("; ")):
            reason, _, count = entry.rpartition(" ×")
            # Where it is does not matter here: what is the same is one reason.
            reason = re.sub(r" \(`[^`]*`\)$", "", reason)
            reason = re.sub("`[^`]*`", "…", reason)
            counts[reason] = counts.get(reason, 0) + int(count)
    found = sorted(counts.items(), key=lambda item: -item[1])
    return [f"{reason[:120]} ({count:,})" for reason, count in found]


def parse():
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = list(third_party_models.PACKAGES)
    parser.add_argument("--packages", nargs="+", default=names, choices=names)
    parser.add_argument("--only", nargs="+", default=["*"], help="family or name")
    parser.add_argument(
        "--mlperf", default="../shared/data", help="folder of .h5 files"
    )
    parser.add_argument("--redo", nargs="?", const="all", choices=["all", "failed"])
    parser.add_argument("--table", action="store_true", help="measure nothing")
    output = pathlib.Path("benchmarks/results")
    parser.add_argument("--output", type=pathlib.Path, default=output)
    return parser.parse_args()


def main():
    options = parse()
    path = options.output / "third_party.csv"
    rows = networks.read_csv(path)
    if not options.table:
        # Packages are imported once, and each process is a copy of that one.
        multiprocessing.set_start_method("forkserver")
        multiprocessing.set_forkserver_preload(PRELOADED)
        constructors = [
            constructor
            for constructor in third_party_models.list_constructors(
                options.packages, options.mlperf
            )
            for pattern in [options.only]
            if any(
                fnmatch.fnmatch(word, wanted)
                for wanted in pattern
                for word in (constructor.family, constructor.name)
            )
        ]
        rows, todo = select(rows, constructors, options.redo)
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, restval="")
            writer.writeheader()
            writer.writerows(rows)
            for constructor in todo:
                row = run(constructor, options)
                print(" ".join(f"{row.get(f, '')}" for f in FIELDS), flush=True)
                writer.writerow(row)
                file.flush()
    print(summarize(networks.read_csv(path)))


if __name__ == "__main__":
    main()
