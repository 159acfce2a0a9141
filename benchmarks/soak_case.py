"""One case of soak.py: a random network through everything, and what is wrong then."""

import functools
import gc
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

import keras
import models
import numpy as np
import soak_networks
import soak_settings
import tensorflow as tf
from soak_copies import check_lite, check_saved, check_served
from soak_measures import (
    can_fit,
    count_bytes,
    fit_one_step,
    has_channels_first,
    has_groups,
    is_finite,
    recorded_warnings,
    running,
    runs_compiled,
    same,
    take_state,
)
from soak_outcomes import Comparison, RefusedError, WrongError, stage

import keras_shapley_prune as ksp

gc.set_threshold(200_000, 20, 100)  # models are full of cycles
tf.debugging.disable_traceback_filtering()
keras.config.disable_traceback_filtering()

NOTES = """network policy ranker repair settings groups units masked saved served lite
    skipped""".split()
BUDGET_TOLERANCE = 0.01
CALL_ERRORS = (ValueError, tf.errors.InvalidArgumentError)  # of sizes that do not fit
EXPORTS = 10  # one case of so many has a SavedModel, another one a LiteRT file


def run_case(seed, number):
    """Runs a case, and returns its row of soak.csv, a dict.

    Args:
        seed: Integer.
        number: Integer, the case: it depends on the two alone.
    """
    began = time.process_time()
    row = dict.fromkeys(NOTES, "")
    row |= {"number": number, "outcome": "ok", "kind": "", "detail": ""}
    case = _Case(seed, number, row)
    try:
        case.run()
    except RefusedError as error:
        row |= {"outcome": "refused", "detail": str(error)}
    except WrongError as error:
        row |= {"outcome": "wrong", "kind": error.kind, "detail": str(error)}
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        row |= {"outcome": "wrong", "kind": "crash", "detail": text}
        if case.subject and not runs_compiled(case.subject):
            text = "Keras cannot run the original in a compiled function"
            row |= {"outcome": "refused", "kind": "", "detail": text}
    row["detail"] = " ".join(row["detail"].split())[:500]
    row["seconds"] = round(time.process_time() - began, 2)
    return row


class _Case:
    """The state of a case.

    Args:
        seed: Integer.
        number: Integer.
        row: Dict that is filled in on the way: a case may end anywhere.
    """

    def __init__(self, seed, number, row):
        self.choices = soak_networks.Choices(np.random.default_rng([seed, number]))
        self.row, self.subject = row, None

    def run(self):
        try:
            subject = soak_networks.draw_subject(self.choices)
        except CALL_ERRORS as error:
            # Nothing of the package has run yet: its targets are what it returns.
            raise RefusedError(f"Keras cannot run the original: {error}") from error
        self.subject = subject
        self.row |= {"policy": subject.policy, "network": subject.model.name}
        # What runs once takes longer to trace than to run; some is traced all the same.
        eager = self.choices.integer(1, 50) > 1 and not has_groups(subject.model)
        with running(eager):
            if self.choices.integer(1, 3) == 1:  # its optimizer has slots to be carried
                self.fit(subject.model)
            self.model = subject.model
            if has_channels_first(subject.model):
                with stage("to_channels_last"):
                    self.model = ksp.to_channels_last(subject.model)
            self.comparison = Comparison(
                self.model, subject.policy, subject.fresh, self.row
            )
            before = take_state(subject.model)
            pruned, plan = self.prune()
            self.check_costs(pruned, plan)
            self.check_masks(pruned, plan)
            with stage("compare"):
                ksp.compare(subject.model, pruned, verbose=0)
            self.check_unchanged(before)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            check_saved(self.comparison, pruned, folder)
            with running(eager), stage("fit"):
                self.check_fit(pruned)
            # These take longer than all of the rest.
            export = self.choices.integer(1, EXPORTS)
            if export == 1:
                check_served(self.comparison, pruned, folder)
            if export == 2:
                check_lite(self.comparison, pruned, folder)

    def prune(self):
        """Draws settings, and returns the pruned model and its `PruningPlan`."""
        choices, subject = self.choices, self.subject
        channel_map = ksp.trace_channels(self.model)
        if not channel_map.groups:
            raise RefusedError("no layer can lose units")
        self.row["groups"] = len(channel_map.groups)
        kind = choices.pick(soak_settings.RANKERS)
        few = kind in ("outputs", "baseline")
        budget = soak_settings.draw_budget(choices, channel_map, few)
        ranker = soak_settings.draw_ranker(choices, kind, channel_map)
        repair = soak_settings.draw_repair(choices)
        carry = choices.boolean()
        self.row["repair"] = str(repair)
        self.row["ranker"] = soak_settings.name_ranker(ranker)
        self.row["settings"] = f"{budget}; {ranker}; keep_optimizer={carry}"
        ranker = ranker or default_ranker(budget.scope)
        rankings = listen(ranker)
        options = {"repair": repair, "keep_optimizer": carry, "verbose": 0}
        with stage("prune"), recorded_warnings() as texts:
            pruned = ksp.prune(
                subject.model, (subject.x, subject.y), budget, ranker=ranker, **options
            )
        with stage("plan_pruning"), recorded_warnings():
            plan = ksp.plan_pruning(self.model, rankings[-1], budget)
        self.check_budget(plan, budget, texts)
        if choices.integer(1, 4) == 1:
            self.check_again(pruned, plan, options)
        if carry and int(pruned.optimizer.iterations) != int(
            subject.model.optimizer.iterations
        ):
            raise WrongError("mismatch", "the optimizer does not go on")
        return pruned, plan

    def check_again(self, pruned, plan, options):
        """`apply_plan` of the same plan gives the same weights."""
        subject = self.subject
        with stage("apply_plan"), recorded_warnings():
            again = ksp.apply_plan(self.model, plan, (subject.x, subject.y), **options)
        pairs = zip(pruned.weights, again.weights, strict=True)
        # `prune` may have ranked and repaired on one pass: sums are in another order.
        near = all(np.allclose(a, b, rtol=1e-2, atol=1e-3) for a, b in pairs)
        if not near:
            raise WrongError("mismatch", "apply_plan gives other weights than prune")

    def check_budget(self, plan, budget, texts):
        """The plan says what was asked for, or a warning did."""
        removed = [before - after for before, after in plan.units.values()]
        self.row["units"] = f"{sum(removed)}/{sum(n for n, _ in plan.units.values())}"
        chosen = {group.name for group in budget.select_groups(plan.channel_map)}
        for name, (before, after) in plan.units.items():
            if after == before:
                continue
            if after % budget.round_to or after < budget.min_units:
                raise WrongError("miss", f"{name} keeps {after} of {before} units")
            if name not in chosen:
                raise WrongError("miss", f"{name} is not selected and loses units")
        if any("are removed, not" in text for text in texts):
            return
        if (budget.of, budget.scope) == ("units", "layer"):
            self.check_shares(plan, budget)
            return
        before, after = plan.costs[budget.of]
        if abs(1 - after / before - budget.ratio) > BUDGET_TOLERANCE + 1e-9:
            raise WrongError("miss", f"{1 - after / before:.3f}, not {budget.ratio}")

    def fit(self, model):
        """Trains the original, or what was made of it, for a step."""
        try:
            fit_one_step(model, self.subject)
        except CALL_ERRORS as error:
            if model is not self.subject.model and can_fit(self.subject):
                raise
            text = "Keras cannot train the original, whose outputs have another size"
            raise RefusedError(f"{text} in training") from error

    def check_shares(self, plan, budget):
        """Each group loses its share, as nearly as the numbers that may be kept can."""
        whole = sum(before for before, _ in plan.units.values())
        groups = {group.name: group for group in plan.channel_map.groups}
        for name, (before, after) in plan.units.items():
            wanted = before * (1 - budget.ratio_of(groups[name]))
            allowed = np.array(budget.sizes(groups[name]))
            off = np.abs(allowed - max(wanted, 1)).min() if budget.round_to > 1 else 0
            nearest = abs(after - max(wanted, 1)) <= off + 0.5 + 1e-9
            if not nearest and abs(after - wanted) > BUDGET_TOLERANCE * whole:
                raise WrongError("miss", f"{name} keeps {after}, not {wanted:.1f}")

    def check_costs(self, pruned, plan):
        """What the plan predicts is what the models have."""
        for of, count in (
            ("params", lambda model: model.count_params()),
            ("flops", ksp.count_flops),
            ("bytes", count_bytes),
        ):
            measured = count(self.model), count(pruned)
            if measured != plan.costs[of]:
                text = f"{of}: planned {plan.costs[of]}, measured {measured}"
                raise WrongError("cost", text)

    def check_masks(self, pruned, plan):
        """Masked is pruned, on inputs that nothing has seen."""
        fresh = self.subject.fresh
        with stage("mask_channels"):
            masked = ksp.mask_channels(self.model, plan.keep)
        with stage("remove_channels"):
            removed = ksp.remove_channels(self.model, plan.keep)
        expected = models.outputs_of(masked, fresh)
        self.comparison.check("masked", models.outputs_of(removed, fresh), expected)
        if self.row["repair"] == "None":
            self.comparison.check("masked", models.outputs_of(pruned, fresh), expected)
        with stage("verify_removal"):
            ksp.verify_removal(self.model, removed, plan.keep, fresh)

    def check_unchanged(self, before):
        after = take_state(self.subject.model)
        for name, value in before.items():
            if not same(value, after[name]):
                raise WrongError("mismatch", f"the original has other {name}")

    def check_fit(self, pruned):
        """One step of training changes weights; those are put back if it explodes."""
        weights = pruned.get_weights()
        self.fit(pruned)
        if not is_finite(models.outputs_of(pruned, self.subject.fresh)):
            pruned.set_weights(weights)


def default_ranker(scope):
    """Returns the ranker of `prune`, which would make one that nobody can ask."""
    if scope == "global":
        game = ksp.games.Reconstruction(horizon=0.25, num_copies=2, costs="outputs")
        return ksp.ShapleyRanker(game)
    return ksp.ShapleyRanker()


def listen(ranker):
    """Returns a list to which what a ranker returns is added."""
    rank, rankings = ranker.rank, []

    @functools.wraps(rank)
    def listened(*args, **kwargs):
        rankings.append(rank(*args, **kwargs))
        return rankings[-1]

    ranker.rank = listened
    return rankings
