"""The comparison with other pruning packages: docs/peers.md.

    python benchmarks/peers/run.py [--pretrained DIR] [--steps NAME ...] [--table]

Each peer runs in an environment of its own, a folder of --environments; where one is
missing, the commands that make it are printed, and what needs it is left out. Steps
append to peers.csv and leave out the rows that are there. `--table` only prints it.
"""

import argparse
import pathlib
import subprocess
import sys

import latency_table
import table

TORCHPRUNER = "git+https://github.com/marcoancona/TorchPruner@65f6e3a"
ENVIRONMENTS = {  # name: Python, what pip installs, one call each
    "keras": (
        "3.11",
        "tensorflow==2.21.0 keras==3.15.1 tf_keras==2.21.0 "
        "tensorflow-model-optimization==0.8.1",
        "--no-deps kerassurgeon==0.2.0 importlib-metadata==1.7.0 zipp",
    ),
    "surgeon": ("3.11", "kerassurgeon==0.2.0"),
    "surgeon38": ("3.8", "tensorflow==2.3.4 'protobuf<3.21' kerassurgeon==0.2.0"),
    "mct": ("3.11", "tensorflow==2.21.0 model-compression-toolkit==2.6.1"),
    "mct215": ("3.11", "tensorflow==2.15.1 model-compression-toolkit==2.6.1"),
    "torch": (
        "3.11",
        "torch==2.13.0 torch-pruning==1.6.1 model-compression-toolkit==2.6.1",
        TORCHPRUNER,
    ),
    "zoo": (
        "3.11",
        "torch==2.14.1 torchvision==0.29.1 torch-pruning==1.6.1 "
        "model-compression-toolkit==2.6.1",
    ),
}
SCRIPT = "torch_pruning_rows.py"
NORMS = ("--methods", "L1 norm", "group L2 norm")
STEPS = {  # name: environment (None: ours), script, arguments
    "export": (None, "export.py"),
    "installs": (None, "installs.py"),
    "ours": (None, "ours.py", "--methods", "default"),
    "ours, L1 norm": (None, "ours.py", "--methods", "l1_norm", "--seeds", "1"),
    "Torch-Pruning": (
        "torch",
        SCRIPT,
        *"--networks resnet20 --layers inside --seeds 3".split(),
    ),
    "Torch-Pruning, all layers": (
        "torch",
        SCRIPT,
        *(*"--networks resnet20 --layers all".split(), *NORMS, "OBD-C"),
    ),
    "Torch-Pruning, plain network": (
        "torch",
        SCRIPT,
        *("--networks", "cnn", *NORMS, "Taylor"),
    ),
    "Torch-Pruning, finetuned": (
        "torch",
        SCRIPT,
        *"--finetune --networks resnet20 --layers inside --of channels".split(),
        *("--methods", "L1 norm"),
    ),
    "TorchPruner": ("torch", "torchpruner_rows.py"),
    "Sony MCT": ("zoo", "mct_rows.py"),
    "tfmot": ("keras", "tfmot_rows.py"),
    "cost": (None, "cost.py"),
    "equal latency": (None, "equal_latency.py"),
    "equal latency, Taylor": (
        None,
        "equal_latency.py",
        *"--layers inside --of global --methods Taylor --seeds 1".split(),
    ),
    "equal latency, our repair": (
        None,
        "equal_latency.py",
        *"--repairs least_squares".split(),
    ),
    "equal latency, trained": (
        None,
        "equal_latency.py",
        *"--repairs trained --layers inside --of channels --methods".split(),
        "L1 norm",
    ),
    "equal latency, all layers trained": (
        None,
        "equal_latency.py",
        *"--repairs trained --layers all --methods".split(),
        "group L2 norm",
    ),
    "masked == pruned": ("zoo", "masked_equals_pruned.py"),
}
WITH_DATA = ("export.py", "ours.py", "cost.py", "equal_latency.py", "tfmot_rows.py")
WITH_ENVIRONMENTS = ("installs.py", "cost.py", "equal_latency.py")


def print_missing(folder):
    """Prints the commands that make the environments that are not there."""
    for name, (version, *installs) in ENVIRONMENTS.items():
        if not (folder / name / "bin" / "python").exists():
            print(f"no {folder / name}; it is made by")
            print(f"  python{version} -m venv {folder / name}")
            for packages in installs:
                print(f"  {folder / name}/bin/pip install {packages}")


def run(step, args):
    """Runs one step in its environment."""
    environment, script, *arguments = STEPS[step]
    python = pathlib.Path(sys.executable)
    if environment:
        python = args.environments / environment / "bin" / "python"
    if not python.exists():
        print(f"left out, no environment: {step}")
        return
    command = [python, pathlib.Path(__file__).parent / script, *arguments]
    command += ["--output", args.output]
    if script in WITH_DATA:
        command += ["--pretrained", args.pretrained]
    if script in WITH_ENVIRONMENTS:
        command += ["--environments", args.environments]
    print(f"== {step}", flush=True)
    subprocess.run([str(part) for part in command], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--environments", type=pathlib.Path, default="/root/peers")
    parser.add_argument("--pretrained", default="../shared/data")
    output = pathlib.Path("benchmarks/results")
    parser.add_argument("--output", type=pathlib.Path, default=output)
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if not args.table:
        print_missing(args.environments)
        for step in args.steps:
            run(step, args)
    table.print_table(table.read(args.output / "peers.csv"))
    print("\nHalf of the time in LiteRT\n")
    print(*latency_table.make_lines(args.output), sep="\n")


if __name__ == "__main__":
    main()
