"""The five questions somebody has who opens a report, and what the run answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpsearch.curves import ACTIONS, tally
from hpsearch.report.progress import best_of, following
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import error_of, finished, says
from hpsearch.report.text import accuracy, is_real, metric, number, share
from hpsearch.search.space import Choice, parse_space
from hpsearch.trial import TrialResult, ranking
from hpsearch.verdict import (
    CHECKING,
    GOES_ON,
    SEVERITY,
    Check,
    CheckDocument,
    Edge,
    FinalDocument,
    SearchDocument,
    Verdict,
)

MATTERS = 0.05  # a share of the importance below which an hparam could as well be left alone
TOP = 10  # trials whose curves are counted


@dataclass(frozen=True)
class Answer:
    """A question, what the run answers, and how good that is; None where it is not known yet."""

    question: str
    text: str
    verdict: Verdict | None = None


def headline(material: Material) -> Answer:
    """The verdict of the run in one sentence."""
    if failed := _failed(material):
        return Answer("", f"{failed.stage} fails: {says(failed)}.", Verdict.FAIL)
    final, searches = material.final, material.searches
    if final and final.verdict:
        return Answer("", _ended(final), _worst(material))
    if not searches:
        return Answer("", _checked(material), _worst(material))
    last = searches[-1]
    if last.verdict is None:
        return Answer("", f"Under way: {last.stage} has {says(last)}.", None)
    went = f"searched, not finished: {last.stage}, the last search, says {says(last)}"
    return Answer("", f"{went}.".capitalize(), _worst(material))


def _failed(material: Material) -> CheckDocument | SearchDocument | None:
    """What stops the run: a failed check, or a failed last search that does not point on."""
    checks = [d for d in material.documents if isinstance(d, CheckDocument)]
    failed = next((d for d in checks if d.verdict is Verdict.FAIL), None)
    last = material.searches[-1] if material.searches else None
    if failed or last is None or last.verdict is not Verdict.FAIL:
        return failed
    return None if last.decision.startswith(GOES_ON) else last


def _worst(material: Material) -> Verdict | None:
    """Of the checks, the last search and the end; an edge that was searched beyond is past."""
    last = material.searches[-1:]
    counted = [d for d in material.documents if not isinstance(d, SearchDocument) or d in last]
    return max((d.verdict for d in counted if d.verdict), key=SEVERITY.__getitem__, default=None)


def _ended(final: FinalDocument) -> str:
    if final.winner is None:
        return f"final fails: {final.message}."
    if final.test is None:
        return f"Finished: {final.chosen} is saved; there is no test set to judge it by."
    low, high = final.test["interval"]
    return (
        f"Finished: the saved model is right on {final.test['accuracy']:.1%} of"
        f" {final.test['rows']:,} test rows that nothing was chosen by"
        f" (95 % between {low:.1%} and {high:.1%})."
    )


def _checked(material: Material) -> str:
    done = [d.stage for d in material.documents]
    if not done:
        return "Nothing has been run yet."
    missing = [stage for stage in CHECKING if stage not in done]
    left = f"still to check: {', '.join(missing)}" if missing else "nothing has been searched yet"
    return f"Checked so far: {', '.join(done)}; {left}."


def answers(material: Material) -> list[Answer]:
    """All five, in the order in which one asks."""
    return [_trained(material), _mattered(material), _ranges(material), _trust(material),
            _next(material)]  # fmt: skip


def _trained(material: Material) -> Answer:
    found = [d for d in material.documents if isinstance(d, CheckDocument)]
    bad = [(d.stage, c) for d in found for c in d.checks if c.verdict is not Verdict.PASS]
    parts = list(_checks_say(material, bad))
    fault, curves = _curves_say(material)
    worst = max((c.verdict for _, c in bad), key=SEVERITY.__getitem__, default=Verdict.PASS)
    if fault and worst is Verdict.PASS:
        worst = Verdict.WARN
    if not found and not curves:
        return Answer("Did it train properly?", "Not known: no stage has been run.")
    return Answer("Did it train properly?", " ".join([*parts, *curves]), worst)


def _checks_say(material: Material, bad: Sequence[tuple[str, Check]]) -> Iterator[str]:
    found = [d for d in material.documents if isinstance(d, CheckDocument)]
    count = sum(len(d.checks) for d in found)
    failed = [(stage, check) for stage, check in bad if check.verdict is Verdict.FAIL]
    if failed:
        names = ", ".join(f"{check.name} ({stage})" for stage, check in failed)
        yield f"No: {len(failed)} of {count} checks fail: {names}. {_full(failed[0][1])}"
    elif bad:
        yield f"Mostly: {len(bad)} of {count} checks warn. {bad[0][0]}: {_full(bad[0][1])}"
    elif found:
        yield f"Yes: all {count} checks before the search pass."
    missing = [stage for stage in CHECKING if not material.check(stage)]
    if missing:
        yield f"Not run: {', '.join(missing)}."


def _full(check: Check) -> str:
    return f"{check.message}; mend it: {check.fix}." if check.fix else f"{check.message}."


def _curves_say(material: Material) -> tuple[bool, list[str]]:
    """Whether the best trials share a fault, and what their curves show."""
    best = _best_trials(material)
    if not best:
        return False, []
    counts = tally(best)
    if not counts:
        return False, []
    said = ", ".join(f"{n} {word.replace('-', ' ')}" for word, n in counts.items())
    text = f"Curves of the best {len(best)} trials: {said}."
    word, n = next(iter(counts.items()), ("healthy", 0))
    if word == "healthy" or word not in ACTIONS or 2 * n < len(best):
        return False, [text]
    return True, [text, f"So: {ACTIONS[word]}."]


def _best_trials(material: Material) -> Sequence[TrialResult]:
    """Of the last search in which any trial was completed."""
    ranked = (ranking(results)[:TOP] for results in reversed(list(material.trials.values())))
    return next((best for best in ranked if best), [])


def _mattered(material: Material) -> Answer:
    question = "What mattered?"
    judged = [d for d in material.searches if d.importance]
    if not judged:
        return Answer(question, "Not known yet: no search has ended with enough trials to tell.")
    last = judged[-1]
    shares = sorted(last.importance.items(), key=lambda item: -item[1])
    shares = [(name, value) for name, value in shares if is_real(value)]
    matter = [f"{name} ({share(value)})" for name, value in shares if value >= MATTERS]
    not_ = [name for name, value in shares if value < MATTERS]
    rest = f" Not, in the range searched: {', '.join(not_)}." if not_ else ""
    text = f"In {last.stage}, most first: {', '.join(matter)}.{rest}"
    return Answer(question, text, Verdict.PASS)


def _ranges(material: Material) -> Answer:
    question = "Is the range right?"
    judged = [d for d in material.searches if d.verdict]
    if not judged:
        return Answer(question, _proposed(material))
    last = judged[-1]
    if not last.completed:
        return Answer(question, f"No: {last.message}.", Verdict.FAIL)
    if last.verdict is Verdict.FAIL:
        return Answer(question, f"Not known: {last.message}.", Verdict.FAIL)
    flagged = [e for e in last.edges if e.strength in ("strong", "warn")]
    if flagged:
        strongest = min(flagged, key=lambda e: e.strength != "strong")
        return Answer(question, f"No: {_edge(strongest)}", Verdict.WARN)
    text = f"Yes: in {last.stage} the best values lie inside every range."
    capped = [f"{e.message}." for e in last.edges if e.strength == "stability"]
    return Answer(question, " ".join([text, *capped, *_moved(judged)]), Verdict.PASS)


def _edge(edge: Edge) -> str:
    return f"{edge.message}."


def _moved(judged: Sequence[SearchDocument]) -> Iterator[str]:
    """Which ranges end up beyond where they began: what the first stage could not have found."""
    first, last = parse_space(judged[0].space), parse_space(judged[-1].space)
    for name, now in last.items():
        then = first.get(name)
        if then is None or isinstance(then, Choice) or isinstance(now, Choice):
            continue
        (low, high), (new_low, new_high) = then.bounds, now.bounds
        if new_high > high or new_low < low:
            was, is_ = (f"{number(a)} to {number(b)}" for a, b in (then.bounds, now.bounds))
            yield f"{name} was moved there, from {was} to {is_}."


def _proposed(material: Material) -> str:
    sweep = material.check("sweep")
    bounds = sweep.facts.get("range") if sweep else None
    if not bounds:
        return "Not known yet: nothing has been searched."
    low, high = bounds
    return f"Not known yet; the sweep proposes rates of {number(low)} to {number(high)}."


def _trust(material: Material) -> Answer:
    question = "How much to trust the best number?"
    best = best_of(material.documents)
    if best is None:
        return Answer(question, "There is none yet.")
    parts = [*_spread(material, best), *_honest(material)]
    ended = material.final and material.final.winner is not None and material.final.test
    return Answer(question, " ".join(parts), Verdict.PASS if ended else Verdict.WARN)


def _spread(material: Material, best: dict[str, object]) -> Iterator[str]:
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


def _next(material: Material) -> Answer:
    failed = _failed(material)
    parts = []
    if isinstance(failed, CheckDocument):
        fixes = [c.fix for c in failed.checks if c.verdict is Verdict.FAIL and c.fix]
        parts += [f"Mend what {failed.stage} found: {fixes[0]}."] if fixes else []
    judged = [d for d in material.searches if d.decision]
    if judged:
        parts.append(f"The search {judged[-1].decision}.")
    parts.append(f"Run: {command(material)}")
    return Answer("What to do next?", " ".join(parts))


def command(material: Material) -> str:
    """The next command, for this run."""
    words = ["hpsearch", *following(material.documents).split()]
    if words[1] == "predict":
        return f"hpsearch predict {material.store.name} DATA"
    return " ".join([*words[:2], material.store.name, *words[2:]])
