"""The edges of a search stage: where the optimum may lie beyond, how that is known, what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hpsearch.config.limits import limits_in
from hpsearch.search.edges import Side, Signals, Strength
from hpsearch.search.evidence import Evidence, evidence
from hpsearch.search.space import Choice, Distribution, Range, Space
from hpsearch.stages.context import Context, seed
from hpsearch.stages.gathering import comparable
from hpsearch.stages.standing import CLEARANCE, Standing, diverging_rate, error_of
from hpsearch.trial import TrialResult
from hpsearch.verdict import Edge

PRACTICALLY_ZERO = 1e-5  # a weight decay below this does nothing
BEYOND = 3  # trials beyond a bound that make it explored
RISING = 0.5  # a trend from here on is worth a sentence
WEIGHTY = 0.1  # of the evidence for "best", that too


def weigh(
    context: Context, space: Space, done: Sequence[TrialResult], stand: Standing
) -> dict[str, Evidence]:
    """The evidence of the stage's trials on every hparam; random numbers come of the run's seed,
    the stage and the hparam's name. A range ends where training diverges.
    """
    cliff = diverging_rate(context, done)
    within = {name: _cut(kind, cliff) if name == "learning_rate" else kind
              for name, kind in space.items()}  # fmt: skip

    def stream(name: str) -> np.random.Generator:
        return np.random.default_rng(seed(context.config.seed, f"{context.stage}/edges/{name}", 0))

    return evidence(within, stand.trials, stream)


def _cut(kind: Distribution, cliff: float | None) -> Distribution:
    if isinstance(kind, Choice) or cliff is None or not kind.bounds[0] < cliff < kind.bounds[1]:
        return kind
    return kind.with_bounds(kind.bounds[0], cliff)


def find_edges(
    context: Context, space: Space, done: Sequence[TrialResult], stand: Standing,
    found: Mapping[str, Evidence],
) -> list[Edge]:  # fmt: skip
    """The sides of ranges and lists where the best lies or seems to lie beyond."""
    return [
        _edge(context, name, space[name], about, flag, done=done, stand=stand)
        for name, about in found.items()
        for flag in about.flagged()
    ]


def _edge(
    context: Context, name: str, kind: Distribution, about: Evidence,
    flag: tuple[Side, Strength], *, done: Sequence[TrialResult], stand: Standing,
) -> Edge:  # fmt: skip
    side, strength = flag
    if isinstance(kind, Choice) or about.sides is None:
        says = _idle(about) if strength == "info" else "offer more"
        text = f"{name}: the best value, {about.best}, is the {side}est of the list: {says}"
        position = about.edge.position if about.edge else 0.0
        return Edge(name, side, strength, position, _listed(about.edge is not None), text)
    signals = about.sides[side]
    strength, advice = _meaning(
        context, name, kind, side, about=about, said=strength, done=done, stand=stand
    )
    best = f"{name}: best {about.best:.3g}{_source(context, name, stand.results)}"
    text = f"{best} {_place(kind, about.best, side)}{_reasons(kind, signals, side)}; {advice}"
    if stand.by_loss:
        text += " (judged by the drop of the training loss: no trial has learnt yet)"
    return Edge(name, side, strength, kind.position(about.best), _evidence(signals), text)


def _listed(on_edge: bool) -> dict[str, Any]:
    return {"best_on_edge": on_edge, "edge_mass": None, "trend": None, "crowding": None}


def _evidence(signals: Signals) -> dict[str, Any]:
    return {
        "best_on_edge": signals.best_on_edge, "edge_mass": round(signals.edge_mass, 3),
        "trend": round(signals.trend, 3), "crowding": signals.crowding,
    }  # fmt: skip


def _source(context: Context, name: str, best: Sequence[TrialResult]) -> str:
    """Which stage the best value is of, where it is another one's."""
    first = next(result for result in best if name in result.hparams)
    return "" if first.stage == context.stage else f", of {first.stage},"


def _place(kind: Range, best: float, side: Side) -> str:
    """Where the best value lies, from the bound on its scale."""
    low, high = kind.bounds
    position = kind.position(best)
    away = position if side == "low" else 1 - position
    distance = away * (kind.to_scale(high) - kind.to_scale(low))
    unit = "decades" if kind.log else "of the range's unit"
    bound, way = ("upper", "below") if side == "high" else ("lower", "above")
    return (
        f"is at {position:.0%} of [{low:g}, {high:g}]"
        f" ({distance:.2g} {unit} {way} the {bound} bound)"
    )


def _reasons(kind: Range, signals: Signals, side: Side) -> str:
    """The other evidence, in words, where there is any."""
    outer = "top" if side == "high" else "bottom"
    text = ""
    if signals.edge_mass >= WEIGHTY:
        text += f'; {signals.edge_mass:.0%} of the evidence for "best" lies in the {outer} 10 %'
    if signals.trend >= RISING:
        text += f"; the trend points there ({signals.trend:.1%} of resamples)"
    return text


def _meaning(
    context: Context, name: str, kind: Range, side: Side, *, about: Evidence, said: Strength,
    done: Sequence[TrialResult], stand: Standing,
) -> tuple[Strength, str]:  # fmt: skip
    """How much the edge means, and the advice."""
    low, high = kind.bounds
    if said == "info":
        return "info", _idle(about)
    if _at_limit(context, name, kind, side):
        return "info", f"no {name} lies beyond"
    if name == "weight_decay" and side == "low" and low <= PRACTICALLY_ZERO:
        return "info", "so little is practically none: no need to search lower"
    if not stand.by_loss and _explored_beyond(context, name, kind, side, stand.results[0]):
        return "info", "an earlier stage searched beyond it and found worse"
    cliff = diverging_rate(context, done) if name == "learning_rate" else None
    if side == "high" and cliff is not None and CLEARANCE * cliff <= high:
        if not (about.edge and about.edge.side == side):
            return "info", f"but training diverges from {cliff:.3g} on"
        return "stability", (
            f"training diverges from {cliff:.3g} on: not a larger rate but normalised inputs, a"
            " smaller initialisation or a warm-up would let it rise"
        )
    return said, "the optimum may lie beyond"


def _at_limit(context: Context, name: str, kind: Range, side: Side) -> bool:
    """Whether the range reaches as far as the key admits on this side."""
    low, high = kind.bounds
    limits = limits_in(context.config, name)
    return low <= limits.low if side == "low" else high >= limits.high


def _idle(about: Evidence) -> str:
    return f"but it does not matter here (importance {about.share or 0:.1%})"


def _explored_beyond(
    context: Context, name: str, kind: Range, side: Side, best: TrialResult
) -> bool:
    """Whether earlier rounds have trials beyond this bound, all clearly worse than the best: than
    that of their own round, where it trained for another number of epochs.
    """
    (low, high), search = kind.bounds, context.config.search
    epochs = (search.coarse if context.stage == "coarse" else search.refine).epochs
    behind = []
    for earlier in context.rounds:
        found = comparable(earlier.results)
        as_long = earlier.document.epochs == epochs
        top = best.score if as_long else max((each.score for each in found), default=0.0)
        behind += [
            top - score - spread
            for r, score, spread in found
            if name in r.hparams
            if (r.number(name) < low if side == "low" else r.number(name) > high)
        ]
    return len(behind) >= BEYOND and min(behind) > error_of(best.score, context)


def with_next(edges: Sequence[Edge], following: Space, cliff: float | None) -> list[Edge]:
    """The edges with the range that is searched next, in their messages too."""
    return [_followed(edge, following[edge.hparam], cliff) for edge in edges]


def _followed(edge: Edge, kind: Distribution, cliff: float | None) -> Edge:
    if isinstance(kind, Choice):
        return edge
    low, high = kind.bounds
    text = f"{edge.message}. Next: {low:.3g} to {high:.3g}"
    if edge.hparam == "learning_rate" and cliff and high == float(f"{CLEARANCE * cliff:.3g}"):
        text += f" (half of {cliff:.3g}, which diverged)"
    return replace(edge, message=text, next=kind.bounds)
