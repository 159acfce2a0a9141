"""Where the seconds of `prune` go, and how far each part is from gemm speed.

Functions of the package are wrapped: a part has the CPU seconds that no other part
inside of it has. The floating-point operations of a part are those that its sizes ask
for: n c^2 for the second moments of n rows of c columns (they are symmetric), c^3/3 for
a Cholesky factorization, 2 for each weight and position of a convolution.
"""

import collections
import functools
import importlib
import time

import numpy as np
import scipy.linalg
import tensorflow as tf

import keras_shapley_prune as ksp
from keras_shapley_prune.plan.flops import count_call_flops

PRODUCT, FACTOR, CONVOLUTION = "x.T @ x", "dpotrf", "convolution"
BATCHES = (8, 16, 32, 64)


def _calls_flops(calls):
    return sum(count_call_flops(call) or 0 for call in calls)


def _watched(network, inputs):
    last = max((position for position, _ in network._watches), default=0)
    return len(inputs[0]) * _calls_flops(network._graph.calls[:last])


def _segment(segments, values, start, end):
    batch = len(next(iter(values.values()))) if values else 0
    return batch * _calls_flops(segments._graph.calls[start:end])


def _gram(gram, rows, targets=None):
    num_rows = int(np.prod(rows.shape[:-1]))
    return num_rows * gram.num_columns * (gram.num_columns + 2 * gram.num_outputs)


def _set_up(game, xx, xy, *args):
    size, outputs = xy.shape
    return size**3 + 2 * size**2 * outputs


def _walk(game, order):
    size = sum(len(game._columns[unit]) for unit in order)
    return size**3 / 3 + size**2 * game._outputs.shape[1]


def _leave(game, units):
    gone = sum(len(game._columns[unit]) for unit in units)
    size, outputs = game._outputs.shape
    steps = gone**2 * (gone / 3 + size + outputs)
    return steps + gone * size * (size + 2 * outputs)


def _factorize(system, xx, *args):
    return len(xx) ** 3 / 3


def _solve(system, xy, *args):
    size, outputs = xy.shape
    return 2 * size**2 * outputs


_GAME = "rank.closed_form.game", "ReconstructionGame"
_MOMENTS = "repair.moments", "InputMoments.__init__"
_SAMPLER = "rank.closed_form.sampler", "ReconstructionSampler.estimate_costs"
PARTS = [  # part, module and name of what is wrapped, its operations
    ("passes of the original", "trace.watched_pass", "WatchedPass.run", _watched),
    ("passes of the pruned copy", "trace.segments", "Segments._run", _segment),
    ("compiling passes", "trace.segments", "_Function.__init__", None),
    ("compiling passes", "trace.watched_pass", "WatchedPass._run", None),
    ("Gram matrices", "repair.gram", "Gram.add", _gram),
    ("games, set up", _GAME[0], f"{_GAME[1]}._set_up", _set_up),
    ("games, walks", _GAME[0], f"{_GAME[1]}.walk", _walk),
    ("games, each unit alone", _GAME[0], f"{_GAME[1]}.leave_one_out", None),
    ("games, removal", _GAME[0], f"{_GAME[1]}.leave", _leave),
    ("fits, ridge and solution", "repair.ridge", "RidgeSystem.__init__", _factorize),
    ("fits, ridge and solution", "repair.ridge", "RidgeSystem.solve", _solve),
    ("fits, through the ReLU", "repair.fits", "RectifiedFit.improve", None),
    ("fits, covariances and errors", "repair.fits", "_fit_grams", None),
    ("fits, taking rows", "repair.fits", "_collect", None),
    ("fits, scales of depthwise layers", "repair.repairer", "fit_scales", None),
    ("moments, covariances", "repair.gram", "Gram.covariances", None),
    ("moments, copies of the data, the rest", *_MOMENTS, None),
    ("games, the rest", "rank.group_loop", "play_stages", None),
    ("games, the rest", "rank.closed_form.sampler", "find_games", None),
    ("repair, the rest", "repair.repair_channels", "repair_layers", None),
    ("tracing channels", "pruning", "trace_channels", None),
    ("reading data, checks", "pruning", "check_prunable", None),
    ("reading data, checks", "rank.shapley_ranker", "Calibration.__init__", None),
    ("reading data, checks", "pruning", "read_batches", None),
    ("cutting out", "repair.repair_channels", "cut_out", None),
    ("verification", "repair.repair_channels", "verify_cut", None),
    ("compiling like the original", "pruning", "compile_with", None),
    ("plan of seconds", *_SAMPLER, None),
    ("plan of seconds", "pruning", "plan_steps", None),
]
SPEEDS = {_gram: PRODUCT, _watched: CONVOLUTION, _segment: CONVOLUTION}


class Profile:
    """CPU seconds and operations of each part.

    Attributes:
        seconds: Counter: part -> CPU seconds of its own.
        flops: Counter: part -> operations.
        calls: Counter: part -> integer.
        missing: List of what was not found: the code has changed.
    """

    def __init__(self):
        self.seconds, self.flops = collections.Counter(), collections.Counter()
        self.calls, self.missing, self._inside = collections.Counter(), [], []

    def wrap(self, part, module, name, count):
        """Wraps a function of the package."""
        try:
            owner = importlib.import_module(f"keras_shapley_prune.{module}")
            *path, last = name.split(".")
            for step in path:
                owner = getattr(owner, step)
            function = getattr(owner, last)
        except (ImportError, AttributeError):
            self.missing.append(f"{module}.{name}")
            return

        @functools.wraps(function)
        def run(*args, **kwargs):
            if count is not None:
                self.flops[part] += count(*args, **kwargs)
            return self._time(part, functools.partial(function, *args, **kwargs))

        setattr(owner, last, run)

    def _time(self, part, run):
        start = time.process_time()
        self._inside.append(0.0)
        try:
            return run()
        finally:
            spent, inside = time.process_time() - start, self._inside.pop()
            self.seconds[part] += spent - inside
            self.calls[part] += 1
            if self._inside:
                self._inside[-1] += spent


def best_speeds(model, batches):
    """Returns operations a second of the kinds of work, a dict.

    Args:
        model: The `keras.Model`.
        batches: What `by_batch` returned.
    """
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((8192, 1024), "float32")
    square = np.asfortranarray(np.eye(1024) + 0.01)
    return {
        PRODUCT: rows.size * 1024 / fastest(lambda: rows.T @ rows),
        FACTOR: 1024**3 / 3 / fastest(lambda: scipy.linalg.lapack.dpotrf(square)),
        # What TensorFlow reaches when it runs the network and nothing else.
        CONVOLUTION: ksp.count_flops(model) / min(batches.values()),
        "TensorFlow's matmul": rows.size
        * 1024
        / fastest(lambda: tf.matmul(rows, rows, transpose_a=True)),
    }


def by_batch(model, images):
    """Returns CPU seconds an image of a compiled forward pass: batch -> seconds."""
    run = tf.function(lambda x: model(x, training=False), autograph=False)
    some = {size: tf.constant(images[:size]) for size in BATCHES if size <= len(images)}
    return {size: fastest(lambda x=x: run(x), 2) / size for size, x in some.items()}


def fastest(run, times=4):
    """Returns the CPU seconds of the fastest of some runs after the first."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        run()
        spent.append(time.process_time() - start)
    return min(spent[1:])


def measure(case, args):
    """Returns the profile of a case, a dict."""
    model, images = case.load(args)
    batches = by_batch(model, images)
    speeds = best_speeds(model, batches)
    predict = functools.partial(model.predict, images, verbose=0)
    predict()
    start = time.process_time()
    predict()
    forward, profile = time.process_time() - start, Profile()
    kinds = {}
    for part, module, name, count in PARTS:
        profile.wrap(part, module, name, count)
        kinds[part] = SPEEDS.get(count, FACTOR) if count else None
    start = time.process_time()
    case.run(model, images, case.memory)
    total = time.process_time() - start
    rows = []
    for part, seconds in profile.seconds.most_common():
        rate, kind = profile.flops[part] / max(seconds, 1e-9), kinds[part]
        share = rate / speeds[kind] if kind else None
        rows.append([part, profile.calls[part], seconds, seconds / forward])
        rows[-1] += [profile.flops[part] / 1e9, rate / 1e9, kind, share]
    rest = total - sum(profile.seconds.values())
    rows.append(["everything else", 0, rest, rest / forward, 0, 0, None, None])
    return {
        "cpu_seconds": total,
        "predict_seconds": forward,
        "rows": rows,
        "gflops": {kind: speed / 1e9 for kind, speed in speeds.items()},
        "milliseconds_by_batch": {n: 1e3 * s for n, s in batches.items()},
        "missing": profile.missing,
    }
