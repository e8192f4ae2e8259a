"""The learning-rate sweep: all rates at once, a hundred iterations each (CS231n step 3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpsearch.search.space import Choice
from hpsearch.stages.context import Context, Stage, entropy, seed
from hpsearch.trial import Budget, Status, TrialResult, TrialSpec
from hpsearch.verdict import Check, CheckDocument, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
TAIL = 10  # iterations whose mean loss is a rate's score
MOST = 12  # rates tried in all
FLAT = 0.99  # of the first loss: a rate that ends above it has not moved
LIMITS = (1e-12, 1e6)


@dataclass(frozen=True)
class Tried:
    """One rate: its first loss, the mean loss of its last iterations and that mean's error."""

    rate: float
    diverged: bool
    step: int
    first: float
    score: float
    error: float
    accuracy: float


def plan(context: Context, done: Sequence[TrialResult]) -> list[TrialSpec]:
    """The configured rates, then a decade more at an end for as long as the best lies there."""
    settings = context.config.sweep
    rates = {*settings.learning_rates, context.config.train.learning_rate}
    first = sorted(rates, reverse=True)
    known = [r.number("learning_rate") for r in done]
    wanted = known + extension(tried(done)) if known else first
    shared = seed(context.config.seed, context.stage, 0)
    return [
        context.spec(
            number, Budget(1, settings.iterations), seed=shared, schedule="constant",
            patience=None, hparams={"learning_rate": rate},
            rates={"weight_decay": settings.weight_decay, "warmup_epochs": 0.0},
        )
        for number, rate in enumerate(wanted)
    ]  # fmt: skip


def extension(rates: Sequence[Tried]) -> list[float]:
    """The rates to add: a decade beyond the best where nothing near was tried; a decade up where
    all are flat; two lower where all diverge.
    """
    stable = [t for t in rates if not t.diverged]
    low, high = min(t.rate for t in rates), max(t.rate for t in rates)
    if not stable:
        more = [low / 10, low / 100]
    elif len(stable) == len(rates) and all(t.score > FLAT * t.first for t in stable):
        more = [high * 10]
    else:
        best = min(stable, key=lambda t: t.score).rate
        above = any(best < t.rate <= 10.1 * best for t in rates)
        below = any(best / 10.1 <= t.rate < best for t in rates)
        more = [] if above else [best * 10]
        more += [] if below else [best / 10]
    room = max(0, MOST - len(rates))
    return [_round(rate) for rate in more if LIMITS[0] <= rate <= LIMITS[1]][:room]


def _round(rate: float) -> float:
    return float(f"{rate:.6g}")


def tried(results: Sequence[TrialResult]) -> list[Tried]:
    """The sweep's table, by id."""
    return [_tried(result) for result in sorted(results, key=lambda r: r.id)]


def _tried(result: TrialResult) -> Tried:
    tail = np.array([loss for _, loss in result.losses[-TAIL:]])
    error = float(tail.std(ddof=1) / math.sqrt(len(tail))) if len(tail) > 1 else math.inf
    accuracy = result.curves.val_accuracy[-1] if result.curves.val_accuracy else math.nan
    return Tried(
        result.number("learning_rate"), result.status is not Status.DONE, result.step,
        result.losses[0][1], float(tail.mean()), error, accuracy,
    )  # fmt: skip


def usable(rate: Tried, baseline: float) -> bool:
    """Clearly better than the best constant answer, and than where it began (never only one)."""
    if rate.diverged:
        return False
    margin = max(0.05 * baseline, 3 * rate.error)
    return rate.score < baseline - margin and rate.score <= 0.9 * rate.first


def usable_at(rates: Sequence[Tried], baseline: float) -> list[Tried]:
    return [rate for rate in rates if usable(rate, baseline)]


def pick(rates: Sequence[Tried], baseline: float) -> Tried | None:
    """The lowest score; of those within its standard error the largest rate below a stable one."""
    good = usable_at(rates, baseline)
    if not good:
        return None
    best = min(good, key=lambda t: t.score)
    tied = [t for t in good if t.score <= best.score + best.error and t.rate >= best.rate]
    safe = [t for t in tied if not any(o.diverged and o.rate <= 10 * t.rate for o in rates)]
    return max(safe, key=lambda t: t.rate, default=best)


def proposed_range(rates: Sequence[Tried], best: Tried) -> tuple[float, float]:
    """[best / 30, best * 10], cut where training diverges."""
    diverging = [t.rate for t in rates if t.diverged and t.rate > best.rate]
    low, high = best.rate / 30, min([best.rate * 10, *diverging])
    return float(f"{low:.3g}"), float(f"{high:.3g}")


def judge(context: Context, done: Sequence[TrialResult]) -> CheckDocument:
    rates, baseline = tried(done), entropy(context.data)
    best = pick(rates, baseline)
    facts = {
        "baseline": baseline,
        "rates": [
            {**vars(t), "usable": usable(t, baseline)}
            for t in sorted(rates, key=lambda t: -t.rate)
        ],
        "learning_rate": best.rate if best else None,
        "range": proposed_range(rates, best) if best else None,
        "diverging": min((t.rate for t in rates if t.diverged), default=None),
    }  # fmt: skip
    checks = (usable_rate(context, rates, baseline), range_check(context, rates, best))
    return CheckDocument("sweep", checks, facts)


def usable_rate(context: Context, rates: Sequence[Tried], baseline: float) -> Check:
    """At least one rate brings the loss well below the labels' entropy; the configured one does
    not diverge.
    """
    good = usable_at(rates, baseline)
    if not good:
        return _none_usable(context, rates, baseline)
    best = pick(rates, baseline) or good[0]
    message = (
        f"learning rate {best.rate:g} takes the loss from {best.first:.4g} to {best.score:.4g}"
        f" in {context.config.sweep.iterations} iterations"
        f" ({len(good)} of {len(rates)} rates are usable)"
    )
    configured = next(t for t in rates if t.rate == context.config.train.learning_rate)
    if configured.diverged:
        where = f"{configured.rate:g}, diverges at step {configured.step}"
        message = f"{message}; the configured one, {where}"
        fix = f"train.learning_rate: {best.rate:g}"
        return Check("usable-rate", WARN, best.score, baseline, message, fix)
    return Check("usable-rate", PASS, best.score, baseline, message)


def _flat_but_learning(context: Context, stable: Sequence[Tried]) -> str:
    """CS231n's puzzle in words: the probabilities are still diffuse, but the order is right."""
    best = max(stable, key=lambda t: t.accuracy)
    chance = 1 / context.data.n_classes
    error = math.sqrt(chance * (1 - chance) / len(context.data.validation.y))
    if best.score > FLAT * best.first and best.accuracy > chance + 3 * error:
        return f"; the loss is flat but the accuracy is already {best.accuracy:.1%}"
    return ""


def _none_usable(context: Context, rates: Sequence[Tried], baseline: float) -> Check:
    stable = [t for t in rates if not t.diverged]
    low, high = min(t.rate for t in rates), max(t.rate for t in rates)
    if not stable:
        value, message = math.inf, f"the loss explodes at every rate from {low:g} to {high:g}"
        fix = "scale the inputs (data.preprocess.scale: standard), or a smaller model.init_scale"
    else:
        best = min(stable, key=lambda t: t.score)
        value = best.score
        message = (
            f"no rate from {low:g} to {high:g} helps: {best.score:.4g} at best, and the labels'"
            f" entropy is {baseline:.4g}{_flat_but_learning(context, stable)}"
        )
        fix = "larger sweep.learning_rates or sweep.iterations; do the labels fit the rows?"
        if any(t.diverged for t in rates):
            fix = "flat rates beside diverging ones: look at the inputs' scale and model.init"
    return Check("usable-rate", FAIL, value, baseline, message, fix)


def range_check(context: Context, rates: Sequence[Tried], best: Tried | None) -> Check:
    """The range that the sweep proposes for the coarse search, beside the configured one."""
    if best is None:
        return Check(
            "range",
            FAIL,
            None,
            None,
            "no range to propose without a usable rate",
            "see usable-rate",
        )
    low, high = proposed_range(rates, best)
    configured = context.config.search.space.get("learning_rate")
    proposed = f"{low:g} to {high:g}"
    if configured is None or isinstance(configured, Choice):
        return Check("range", PASS, proposed, None, f"proposes learning rates from {proposed}")
    bottom, top = configured.bounds
    expected = f"{bottom:g} to {top:g}"
    message = f"proposes learning rates from {proposed}; the config searches {expected}"
    if bottom <= best.rate <= top:
        return Check("range", PASS, proposed, expected, message)
    fix = f"search.space.learning_rate: {{log_uniform: [{low:g}, {high:g}]}}"
    return Check(
        "range",
        WARN,
        proposed,
        expected,
        f"{message}, where the best rate, {best.rate:g}, is not",
        fix,
    )


STAGE = Stage("sweep", plan, judge, ("data", "model", "train", "sweep"))
