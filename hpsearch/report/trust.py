"""How far the best number of a run can be trusted, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from hpsearch.report import doubts
from hpsearch.report.progress import best_of
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import is_loss
from hpsearch.report.tables.stages import error_of, finished_trials
from hpsearch.report.text import accuracy, counted, metric
from hpsearch.trial import ranking
from hpsearch.verdict import FinalDocument, SearchDocument, Verdict


def trusted(material: Material) -> Verdict:
    """Fail where the number means nothing, warn where it is not final or odd."""
    if doubts.worthless(material) or doubts.failed(material):
        return Verdict.FAIL
    if doubts.misleading(material):
        return Verdict.WARN
    final = material.final
    ended = final and final.winner is not None and final.test and not final.earlier
    return Verdict.PASS if ended and doubts.gap(material) is None else Verdict.WARN


def confidence(material: Material) -> Iterator[str]:
    """How noisy the best value is, and what is left of it; nothing where there is none."""
    best = best_of(material.documents)
    if best is None:
        return
    for check in doubts.misleading(material):
        begin = "Not at all" if check.name in doubts.WORTHLESS else "With care"
        yield f"{begin}, before the data are mended: {check.message.rstrip('.?')}."
    yield from _spread(material, best)
    if not isinstance(doubts.failed(material), SearchDocument):
        yield from _honest(material)


def _spread(material: Material, best: Mapping[str, Any]) -> Iterator[str]:
    name, value = str(best["metric"]), best["value"]
    count = finished_trials(material.documents)
    error = error_of(name, value, material.rows)
    around = "" if error is None else f" ± {accuracy(error)} ({material.rows:,} rows)"
    lucky = f"is the luckiest of {count:,}" if count > 1 else "comes from the only trial"
    yield f"The search's best {name}, {metric(name, value)}{around}, {lucky}."
    if error is not None and (near := _near(material, name, value - error) - 1):
        others = "1 other lies" if near == 1 else f"{near:,} others lie"
        yield f"{others} within one standard error of it: which of them is best is noise."


def _near(material: Material, name: str, least: float) -> int:
    """How many trials of all stages reached so much."""
    ranked = (ranking(trials) for trials in material.trials.values())
    return sum(r.metric == name and r.score >= least for stage in ranked for r in stage)


def _honest(material: Material) -> Iterator[str]:
    final = material.final
    if final is None or final.winner is None:
        yield "It promises too much until final trains the winners again with fresh seeds."
        return
    if final.optimism:
        yield f"Trained again with fresh seeds it is {_moved(final.metric, final.optimism)}."
    if final.test:
        yield from _tested(material, final, final.test)


def _moved(name: str, optimism: float) -> str:
    """A loss that promised too much is higher when trained again."""
    fell = -optimism if is_loss(name) else optimism
    return f"{metric(name, abs(fell))} {'lower' if fell > 0 else 'higher'}"


def _tested(
    material: Material, final: FinalDocument, test: Mapping[str, Any]
) -> Iterator[str]:
    low, high = test["interval"]
    alone = f"; one net alone {accuracy(test['one_net'])}" if final.chosen != "one net" else ""
    what = f"the test accuracy of what is saved ({final.chosen})"
    less = doubts.gap(material)
    times = len(final.earlier) + 1
    read = "that nothing was chosen by" if times == 1 else f"that --force has read {times} times"
    sound = less is None and times == 1 and not doubts.misleading(material)
    begin = "Trust" if sound else "The last word is"
    yield (
        f"{begin} {what}: {accuracy(test['accuracy'])}, 95 % {accuracy(low)} to {accuracy(high)},"
        f" from {counted(test['rows'], 'row')} {read}{alone}."
    )
    if less is not None:
        yield (
            f"But it is {accuracy(abs(less))} {'below' if less > 0 else 'above'} that on the"
            " validation rows, more than chance explains: are the two drawn alike?"
        )
