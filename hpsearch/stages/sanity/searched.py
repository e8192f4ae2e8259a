"""The corners of the searched space: what a search may draw is looked at before it does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from hpsearch.config.schema import SEARCHABLE, Model
from hpsearch.search.space import Choice, Distribution
from hpsearch.stages.context import Context
from hpsearch.stages.probe import Probe
from hpsearch.verdict import SEVERITY, Check, Verdict, worst

CHECKED = {"examples": 200, "initializations": 5}  # at most, of a corner

Hparams = dict[str, Any]


def corners(context: Context) -> list[Probe]:
    """The deepest and the widest searched network, and the deepest with every other searched
    key of the model at its extremes, one at a time. None where nothing of the model is searched.
    """
    config = context.config
    fewer = {key: min(most, getattr(config.sanity, key)) for key, most in CHECKED.items()}
    limits = config.sanity.model_copy(update=fewer)
    found: dict[str, Context] = {}
    for point in _points(context):
        model, _ = config.with_hparams(point)
        changed = {
            key: value
            for key in point
            if (value := getattr(model, key)) != getattr(config.model, key)
        }
        if changed:
            small = config.model_copy(update={"model": model, "sanity": limits})
            found[_named(changed)] = replace(context, config=small)
    return [Probe.of(corner, name) for name, corner in found.items()]


def _points(context: Context) -> Iterator[Hparams]:
    space = context.config.search.space
    searched = {key: kind for key, kind in space.items() if SEARCHABLE[key] is Model}
    shapes = [{"hidden": value} for value in _extremes(searched.pop("hidden", None))]
    yield from shapes
    deepest = shapes[0] if shapes else {}
    for key, kind in searched.items():
        for value in _extremes(kind):
            yield {**deepest, key: value}


def _extremes(kind: Distribution | None) -> list[Any]:
    """Both bounds, the deepest and the widest of lists, or every one of names."""
    if kind is None:
        return []
    if not isinstance(kind, Choice):
        return list(reversed(kind.bounds))
    items = [tuple(item) if isinstance(item, list) else item for item in kind.choice]
    lists = [item if isinstance(item, tuple) else (item,) for item in items]
    if any(isinstance(item, tuple) for item in items):
        deepest = max(lists, key=lambda widths: (len(widths), sum(map(float, widths))))
        widest = max(lists, key=lambda widths: max(map(float, widths), default=0))
        return list(dict.fromkeys((deepest, widest)))
    numbers = [item for item in items if isinstance(item, int | float)]
    if len(numbers) == len(items):
        return list(dict.fromkeys((max(numbers), min(numbers))))
    return list(dict.fromkeys(items))


def _named(point: Hparams) -> str:
    return ", ".join(
        f"model.{key} {'-'.join(map(str, value)) if isinstance(value, tuple) else value}"
        for key, value in point.items()
    )


def with_corners(check: Callable[[Probe], Check], probe: Probe, space: Sequence[Probe]) -> Check:
    """What the check finds of the configured network, warned where it finds fault with a corner
    of the searched space; a corner never fails, since the search need not go there.
    """
    found = check(probe)
    others = [(corner, check(corner)) for corner in space]
    off = [(corner, other) for corner, other in others if other.verdict is not Verdict.PASS]
    if not off:
        return found
    corner, other = max(off, key=lambda pair: SEVERITY[pair[1].verdict])
    more = f"; and {len(off) - 1} more like it" if len(off) > 1 else ""
    message = f"{found.message}; in the searched space, {corner.corner}: {other.message}{more}"
    verdict = worst([found.verdict, Verdict.WARN])
    fix = found.fix or f"leave it out of search.space, or {other.fix}"
    return replace(found, verdict=verdict, message=message, fix=fix)
