"""The data audit: what is wrong with the data, before any network (Karpathy 2019, step 1)."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from hpsearch.data import Dataset, audit
from hpsearch.stages.context import Context, Stage, entropy
from hpsearch.trial import TrialResult, TrialSpec
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
        "n_classes": data.n_classes, "features": list(data.features[:12]),
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
    """Inputs within [-1, 1] or about standardised; no feature on a far larger scale."""
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
    ratio = float(varying.max() / varying.min())
    largest = float(max(abs(seen.min).max(), abs(seen.max).max()))
    bounded = largest <= 1 + 1e-6
    standard = float(abs(seen.mean).max()) < 0.5 and 0.1 < float(np.median(varying)) < 3
    name = context.data.features[int(np.argmax(seen.sd))]
    if ratio > limit and not bounded:
        message = (
            f"the features' scales span a factor of {ratio:.3g}"
            f" (largest: {name}, sd {seen.sd.max():.3g})"
        )
        return say(WARN, ratio, limit, message, fix)
    if not bounded and not standard:
        message = (
            f"inputs reach {largest:.4g}, typical sd {np.median(varying):.3g}:"
            " neither in [-1, 1] nor standardised"
        )
        return say(WARN, ratio, limit, message, fix)
    return say(PASS, ratio, limit, f"sd of the inputs {varying.min():.3g} to {varying.max():.3g}")


def constant_features(context: Context) -> Check:
    """Features with one value carry nothing: in a table a surprise, in images not."""
    data = context.data
    constant = audit.constant_features(data)
    count, only = len(constant.in_train), len(constant.only_in_train)
    say = partial(Check, "constant-features", value=count, expected=0)
    names = _names(data, constant.only_in_train if only else constant.in_train)
    if only:
        return say(WARN, message=f"constant in train but not in validation: {names}",
                   fix="drop them (data.drop), or split so that both have them")  # fmt: skip
    if count and data.image_shape is None:
        return say(WARN, message=f"{count} of {data.inputs} features never change: {names}",
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
    return say(
        PASS,
        message=f"{data.n_classes} classes, {counts.min()} to {counts.max()} training rows each",
    )


def class_balance(context: Context) -> Check:
    """One class far more frequent than another makes accuracy look good for nothing."""
    counts = audit.class_counts(context.data.train, context.data.n_classes)
    limits = context.config.data.audit
    ratio = float(counts.max() / max(counts.min(), 1))
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
    if share > limits.duplicates_fail:
        return say(FAIL, message=message, fix=fix)
    if share > limits.duplicates_warn:
        return say(WARN, message=message, fix=fix)
    if found.conflicting:
        return say(WARN, message=f"{message}; {found.conflicting} equal rows differ in label",
                   fix="look at them: labels, or a feature that is missing")  # fmt: skip
    return say(PASS, message=message)


CHECKS = (
    non_finite, feature_scale, constant_features, labels, class_balance, duplicate_rows,
)  # fmt: skip
STAGE = Stage("data", plan, judge, ("data",))
