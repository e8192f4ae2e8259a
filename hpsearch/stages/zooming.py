"""From a stage's trials to the next space, with a reason for every range."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hpsearch.config.limits import limits_in
from hpsearch.errors import ConfigError
from hpsearch.search.edges import Side
from hpsearch.search.evidence import Evidence
from hpsearch.search.importance import key_of
from hpsearch.search.space import Choice, Distribution, Range, Space
from hpsearch.search.zoom import beyond, narrow, survivors, widen
from hpsearch.stages.context import Context
from hpsearch.stages.edges import find_edges, weigh, with_next
from hpsearch.stages.gathering import Comparable
from hpsearch.stages.standing import Standing, diverging_limit, diverging_rate, standing
from hpsearch.trial import Status, TrialResult
from hpsearch.verdict import Edge

RATE = "learning_rate"
WIDENS = ("warn", "strong")


class Zoom(NamedTuple):
    """What a stage's trials say: the edges, the next space, the reason for each of its ranges,
    and the importance of each hparam.
    """

    edges: Sequence[Edge]
    space: Space
    reasons: Mapping[str, str]
    importance: Mapping[str, float]


def zoom(
    context: Context, space: Space, done: Sequence[TrialResult], counting: Sequence[Comparable]
) -> Zoom:
    """What the trials say: the stage's own (`done`), and of all that count the scores. Where none
    does, only whether the learning rates were too large.
    """
    if not counting:
        return _lower(context, space, done)
    stand = standing(context, counting)
    found = weigh(context, space, done, stand)
    edges = find_edges(context, space, done, stand, found)
    following, reasons = _next_space(context, space, done, stand, found=found, edges=edges)
    edges = with_next(edges, following, diverging_rate(context, done))
    shares = {name: about.share for name, about in found.items() if about.share is not None}
    return Zoom(edges, following, reasons, shares)


def _lower(context: Context, space: Space, done: Sequence[TrialResult]) -> Zoom:
    """Where every trial diverged, the learning rate's range goes down: to below the rates that
    did, and as low as the sweep's or a decade beyond.
    """
    kind, limit = space.get(RATE), diverging_limit(context, RATE, done)
    lost = {r.status for r in done} - {Status.FAILED} == {Status.DIVERGED}
    if kind is None or isinstance(kind, Choice) or kind.integer or limit is None or not lost:
        return Zoom((), space, {}, {})
    sweep = context.checks.get("sweep")
    swept = (sweep.facts.get("range") if sweep else None) or (math.inf, math.inf)
    far = min(kind.bounds[0], limit)
    bounds = swept[0] if swept[0] < far else far / 10, min(kind.bounds[1], limit)
    reason = f"every trial diverged; widened low, to below {limit:.3g}"
    lower = kind.with_bounds(*map(kind.rounded, bounds))
    return Zoom((), {**space, RATE: lower}, {RATE: reason}, {})


def _next_space(
    context: Context, space: Space, done: Sequence[TrialResult], stand: Standing, *,
    found: Mapping[str, Evidence], edges: Sequence[Edge],
) -> tuple[dict[str, Distribution], dict[str, str]]:  # fmt: skip
    """The next round's space, and the reason for each range."""
    mask = survivors(stand.trials.scores, float(stand.trials.errors[0]))
    top = [r for r, kept in zip(stand.results, mask, strict=True) if kept]
    following, reasons = dict(space), {}
    for name, kind in space.items():
        about = found.get(name)
        refused = _too_large(context, done) if name == "hidden" else []
        if isinstance(kind, Choice):
            following[name], reasons[name] = _offered(kind, refused)
        elif kind.role == "scientific":
            reasons[name] = "scientific: left as it is, so that all of it is compared"
        elif about and not about.matters:
            reasons[name] = f"does not matter here (importance {about.share or 0:.1%}): left alone"
        elif values := [r.number(name) for r in top if name in r.hparams]:
            limit = diverging_limit(context, name, done)
            following[name], reasons[name] = _next_range(
                context, name, kind, values, stand=stand, edges=edges, limit=limit
            )
        else:
            reasons[name] = "none of the best trials has it"
        if refused and not isinstance(kind, Choice):
            following[name], said = _cut(following[name], refused)
            reasons[name] += said
    return following, reasons


def _next_range(
    context: Context, name: str, kind: Range, values: Sequence[float], *,
    stand: Standing, edges: Sequence[Edge], limit: float | None,
) -> tuple[Distribution, str]:  # fmt: skip
    following = narrow(kind, values, whole_decades=context.stage == "coarse")
    where = f"{min(values):.3g} .. {max(values):.3g}"
    reason = f"the {len(values)} best of {_among(context, stand.results)} lie in {where}"
    for edge in edges:
        if edge.hparam == name and edge.strength in WIDENS:
            side: Side = "high" if edge.side == "high" else "low"
            wider = _wider(context, name, following, kind, side=side, limit=limit)
            moved = wider and _reaches_beyond(wider, kind, side)
            why = "best lies on" if edge.evidence["best_on_edge"] else "trend points to"
            said = f"widened {side}: the {why} that edge" if moved else f"can go no further {side}"
            following, reason = wider or following, f"{reason}; {said}"
    return following, reason


def _among(context: Context, results: Sequence[TrialResult]) -> str:
    """How many trials, and where from those that are not the stage's own."""
    others = Counter(r.stage for r in results if r.stage != context.stage)
    said = " and ".join(f"{n} of {stage}" for stage, n in others.items())
    return f"{len(results)} trials" + (f", {said} among them," if said else "")


def _reaches_beyond(wider: Range, old: Range, side: Side) -> bool:
    """Whether a range reaches beyond the old one on this side."""
    return wider.bounds[0] < old.bounds[0] if side == "low" else wider.bounds[1] > old.bounds[1]


def _wider(
    context: Context, name: str, following: Range, old: Range, *, side: Side, limit: float | None
) -> Range | None:
    """`following` widened beyond the `old` bound, as far as the key's limits and, upward, `limit`
    admit; None where the config does not admit it at all.
    """
    try:
        bound = old.bounds[0] if side == "low" else old.bounds[1]
        cap = limits_in(context.config, name).confine(beyond(old, side), bound)
        if side == "high" and limit is not None:
            cap = min(cap, limit)
        wider = widen(following, old, side, limit=cap)
        for end in wider.bounds:
            context.config.with_hparams({name: end})
    except (ConfigError, ValueError, OverflowError):
        return None
    return wider


def _too_large(context: Context, done: Sequence[TrialResult]) -> list[Any]:
    """The `hidden` of trials that memory did not suffice for, where it never did."""
    tried = [*done, *(result for earlier in context.rounds for result in earlier.results)]
    known = [(r.hparams["hidden"], r) for r in tried if "hidden" in r.hparams]
    fitted = [key_of(hidden) for hidden, r in known if r.status is not Status.FAILED]
    return [h for h, r in known if r.out_of_memory and key_of(h) not in fitted]


def _offered(kind: Choice, refused: Sequence[Any]) -> tuple[Distribution, str]:
    """The list without what is refused, unless that is all of it."""
    keys = [key_of(value) for value in refused]
    left = [value for value in kind.choice if key_of(value) not in keys]
    if not left or len(left) == len(kind.choice):
        return kind, "a list stays as it is"
    gone = ", ".join(str(value) for value in kind.choice if key_of(value) in keys)
    return kind.with_values(left), f"without {gone}: memory ran out"


def _cut(kind: Distribution, refused: Sequence[Any]) -> tuple[Distribution, str]:
    """The range below the smallest size that is refused, where there is any below it."""
    smallest = min((value for value in refused if isinstance(value, int)), default=None)
    if isinstance(kind, Choice) or smallest is None or smallest > kind.bounds[1]:
        return kind, ""
    low, high = kind.bounds[0], smallest - 1
    if low >= high:
        return kind, ""
    return kind.with_bounds(low, high), f"; below {smallest}, for which memory ran out"
