"""What a search stage says of its scientific hparams: each of their values at its best."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpsearch.config.dump import flow
from hpsearch.search.isolation import (
    FEWEST,
    Bucket,
    Group,
    Lag,
    bucket_of,
    buckets,
    compare,
)
from hpsearch.search.space import Distribution, Space
from hpsearch.stages.context import Context
from hpsearch.stages.gathering import comparable
from hpsearch.stages.standing import error_of
from hpsearch.trial import Status, TrialResult

Row = dict[str, Any]
LEADS, WORSE = "leads", "worse"  # what `Lag` calls them


def isolated(context: Context, space: Space, done: Sequence[TrialResult]) -> dict[str, Any]:
    """Of every scientific hparam the rows of its values, best trial and comparison, the number of
    trials `compared`, and the `message`. Of a range the rows are parts, from `low` to `high`.

    Trials carried from the round before count for no value: they were chosen among many. One that
    diverged counts as bad as the worst, one that was pruned as if it had gone on.
    """
    carried = len(context.opened.carried) if context.opened else 0
    counted = [r for r in done if r.id >= carried and r.status is not Status.FAILED]
    return {
        name: _of_one(context, name, kind, [r for r in counted if name in r.hparams])
        for name, kind in space.items()
        if kind.role == "scientific"
    }


def _of_one(
    context: Context, name: str, kind: Distribution, done: Sequence[TrialResult]
) -> Row:
    among = buckets(kind, len(done))
    reached = {each.result.id: each for each in comparable(done) if math.isfinite(each.score)}
    parts: list[list[TrialResult]] = [[] for _ in among]
    for result in done:
        if result.id in reached or result.status is not Status.PRUNED:
            parts[bucket_of(result.hparams[name], among)].append(result)
    worst = min((each.score for each in reached.values()), default=-math.inf)
    found = [[reached[r.id] for r in part if r.id in reached] for part in parts]
    best = [max(each, key=lambda e: e.order).result if each else None for each in found]
    groups = [
        Group(
            np.array([reached[r.id].score if r.id in reached else worst for r in part]
                     if top else []),
            error_of(reached[top.id].score, context) if top else 0.0,
        )
        for part, top in zip(parts, best, strict=True)
    ]  # fmt: skip
    number, lags = compare(groups)
    sign = -1 if context.config.search.metric == "val_loss" else 1
    rows = [
        {**_named(bucket), "trials": len(part), **_best(context, top), **_lagging(lag, sign)}
        for bucket, part, top, lag in zip(among, parts, best, lags, strict=True)
    ]
    said = _says(rows, loss=sign < 0) if number else _too_few(context, rows)
    if number and context.config.search.sampler == "tpe":
        said += "; only a hint, for tpe favours what did well"
    return {"compared": number, "message": f"{name}: {said}", "values": rows}


def _named(bucket: Bucket) -> Row:
    """A value as YAML has it, or the ends of a part."""
    if bucket.value is None:
        return {"value": None, "low": bucket.low, "high": bucket.high}
    value = list(bucket.value) if isinstance(bucket.value, tuple) else bucket.value
    return {"value": value, "low": None, "high": None}


def _best(context: Context, top: TrialResult | None) -> Row:
    if top is None:
        return {"trial": None, "best": None, "error": None}
    return {"trial": top.id, "best": top.value, "error": error_of(top.score, context)}


def _lagging(lag: Lag | None, sign: int) -> Row:
    if lag is None:
        return {"expected": None, "behind": None, "noise": None, "standing": "not compared"}
    return lag._replace(expected=sign * lag.expected)._asdict()


def _says(rows: Sequence[Row], *, loss: bool) -> str:
    """How far the leader is ahead of the next, and of which it is clearly ahead."""
    compared = [row for row in rows if row["behind"] is not None]
    lead = next(row for row in compared if row["standing"] == LEADS)
    others = sorted((row for row in compared if row is not lead), key=lambda row: row["behind"])
    clear = [row for row in others if row["standing"] == WORSE]
    noise = [others[0]] if others[0] not in clear else []
    said = [_against(lead, row, loss=loss) for row in (*noise, *clear[:1])]
    further = [f"also {', '.join(map(_name, clear[1:]))}"] if clear[1:] else []
    return "; ".join([*said, *further])


def _against(lead: Row, row: Row, *, loss: bool) -> str:
    by = f"{row['behind']:.2g}" if loss else f"{row['behind']:.3f}"
    if row["noise"]:
        by += f", {row['behind'] / row['noise']:.1f} standard errors"
    said = f"{_name(row)} by {by}, over the best of {lead['trials']} and {row['trials']} trials"
    if row["standing"] == WORSE:
        return f"{_name(lead)} beats {said}"
    return f"{_name(lead)} leads {said}: within the noise"


def _name(row: Row) -> str:
    if row["value"] is not None:
        return flow(row["value"])
    return f"{row['low']:.3g} .. {row['high']:.3g}"


def _too_few(context: Context, rows: Sequence[Row]) -> str:
    enough = [_name(row) for row in rows if row["trials"] >= FEWEST and row["trial"] is not None]
    part = "coarse" if context.stage == "coarse" else "refine"
    only = f"only {enough[0]} has" if enough else "none of its values has"
    return f"{only} {FEWEST} trials, too few to compare; raise search.{part}.trials"
