"""The five questions somebody has who opens a report, and what the run answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpsearch.curves import ACTIONS, tally
from hpsearch.report.progress import following
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import says
from hpsearch.report.text import is_real, number, share
from hpsearch.report.trust import confidence
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
BEYOND = 3.0  # how many times outside of all ranges a proposed rate is worth a word


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
        return Answer("", _ended(material, final), _worst(material))
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


def _ended(material: Material, final: FinalDocument) -> str:
    if final.winner is None:
        return f"final fails: {final.message}."
    doubts = list(_doubts(material))
    yet = f" Yet {'; '.join(doubts)}." if doubts else ""
    if final.test is None:
        return f"Finished: {final.chosen} is saved; there is no test set to judge it by.{yet}"
    low, high = final.test["interval"]
    return (
        f"Finished: the saved model is right on {final.test['accuracy']:.1%} of"
        f" {final.test['rows']:,} test rows that nothing was chosen by"
        f" (95 % between {low:.1%} and {high:.1%}).{yet}"
    )


def _doubts(material: Material) -> Iterator[str]:
    """Why more might be in it, in a few words each."""
    for edge in _flagged(material.searches[-1]) if material.searches else ():
        yield f"the best {edge.hparam} lies on the {edge.side} edge of its range"
    if word := _fault(_best_trials(material)):
        yield f"most of the best trials are {word.replace('-', ' ')}"


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
    question = "Did it train properly?"
    found = [d for d in material.documents if isinstance(d, CheckDocument)]
    checks = [(d.stage, check) for d in found for check in d.checks]
    best = _best_trials(material)
    if not checks and not best:
        return Answer(question, "Not known: no stage has been run.")
    worst = max((c.verdict for _, c in checks), key=SEVERITY.__getitem__, default=Verdict.PASS)
    fault = _fault(best)
    if fault and worst is Verdict.PASS:
        worst = Verdict.WARN
    said = [*_checks_say(checks, fault), *_curves_say(best, fault), *_not_run(material)]
    return Answer(question, " ".join(said), worst)


def _checks_say(checks: Sequence[tuple[str, Check]], fault: str) -> Iterator[str]:
    failed = [(stage, c) for stage, c in checks if c.verdict is Verdict.FAIL]
    warned = [(stage, c) for stage, c in checks if c.verdict is Verdict.WARN]
    if failed:
        names = ", ".join(f"{check.name} ({stage})" for stage, check in failed)
        yield f"No: {len(failed)} of {len(checks)} checks fail: {names}. {_full(failed[0][1])}"
    elif warned:
        stage, check = warned[0]
        yield f"Mostly: {len(warned)} of {len(checks)} checks warn. {stage}: {_full(check)}"
    elif checks:
        word = "Not quite: though" if fault else "Yes:"
        end = f", most of the best trials are {fault.replace('-', ' ')}." if fault else "."
        yield f"{word} all {len(checks)} checks before the search pass{end}"


def _not_run(material: Material) -> list[str]:
    missing = [stage for stage in CHECKING if not material.check(stage)]
    return [f"Not run: {', '.join(missing)}."] if missing else []


def _full(check: Check) -> str:
    return f"{check.message}. To mend it: {check.fix}." if check.fix else f"{check.message}."


def _fault(best: Sequence[TrialResult]) -> str:
    """The word for what is wrong with the curves of half of the best trials, if anything is."""
    word, n = next(iter(tally(best).items()), ("healthy", 0))
    return word if word in ACTIONS and word != "healthy" and 2 * n >= len(best) else ""


def _curves_say(best: Sequence[TrialResult], fault: str) -> Iterator[str]:
    if counts := tally(best):
        said = ", ".join(f"{n} {word.replace('-', ' ')}" for word, n in counts.items())
        whose = f"best {len(best)} trials" if len(best) > 1 else "only completed trial"
        yield f"Curves of the {whose}: {said}."
    if fault:
        yield f"What helps: {ACTIONS[fault]}."


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
    return Answer(question, text)


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
    if flagged := _flagged(last):
        return Answer(question, f"No: {flagged[0].message}.", Verdict.WARN)
    if beyond := _unsearched(material, judged):
        return Answer(question, f"Perhaps not: {beyond}", Verdict.WARN)
    text = f"Yes: in {last.stage} the best values lie inside every range."
    capped = [f"{e.message}." for e in last.edges if e.strength == "stability"]
    return Answer(question, " ".join([text, *capped, *_moved(judged)]), Verdict.PASS)


def _flagged(document: SearchDocument) -> list[Edge]:
    """The edges that the search should have gone beyond, strong ones first."""
    flagged = [edge for edge in document.edges if edge.strength in ("strong", "warn")]
    return sorted(flagged, key=lambda edge: edge.strength != "strong")


def _moved(judged: Sequence[SearchDocument]) -> Iterator[str]:
    """Which ranges end up beyond where they began: what the first stage could not have found."""
    first, last = parse_space(judged[0].space), parse_space(judged[-1].space)
    for name, now in last.items():
        then = first.get(name)
        if then is None or isinstance(then, Choice) or isinstance(now, Choice):
            continue
        (low, high), (new_low, new_high) = then.bounds, now.bounds
        if new_high > high or new_low < low:
            was, is_ = (f"[{number(a)}, {number(b)}]" for a, b in (then.bounds, now.bounds))
            yield f"The range of {name} was moved on the way, from {was} to {is_}."


def _unsearched(material: Material, judged: Sequence[SearchDocument]) -> str:
    """Rates that the sweep proposes and no stage has searched, if they are many."""
    sweep = material.check("sweep")
    proposed = sweep.facts.get("range") if sweep else None
    ranges = [parse_space(document.space).get("learning_rate") for document in judged]
    bounds = [kind.bounds for kind in ranges if kind and not isinstance(kind, Choice)]
    if not proposed or not bounds:
        return ""
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    if proposed[0] * BEYOND >= low and proposed[1] <= high * BEYOND:
        return ""
    return (
        f"the best values lie inside every range, but rates of {number(low)} to {number(high)}"
        f" were searched, and the sweep proposes {number(proposed[0])} to {number(proposed[1])}."
    )


def _proposed(material: Material) -> str:
    sweep = material.check("sweep")
    bounds = sweep.facts.get("range") if sweep else None
    if not bounds:
        return "Not known yet: nothing has been searched."
    low, high = bounds
    return f"Not known yet; the sweep proposes rates of {number(low)} to {number(high)}."


def _trust(material: Material) -> Answer:
    question = "How much to trust the best number?"
    said = list(confidence(material))
    ended = material.final and material.final.winner is not None and material.final.test
    verdict = Verdict.PASS if ended else Verdict.WARN
    return Answer(question, " ".join(said) or "There is none yet.", verdict if said else None)


def _next(material: Material) -> Answer:
    failed = _failed(material)
    parts = []
    if isinstance(failed, CheckDocument):
        fixes = [c.fix for c in failed.checks if c.verdict is Verdict.FAIL and c.fix]
        parts += [f"Mend what {failed.stage} found: {fixes[0]}."] if fixes else []
    judged = [d for d in material.searches if d.decision]
    if judged:
        parts.append(f"The search {judged[-1].decision}.")
    if judged and not following(material.documents).startswith("search"):
        parts += _worth(judged[-1])
    parts.append(f"Run: {command(material)}")
    return Answer("What to do next?", " ".join(parts))


def _worth(last: SearchDocument) -> list[str]:
    names = " and ".join(dict.fromkeys(edge.hparam for edge in _flagged(last)))
    return [f"Worth another search, with {names} as in {last.stage}/next.yaml."] if names else []


def command(material: Material) -> str:
    """The next command, for this run."""
    words = ["hpsearch", *following(material.documents).split()]
    if words[1] == "predict":
        return f"hpsearch predict {material.store.name} DATA"
    return " ".join([*words[:2], material.store.name, *words[2:]])
