"""The space that will be searched, beside what the sweep has found: is much of it lost?"""

from collections.abc import Iterator

from hpsearch.errors import GateError
from hpsearch.search.space import Choice, Distribution
from hpsearch.stages.context import Context
from hpsearch.stages.ladder import NEAR, Ladder, Tried

Trouble = tuple[str, str]  # what is wrong, and the fix


def sweep_range(context: Context) -> tuple[float, float]:
    """The learning rates that the sweep proposes; GateError where it proposes none."""
    sweep = context.checks.get("sweep")
    if sweep is None or not sweep.facts.get("range"):
        raise GateError(
            "search.space: has no learning_rate, and no sweep has proposed its range;"
            " run `hpsearch sweep`, or add learning_rate: {log_uniform: [1e-4, 1]}"
        )
    low, high = sweep.facts["range"]
    return low, high


def share_above(kind: Distribution, limit: float) -> float:
    """The share of a distribution's draws that lie above `limit`, or of a choice's, at it too."""
    if isinstance(kind, Choice):
        numbers = _numbers(kind)
        return sum(value >= limit for value in numbers) / len(numbers) if numbers else 0.0
    return 1 - kind.share(limit)


def bounds_of(kind: Distribution) -> tuple[float, float] | None:
    """The least and the greatest value; None where they are no numbers."""
    if not isinstance(kind, Choice):
        return kind.bounds
    numbers = _numbers(kind)
    return (min(numbers), max(numbers)) if numbers else None


def _numbers(kind: Choice) -> list[float]:
    return [float(v) for v in kind.choice if isinstance(v, int | float)]


def strong_decay(context: Context) -> float | None:
    """A weight decay to try: above it lies the share of the searched range that may be wasted.
    Where none is searched, the configured one.
    """
    config = context.config
    kind = config.search.space.get("weight_decay")
    if kind is None:
        decay = config.train.weight_decay
        return decay if decay > config.sweep.weight_decay else None
    if isinstance(kind, Choice):
        numbers = sorted(_numbers(kind))
        decay = numbers[int((1 - config.sweep.wasted) * len(numbers))] if numbers else 0.0
        return decay or None
    low, high = map(kind.to_scale, kind.bounds)
    decay = kind.from_scale(high - config.sweep.wasted * (high - low))
    return float(f"{decay:.3g}") or None


def gentle(ladder: Ladder) -> Tried | None:
    """Where to try a weight decay: a usable rate with room above it, the largest there is; else
    the best.
    """
    best = ladder.best
    if best is None:
        return None
    room = [t for t in ladder.usable if t.rate * ladder.limits.margin <= best.rate * NEAR]
    return max(room, key=lambda t: t.rate, default=best)


def rate_troubles(context: Context, ladder: Ladder, best: Tried) -> Iterator[Trouble]:
    """The searched learning rates miss the usable ones, or many of them diverge."""
    kind = context.config.search.space.get("learning_rate")
    bounds = bounds_of(kind) if kind else None
    if kind is None or bounds is None or ladder.range is None:
        return
    low, high = ladder.range
    fix = f"search.space.learning_rate: {{log_uniform: [{low:g}, {high:g}]}}"
    inside = [t for t in ladder.usable if bounds[0] <= t.rate <= bounds[1]]
    near = best.score + max(
        ladder.limits.gain * ladder.baseline, ladder.limits.errors * best.error
    )
    if not inside:
        side = "below" if bounds[1] < best.rate else "above"
        yield f"which lies {side} the usable rates: the best is {best.rate:g}", fix
    elif min(t.score for t in inside) > near:
        yield f"where the best rate, {best.rate:g}, is not", fix
    edge = min((t.rate for t in ladder.rates if t.diverged and t.rate > best.rate), default=None)
    share = share_above(kind, edge) if edge else 0.0
    if edge and share > ladder.limits.wasted * NEAR:
        yield f"of which {share:.0%} lies above {edge:g}, where training diverges", fix


def decay_troubles(
    context: Context, ladder: Ladder, *, strong: tuple[float, Tried] | None
) -> Iterator[Trouble]:
    """With a strong `weight_decay` of the space, or the configured one, nothing is learnt."""
    if strong is None or ladder.learns(strong[1]):
        return
    decay, tried = strong
    loss = f"the loss is {tried.score:.4g}, for"
    became = "training diverges, for a loss of" if tried.diverged else loss
    without = next(t.score for t in ladder.rates if t.rate == tried.rate)
    what = f"with weight decay {decay:g} {became} {without:.4g} without, at rate {tried.rate:g}"
    kind = context.config.search.space.get("weight_decay")
    if kind is None:
        yield what, "train.weight_decay: 1e-4"
        return
    share = share_above(kind, decay)
    yield (
        f"{what}, and {share:.0%} of the searched weight_decay lies above",
        f"search.space.weight_decay: an upper bound well below {decay:g}",
    )
