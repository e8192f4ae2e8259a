"""From a stage's trials to its edges and the next space, with a reason for every range."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from pydantic import ValidationError

from hpsearch.search.edges import OnEdge, Side, best_on_edge, crowding
from hpsearch.search.space import Choice, Distribution, Range, Space
from hpsearch.search.zoom import narrow, survivors, widen
from hpsearch.stages.context import Context
from hpsearch.trial import Status, TrialResult, standard_error
from hpsearch.verdict import Edge

TOP = 5
PRACTICALLY_ZERO = 1e-5  # a weight decay below this does nothing
BEYOND = 3  # trials beyond a bound that make it explored
DIRECT = ("sgd", "momentum", "nesterov", "adamw")  # in which rate x decay shrinks the weights
DECAY_ALONE = 1.0  # rate x decay from which a divergence is put down to the decay
CLEARANCE = 0.5  # of the smallest diverging rate: as far as a range may be widened


def find_edges(
    context: Context, space: Space, done: Sequence[TrialResult], best: Sequence[TrialResult]
) -> list[Edge]:
    """The hparams whose best value lies at a bound, and what that means."""
    edges = []
    for name, kind in space.items():
        at = best_on_edge(kind, best[0].hparams[name]) if name in best[0].hparams else None
        if at:
            edges.append(_edge(context, name, kind, at, done=done, best=best))
    return edges


def _edge(
    context: Context, name: str, kind: Distribution, at: OnEdge, *,
    done: Sequence[TrialResult], best: Sequence[TrialResult],
) -> Edge:  # fmt: skip
    value = best[0].hparams[name]
    evidence: dict[str, Any] = {
        "best_on_edge": True,
        "edge_mass": None,
        "trend": None,
        "crowding": None,
    }
    bound = "upper" if at.side == "high" else "lower"
    if isinstance(kind, Choice):
        text = f"{name}: the best value, {value}, is the {at.side}est of the list: offer more"
        return Edge(name, at.side, "warn", at.position, evidence, text)
    top = [r.number(name) for r in best if name in r.hparams][:TOP]
    evidence["crowding"] = crowding(kind, top, at.side)
    low, high = kind.bounds
    unit = "decades" if kind.log else "of the range's unit"
    text = (
        f"{name}: best {value:.3g} is at {at.position:.0%} of [{low:g}, {high:g}]"
        f" ({at.distance:.2g} {unit} from the {bound} bound)"
    )
    strength, advice = _strength(context, name, kind, at, done=done, best=best[0])
    return Edge(name, at.side, strength, at.position, evidence, f"{text}; {advice}")


def _strength(
    context: Context, name: str, kind: Range, at: OnEdge, *,
    done: Sequence[TrialResult], best: TrialResult,
) -> tuple[str, str]:  # fmt: skip
    """How much the edge means, and the advice."""
    low, high = kind.bounds
    if name == "weight_decay" and at.side == "low" and low <= PRACTICALLY_ZERO:
        return "info", "so little is practically none: no need to search lower"
    if _explored_beyond(context, name, kind, at, best):
        return "info", "an earlier stage searched beyond it and found worse"
    limit = diverging_limit(context, name, done)
    if at.side == "high" and limit is not None and limit <= high:
        return "stability", (
            "training diverges above it: not a larger rate but normalised inputs, a smaller"
            " initialisation or a warm-up would let it rise"
        )
    return "warn", "the optimum may lie beyond"


def _explored_beyond(
    context: Context, name: str, kind: Range, at: OnEdge, best: TrialResult
) -> bool:
    """Whether earlier rounds have trials beyond this bound, all clearly worse than the best."""
    low, high = kind.bounds
    beyond = [
        r.score
        for earlier in context.rounds
        for r in earlier.results
        if r.status is Status.DONE and name in r.hparams
        if (r.number(name) < low if at.side == "low" else r.number(name) > high)
    ]
    error = error_of(best, context)
    return len(beyond) >= BEYOND and max(beyond) < best.score - error


def diverging_limit(context: Context, name: str, done: Sequence[TrialResult]) -> float | None:
    """Half the smallest learning rate from which on nothing trains, as the sweep and the trials
    tell; None for other hparams, or where nothing diverged. Trials that their weight decay alone
    would lose (plain SGD does beyond rate x decay = 2) tell nothing of the rate.
    """
    if name != "learning_rate":
        return None
    results = [r for earlier in context.rounds for r in earlier.results] + list(done)
    stable = [_rate(r) for r in results if r.status is Status.DONE]
    highest = max(stable, default=0.0)
    limits = [
        _rate(r)
        for r in results
        if r.status is Status.DIVERGED and _rate(r) > highest and not _decayed(context, r)
    ]
    sweep = context.checks.get("sweep")
    if sweep and sweep.facts.get("diverging") and sweep.facts["diverging"] > highest:
        limits.append(sweep.facts["diverging"])
    return CLEARANCE * min(limits) if limits else None


def _rate(result: TrialResult) -> float:
    return result.number("learning_rate")


def _decayed(context: Context, result: TrialResult) -> bool:
    """Whether the trial was lost to its weight decay, where that scales the weights directly."""
    train, decay = context.config.train, result.number("weight_decay")
    optimizer = result.hparams.get("optimizer", train.optimizer)
    if "weight_decay" not in result.hparams:
        decay = train.weight_decay
    return optimizer in DIRECT and _rate(result) * decay >= DECAY_ALONE


def error_of(best: TrialResult, context: Context) -> float:
    """The standard error of the searched metric; 0 where it is a loss, which has none here."""
    if context.config.search.metric == "val_loss":
        return 0.0
    return standard_error(best.value, len(context.data.validation.y))


def next_space(
    context: Context, space: Space, done: Sequence[TrialResult], best: Sequence[TrialResult],
    edges: Sequence[Edge],
) -> tuple[dict[str, Distribution], dict[str, str]]:  # fmt: skip
    """The next round's space, and the reason for each range."""
    mask = survivors(np.array([r.score for r in best]), error_of(best[0], context))
    top = [r for r, kept in zip(best, mask, strict=True) if kept]
    following, reasons = {}, {}
    for name, kind in space.items():
        limit = diverging_limit(context, name, done)
        following[name], reasons[name] = _next_range(context, name, kind, top, edges, limit)
    return following, reasons


def _next_range(
    context: Context, name: str, kind: Distribution, top: Sequence[TrialResult],
    edges: Sequence[Edge], limit: float | None,
) -> tuple[Distribution, str]:  # fmt: skip
    if isinstance(kind, Choice):
        return kind, "a list stays as it is"
    values = [r.number(name) for r in top if name in r.hparams]
    if not values:
        return kind, "it stays as it is: none of the best trials has it"
    narrowed = narrow(kind, values, whole_decades=context.stage == "coarse")
    where = f"{min(values):.3g} .. {max(values):.3g}"
    reason = f"the {len(values)} best of the {context.stage} trials lie in {where}"
    for edge in edges:
        if edge.hparam == name and edge.strength == "warn":
            side: Side = "high" if edge.side == "high" else "low"
            cap = limit if side == "high" else None
            wider = _wider(context, name, partial(widen, narrowed, kind, side, limit=cap))
            if wider:
                return wider, f"{reason}; widened {edge.side}: the best lies on that edge"
            return narrowed, f"{reason}; {name} can go no further {edge.side}"
    return narrowed, reason


def _wider(context: Context, name: str, widened: Callable[[], Range]) -> Range | None:
    """The widened range, or None where the kind's or the config's limits do not admit it."""
    try:
        wider = widened()
        for bound in wider.bounds:
            context.config.with_hparams({name: bound})
    except (ValidationError, ValueError, OverflowError):
        return None
    return wider
