"""What pruning costs in each package: CPU seconds and memory, in one run.

    python benchmarks/peers/cost.py [--environments DIR] [--networks resnet20 cnn]

Half of the channels of each layer, from the same 200 images, one thread, each time in
a process of its own. Needs what `export.py` wrote, and of `run.py` the environment
"torch". Writes peers_cost.csv.
"""

import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys

import table

WAYS = {  # name of a way in one_cost.py: whether it is Torch-Pruning's
    "ours: default, least squares": False,
    "ours: L1 norm, least squares": False,
    "ours: L1 norm, BatchNorm": False,
    "TP: L1 norm, BatchNorm": True,
}
THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
FIELDS = "cpu_seconds forward_seconds resident_mb peak_mb accuracy".split()


def measure(python, way, network, args):
    """Returns what one_cost.py prints, a dict."""
    script = pathlib.Path(__file__).with_name("one_cost.py")
    command = [python, script, way, network, "--cache", args.cache]
    command += ["--pretrained", args.pretrained]
    done = subprocess.run(
        command,
        env={**os.environ, **dict.fromkeys(THREADS, "1")},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet20", "cnn"])
    parser.add_argument("--environments", type=pathlib.Path, default="/root/peers")
    parser.add_argument("--pretrained", default="../shared/data")
    args = table.parse_arguments(parser)
    rows = []
    print("| | CPU s | forward, CPU s | MB before | peak MB | accuracy |")
    print("|---|---|---|---|---|---|")
    for network in args.networks:
        for way, is_torch in WAYS.items():
            other = args.environments / "torch" / "bin" / "python"
            found = measure(other if is_torch else sys.executable, way, network, args)
            rows.append([network, way, *map(found.get, FIELDS)])
            cells = "{:.2f} | {:.2f} | {:.0f} | {:.0f} | {:.1%}".format(*rows[-1][2:])
            print(f"| {network}, {way} | {cells} |", flush=True)
    with open(args.output / "peers_cost.csv", "w", newline="") as file:
        csv.writer(file).writerows([["network", "way", *FIELDS], *rows])


if __name__ == "__main__":
    main()
