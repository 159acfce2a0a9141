"""Times the files of `write_latency_pieces` on a device, and writes a table of them.

Needs Python, NumPy, and ai-edge-litert or tflite-runtime; nothing of Keras:

    python time_pieces.py --threads 2 --output table.json
"""

import argparse
import json
import pathlib
import platform
import time

import numpy as np

FEWEST, LEAST_SECONDS = 3, 3e-4  # turns, and seconds of a sample


def find_interpreter():
    """Returns the class of the interpreter that is installed, and its name."""
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, "LiteRT"
    except ImportError:
        from tflite_runtime.interpreter import Interpreter

        return Interpreter, "TensorFlow Lite"


def open_file(interpreter, path, threads):
    """Returns a function that runs a file once, on random inputs."""
    opened = interpreter(model_path=str(path), num_threads=threads)
    opened.allocate_tensors()
    generator = np.random.default_rng(0)
    for details in opened.get_input_details():
        values = generator.random(details["shape"])
        if details["quantization"][0]:  # between the ends of its range
            values = 255 * values - 128
        elif np.issubdtype(details["dtype"], np.integer):
            values = 0 * values  # any other number could be none of an embedding's
        opened.set_tensor(details["index"], values.astype(details["dtype"]))
    opened.invoke()
    return opened.invoke


def time_in_turn(runs, max_seconds):
    """Returns the seconds of functions that take turns: of each the fastest sample."""
    repeats = [max(1, int(LEAST_SECONDS / max(sample(run, 1), 1e-7))) for run in runs]
    start, samples = time.perf_counter(), []
    while len(samples) < FEWEST or time.perf_counter() - start < max_seconds:
        samples.append([sample(*pair) for pair in zip(runs, repeats)])  # noqa: B905
    return np.min(samples, axis=0).tolist()


def sample(run, repeats):
    """Returns the seconds of one run, as the mean of some."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def main(arguments=None):
    """Reads manifest.json beside this script, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="in all, about")
    parser.add_argument("--output", default="table.json")
    parser.add_argument("--folder", default=str(pathlib.Path(__file__).parent))
    options = parser.parse_args(arguments)
    folder = pathlib.Path(options.folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    interpreter, name = find_interpreter()
    files = manifest["files"]
    runs = [open_file(interpreter, folder / file, options.threads) for file in files]
    seconds = time_in_turn(runs, options.seconds)
    table = {
        "format": manifest["table_format"],
        **manifest["table"],
        "description": f"{name}, {manifest['numbers']}, batch of 1, "
        f"{options.threads} thread{'s' if options.threads > 1 else ''}, "
        f"{platform.processor() or platform.machine()} ({platform.node()})",
        "runtime": None,
        "overhead": seconds[manifest["overhead"]],
        "whole": [seconds[number] for number in manifest["whole"]],
        "pieces": {
            piece: [None if number is None else seconds[number] for number in numbers]
            for piece, numbers in manifest["pieces"].items()
        },
    }
    pathlib.Path(options.output).write_text(json.dumps(table), encoding="utf-8")
    print(f"{len(files)} files timed, {options.output} written")


if __name__ == "__main__":
    main()
