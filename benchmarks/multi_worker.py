"""How much faster rankings are with two workers, and what 256 would make of them.

    python benchmarks/multi_worker.py [--games loss default] [--rounds 2]
        [--images 768 2048] [--output benchmarks/results]

Each worker is a process that may use one core: the first core, or the first two. The
work is the same, and both take turns, so that what else the machine does disturbs them
alike. What is timed is `rank` alone, from when all workers are ready. The CPU seconds
of the worker that took most stand beside the wall seconds: they say what the ratio
would be on an idle machine.

The projection splits the time of one worker into what is shared out and what every
worker does by itself (from the CPU seconds of one and of two workers), and adds, for W
workers, the all-reduces of this very ranking: a ring of W passes `2 (W - 1)` messages
along, each of 1 / W of the bytes, at the latency and the rate that are measured here
between two processes. Machines that are connected by a network have others: the table
names both. It is made for this very work, which is over in seconds where there are many
workers, and for a hundred times as many images. Writes multi_worker.csv.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SIZES = (1, 2**14, 2**20)  # numbers of an all-reduce that is timed
PROJECTED = (1, 2, 4, 16, 64, 256)
MOST_BYTES = 2**25  # of samples that wait, see rank/shared_samples.py
# MobileNetV2: the size of the images, and the width. The loss game of all layers of the
# large one would take hours; the default takes seconds where it is small.
NETWORKS = {"loss": ((96, 96, 3), 0.35), "default": ((160, 160, 3), 1.0)}
LAYERS = ("block_1_expand", "block_4_expand", "block_9_expand", "block_13_expand")


def work(game, num_images):
    """Ranks as one of the workers; prints what it took as JSON."""
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_shapley_prune
    from keras_shapley_prune.devices import workers as module

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    keras.utils.set_random_seed(0)
    shape, alpha = NETWORKS[game]
    model = keras.applications.MobileNetV2(shape, alpha, weights=None, classes=10)
    model.compile(loss="sparse_categorical_crossentropy")
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (num_images, *shape)).astype("float32")
    labels = generator.integers(0, 10, num_images)
    ranker = keras_shapley_prune.ShapleyRanker(
        "loss" if game == "loss" else "reconstruction", batch_size=32
    )
    counted = []
    reduce = module.Workers.sum

    def count(self, *arrays):
        if self.count > 1:
            counted.append(sum(np.size(array) for array in arrays))
        return reduce(self, *arrays)

    with strategy.scope():
        workers = module.current_workers()
        seconds = [_time_sum(workers, np.ones(size)) for size in SIZES]
        module.Workers.sum = count
        workers.agree(0)
        wall, cpu = time.perf_counter(), time.process_time()
        ranker.rank(
            model,
            (images, labels),
            layers=LAYERS if game == "loss" else None,
            verbose=0,
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sums = {"num_sums": len(counted), "num_bytes": 8 * sum(counted)}
    print(json.dumps({"wall": wall, "cpu": cpu, "sums": seconds, **sums}))


def _time_sum(workers, array, repeats=20):
    """Returns the seconds of an all-reduce, the median of several."""
    workers.sum(array)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        workers.sum(array)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[repeats // 2]


def run(count, game, num_images):
    """Runs a ranking by some workers; returns what each printed, a list of dicts."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    cluster = {"worker": [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]}
    for one in sockets:
        one.close()
    cores = sorted(os.sched_getaffinity(0))
    processes = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "OPENBLAS_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), os.environ.get("PYTHONPATH", "")]
            ),
            "CORE": str(cores[index % len(cores)]),
        }
        command = [
            sys.executable,
            __file__,
            "--work",
            game,
            "--images",
            str(num_images),
        ]
        processes.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, text=True
            )
        )
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("A worker failed: see above.")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def measure(game, num_images, rounds):
    """Returns the rows of one game: one and two workers in turn."""
    rows = []
    for _ in range(rounds):
        (alone,), both = run(1, game, num_images), run(2, game, num_images)
        wall, cpu = (max(found[kind] for found in both) for kind in ("wall", "cpu"))
        row = {
            "game": game,
            "images": num_images,
            "wall_1": alone["wall"],
            "wall_2": wall,
            "wall_ratio": alone["wall"] / wall,
            "cpu_1": alone["cpu"],
            "cpu_2": cpu,
            "cpu_ratio": alone["cpu"] / cpu,
            "num_sums": both[0]["num_sums"],
            "num_bytes": both[0]["num_bytes"],
            "latency": both[0]["sums"][0],
            "rate": 8 * SIZES[-1] / both[0]["sums"][-1],
            "load": os.getloadavg()[0],
        }
        print(
            f"{game:8} wall {row['wall_1']:6.1f} s / {row['wall_2']:6.1f} s = "
            f"{row['wall_ratio']:.2f}   CPU {row['cpu_1']:6.1f} s / "
            f"{row['cpu_2']:6.1f} s = {row['cpu_ratio']:.2f}   "
            f"{row['num_sums']} all-reduces of {row['num_bytes'] / 1e6:.1f} MB   "
            f"load {row['load']:.1f}",
            flush=True,
        )
        rows.append(row)
    return rows


def project(row, times):
    """Prints how fast many workers rank so many times as many images, see above."""
    shared = 2 * (row["cpu_1"] - row["cpu_2"])
    alone = max(row["cpu_1"] - shared, 0.0)
    shared *= times
    # Samples of all images travel; moments are of one size, however many there are.
    num_bytes = row["num_bytes"] * (times if row["game"] == "loss" else 1)
    num_sums = row["num_sums"] + num_bytes / MOST_BYTES
    print(
        f"{row['game']}, {times * row['images']:,} images: {shared:,.1f} s are shared "
        f"out, {alone:.1f} s are not; an all-reduce of two takes "
        f"{1000 * row['latency']:.1f} ms and {row['rate'] / 1e6:.0f} MB/s"
    )
    for count in PROJECTED:
        # Two workers pass 2 messages: half of what is measured is one of them.
        passes = 2 * (count - 1) * num_sums * row["latency"] / 2
        moved = 2 * (count - 1) / count * num_bytes / row["rate"]
        seconds = alone + shared / count + passes + moved
        print(f"  {count:4} workers: {(alone + shared) / seconds:6.1f} times as fast")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", choices=["loss", "default"], help=argparse.SUPPRESS)
    parser.add_argument("--games", nargs="+", default=["loss", "default"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--images", type=int, nargs="+", default=[768, 2048])
    parser.add_argument("--output", type=pathlib.Path)
    args = parser.parse_args()
    if args.work:
        os.sched_setaffinity(0, {int(os.environ["CORE"])})
        work(args.work, *args.images)
        return
    rows = []
    for game, num_images in zip(args.games, args.images, strict=False):
        found = measure(game, num_images, args.rounds)
        rows += found
        # The round in the middle: what else the machine did may have disturbed others.
        middle = sorted(found, key=lambda row: row["cpu_ratio"])[len(found) // 2]
        for times in (1, 100):
            project(middle, times)
    if args.output is not None:
        import networks

        header = list(rows[0])
        table = [[row[name] for name in header] for row in rows]
        path = args.output / "multi_worker.csv"
        networks.write_csv(path, " ".join(header), table)


if __name__ == "__main__":
    main()
