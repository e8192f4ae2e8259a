"""The parts of the page that are read: verdict, answers, stages, and how to do it again."""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from hpsearch.report.advice import next_line
from hpsearch.report.answers import Answer, answers, headline
from hpsearch.report.markup import Html, scrolls, tag
from hpsearch.report.progress import Gate, best_of, gates
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import error_of, finished_trials, says
from hpsearch.report.text import SIGNS, accuracy, counted, metric, number, settings
from hpsearch.verdict import Check, CheckDocument, Edge, FinalDocument, SearchDocument, Verdict

UNKNOWN = "·"


def section(name: str, title: str, *inside: Any) -> Html:
    """A part of the page that links can lead to."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, *inside, id=name, aria_labelledby=f"{name}-title")


def mark(verdict: Verdict | None, said: str = "") -> Html:
    """A verdict as sign and word, in its colour."""
    sign = SIGNS[verdict] if verdict else UNKNOWN
    word = said or (str(verdict) if verdict else "open")
    return tag("span", tag("span", sign, aria_hidden="true"), " ", word,
               class_=f"mark {verdict or 'open'}")  # fmt: skip


def verdict_of(material: Material) -> Html:
    """The run in one sentence, the next command, the five answers, and the main numbers."""
    said = headline(material)
    sentence = tag("p", mark(said.verdict), " ", said.text, class_="sentence")
    following = tag("p", "Next: ", _commanded(next_line(material)), class_="next")
    asked = [_answer(answer) for answer in answers(material)]
    return tag("section", sentence, following, _numbers(material),
               tag("dl", asked, class_="answers"), id="verdict", aria_label="verdict")  # fmt: skip


def _answer(answer: Answer) -> Html:
    sign = SIGNS[answer.verdict] if answer.verdict else UNKNOWN
    asked = tag("dt", tag("span", sign, class_=f"mark {answer.verdict or 'open'}",
                          aria_hidden="true"), " ", answer.question)  # fmt: skip
    return tag("div", asked, tag("dd", _commanded(answer.text)))


def _commanded(said: str) -> list[Any]:
    """A sentence whose commands, which stand at its end or end at a full stop, are code."""
    parts = re.split(r"(hpsearch .+?(?=\. |\.$|$))", said)
    return [tag("code", part) if n % 2 else part for n, part in enumerate(parts)]


def _numbers(material: Material) -> Html:
    """The main numbers, large."""
    shown = [tag("li", tag("b", value), tag("span", name)) for value, name in _figures(material)]
    return tag("ul", shown, class_="figures")


def _figures(material: Material) -> Iterator[tuple[str, str]]:
    final, best = material.final, best_of(material.documents)
    if final and final.test:
        low, high = final.test["interval"]
        around = f"test accuracy, 95 % {accuracy(low)} to {accuracy(high)}"
        yield accuracy(final.test["accuracy"]), around
    if best:
        name = str(best["metric"])
        error = error_of(name, best["value"], material.rows)
        around = f" ± {accuracy(error)}" if error is not None else ""
        where = f"best {name}{around}, trial {best['stage']}/{best['trial']}"
        yield metric(name, best["value"]), where
    if final and final.winner is not None:
        chosen = final.candidates[final.winner]
        saved = f"chosen; saved: {final.chosen}; {settings(chosen['hparams'])}"
        yield f"{chosen['stage']}/{chosen['trial']}", saved
    searches = material.searches
    if searches:
        lost = sum(d.diverged for d in searches)
        yield f"{finished_trials(searches):,}", f"trials finished, {lost} diverged"
    if material.rows:
        yield f"{material.rows:,}", "validation rows"


def stages(material: Material) -> Html:
    """Every stage with its gate, its evidence and its fixes."""
    shown = [_stage(gate) for gate in gates(material.documents)]
    return section("stages", "Stages and gates", tag("div", shown, class_="stages"))


def _stage(gate: Gate) -> Html:
    name = tag("span", gate.stage, class_="stage")
    state = mark(gate.verdict, "" if gate.verdict else gate.state)
    if gate.document is None:
        return tag("div", name, state, class_="gate")
    line = (name, state, tag("span", says(gate.document)))
    inside = list(_inside(gate.document))
    if not inside:
        return tag("div", *line, class_="gate")
    opened = gate.verdict in (Verdict.WARN, Verdict.FAIL)
    return tag("details", tag("summary", *line), *inside, class_="gate", open=opened)


def _inside(document: CheckDocument | SearchDocument | FinalDocument) -> Iterator[Html]:
    if isinstance(document, CheckDocument):
        yield _checks(document.checks)
    elif isinstance(document, FinalDocument):
        yield from (tag("p", said) for said in (document.message, document.reason) if said)
    else:
        yield from _searched(document)


def _checks(checks: Sequence[Check]) -> Html:
    columns = ("check", "", "value", "expected", "evidence", "fix")
    head = tag("tr", [tag("th", name, scope="col") for name in columns])
    rows = [tag("tr", list(_check(check, columns))) for check in checks]
    return scrolls(tag("table", tag("thead", head), tag("tbody", rows), class_="checks"), "checks")


def _check(check: Check, columns: Sequence[str]) -> Iterator[Html]:
    """Its cells; on a phone and on paper they stand below each other, with their names."""
    yield tag("th", check.name, scope="row")
    cells = (mark(check.verdict), number(check.value), number(check.expected), check.message,
             check.fix)  # fmt: skip
    for name, cell in zip(columns[1:], cells, strict=True):
        yield tag("td", cell, data_name=name)


def _searched(document: SearchDocument) -> Iterator[Html]:
    said = f"{counted(document.trials, 'trial')} of {counted(document.epochs, 'epoch')},"
    said += f" sampler {document.sampler}; "
    said += f"{document.completed} completed, {document.diverged} diverged, "
    yield tag("p", f"{said}{document.pruned} pruned, {document.failed} failed.")
    if document.message:
        yield tag("p", document.message)
    if document.edges:
        yield tag("ul", [_edge(edge) for edge in document.edges])
    if document.reasons and not document.decision.startswith("ends"):
        yield tag("p", "The next ranges, and why:")
        yield tag("ul", [tag("li", tag("b", name), f": {why}")
                         for name, why in document.reasons.items()])  # fmt: skip
    if document.decision:
        yield tag("p", f"The search {document.decision}.")


def _edge(edge: Edge) -> Html:
    flagged = edge.strength in ("warn", "strong", "stability")
    return tag("li", mark(Verdict.WARN if flagged else None, f"{edge.strength} edge"), " ",
               edge.message)  # fmt: skip


def again(material: Material) -> Html:
    """All that is needed to do it again: commands, versions, seed, the whole config."""
    name = shlex.quote(material.store.name)
    best, final = best_of(material.documents), material.final
    if final and final.winner is not None:
        best = dict(final.candidates[final.winner])
    lines = [f"hpsearch run config.yaml --run {name}-again   # the config below, saved as that"]
    if best:
        trial = f"{best['stage']}/{best['trial']}"
        lines.append(f"hpsearch replay {name} {trial}   # trains it again, compares all")
    lines += [f"hpsearch report {name}"]
    facts = [tag("div", tag("dt", key), tag("dd", value)) for key, value in _facts(material)]
    config = tag("details", tag("summary", "the resolved config"), _config(material))
    return section("again", "To do it again", tag("pre", "\n".join(lines), tabindex="0"),
                   tag("dl", facts, class_="facts"), config)  # fmt: skip


def _config(material: Material) -> Html:
    return tag("pre", material.store.config_text(), tabindex="0")


def _facts(material: Material) -> Iterator[tuple[str, str]]:
    facts = material.store.run_facts()
    machine, blas = facts.get("machine"), facts.get("blas")
    for key in ("seed", "hpsearch", "python", "numpy"):
        if key in facts:
            yield key, str(facts[key])
    if isinstance(machine, dict):
        yield "machine", ", ".join(str(value) for value in machine.values()) + " cores"
    libraries = blas.get("libraries") if isinstance(blas, dict) else None
    for library in libraries if isinstance(libraries, list) else ():
        if isinstance(library, dict):
            yield "BLAS", " ".join(str(value) for value in library.values()) + " thread"
    for key, named in (("data", "data fingerprint"), ("config", "config hash")):
        if key in facts:
            yield named, str(facts[key])
