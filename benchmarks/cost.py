"""What pruning costs: CPU seconds, forward passes, memory, threads; what it saves.

    python benchmarks/cost.py [--pretrained DIR] [--output benchmarks/results]
    python benchmarks/cost.py --pretrained DIR --cases resnet20 digits  # some rows
    python benchmarks/cost.py --pretrained DIR --threads                # some parts

Four parts; without an option for one of them, all are run:

--table    For each case, in a process of its own with one thread: CPU seconds of
           `prune`, and how often `model.predict` of the same images (the median of
           several calls) fits into them; resident memory before and its peak. The
           README from top to bottom, with the default threads.
--threads  Wall seconds of `prune` with the default threads, and with one BLAS thread;
           alone, and beside two busy processes.
--profile  Where the CPU seconds of the largest case go, and how far each part is from
           the speed of matrix products.
--latency  Latency of one inference at half of the FLOPs against the original, batches
           of 1 and 32; CPU seconds of ranking and of repair against the number of
           images.

The load average stands beside what other programs can disturb. Writes cost.csv,
cost_threads.csv, cost_profile.csv and cost_latency.csv, each when its part is complete.
"""

import argparse
import contextlib
import itertools
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import networks
import numpy as np
from cost_case import CASES

ROOT = pathlib.Path(__file__).resolve().parents[1]
BLAS = ("OPENBLAS_NUM_THREADS",)
ALL_THREADS = (*BLAS, "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
GUIDES = ("steps", "reports", "what_can_be_pruned", "rankers", "command_line")
QUICKSTART = ROOT / "examples" / "quickstart.py"
THREADED, LARGEST = ("resnet20", "digits"), "resnet50_224"
NUM_BUSY = 2


def environment(limited):
    """Returns an environment with one thread of each of these kinds."""
    others = {k: v for k, v in os.environ.items() if k not in ALL_THREADS}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**others, **dict.fromkeys(limited, "1"), "PYTHONPATH": path}


def run_case(name, args, limited=ALL_THREADS, *options):
    """Returns what cost_case.py prints of a case, in a process of its own."""
    script = pathlib.Path(__file__).with_name("cost_case.py")
    command = [sys.executable, script, name, "--pretrained", args.pretrained, *options]
    done = subprocess.run(
        command,
        env=environment(limited),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def load():
    """Returns how many processes wanted a core in the last minute."""
    return round(os.getloadavg()[0], 1)


def measure_table(args):
    """Yields the rows of the table."""
    columns = "before|at most|CPU s|forwards|wall s|MB before|peak MB|load"
    print(f"| | {columns.replace('|', ' | ')} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in args.cases:
        busy = load()
        if name in PAGES:
            *row, measure = PAGES[name]
            row += measure()
        else:
            found, case = run_case(name, args), CASES[name]
            names = "cpu_seconds forwards wall_seconds resident_mb peak_mb"
            row = [case.label, case.before, case.bar, *map(found.get, names.split())]
        row.append(busy)
        digits = zip(row[3:], (2, 1, 1, 0, 0, 1), strict=True)
        numbers = ["-" if x is None else f"{x:.{n}f}" for x, n in digits]
        print("| " + " | ".join([*row[:3], *numbers]) + " |", flush=True)
        yield [name, *row]


def measure_readme(pages=("README.md",), scripts=(QUICKSTART,)):
    """Returns CPU and wall seconds of scripts, and of the Python of some pages."""
    fenced = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    texts = [(ROOT / page).read_text("utf-8") for page in pages]
    code = [block for text in texts for block in fenced.findall(text)]
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "snippets.py"
        program.write_text("\n".join(code), "utf-8")
        before, start = _cpu_of_children(), time.perf_counter()
        for script in (*scripts, program):
            subprocess.run(
                [sys.executable, script],
                cwd=folder,
                env=environment(()),
                stdout=subprocess.DEVNULL,
                check=True,
            )
        wall = time.perf_counter() - start
    return _cpu_of_children() - before, None, wall, None, None


def measure_guides():
    """Returns the same of what tests/readme_test.py runs: the README and its guides."""
    return measure_readme(("README.md", *(f"docs/{name}.md" for name in GUIDES)), ())


PAGES = {  # case: label, before, at most, what measures it
    "readme": ("README, quickstart.py first", "85 s to 15 min", "60 s", measure_readme),
    "guides": ("README, then its guides", "-", "-", measure_guides),
}


def _cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def busy_processes(count):
    """Keeps some cores busy with something else."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measure_threads(args):
    """Yields wall seconds with the default threads and with one BLAS thread."""
    for name, count in itertools.product(THREADED, (0, NUM_BUSY)):
        seconds = {(): [], BLAS: []}
        with busy_processes(count):
            for limited in seconds:
                found = run_case(name, args, limited, "--wall")
                seconds[limited] += found["seconds"]
        default, one = (float(np.median(seconds[limited])) for limited in ((), BLAS))
        print(
            f"{CASES[name].label}, beside {count} busy processes: default "
            f"{default:.1f} s, one BLAS thread {one:.1f} s, ratio {default / one:.2f} "
            f"(at most 1.1), load {load()}",
            flush=True,
        )
        yield name, count, default, one, default / one, load()


def measure_profile(args):
    """Yields the rows of the profile of the largest case."""
    found = run_case(LARGEST, args, ALL_THREADS, "--profile")
    print(f"{CASES[LARGEST].label}: {found['cpu_seconds']:.1f} CPU s, ", end="")
    print(f"of `predict` {found['predict_seconds']:.1f}")
    print("| part | calls | CPU s | forwards | GFLOP | GFLOP/s | of the speed of |")
    print("|---|---|---|---|---|---|---|")
    for part, calls, seconds, forwards, work, rate, kind, share in found["rows"]:
        print(f"| {part} | {calls} | {seconds:.2f} | {forwards:.2f} | ", end="")
        speed = f"{share:.0%} of {kind}" if kind else ""
        numbers = f"{work:.0f} | {rate:.1f}" if kind else " |"
        print(f"{numbers} | {speed} |")
        yield "part", part, calls, seconds, forwards, work, rate, share
    for kind, rate in found["gflops"].items():
        print(f"{kind}: {rate:.1f} GFLOP/s")
        yield "speed", kind, "", "", "", "", rate, ""
    for batch, spent in found["milliseconds_by_batch"].items():
        print(f"batches of {batch}: {spent:.1f} ms of CPU an image")
        yield "ms an image, by batch", batch, "", spent, "", "", "", ""
    for name in found["missing"]:
        print(f"not found in the package: {name}")


def measure_latency(args):
    """Yields the rows of cost_latency.py."""
    import cost_latency

    yield from cost_latency.measure(networks.NETWORKS["resnet20"](args))


PARTS = {  # option: what yields the rows, file, header
    "table": (
        measure_table,
        "cost.csv",
        "case label before at_most cpu_seconds forwards wall_seconds resident_mb "
        "peak_mb load",
    ),
    "threads": (
        measure_threads,
        "cost_threads.csv",
        "case busy_processes default_seconds one_blas_thread_seconds ratio load",
    ),
    "profile": (
        measure_profile,
        "cost_profile.csv",
        "what name calls cpu_seconds forwards gflop gflop_per_second share_of_speed",
    ),
    "latency": (
        measure_latency,
        "cost_latency.csv",
        "network what first second total_or_ratio",
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [*CASES, *PAGES]
    parser.add_argument("--cases", nargs="+", choices=names, help="rows of the table")
    for part in PARTS:
        parser.add_argument(f"--{part}", action="store_true")
    args = networks.parse_arguments(parser)
    chosen = [part for part in PARTS if getattr(args, part)]
    if not chosen:
        chosen = ["table"] if args.cases else list(PARTS)
    whole, args.cases = not args.cases, args.cases or names
    for part in chosen:
        measure, file, header = PARTS[part]
        print(f"\n== {part}", flush=True)
        rows = list(measure(args))
        if part != "table" or whole:  # some rows are no results
            networks.write_csv(args.output / file, header, rows)


if __name__ == "__main__":
    main()
