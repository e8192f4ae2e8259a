"""How far the best number of a run can be trusted, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from hpsearch.report.progress import best_of
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import error_of, finished
from hpsearch.report.text import accuracy, metric
from hpsearch.trial import ranking


def confidence(material: Material) -> Iterator[str]:
    """How noisy the best value is, and what is left of it; nothing where there is none."""
    best = best_of(material.documents)
    if best is not None:
        yield from _spread(material, best)
        yield from _honest(material)


def _spread(material: Material, best: Mapping[str, Any]) -> Iterator[str]:
    name, value = str(best["metric"]), best["value"]
    count = sum(finished(d) for d in material.searches)
    error = error_of(name, value, material.rows)
    around = "" if error is None else f" ± {accuracy(error)} ({material.rows:,} rows)"
    yield f"The search's best {name}, {metric(name, value)}{around}, is the luckiest of {count:,}."
    ranked = ranking(material.trials.get(str(best["stage"]), ()))
    tied = sum(r.score >= ranked[0].score - error for r in ranked) if ranked and error else 1
    if tied > 1:
        yield f"{tied} trials lie within one standard error of it: their order is noise."


def _honest(material: Material) -> Iterator[str]:
    final = material.final
    if final is None or final.winner is None:
        yield "It promises too much until final trains the winners again with fresh seeds."
        return
    if final.optimism is not None:
        yield f"Trained again with fresh seeds it is {_lower(final.optimism)}."
    if final.test:
        low, high = final.test["interval"]
        yield f"Trust the test accuracy: {accuracy(final.test['accuracy'])}, 95 % {accuracy(low)}"\
              f" to {accuracy(high)}, from rows read once."  # fmt: skip
    if final.earlier:
        yield f"They have been read {len(final.earlier) + 1} times, by --force."


def _lower(optimism: float) -> str:
    return f"{accuracy(abs(optimism))} {'lower' if optimism > 0 else 'higher'}"
