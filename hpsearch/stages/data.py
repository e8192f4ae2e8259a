"""The data audit: what is wrong with the data, before any network (Karpathy 2019, step 1)."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from hpsearch.data import Dataset, audit
from hpsearch.data.drift import drift, sameness
from hpsearch.data.leakage import row_numbers, telling_feature
from hpsearch.data.signal import signal
from hpsearch.spec import TrialSpec
from hpsearch.stages.context import Context, Stage, entropy
from hpsearch.trial import TrialResult, standard_error
from hpsearch.verdict import Check, CheckDocument, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
NAMED = 5  # features listed in a message
PREVIEW = 5  # rows shown as the network sees them


def plan(context: Context, done: Sequence[TrialResult]) -> list[TrialSpec]:
    """The audit trains nothing."""
    return []


def judge(context: Context, done: Sequence[TrialResult]) -> CheckDocument:
    return CheckDocument("data", tuple(check(context) for check in CHECKS), facts(context.data))


def facts(data: Dataset) -> dict[str, Any]:
    """Shapes, classes, splits, and the first rows as the network sees them."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    shown = audit.preview(data, PREVIEW)
    rows = [[float(f"{v:.3g}") for v in row[:12]] for row in shown.values]
    return {
        "inputs": data.inputs, "image_shape": data.image_shape,
        "classes": list(data.classes[:100]),
        "n_classes": data.n_classes,
        "features": list(data.preprocess.names(data.features)[:12]),
        "rows": {name: len(rows) if rows else 0 for name, rows in splits.items()},
        "preview": {"rows": rows, "classes": list(shown.classes)},
    }  # fmt: skip


def non_finite(context: Context) -> Check:
    """NaN or infinity anywhere poisons every weight."""
    data = context.data
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    found = {name: audit.non_finite(rows) for name, rows in splits.items() if rows}
    total = sum(bad.count for bad in found.values())
    if total == 0:
        return Check("non-finite", PASS, 0, 0, "every value is finite")
    name, bad = next((name, bad) for name, bad in found.items() if bad.first)
    row, column = bad.first or (0, 0)
    message = (
        f"{total} values are NaN or infinite, first in {name} row {row}, {data.features[column]}"
    )
    return Check("non-finite", FAIL, total, 0, message, "mend or drop those rows or columns")


def feature_scale(context: Context) -> Check:
    """Inputs within [-1, 1] or about standardised; no feature on a far larger scale. Pixels share
    theirs, however rarely the outer ones are lit: of images the typical pixel counts.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        seen = audit.feature_statistics(context.data)
    varying = seen.sd[seen.sd > 0]
    limit = context.config.data.audit.scale_ratio
    say = partial(Check, "feature-scale")
    fix = "data.preprocess: {center: feature, scale: standard}"
    if not len(varying) or not np.isfinite(seen.sd).all():
        return say(
            WARN, None, limit, "no feature varies, or some are not finite", "see the other checks"
        )
    image = context.data.image_shape is not None
    typical = float(np.median(varying))
    ratio = float(varying.max()) / (typical if image else float(varying.min()))
    largest = float(max(abs(seen.min).max(), abs(seen.max).max()))
    bounded = largest <= 1 + 1e-6
    off = abs(seen.mean.mean()) if image else abs(seen.mean).max()
    audited = context.config.data.audit
    standard = off < audited.mean_high and audited.sd_low < typical < audited.sd_high
    names = context.data.preprocess.names(context.data.features)
    name = names[int(np.argmax(seen.sd))]
    if ratio > limit and not bounded:
        message = (
            f"the features' scales span a factor of {ratio:.3g}"
            f" (largest: {name}, sd {seen.sd.max():.3g})"
        )
        return say(WARN, ratio, limit, message, fix)
    if not bounded and not standard:
        message = (
            f"inputs reach {largest:.4g}, typical sd {typical:.3g}:"
            " neither in [-1, 1] nor standardised"
        )
        return say(WARN, ratio, limit, message, fix)
    span = _span(f"{varying.min():.3g}", f"{varying.max():.3g}")
    return say(PASS, ratio, limit, f"sd of the inputs {span}")


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def constant_features(context: Context) -> Check:
    """Features with one value carry nothing: in a table a surprise, in images not."""
    data, least = context.data, context.config.data.audit.constant_rows
    constant = audit.constant_features(data)
    only, count = constant.in_train[constant.otherwise >= least], len(constant.in_train)
    say = partial(Check, "constant-features", value=count, expected=0)
    names = _names(data, only if len(only) else constant.in_train)
    if len(only):
        return say(WARN, message=f"constant in train but not in validation: {names}",
                   fix="drop them (data.drop), or split so that both have them")  # fmt: skip
    if count and data.image_shape is None:
        return say(WARN, message=f"{count} of {data.inputs} features never vary in train: {names}",
                   fix="drop them (data.drop)")  # fmt: skip
    message = (
        f"{count} of {data.inputs} pixels never change: {names}"
        if count
        else "every feature varies"
    )
    return say(PASS, message=message)


def _names(data: Dataset, columns: Any) -> str:
    named = ", ".join(data.features[c] for c in columns[:NAMED])
    return f"{named}, ..." if len(columns) > NAMED else named


def labels(context: Context) -> Check:
    """Every class is there to learn from; none is met for the first time in validation."""
    data = context.data
    counts = audit.class_counts(data.train, data.n_classes)
    say = partial(Check, "labels", value=int((counts > 0).sum()), expected=data.n_classes)
    if (counts == 0).any():
        absent = ", ".join(data.classes[c] for c in np.flatnonzero(counts == 0)[:NAMED])
        return say(FAIL, message=f"classes without a training row: {absent}",
                   fix="drop them, or split so that train has every class")  # fmt: skip
    if twins := _spelt_alike(data.classes):
        return say(WARN, message=f"classes that differ in case or spaces alone: {twins}",
                   fix="spell them alike, if they are one")  # fmt: skip
    span = _span(str(counts.min()), str(counts.max()))
    return say(PASS, message=f"{data.n_classes} classes, {span} training rows each")


def _spelt_alike(classes: Sequence[str]) -> str:
    """The first two class names that are one but for case and spaces; empty where none are."""
    seen: dict[str, str] = {}
    for name in classes:
        other = seen.setdefault("".join(name.split()).casefold(), name)
        if other != name:
            return f"{other!r} and {name!r}"
    return ""


def class_balance(context: Context) -> Check:
    """One class far more frequent than another makes accuracy look good for nothing."""
    counts = audit.class_counts(context.data.train, context.data.n_classes)
    limits = context.config.data.audit
    ratio = float(counts.max() / counts[counts > 0].min())  # of none at all, labels tells
    perplexity = math.exp(entropy(context.data)) / context.data.n_classes
    most = counts.max() / counts.sum()
    message = (
        f"largest class {ratio:.3g} times the smallest;"
        f" always answering it is right {most:.1%} of the time"
    )
    if ratio > limits.class_ratio or perplexity < limits.class_perplexity:
        fix = "search.metric: val_balanced_accuracy; compare with the majority's accuracy"
        return Check("class-balance", WARN, ratio, limits.class_ratio, message, fix)
    return Check("class-balance", PASS, ratio, limits.class_ratio, message)


def duplicate_rows(context: Context) -> Check:
    """Validation rows that were trained on make validation optimistic."""
    data, limits = context.data, context.config.data.audit
    found = audit.duplicates(data.train, data.validation)
    share = found.leaked / len(data.validation.y)
    message = f"{found.leaked} of {len(data.validation.y)} validation rows also occur in train"
    say = partial(Check, "duplicate-rows", value=share, expected=limits.duplicates_warn)
    fix = "remove duplicate rows before splitting"
    several = found.leaked >= limits.duplicates_least
    if several and share > limits.duplicates_fail:
        return say(FAIL, message=message, fix=fix)
    if several and share > limits.duplicates_warn:
        return say(WARN, message=message, fix=fix)
    if found.conflicting:
        message += f"; {found.conflicting} equal rows differ in label"
    if found.points >= limits.duplicates_least:
        fix = "look at them: labels, or a feature that is missing"
        return say(WARN, message=message, fix=fix)
    return say(PASS, message=message)


def leakage(context: Context) -> Check:
    """One feature from which alone the class is known is mostly the target in disguise."""
    data, limits = context.data, context.config.data.audit
    found = telling_feature(data, limits.rows)
    say = partial(Check, "leakage", expected=limits.leakage_accuracy)
    if found is None:
        return say(PASS, None, message="too few rows to tell")
    name, error = data.features[found.column], 1 - found.accuracy
    if found.accuracy >= limits.leakage_accuracy and (
        error < limits.leakage_error * (1 - found.majority)
    ):
        message = f"{name} alone predicts {found.accuracy:.1%} of {found.rows} rows"
        fix = "leave it out (data.drop) if it is not known before the class is"
        return say(WARN, found.accuracy, message=f"{message}; is it the target, leaked?", fix=fix)
    message = f"no feature alone tells the class: {name} does best, with {found.accuracy:.1%}"
    if len(numbers := row_numbers(data)):
        message += f"; {_names(data, numbers)} only numbers the rows: leave it out (data.drop)"
    return say(PASS, found.accuracy, message=message)


def label_signal(context: Context) -> Check:
    """Inputs that have to do with the labels let the simplest of classifiers beat the majority."""
    limits = context.config.data.audit
    found = signal(context.data, limits.rows)
    error = standard_error(found.majority, found.rows)
    z = (max(found.centroid, found.neighbour) - found.majority) / error
    say = partial(Check, "label-signal", expected=limits.signal)
    by = (
        f"the nearest class mean is right on {found.centroid:.1%} of {found.rows} validation rows,"
        f" the nearest training row on {found.neighbour:.1%},"
        f" the largest class on {found.majority:.1%}"
    )
    if z >= limits.signal:
        return say(PASS, z, message=by)
    if found.majority + limits.signal * error > 1:
        return say(PASS, z, message=f"{by}: too few rows, or one class too large, to tell")
    fix = "do the labels belong to their rows? look for a shuffle, a sort or a join between them"
    if feature_scale(context).verdict is not PASS:
        fix = f"scale the inputs first (see feature-scale); if that is not it, {fix}"
    return say(WARN, z, message=f"{by}: no signal", fix=fix)


def split_statistics(context: Context) -> Check:
    """Validation must look like train, or what holds for it says nothing (CS231n nn2)."""
    data, limits = context.data, context.config.data.audit
    found, alike = drift(data, limits.rows), sameness(data)
    name = data.preprocess.names(data.features)[found.column]
    say = partial(Check, "split-statistics", value=found.p, expected=limits.split_p / data.inputs)
    if alike is not None and alike < limits.split_sameness:
        message = "validation has train's very mean and sd: was it normalised by itself?"
        return say(WARN, message=message, fix="prepare it with train's mean and sd")
    if found.p < limits.split_p / data.inputs:
        message = (
            f"{name} is not distributed in validation as in train: the shares of rows below some"
            f" value are {found.distance:.1%} apart (p = {found.p:.2g})"
        )
        return say(WARN, message=message,
                   fix="draw the split at random, and prepare both parts alike")  # fmt: skip
    message = f"validation is distributed as train (least p {found.p:.2g}, {name})"
    error = standard_error(0.5, len(data.validation))
    if error > limits.validation_error:
        message += f"; {len(data.validation)} rows tell an accuracy to ±{error:.0%} only"
    return say(PASS, message=message)


CHECKS = (
    non_finite, feature_scale, constant_features, labels, class_balance, duplicate_rows,
    leakage, label_signal, split_statistics,
)  # fmt: skip
STAGE = Stage("data", plan, judge, ("data",))
