"""What short trainings must be: better with the inputs than without, and repeatable."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from hpsearch.spec import Budget, TrialSpec, View
from hpsearch.stages.context import Context, seed
from hpsearch.stages.probe import Floats
from hpsearch.trial import Status, TrialResult
from hpsearch.verdict import Check, Verdict

PASS, FAIL = Verdict.PASS, Verdict.FAIL
RATES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
REPEATED = RATES.index(1e-2)  # the trial that is trained twice
REPEAT = 2 * len(RATES)
LONGER = REPEAT + 1  # the first trial of the second ladder
VIEWS = (View(), View(zero=True))
PATIENCE = 3  # times as many steps where the inputs have not helped: four sigmoid layers need them


def plan(context: Context, done: Sequence[TrialResult]) -> list[TrialSpec]:
    """A ladder of rates with the inputs as they are and with zeros, and one trial repeated: it
    is evaluated on validation rows, and so trains apart from the others. A second, longer ladder
    where the inputs do not help in the first.
    """
    steps = context.config.sanity.baseline_iterations
    specs = _ladder(context, 0, steps)
    specs.append(replace(specs[REPEATED], id=REPEAT, evaluate=True))
    finished = {result.id for result in done}
    if finished >= {spec.id for spec in specs} and not _compare(context, done, 0).helps:
        specs += _ladder(context, LONGER, PATIENCE * steps)
    return specs


def _ladder(context: Context, start: int, steps: int) -> list[TrialSpec]:
    """Trials from number `start` on: every rate with the inputs, then every rate with zeros."""
    shared = seed(context.config.seed, context.stage, 0)
    return [
        context.spec(
            number, Budget(epochs=1, iterations=steps), seed=shared, schedule="constant",
            patience=None, evaluate=False, view=view,
            rates={"learning_rate": rate, "weight_decay": 0.0, "warmup_epochs": 0.0},
        )
        for number, (view, rate) in enumerate(product(VIEWS, RATES), start)
    ]  # fmt: skip


class Comparison(NamedTuple):
    """The last ten losses with the inputs and without them, at the best rate of each; whether
    the inputs help beyond the noise.
    """

    real: Floats | None
    zero: Floats | None
    helps: bool


def _compare(context: Context, done: Sequence[TrialResult], start: int) -> Comparison:
    half, end = start + len(RATES), start + 2 * len(RATES)
    real = _best_tail([r for r in done if start <= r.id < half])
    zero = _best_tail([r for r in done if half <= r.id < end])
    if real is None or zero is None:
        return Comparison(real, zero, False)
    gain = zero - real
    error = float(gain.std(ddof=1) / math.sqrt(len(gain)))
    limits = context.config.sanity
    needed = max(limits.baseline_errors * error, limits.baseline_gain * float(zero.mean()))
    return Comparison(real, zero, float(gain.mean()) > needed)


def _best_tail(results: Sequence[TrialResult]) -> Floats | None:
    """The last ten minibatch losses of the rate that ended lowest; None if all diverged."""
    tails = [
        np.array([loss for _, loss in r.losses[-10:]]) for r in results if r.status is Status.DONE
    ]
    return min(tails, key=lambda tail: float(tail.mean()), default=None)


def zero_input_baseline(context: Context, done: Sequence[TrialResult]) -> Check:
    """A net that sees its inputs must beat one that sees zeros. Sources: Karpathy 2019, "input
    independent baseline"; TheDeepChecker.
    """
    longer = any(result.id >= LONGER for result in done)
    steps = context.config.sanity.baseline_iterations * (PATIENCE if longer else 1)
    real, zero, helps = _compare(context, done, LONGER if longer else 0)
    say = partial(Check, "zero-input-baseline")
    fix = "what the checks above name; else another model.init, or fewer layers"
    if context.config.data.preprocess.scale != "standard":
        fix = "scale the inputs (data.preprocess.scale: standard), or another model.init"
    if real is None or zero is None:
        return say(FAIL, None, None, "training diverges at every learning rate", fix)
    message = (
        f"after {steps} steps the loss is {real.mean():.4g} with the inputs,"
        f" {zero.mean():.4g} with zeros in their place"
    )
    if helps:
        return say(PASS, float(real.mean()), float(zero.mean()), message)
    return say(FAIL, float(real.mean()), float(zero.mean()),
               f"{message}: the net learns nothing from its inputs", fix)  # fmt: skip


def determinism(context: Context, done: Sequence[TrialResult]) -> Check:
    """The same seed twice, once alone and once in the company of others: the same bits. Source:
    CS231n assignments and Karpathy 2019, "fix random seed"; this project's first promise.
    """
    found = {result.id: result for result in done}
    one, other = found.get(REPEATED), found.get(REPEAT)
    say = partial(Check, "determinism", expected=0)
    fix = (
        "seed all that is random; one thread of the matrix library (OPENBLAS_NUM_THREADS=1);"
        " memory that has gone bad?"
    )
    if one is None or other is None:
        return say(FAIL, value=None, message="a trial is missing", fix="hpsearch sanity --force")
    pairs = zip(one.losses, other.losses, strict=False)
    differing = [a[0] for a, b in pairs if repr(a) != repr(b)]
    ends = [(r.step, len(r.losses), repr(list(r.curves.train_loss))) for r in (one, other)]
    if not differing and ends[0] == ends[1]:
        return say(PASS, value=0, message=f"{one.step} steps trained twice gave the same bits")
    at = f"from step {differing[0]} on" if differing else "in the end"
    return say(FAIL, value=len(differing), fix=fix,
               message=f"the same seed gave other losses {at}, alone and in company")  # fmt: skip
