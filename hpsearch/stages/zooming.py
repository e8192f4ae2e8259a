"""From a stage's trials to the next space, with a reason for every range."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pydantic import ValidationError

from hpsearch.search.edges import Side
from hpsearch.search.evidence import Evidence
from hpsearch.search.space import Choice, Distribution, Range, Space
from hpsearch.search.zoom import narrow, survivors, widen
from hpsearch.stages.context import Context
from hpsearch.stages.edges import find_edges, weigh, with_next
from hpsearch.stages.standing import Standing, diverging_limit, diverging_rate, standing
from hpsearch.trial import TrialResult
from hpsearch.verdict import Edge

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
    context: Context, space: Space, done: Sequence[TrialResult], best: Sequence[TrialResult]
) -> Zoom:
    """What the stage's trials say; nothing, and the same space, where none was completed."""
    if not best:
        return Zoom((), space, {}, {})
    stand = standing(context, best)
    found = weigh(context, space, done, stand)
    edges = find_edges(context, space, done, stand, found)
    following, reasons = _next_space(context, space, done, stand, found=found, edges=edges)
    edges = with_next(edges, following, diverging_rate(context, done))
    shares = {name: about.share for name, about in found.items() if about.share is not None}
    return Zoom(edges, following, reasons, shares)


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
        if isinstance(kind, Choice):
            reasons[name] = "a list stays as it is"
        elif about and not about.matters:
            reasons[name] = f"does not matter here (importance {about.share or 0:.1%}): left alone"
        elif values := [r.number(name) for r in top if name in r.hparams]:
            limit = diverging_limit(context, name, done)
            following[name], reasons[name] = _next_range(
                context, name, kind, values, edges=edges, limit=limit
            )
        else:
            reasons[name] = "none of the best trials has it"
    return following, reasons


def _next_range(
    context: Context, name: str, kind: Range, values: Sequence[float], *,
    edges: Sequence[Edge], limit: float | None,
) -> tuple[Distribution, str]:  # fmt: skip
    following = narrow(kind, values, whole_decades=context.stage == "coarse")
    where = f"{min(values):.3g} .. {max(values):.3g}"
    reason = f"the {len(values)} best of the {context.stage} trials lie in {where}"
    for edge in edges:
        if edge.hparam == name and edge.strength in WIDENS:
            side: Side = "high" if edge.side == "high" else "low"
            cap = limit if side == "high" else None
            wider = _wider(context, name, partial(widen, following, kind, side, limit=cap))
            why = "best lies on" if edge.evidence["best_on_edge"] else "trend points to"
            said = f"widened {side}: the {why} that edge" if wider else f"can go no further {side}"
            following, reason = wider or following, f"{reason}; {said}"
    return following, reason


def _wider(context: Context, name: str, widened: Callable[[], Range]) -> Range | None:
    """The widened range, or None where the kind's or the config's limits do not admit it."""
    try:
        wider = widened()
        for bound in wider.bounds:
            context.config.with_hparams({name: bound})
    except (ValidationError, ValueError, OverflowError):
        return None
    return wider
