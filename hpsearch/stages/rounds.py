"""The rounds of a search: which stage is due next, or why it is enough."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import GateError
from hpsearch.search.best_of_n import unbiased
from hpsearch.search.space import Choice, parse_space, write_space
from hpsearch.stages.context import Context, Round
from hpsearch.stages.gathering import tried
from hpsearch.stages.search import REFINE, evidence, room, space_of
from hpsearch.stages.standing import accuracy_of, standing
from hpsearch.strictjson import plain
from hpsearch.trial import ranking, standard_error
from hpsearch.verdict import GOES_ON, Edge, SearchDocument, Verdict

MATTERS = 0.05  # importance from which a strong edge is a reason for another round
TOP = 5  # trials, most of which should have stopped improving
FEWEST = 4  # trials that can be halved


def due(context: Context) -> tuple[str | None, str]:
    """The search stage to run next, or None; and why. `context.rounds` are those judged.

    Refine goes on while there is a reason to; of the rounds that do not widen the space at most
    `search.refine.rounds`, of all twice as many and three: every round chooses by the same
    validation rows once more.
    """
    if not context.rounds:
        return "coarse", "the coarse search comes first"
    last, refined = context.rounds[-1], _refined(context)
    following = f"refine-{len(refined) + 1}"
    if room(replace(context, stage=following, opened=None)) == 0:
        return None, "the budget is spent (search.budget.trial_epochs)"
    if context.config.search.round == following:
        return following, "its space is given (search.round)"
    if last.document.verdict is Verdict.FAIL and not points_on(context, last):
        why = f"{last.document.stage} failed: {last.document.message}"
        return (None if refined else following), why
    reason = next(_reasons(context, last), None)
    if not refined:
        return following, reason or _narrowed(last.document)
    if reason is None:
        return None, _enough(context, last)
    limit = _limit(context, refined)
    return (None, f"{limit}; yet {reason}") if limit else (following, reason)


def _narrowed(coarse: SearchDocument) -> str:
    if plain(coarse.next_space) == plain(coarse.space):
        return "the same space, with more epochs"
    return "the range has been narrowed"


def without_coarse(coarse: SearchDocument | None) -> str:
    """The round that refine starts with where no coarse search is finished."""
    if coarse:
        raise GateError(
            f"refine: coarse has not finished its {coarse.trials} trials;"
            " finish it first: hpsearch search --stage coarse"
        )
    return "refine-1"


def decided(context: Context, last: Round, *, over: str) -> SearchDocument:
    """The document of the stage just judged, with what is due after it, and why; `over` says that
    the time is up, where it is.
    """
    after = replace(context, rounds=[*context.rounds, last], opened=None)
    following, why = (None, over) if over else due(after)
    command = "search --stage refine" if following else "final"
    if last.document.verdict is Verdict.FAIL and not points_on(after, last):
        following, command = None, "sweep"
    said = f"{GOES_ON} {following}: {why}" if following else f"ends: {why}"
    return replace(last.document, decision=said, next_command=f"hpsearch {command}")


def with_roles_of_now(context: Context, last: Round) -> SearchDocument:
    """The document of a stage that is done; judged anew where the config has given an hparam
    another role since.
    """
    known = last.document
    if known.verdict is None or write_space(space_of(context)) == plain(known.space):
        return known
    judged = REFINE.judge(context, last.results)
    assert isinstance(judged, SearchDocument)
    return replace(judged, decision=known.decision, next_command=known.next_command)


def points_on(context: Context, round_: Round) -> bool:
    """Whether a failed round shows where to search instead."""
    return round_.document.verdict is Verdict.FAIL and bool(_outward(context, round_))


def _outward(context: Context, round_: Round) -> str:
    """Why the next space reaches beyond one where no trial has learnt: the training loss fell by
    so much more towards a bound, or every trial diverged. Empty where it does not.
    """
    document = round_.document
    if not _widens(document.next_space, document):
        return ""
    before = takewhile(lambda r: r.document.stage != document.stage, context.rounds)
    then = replace(context, stage=document.stage, rounds=list(before), opened=document)
    found = evidence(then, round_.results)
    if not found:
        return "every trial diverged, and smaller rates are left"
    blind = standing(then, found).by_loss
    falls = "no trial has learnt yet, but the training loss falls towards a wider range"
    return falls if blind else ""


def _refined(context: Context) -> list[Round]:
    return [round_ for round_ in context.rounds if round_.document.stage != "coarse"]


def _limit(context: Context, refined: Sequence[Round]) -> str:
    """Why there may be no more rounds; empty where there may. The next one widens or refines."""
    most, judged = context.config.search.refine.rounds, [r.document for r in context.rounds]
    if len(refined) >= 2 * most + 3:
        return f"there have been {len(refined)} rounds, of search.refine.rounds: {most}"
    widened = sum(_widens(after.space, before) for before, after in pairwise(judged))
    if len(refined) - widened >= most and not _widens(judged[-1].next_space, judged[-1]):
        done = "one round that refines is" if most == 1 else f"{most} rounds that refine are"
        return f"the {done} done (search.refine.rounds)"
    return ""


def _widens(written: Mapping[str, Any], before: SearchDocument) -> bool:
    """Whether a space, as YAML writes it, reaches beyond the one that a stage searched."""
    old = parse_space(before.space)
    return any(
        kind.bounds[0] < then.bounds[0] or kind.bounds[1] > then.bounds[1]
        for name, kind in parse_space(written).items()
        if not isinstance(kind, Choice)
        and not isinstance(then := old.get(name, kind), Choice)
    )


def _leads_on(edge: Edge, document: SearchDocument) -> bool:
    """Whether the edge is a reason for another round: it is strong, of an hparam that matters,
    and the next range reaches beyond it.
    """
    old = parse_space(document.space).get(edge.hparam)
    if edge.strength != "strong" or edge.next is None or old is None or isinstance(old, Choice):
        return False
    low, high = old.bounds
    beyond = edge.next[0] < low if edge.side == "low" else edge.next[1] > high
    return beyond and document.importance.get(edge.hparam, 1.0) >= MATTERS


def _reasons(context: Context, last: Round) -> Iterator[str]:
    """What speaks for another round; gains are measured in accuracy, against its noise."""
    if why := _outward(context, last):
        yield why
    for edge in last.document.edges:
        if _leads_on(edge, last.document):
            yield f"the best {edge.hparam} lies on the {edge.side} edge (strong)"
    before = _before(context)
    if before is None or not ranking(before.results):
        if last.document.stage != "coarse":
            yield "there is no earlier round to compare the last one with"
        return
    if not ranking(last.results):
        return
    gains = _gains(context, last, before)
    if gains.bought >= gains.noise:
        noise = f"more than the noise, {gains.noise:.3f}"
        yield f"its second half of trials bought {gains.bought:.3f}, {noise}"
    if gains.gained >= gains.error:
        error = f"more than the standard error, {gains.error:.3f}"
        yield f"the last round gained {gains.gained:.3f}, {error}"
    top = ranking(last.results)[:TOP]
    improving = sum(result.verdict == "still-improving" for result in top)
    if 2 * improving > len(top):
        yield f"{improving} of the best {len(top)} trials were still improving"


class _Gains(NamedTuple):
    """In accuracy: what a round `gained` on the one before and what its second half of trials
    `bought`, beside the standard `error` of its best, and the `noise`: that, or another seed's.
    """

    gained: float
    bought: float
    error: float
    noise: float


def _gains(context: Context, last: Round, before: Round) -> _Gains:
    now, then = (_accuracies(context, round_)[0] for round_ in (last, before))
    error = standard_error(float(now), len(context.data.validation.y))
    noise = max(error, _seed_sd(context, last, before))
    return _Gains(float(now - then), _bought(context, last), error, noise)


def _enough(context: Context, last: Round) -> str:
    """Why nothing speaks for another round."""
    before, edge = _before(context), "no strong edge is left"
    if before is None or not ranking(before.results) or not ranking(last.results):
        return f"{edge}, and no trial was completed"
    gains = _gains(context, last, before)
    return (
        f"{edge}; the last round gained {gains.gained:.3f} and its second half of trials"
        f" {gains.bought:.3f}, no more than noise ({gains.noise:.3f})"
    )


def _before(context: Context) -> Round | None:
    return context.rounds[-2] if len(context.rounds) > 1 else None


def _accuracies(context: Context, round_: Round) -> NDArray[np.float64]:
    """Of the completed trials (N,), the best by the searched metric first."""
    name = accuracy_of(context)
    return np.array([result.at_best(name) for result in ranking(round_.results)])


def _bought(context: Context, round_: Round) -> float:
    """By how much the best of all trials is above the expected best of half of them."""
    carried = len(round_.document.carried)
    scores = tried(round_.results, carried, accuracy_of(context))
    few = len(scores) < FEWEST
    return 0.0 if few else float(scores.max()) - unbiased(scores, len(scores) // 2)


def _seed_sd(context: Context, last: Round, before: Round) -> float:
    """What another seed does to an accuracy: the standard deviation, as told by the trials that
    both rounds trained, and as long; 0 where there are none.
    """
    if last.document.epochs != before.document.epochs:
        return 0.0
    name, known = accuracy_of(context), {repr(r.hparams): r for r in ranking(before.results)}
    differences = [
        result.at_best(name) - known[repr(result.hparams)].at_best(name)
        for result in ranking(last.results)
        if repr(result.hparams) in known
    ]
    return math.sqrt(np.mean(np.square(differences)) / 2) if differences else 0.0
