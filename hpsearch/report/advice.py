"""What to do next with a run, and the commands for it."""

import shlex
from collections.abc import Iterator

from hpsearch.curves import ACTIONS, fault
from hpsearch.report import doubts
from hpsearch.report.progress import following
from hpsearch.report.tables.material import Material
from hpsearch.verdict import CheckDocument, Verdict

LONGER = 2  # times the epochs, where the best trials were still improving


def command(material: Material) -> str:
    """The next command, for this run."""
    words = ["hpsearch", *following(material.documents).split()]
    name = shlex.quote(material.store.name)
    if words[1] == "predict":
        return f"hpsearch predict {name} DATA"
    return " ".join([*words[:2], name, *words[2:]])


def next_line(material: Material) -> str:
    """The one thing to do first."""
    first = next(_steps(material), "")
    return first or command(material)


def advice(material: Material) -> Iterator[str]:
    """All that is to be done, in sentences."""
    judged = [d for d in material.searches if d.decision]
    steps = list(_steps(material))
    yield from (f"{step}." for step in steps)
    if judged:
        yield f"The search {judged[-1].decision}."
    if isinstance(doubts.failed(material), CheckDocument):
        yield f"Then run: {command(material)}"
    elif doubts.worthless(material):
        return
    elif steps:
        yield f"Or, if what there is will do: {command(material)}"
    else:
        yield f"Run: {command(material)}"


def _steps(material: Material) -> Iterator[str]:
    """What is to be mended, the worst first."""
    bad = doubts.failed(material)
    if isinstance(bad, CheckDocument):
        fixes = [c.fix for c in bad.checks if c.verdict is Verdict.FAIL and c.fix]
        yield f"Mend what {bad.stage} found: {fixes[0]}" if fixes else f"Mend {bad.stage}"
        return
    for check in doubts.misleading(material):
        yield f"Mend the data ({check.name}): {check.fix or check.message}; then run again"
    if doubts.worthless(material):
        return
    if material.final and material.final.verdict and (wider := _again(material)):
        yield f"Search again: {wider}"
    elif (word := fault(doubts.best_trials(material))) and word != "still-improving":
        yield ACTIONS[word].capitalize()


def _again(material: Material) -> str:
    """The command of a new run with what the last one lacked; empty where it lacked nothing."""
    sets = list(_sets(material))
    if not sets:
        return ""
    name = material.store.name
    words = ["hpsearch", "run", name, "--run", f"{name}-again"]
    return shlex.join([*words, *(word for each in sets for word in ("--set", each))])


def _sets(material: Material) -> Iterator[str]:
    last = material.searches[-1] if material.searches else None
    if last is None:
        return
    wanted = {edge.hparam: edge.next for edge in doubts.flagged(material) if edge.next}
    for hparam, (low, high) in wanted.items():
        kind = next(iter(last.space.get(hparam, {})), "")
        if kind in ("log_uniform", "uniform"):
            yield f"search.space.{hparam}={{{kind}: [{low:.3g}, {high:.3g}]}}"
    if (rates := doubts.beyond(material)) and "learning_rate" not in wanted:
        low, high = rates.proposed
        yield f"search.space.learning_rate={{log_uniform: [{low:.3g}, {high:.3g}]}}"
    if fault(doubts.best_trials(material)) == "still-improving":
        stage = "coarse" if last.stage == "coarse" else "refine"
        yield f"search.{stage}.epochs={LONGER * last.epochs}"
