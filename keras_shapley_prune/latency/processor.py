"""What a measurement was done with: processor, threads, versions of runtimes."""

import os
import platform

import tensorflow as tf


def find_processor():
    """Returns the name of this machine's processor, a string."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2] for line in file if "model name" in line]
        return names[0].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def count_tensorflow_threads():
    """Returns how many threads an operation of TensorFlow may use in this process.

    They are chosen when TensorFlow starts: by the program, else by the environment,
    else they are as many as the cores that the process may use.
    """
    chosen = tf.config.threading.get_intra_op_parallelism_threads()
    return chosen or _of_environment("TF_NUM_INTRAOP_THREADS") or _count_cores()


def runs_alone():
    """Returns whether TensorFlow computes in one thread of the processor alone."""
    chosen = tf.config.threading.get_inter_op_parallelism_threads()
    operations = chosen or _of_environment("TF_NUM_INTEROP_THREADS") or _count_cores()
    single = operations == count_tensorflow_threads() == 1
    return single and not tf.config.list_physical_devices("GPU")


def _of_environment(name):
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


def _count_cores():
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
