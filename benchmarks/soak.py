"""Random networks through everything, under random settings: is anything ever wrong?

    python benchmarks/soak.py [--minutes 10] [--cases N] [--seed 0] [--output DIR]
    python benchmarks/soak.py --case NUMBER [--seed 0]    # one again, with its row
    python benchmarks/soak.py --redo                      # those that were wrong
    python benchmarks/soak.py --memory                    # see soak_memory.py

A case is a random graph of tests/random_graphs.py (branches, joins, shared layers,
models within models; every layer type and operation that is registered, and those that
are locked), or a network of tests/models.py. It is ranked (every game, estimator and
baseline, at small settings), pruned under a random budget, repaired, compared, saved
and loaded, and trained for one step. One of ten is exported as a SavedModel, another
one as a LiteRT file, and both are run. What is counted:

    mismatch   masked, pruned, loaded, exported: two of them do not compute the same,
               or the original was changed
    crash      an error that is not a `ValueError` about an argument
    cost       parameters, FLOPs or bytes are not what the plan predicts
    miss       the plan is not what the budget asks for, and no warning says so

A case is refused where a documented `ValueError` says why. Cases run in processes of
their own, some after another in one; one that dies is a crash. Each depends on the seed
and its number alone. Rows go to soak.csv as they are measured; the same command goes on
behind the last one. Needs the packages of `pip install .[test]`. Prints a table; the
exit code is 1 if anything is wrong.
"""

import argparse
import collections
import csv
import multiprocessing
import os
import pathlib
import signal
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FIELDS = """seed number outcome kind detail network policy ranker repair groups units
    masked saved served lite skipped seconds""".split()
KINDS = ("mismatch", "crash", "cost", "miss")
CHECKS = ("masked", "saved", "served", "lite")
A_PROCESS = 50  # cases: TensorFlow keeps something of every network
PATIENCE = 600  # seconds without a row before a process is given up


def run_cases(sender, seed, numbers):
    """Runs cases in this process, and sends their rows."""
    # What is printed is the parent's: TensorFlow and its converter say a lot.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    from soak_case import run_case  # not above: the parent needs no TensorFlow

    for number in numbers:
        sender.send(run_case(seed, number))


def run_in_children(seed, numbers, until=float("inf")):
    """Yields the rows of cases, each as soon as it is there.

    Args:
        seed: Integer.
        numbers: List of integers.
        until: Float, the time, as of `time.monotonic`, at which no case is begun.
    """
    context = multiprocessing.get_context("spawn")
    while numbers and time.monotonic() < until:
        receiver, sender = context.Pipe(duplex=False)
        some = numbers[:A_PROCESS]
        child = context.Process(target=run_cases, args=(sender, seed, some))
        child.start()
        sender.close()
        try:
            for row in _receive(receiver, child, some):
                numbers = numbers[1:]
                yield {"seed": seed} | row
                if time.monotonic() >= until:
                    break
        finally:
            child.kill()
            child.join()


def _receive(receiver, child, numbers):
    """Yields what a process sends; of a case at which it died, a row that says so."""
    for number in numbers:
        try:
            row = receiver.recv() if receiver.poll(PATIENCE) else None
        except EOFError:
            row = None
        if row is None:
            child.join(1)
            code = child.exitcode
            died = code is not None
            name = signal.Signals(-code).name if died and code < 0 else f"exit {code}"
            what = f"the process died: {name}" if died else "no end"
            yield {"number": number, "outcome": "wrong", "kind": "crash"} | {
                "detail": what
            }
            return
        yield row


class Table:
    """The rows of soak.csv, each written when it is there.

    Args:
        path: `pathlib.Path`. A last line that was not finished is removed.
    """

    def __init__(self, path):
        self.path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.DictReader(whole.splitlines()))
        self.rows = [row for row in rows if row.get("seconds") not in (None, "")]
        self._write()

    def _write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".tmp")
        with beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        beside.replace(self.path)

    def drop_wrong(self, seed):
        """Removes the rows of a seed that are wrong, and returns their numbers."""
        wrong = [row for row in self.of_seed(seed) if row["outcome"] == "wrong"]
        self.rows = [row for row in self.rows if row not in wrong]
        self._write()
        return [int(row["number"]) for row in wrong]

    def of_seed(self, seed):
        """Returns the rows of a seed."""
        return [row for row in self.rows if row["seed"] == str(seed)]

    def add(self, row):
        """Appends a row, in one write."""
        # Not the settings, which the number gives again.
        row = {field: str(row.get(field, "")) for field in FIELDS}
        row["seconds"] = row["seconds"] or "0"
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, FIELDS, lineterminator="\n").writerow(row)


def summarize(rows):
    """Returns the Markdown of all cases, a string.

    Args:
        rows: List of dicts of strings, as they are read from the CSV.
    """
    count = collections.Counter(row["outcome"] for row in rows)
    kinds = collections.Counter(row["kind"] for row in rows)
    seconds = [float(row["seconds"]) for row in rows] or [0.0]
    refused = count["refused"] / max(len(rows), 1)
    lines = [
        f"{len(rows)} cases, {count['ok']} run to the end, {count['refused']} refused "
        f"({refused:.1%}), {count['wrong']} wrong; {statistics.mean(seconds):.1f} CPU "
        "seconds a case.",
        "",
        "| wrong | cases |",
        "|---|---|",
        *[f"| {kind} | {kinds[kind]} |" for kind in KINDS],
        "",
        "| compared | cases | exactly equal | largest difference |",
        "|---|---|---|---|",
        *[_summarize_check(name, rows) for name in CHECKS],
    ]
    for title, outcome in (("Refused", "refused"), ("Wrong", "wrong")):
        lines += ["", f"{title}:", *_list_details(rows, outcome)]
    skipped = collections.Counter(
        part.strip()[:90] for row in rows for part in row["skipped"].split("; ") if part
    )
    lines += ["", "Not compared, as the original cannot be copied either:"]
    lines += [f"- {text} ×{number}" for text, number in skipped.most_common(12)]
    return "\n".join(lines)


def _summarize_check(name, rows):
    done = [float(row[name]) for row in rows if row[name]]
    equal = sum(value == 0 for value in done)
    return f"| {name} | {len(done)} | {equal} | {max(done, default=0):.0e} |"


def _list_details(rows, outcome):
    """Returns what was said, each with its cases, the most frequent first."""
    numbers = collections.defaultdict(list)
    for row in rows:
        if row["outcome"] == outcome:
            numbers[row["detail"][:100]].append(row["number"])
    entries = sorted(numbers.items(), key=lambda entry: -len(entry[1]))
    return [f"- {text} (case {', '.join(some[:5])})" for text, some in entries] or ["-"]


def choose(options, table):
    """Returns the numbers of the cases that are to be run, a list."""
    done = {int(row["number"]) for row in table.of_seed(options.seed)}
    if options.redo:
        return sorted(set(table.drop_wrong(options.seed)))
    # With no number of cases, the minutes end it.
    return [n for n in range(options.cases or 10**6) if n not in done]


def parse_arguments():
    """Returns the parsed options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="10, if --cases is not given")
    parser.add_argument("--cases", type=int, help="how many there are to be in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="the number of one case to run again")
    parser.add_argument("--redo", action="store_true", help="run wrong ones again")
    parser.add_argument("--memory", action="store_true", help="see soak_memory.py")
    parser.add_argument("--output", type=pathlib.Path, default="benchmarks/results")
    options = parser.parse_args()
    if options.minutes is None and not (options.cases or options.redo):
        options.minutes = 10
    return options


def main():
    options = parse_arguments()
    if options.memory:
        from soak_memory import measure_all

        sys.exit(measure_all(options.output))
    if options.case is not None:
        (row,) = run_in_children(options.seed, [options.case])
        print("\n".join(f"{name:9} {value}" for name, value in row.items()))
        sys.exit(row["outcome"] == "wrong")
    table = Table(options.output / "soak.csv")
    until = time.monotonic() + 60 * (options.minutes or float("inf"))
    for row in run_in_children(options.seed, choose(options, table), until):
        table.add(row)
        if row["outcome"] == "wrong":
            print(f"case {row['number']}: {row['kind']}: {row['detail']}", flush=True)
    rows = table.of_seed(options.seed)
    print(summarize(rows))
    sys.exit(any(row["outcome"] == "wrong" for row in rows))


if __name__ == "__main__":
    main()
