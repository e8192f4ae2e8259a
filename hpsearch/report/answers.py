"""The five questions somebody has who opens a report, and what the run answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hpsearch.curves import ACTIONS, fault, tally
from hpsearch.report import doubts
from hpsearch.report.advice import advice
from hpsearch.report.tables.checking import proposed
from hpsearch.report.tables.importance import IDLE
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import parsed, says
from hpsearch.report.text import counted, is_real, number, share
from hpsearch.report.trust import confidence, trusted
from hpsearch.search.space import Choice
from hpsearch.trial import TrialResult
from hpsearch.verdict import (
    CHECKING,
    SEVERITY,
    Check,
    CheckDocument,
    FinalDocument,
    SearchDocument,
    Verdict,
)

ALIKE = 0.1  # between the first two shares: too little to say which of them decides
RANGE = "range"  # the sweep's check that belongs to another question


@dataclass(frozen=True)
class Answer:
    """A question, what the run answers, and how good that is; None where it is not known yet."""

    question: str
    text: str
    verdict: Verdict | None = None


def headline(material: Material) -> Answer:
    """The verdict of the run in one sentence."""
    if failed := doubts.failed(material):
        why = failed.message if isinstance(failed, SearchDocument) else says(failed)
        return Answer("", f"{failed.stage} fails: {why}.", Verdict.FAIL)
    final, searches = material.final, material.searches
    if final and final.verdict:
        return Answer("", _ended(material, final), _worst(material))
    if not searches:
        return Answer("", _checked(material), _worst(material))
    last = searches[-1]
    if last.verdict is None:
        return Answer("", f"Under way: {last.stage} has {says(last)}.", None)
    went = f"Searched, not finished: {last.stage}, the last search, says {says(last)}."
    return Answer("", went, _worst(material))


def _worst(material: Material) -> Verdict | None:
    """Of the stages, but searches whose edges were searched beyond since, and of the answers."""
    last = material.searches[-1:]
    current = [d for d in material.documents if not isinstance(d, SearchDocument) or d in last]
    verdicts = [d.verdict for d in current if d.verdict]
    if material.final and material.final.verdict:
        verdicts += [a.verdict for a in answers(material) if a.verdict]
    return max(verdicts, key=SEVERITY.__getitem__, default=None)


def _ended(material: Material, final: FinalDocument) -> str:
    if final.winner is None:
        return f"final fails: {final.message}."
    found = list(_doubts(material))
    yet = f" Yet {'; '.join(found)}." if found else ""
    if final.test is None:
        return f"Finished: {final.chosen} is saved; there is no test set to judge it by.{yet}"
    low, high = final.test["interval"]
    return (
        f"Finished: what is saved ({final.chosen}) is right on"
        f" {share(final.test['accuracy'])} of {counted(final.test['rows'], 'test row')},"
        f" 95 % between {share(low)} and {share(high)}.{yet}"
    )


def _doubts(material: Material) -> Iterator[str]:
    """What speaks against it, in a few words each."""
    for check in doubts.misleading(material):
        yield f"the data may mislead ({check.name})"
    if (less := doubts.gap(material)) is not None:
        yield f"validation and test rows differ by {abs(less):.3f}, more than by chance"
    for edge in doubts.flagged(material):
        yield f"the best {edge.hparam} lies on the {edge.side} edge of its range"
    if doubts.beyond(material):
        yield "the learning rate that was best in the sweep was never searched"
    best = doubts.best_trials(material)
    if word := fault(best):
        yield _fault(best, word)
    if material.final and material.final.verdict is not Verdict.PASS and material.final.message:
        yield material.final.message


def _fault(best: Sequence[TrialResult], word: str) -> str:
    share_ = "half" if 2 * tally(best)[word] == len(best) else "most"
    return f"{share_} of the best trials are {word.replace('-', ' ')}"


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
            Answer("What to do next?", " ".join(advice(material)))]  # fmt: skip


def _trained(material: Material) -> Answer:
    question = "Did it train properly?"
    found = [d for d in material.documents if isinstance(d, CheckDocument)]
    checks = [(d.stage, check) for d in found for check in d.checks if check.name != RANGE]
    best = doubts.best_trials(material)
    if not checks and not best:
        return Answer(question, "Not known: no stage has been run.")
    worst = max((c.verdict for _, c in checks), key=SEVERITY.__getitem__, default=Verdict.PASS)
    word, stopped = fault(best), doubts.failed(material)
    if word and worst is Verdict.PASS:
        worst = Verdict.WARN
    said = list(_checks_say(checks, best, word))
    said += [*_curves_say(best, word, lost=doubts.worthless(material)), *_not_run(material)]
    if isinstance(stopped, SearchDocument):
        said.insert(0, f"No: {stopped.message}.")
        worst = Verdict.FAIL
    return Answer(question, " ".join(said), worst)


def _checks_say(
    checks: Sequence[tuple[str, Check]], best: Sequence[TrialResult], word: str
) -> Iterator[str]:
    failed = [(stage, c) for stage, c in checks if c.verdict is Verdict.FAIL]
    warned = [(stage, c) for stage, c in checks if c.verdict is Verdict.WARN]
    if failed:
        names = ", ".join(f"{check.name} ({stage})" for stage, check in failed)
        yield f"No: {_part(failed, checks, 'fail')}: {names}. {_full(failed[0][1])}"
    elif warned:
        stage, check = warned[0]
        yield f"Mostly: {_part(warned, checks, 'warn')}. {stage}: {_full(check)}"
    elif checks:
        said = f"all {len(checks)} checks of data, network and rates pass"
        yield f"Not quite: though {said}, {_fault(best, word)}." if word else f"Yes: {said}."


def _part(those: Sequence[object], checks: Sequence[object], verb: str) -> str:
    """1 of 8 checks warns, 2 of 8 checks warn."""
    return f"{len(those)} of {len(checks)} checks {verb}{'s' * (len(those) == 1)}"


def _not_run(material: Material) -> list[str]:
    missing = [stage for stage in CHECKING if not material.check(stage)]
    missing += [] if material.searches else ["the search"]
    return [f"Not run: {', '.join(missing)}."] if missing else []


def _full(check: Check) -> str:
    message = check.message.rstrip(".?") + ("?" if check.message.endswith("?") else ".")
    return f"{message} To mend it: {check.fix}." if check.fix else message


def _curves_say(best: Sequence[TrialResult], word: str, *, lost: bool) -> Iterator[str]:
    if counts := tally(best):
        said = ", ".join(f"{n} {each.replace('-', ' ')}" for each, n in counts.items())
        whose = f"best {len(best)} trials" if len(best) > 1 else "only completed trial"
        yield f"Curves of the {whose}: {said}."
    if word and not lost:
        yield f"What helps: {ACTIONS[word]}."


def _mattered(material: Material) -> Answer:
    """The first search has the widest ranges: once they are narrow, little is left to decide."""
    question = "What mattered?"
    judged = [d for d in material.searches if d.importance and d.verdict is not Verdict.FAIL]
    if not judged:
        lost = any(d.verdict is Verdict.FAIL for d in material.searches)
        why = "nothing was learnt" if lost else "no search has ended with enough trials to tell"
        return Answer(question, f"Not known: {why}.")
    widest, last = judged[0], judged[-1]
    said = [f"Over the range of {widest.stage}: {_shares(widest.importance)}."]
    if last is not widest:
        said.append(f"In what is left of it in {last.stage}: {_shares(last.importance)}.")
    return Answer(question, " ".join(said))


def _shares(importance: Mapping[str, float]) -> str:
    shares = sorted(importance.items(), key=lambda item: -item[1])
    shares = [(name, value) for name, value in shares if is_real(value)]
    if len(shares) == 1:
        return f"{shares[0][0]}, since nothing else was searched"
    least = min(IDLE, shares[0][1]) if shares else IDLE
    matter = [f"{name} ({share(value)})" for name, value in shares if value >= least]
    rest = [name for name, value in shares if value < least]
    alike = ", about alike" if len(matter) > 1 and shares[0][1] - shares[1][1] < ALIKE else ""
    return f"{', '.join(matter)}{alike}" + (f"; hardly {', '.join(rest)}" if rest else "")


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
    if edges := doubts.flagged(material):
        return Answer(question, f"No: {edges[0].message}.", Verdict.WARN)
    if rates := doubts.beyond(material):
        low, high = rates.searched
        text = f"No: rates of {number(low)} to {number(high)} were searched, and"
        text += f" {number(rates.best)}, the best of the sweep, was never tried."
        return Answer(question, text, Verdict.WARN)
    text = f"Yes: in {last.stage} the best values lie inside every range."
    capped = [f"{e.message}." for e in last.edges if e.strength == "stability"]
    return Answer(question, " ".join([text, *capped, *_moved(judged)]), Verdict.PASS)


def _moved(judged: Sequence[SearchDocument]) -> Iterator[str]:
    """Which ranges end up beyond where they began: what the first stage could not have found."""
    first, last = (parsed(d.stage, d.space) for d in (judged[0], judged[-1]))
    for name, now in last.items():
        then = first.get(name)
        if then is None or isinstance(then, Choice) or isinstance(now, Choice):
            continue
        (low, high), (new_low, new_high) = then.bounds, now.bounds
        if new_high > high or new_low < low:
            was, is_ = (f"[{number(a)}, {number(b)}]" for a, b in (then.bounds, now.bounds))
            yield f"The range of {name} was moved on the way, from {was} to {is_}."


def _proposed(material: Material) -> str:
    sweep = material.check("sweep")
    bounds = proposed(sweep) if sweep else None
    if not bounds:
        return "Not known yet: nothing has been searched."
    low, high = map(number, bounds)
    return f"Not known yet; the sweep proposes rates of {low} to {high}."


def _trust(material: Material) -> Answer:
    said = list(confidence(material))
    verdict = trusted(material) if said else None
    text = " ".join(said) or "There is none yet."
    return Answer("How much to trust the best number?", text, verdict)
