"""The learning-rate sweep: all rates at once, a hundred iterations each (CS231n step 3)."""

import math
from collections.abc import Sequence
from typing import Any

from hpsearch.search.space import without_roles, write_space
from hpsearch.spec import Budget, TrialSpec
from hpsearch.stages import ramp
from hpsearch.stages.context import Context, Stage, baseline, majority, seed
from hpsearch.stages.ladder import Ladder, Tried
from hpsearch.stages.searched import (
    bounds_of,
    decay_troubles,
    gentle,
    rate_troubles,
    strong_decay,
)
from hpsearch.stages.updates import update_ratio, update_ratios
from hpsearch.trial import TrialResult, standard_error
from hpsearch.verdict import Check, CheckDocument, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
STRONG = 1e-2  # a penalty in the sweep that may be why nothing learns
POINTS = 100  # of a rate's curve, at most
FAR = 100.0  # rates of this size that leave the loss flat are not too small


def plan(context: Context, done: Sequence[TrialResult]) -> list[TrialSpec]:
    """The ramp and the configured rates; more rates for as long as the best is at an end, or
    may be too near to where training diverges; then a usable one with the space's strong decay.
    """
    ladder, settings = ladder_of(context, done), context.config.sweep
    rates = [t.rate for t in ladder.rates]
    more = ladder.wanted() if rates else _configured(context)
    specs = [_ramp_spec(context)] if settings.ramp.enabled else []
    specs += [_spec(context, number, rate) for number, rate in enumerate(rates + more, 1)]
    decay, at = strong_decay(context), gentle(ladder)
    if not more and at and decay:
        specs.append(_spec(context, len(rates) + 1, at.rate, decay))
    return specs


def _configured(context: Context) -> list[float]:
    rates = {*context.config.sweep.learning_rates, context.config.train.learning_rate}
    return sorted(rates, reverse=True)


def _seed(context: Context) -> int:
    return seed(context.config.seed, context.stage, 0)


def _ramp_spec(context: Context) -> TrialSpec:
    return ramp.spec(context, 0, seed=_seed(context))


def _spec(
    context: Context, number: int, rate: float, decay: float | None = None
) -> TrialSpec:
    """A rate as a trial: all start from the same weights and see the same minibatches."""
    settings = context.config.sweep
    hparams = {"learning_rate": rate} | ({} if decay is None else {"weight_decay": decay})
    return context.spec(
        number, Budget(1, settings.iterations), seed=_seed(context), schedule="constant",
        patience=None, hparams=hparams, rates={
            "weight_decay": settings.weight_decay if decay is None else decay,
            "warmup_epochs": 0.0,
        },
    )  # fmt: skip


def ladder_of(context: Context, done: Sequence[TrialResult]) -> Ladder:
    """The rates tried with the sweep's own weight decay, by id."""
    limits = context.config.sweep
    tried = [
        Tried.of(r, limits.tail)
        for r in sorted(done, key=lambda r: r.id)
        if set(r.hparams) == {"learning_rate"}
    ]
    return Ladder(tried, baseline(context), limits)


def judge(context: Context, done: Sequence[TrialResult]) -> CheckDocument:
    ladder, settings = ladder_of(context, done), context.config.sweep
    best = ladder.best
    curve = next((ramp.read(r, settings.ramp) for r in done if not r.hparams), None)
    strong = next(
        ((r.number("weight_decay"), Tried.of(r, settings.tail)) for r in done
         if "weight_decay" in r.hparams), None,
    )  # fmt: skip
    updates = update_ratios(context, _spec(context, 0, best.rate)) if best else []
    facts = {
        "baseline": ladder.baseline,
        "rates": [
            {**vars(t), "usable": ladder.learns(t), **_course(done, t.rate)}
            for t in sorted(ladder.rates, key=lambda t: -t.rate)
        ],
        "learning_rate": best.rate if best else None,
        "range": ladder.range,
        "diverging": ladder.diverging,
        "update_ratios": updates,
        "strong_decay": {"weight_decay": strong[0], **vars(strong[1])} if strong else None,
        "ramp": vars(curve) if curve else None,
        "searched": _searched(context),
    }  # fmt: skip
    if best is None:
        return CheckDocument("sweep", (none_usable(context, ladder), *_NOTHING), facts)
    troubles = [
        *rate_troubles(context, ladder, best),
        *decay_troubles(context, ladder, strong=strong),
    ]
    checks = (
        usable_rate(context, ladder, best),
        update_ratio(context, updates, best.rate),
        range_check(context, ladder, troubles, curve=curve),
    )
    return CheckDocument("sweep", checks, facts)


def _course(done: Sequence[TrialResult], rate: float) -> dict[str, list[Any]]:
    """A rate's minibatch losses for its curve: at most POINTS, evenly, the first and last too."""
    losses = next(r.losses for r in done if dict(r.hparams) == {"learning_rate": rate})
    count = min(POINTS, len(losses))
    drawn = [losses[place * (len(losses) - 1) // max(1, count - 1)] for place in range(count)]
    return {"steps": [step for step, _ in drawn], "losses": [loss for _, loss in drawn]}


_NOTHING = (
    Check("update-ratio", FAIL, None, None, "no usable rate to measure it at", "see usable-rate"),
    Check("range", FAIL, None, None, "no range to propose without a usable rate",
          "see usable-rate"),
)  # fmt: skip


def usable_rate(context: Context, ladder: Ladder, best: Tried) -> Check:
    """At least one rate brings the loss well below the labels' entropy, on rows not trained on
    too; the configured one does not diverge.
    """
    message = (
        f"learning rate {best.rate:g} takes the loss from {best.first:.4g} to {best.score:.4g}"
        f" in {context.config.sweep.iterations} iterations"
        f" ({len(ladder.usable)} of {len(ladder.rates)} rates are usable)"
    )
    least = majority(context.data)
    error = standard_error(least, len(context.data.validation.y))
    needed = least + ladder.limits.errors * error
    better = best.accuracy >= needed if needed <= 1 else best.accuracy > least
    if best.val_loss > ladder.baseline and not better:
        message = (
            f"{message}, but nothing that holds elsewhere: validation accuracy {best.accuracy:.1%}"
            f", {least:.1%} by always giving the same answer"
        )
        fix = "do the labels fit the rows? (a shuffle, sort or join of only one of them)"
        return Check("usable-rate", WARN, best.score, ladder.baseline, message, fix, "memorises")
    configured = next(t for t in ladder.rates if t.rate == context.config.train.learning_rate)
    if configured.diverged:
        where = f"{configured.rate:g}, diverges at step {configured.step}"
        message = f"{message}; the configured one, {where}"
        fix = f"train.learning_rate: {best.rate:g}"
        if best.first > ladder.limits.hot * ladder.baseline:
            fix = f"scale the inputs (data.preprocess.scale: standard); or {fix}"
        return Check(
            "usable-rate", WARN, best.score, ladder.baseline, message, fix, "configured-diverges"
        )
    return Check("usable-rate", PASS, best.score, ladder.baseline, message)


NOT_THE_RATE = "scale the inputs (data.preprocess.scale: standard), or a smaller model.init_scale"
REMEDIES = {
    "explodes": NOT_THE_RATE,
    "hot-start": NOT_THE_RATE,
    "not-the-rate": "flat rates beside diverging ones: model.init, dead units, the inputs' scale",
    "flat-at-any": "even large rates do not move it: model.init, dead units (sanity)",
    "flat": "larger sweep.learning_rates",
    "stuck-at-label-entropy": "do the labels fit the rows? do hidden units die (sanity)?",
    "falls-too-little": "more sweep.iterations; do the labels fit the rows?",
}


def none_usable(context: Context, ladder: Ladder) -> Check:
    """Why no rate helps: too large, too small, or not the rate at all."""
    low, high = ladder.ends
    diagnosis = _hindrance(ladder)
    score = min((t.score for t in ladder.stable), default=math.inf)
    message = f"the loss explodes at every rate from {low:g} to {high:g}"
    if ladder.stable:
        message = (
            f"no rate from {low:g} to {high:g} helps: {score:.4g} at best, from"
            f" {ladder.stable[0].first:.4g}, and answering without the input costs"
            f" {ladder.baseline:.4g}"
            f"{_flat_but_learning(context, ladder)}"
        )
    fix = REMEDIES[diagnosis]
    if context.config.sweep.weight_decay > STRONG:
        fix = f"a smaller sweep.weight_decay; or {fix}"
    return Check("usable-rate", FAIL, score, ladder.baseline, message, fix, diagnosis)


def _hindrance(ladder: Ladder) -> str:
    if not ladder.stable:
        return "explodes"
    best = min(ladder.stable, key=lambda t: t.score)
    diverging = len(ladder.stable) < len(ladder.rates)
    if diverging and best.first > ladder.limits.hot * ladder.baseline:
        return "hot-start"
    if all(map(ladder.flat, ladder.stable)):
        return "not-the-rate" if diverging else "flat-at-any" if ladder.ends[1] >= FAR else "flat"
    stuck = abs(best.score - ladder.baseline) < ladder.limits.gain * ladder.baseline
    return "stuck-at-label-entropy" if stuck else "falls-too-little"


def _flat_but_learning(context: Context, ladder: Ladder) -> str:
    """CS231n's puzzle in words: the probabilities are still diffuse, but the order is right."""
    best = max(ladder.stable, key=lambda t: t.accuracy)
    least = max(majority(context.data), 1 / context.data.n_classes)
    error = standard_error(least, len(context.data.validation.y))
    moved = abs(best.score - best.first) >= ladder.limits.flat * best.first
    if moved or not best.accuracy > least + ladder.limits.errors * error:
        return ""
    return (
        f"; at {best.rate:g} the loss is flat but the accuracy is already {best.accuracy:.1%}:"
        " the probabilities are still diffuse, their order is right"
    )


def range_check(
    context: Context, ladder: Ladder, troubles: Sequence[tuple[str, str]], *,
    curve: ramp.Curve | None,
) -> Check:  # fmt: skip
    """The range that the sweep proposes for the coarse search, beside the configured one."""
    assert ladder.range is not None
    low, high = ladder.range
    proposed, expected = f"{low:g} to {high:g}", None
    message = f"proposes learning rates from {proposed}"
    if curve and curve.low:
        message += (
            f"; on a ramp the loss falls from {curve.low:g} to {curve.high:g},"
            f" fastest at {curve.steepest:g}"
        )
    kind = context.config.search.space.get("learning_rate")
    if kind and (bounds := bounds_of(kind)):
        expected = "{:g} to {:g}".format(*bounds)
        message += f"; the config searches {expected}"
    if not troubles:
        return Check("range", PASS, proposed, expected, message)
    said = "; ".join([message, *(what for what, _ in troubles)]).replace(
        f"{expected}; wh", f"{expected}, wh"
    )
    fix = "; ".join(dict.fromkeys(fix for _, fix in troubles))
    return Check("range", WARN, proposed, expected, said, fix)


def _searched(context: Context) -> dict[str, Any]:
    """What `range` is a verdict on, as YAML writes it."""
    space = without_roles(write_space(context.config.search.space))
    return {name: space[name] for name in ("learning_rate", "weight_decay") if name in space}


def holds(context: Context, document: CheckDocument) -> bool:
    """Whether the verdict is on the space that the config has; that of a later round is none of
    the sweep's business.
    """
    later, now = context.config.search.round != "coarse", _searched(context)
    return later or document.facts.get("searched", now) == now


STAGE = Stage("sweep", plan, judge, ("data", "model", "train", "sweep"), holds)
