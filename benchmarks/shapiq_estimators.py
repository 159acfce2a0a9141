"""The estimators of shapiq, each with the same number of evaluations.

They play the game whose value is the mean over the examples, and are asked for 1/4, 1
and 5 walks of evaluations: a walk is n + 1 coalitions of n filters, each on all
examples. They have their defaults; those that fit a proxy of the game have it with each
kind of proxy. The newest need shapiq 1.8, and that Python 3.12: what an older one lacks
is left out, and named.

An estimate is left blank where there is none: the estimator refuses so few evaluations,
or tells no filter from another (too few for one permutation, or for one split of a
tree).
"""

import functools
import importlib.metadata
import importlib.util
import platform
import warnings

import numpy as np
from estimator_reports import PREFIX
from shapiq import approximator

COSTS = (0.25, 1, 5)
_PROXIES = ("xgboost", "lightgbm", "tree", "linear")
_MOST_UNITS = {"kADDSHAP": 16}  # of 128 units, it solves for all 8,256 pairs
_PACKAGES = "keras tensorflow numpy scipy scikit-learn shapiq xgboost lightgbm".split()


def _list_estimators():
    """Yields `(name, class name, arguments)`."""
    yield "PermutationSamplingSV", "PermutationSamplingSV", {}
    yield "KernelSHAP", "KernelSHAP", {}
    yield "KernelSHAP, pairs", "KernelSHAP", {"pairing_trick": True}
    yield "LeverageSHAP", "LeverageSHAP", {}
    yield "OddSHAP", "OddSHAP", {}
    yield "StratifiedSamplingSV", "StratifiedSamplingSV", {}
    yield "OwenSamplingSV", "OwenSamplingSV", {}
    yield "kADDSHAP", "kADDSHAP", {"max_order": 2}
    for proxy in _PROXIES:
        arguments = {"index": "SV", "proxy_model": proxy}
        yield f"RegressionMSR, {proxy}", "RegressionMSR", arguments
    for proxy in _PROXIES:
        arguments = {"index": "SV", "proxy_model": proxy, "max_order": 1}
        yield f"ProxySHAP, {proxy}", "ProxySHAP", arguments


@functools.cache
def open_estimators():
    """Returns a dict: name -> callable `fn(num_units, random_state=)`.

    Prints what the shapiq that is installed does not have.
    """
    found, missing = {}, []
    for name, kind, arguments in _list_estimators():
        make = getattr(approximator, kind, None)
        # Without the package of its trees, shapiq would quietly take others.
        needs = "lightgbm" if kind == "OddSHAP" else arguments.get("proxy_model")
        absent = needs in ("xgboost", "lightgbm") and not importlib.util.find_spec(
            needs
        )
        if make is None or absent:
            missing.append(name)
        else:
            found[PREFIX + name] = functools.partial(make, **arguments)
    if missing:
        version = importlib.metadata.version("shapiq")
        print(f"shapiq {version}, as installed, has not: {'; '.join(missing)}")
    return found


def print_versions():
    """Prints the versions of all that results depend on."""
    versions = [f"python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} -")
    print("versions: " + ", ".join(versions))


class RememberedGame:
    """A game that counts what it is asked for, and evaluates no coalition twice.

    With the same seed, several estimators draw the same coalitions. They are charged
    for each, whoever has had it evaluated.

    Args:
        game: Callable: boolean array, shape `(num_coalitions, num_units)` -> values.

    Attributes:
        num_asked: Integer, how many coalitions have been asked for.
    """

    def __init__(self, game):
        self._game, self._known, self.num_asked = game, {}, 0

    def __call__(self, coalitions):
        coalitions = np.atleast_2d(np.asarray(coalitions, bool))
        self.num_asked += len(coalitions)
        keys = [row.tobytes() for row in np.packbits(coalitions, axis=1)]
        rows = {key: row for row, key in enumerate(keys) if key not in self._known}
        if rows:
            values = self._game(coalitions[list(rows.values())])
            self._known.update(zip(rows, values, strict=True))
        return np.array([self._known[key] for key in keys])


def shapiq_estimates(game, num_units, seed):
    """Yields `(estimator, cost in walks, values)` of the estimators of shapiq.

    Args:
        game: A `RememberedGame`.
        num_units: Integer.
        seed: Integer.
    """
    for name, make in open_estimators().items():
        if num_units > _MOST_UNITS.get(name[len(PREFIX) :], np.inf):
            continue
        for cost in COSTS:
            budget = round(cost * (num_units + 1))
            values = _estimate(make, game, num_units, budget, seed)
            if values is not None:
                yield name, cost, values


def _estimate(make, game, num_units, budget, seed):
    """Returns the estimates of all units, or `None` if there are none."""
    before = game.num_asked
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of small budgets, which is seen here
            found = make(num_units, random_state=seed).approximate(budget, game)
    except ValueError:  # LinAlgError is one, too
        return None
    asked = game.num_asked - before
    if asked > budget:
        raise RuntimeError(f"{make} was to ask for {budget} coalitions, not {asked}")
    values = np.array([found[(unit,)] for unit in range(num_units)])
    told_apart = np.isfinite(values).all() and np.ptp(values) > 1e-12
    return values if told_apart else None
