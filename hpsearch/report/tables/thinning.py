"""Which of very many trials are drawn, and the words that say so."""

from collections.abc import Sequence

from hpsearch.trial import Status, TrialResult, ranking

BEST = 200  # trials that are drawn whatever else is left out
LOST = (Status.DIVERGED, Status.FAILED)


def thinned(results: Sequence[TrialResult], most: int) -> tuple[list[TrialResult], str]:
    """At most `most` of the trials, in their order, and in words what was left out (empty where
    nothing was): the best 200 (the best half, where fewer than 400 are drawn); of those that
    diverged or failed and of the rest as many as their shares, evenly over their order.
    """
    if len(results) <= most:
        return list(results), ""
    best = {id(result) for result in ranking(results)[: min(BEST, most // 2)]}
    lost = [r for r in results if r.status in LOST]
    rest = [r for r in results if r.status not in LOST and id(r) not in best]
    room = most - len(best)
    share = round(room * len(lost) / (len(lost) + len(rest)))
    kept = [*_evenly(lost, share), *_evenly(rest, room - share)]
    drawn = best | {id(result) for result in kept}
    said = f"{most:,} of {len(results):,} trials are drawn: the best {len(best):,}, and evenly"
    said += f" over their order {room - share:,} of the {len(rest):,} others"
    said += f" and {share:,} of the {len(lost):,} that diverged or failed" if lost else ""
    return [result for result in results if id(result) in drawn], said


def _evenly(results: Sequence[TrialResult], count: int) -> list[TrialResult]:
    return [results[place * len(results) // count] for place in range(count)]
