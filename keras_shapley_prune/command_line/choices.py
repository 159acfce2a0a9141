"""What options may be, written down where a help text needs no TensorFlow.

Each name stands in the module that means something by it, too, which imports
TensorFlow; a test compares them.
"""

GRANULARITIES = ("filter", "block", "both")
METHODS = ("least_squares", "mimic", "mean", "batchnorm", "none")
MODES = ("auto", "min", "max")
QUANTITIES = ("units", "params", "flops", "bytes", "latency")
RANKERS = (
    "shapley",
    "random",
    "l1_norm",
    "l2_norm",
    "bn_gamma",
    "geometric_median",
    "taylor",
    "taylor_signed",
    "taylor_squared",
    "leave_one_out",
    "sensitivity",
    "mean_activation",
    "apoz",
    "greedy_backward",
    "reconstruction",
)
RUNTIMES = ("tensorflow", "litert")
SCOPES = ("layer", "global")
