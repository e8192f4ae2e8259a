"""The last stage: the winners trained again with fresh seeds, one of them chosen, its test."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from hpsearch.errors import GateError
from hpsearch.search.space import hparams_of
from hpsearch.spec import TrialSpec
from hpsearch.stages.context import Context, Round, net_of, seed
from hpsearch.stages.search import spec_of as search_spec
from hpsearch.stages.standing import accuracy_of, baseline_of, clear_of
from hpsearch.trial import Status, TrialResult, ranking, standard_error
from hpsearch.verdict import FinalDocument, Verdict

NAME = "final"
Z = 1.959963984540054  # of a 95 % interval
Candidate = Mapping[str, Any]


def candidates(context: Context) -> list[tuple[Round, TrialResult]]:
    """The best `final.top` trials over all search stages, no hparams twice: a trial carried over
    from the round before counts once, as the better of the two.
    """
    found = [(round_, result) for round_ in context.rounds for result in ranking(round_.results)]
    found.reverse()  # so that of equals the later stage comes first: it trained longer
    found.sort(key=lambda each: each[1].rank[:2], reverse=True)
    seen, kept = list[Mapping[str, Any]](), []
    for round_, result in found:
        if result.hparams not in seen:
            seen.append(result.hparams)
            kept.append((round_, result))
        if len(kept) == context.config.final.top:
            break
    return kept


def opening(context: Context, known: FinalDocument | None, taken: int) -> FinalDocument:
    """The document before the first trial: which trials are trained again, as which `ids`.

    What is trained already, as `known` has it, keeps its ids; others go on from `taken`, the
    number of ids given so far. GateError where there is nothing to train again.
    """
    best, seeds = candidates(context), context.config.final.seeds
    if not best:
        raise GateError("final: no trial of a search is finished; run hpsearch search first")
    had = {(c["stage"], c["trial"]): list(c["ids"]) for c in known.candidates} if known else {}
    free, listed = count(taken), []
    for round_, result in best:
        ids = had.get((result.stage, result.id), [])[:seeds]
        ids += [next(free) for _ in range(seeds - len(ids))]
        listed.append(_candidate(context, round_, result, ids))
    return FinalDocument(
        None, listed, context.config.search.metric, seeds, earlier=known.earlier if known else ()
    )


def _candidate(
    context: Context, round_: Round, result: TrialResult, ids: Sequence[int]
) -> dict[str, Any]:
    model, train = context.config.with_hparams(dict(result.hparams))
    return {
        "stage": result.stage, "trial": result.id, "value": result.value,
        "epochs": round_.document.epochs, "hparams": dict(result.hparams), "ids": list(ids),
        "params": net_of(model, context.data).n_params,
        "learning_rate": train.learning_rate, "weight_decay": train.weight_decay,
    }  # fmt: skip


def plan(context: Context, document: FinalDocument) -> list[TrialSpec]:
    """Every candidate with every seed; the repeats of a number share the order of the rows."""
    return [spec_of(context, c, repeat) for c in document.candidates for repeat in _repeats(c)]


def _repeats(candidate: Candidate) -> range:
    return range(len(candidate["ids"]))


def spec_of(context: Context, candidate: Candidate, repeat: int) -> TrialSpec:
    """A candidate as it was searched, but for its seed and the order of the rows."""
    searched = replace(context, stage=candidate["stage"])
    hparams, number = hparams_of(candidate["hparams"]), candidate["ids"][repeat]
    spec = search_spec(searched, candidate["trial"], hparams)
    run = context.config.seed
    return replace(
        spec, stage=NAME, id=number, seed=seed(run, NAME, number),
        order_seed=seed(run, f"{NAME}/order", repeat), keep=True,
    )  # fmt: skip


def retrained(document: FinalDocument, trial: int) -> tuple[Candidate, int] | None:
    """The candidate and the repeat that a trial of this stage is."""
    found = ((c, list(c["ids"]).index(trial)) for c in document.candidates if trial in c["ids"])
    return next(found, None)


def judge(
    context: Context, document: FinalDocument, done: Sequence[TrialResult]
) -> FinalDocument:
    """The candidates with what they came to, and the winner, by the validation rows alone."""
    by_id = {result.id: result for result in done}
    ours = [by_id[spec.id] for spec in plan(context, document)]
    judged = [_measured(c, [by_id[n] for n in c["ids"]]) for c in document.candidates]
    counts = {status: sum(r.status is status for r in ours) for status in Status}
    document = replace(
        document, candidates=judged, completed=counts[Status.DONE],
        diverged=counts[Status.DIVERGED], failed=counts[Status.FAILED],
    )  # fmt: skip
    most = max(len(c["values"]) for c in judged)
    if not most:
        why = f"none of {len(ours)} trials finished with fresh seeds"
        return replace(document, verdict=Verdict.FAIL, message=why, next_command="hpsearch search")
    winner, reason = _winner(context, judged, [c for c in judged if len(c["values"]) == most])
    doubts = [*_lost(judged), *_no_better(context, judged[winner])]
    return replace(
        document, verdict=Verdict.WARN if doubts else Verdict.PASS, winner=winner, reason=reason,
        optimism=_optimism(document), message="; ".join(doubts), next_command="hpsearch report",
    )  # fmt: skip


def _lost(judged: Sequence[Candidate]) -> Iterator[str]:
    """That trials did not finish, and whose."""
    lacking = {_name(c): len(c["ids"]) - len(c["values"]) for c in judged}
    named = [f"{n} of {name}" for name, n in lacking.items() if n]
    if named:
        many = sum(len(c["ids"]) for c in judged)
        lost = f"{sum(lacking.values())} of {many} trials did not finish with fresh seeds"
        yield f"{lost}: {', '.join(named)}"


def _no_better(context: Context, winner: Candidate) -> Iterator[str]:
    """That the winner is no clearer above what needs no learning than luck could be."""
    baseline, metric = baseline_of(context), context.config.search.metric
    if metric != "val_loss" and winner["mean"] <= clear_of(baseline, context) < 1:
        yield (
            f"trained again the winner has {winner['mean']:.1%}, which is not three standard"
            f" errors above the {baseline:.1%} of answering without the input"
        )


def _measured(candidate: Candidate, results: Sequence[TrialResult]) -> dict[str, Any]:
    """The candidate with the metric's values at its trials' best epochs, mean and sd."""
    values = [r.value for r in results if r.status is Status.DONE]
    mean = float(np.mean(values)) if values else None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {**candidate, "values": values, "mean": mean, "sd": sd}


def _optimism(document: FinalDocument) -> float | None:
    """By how much the best value of the search is better than the mean of that very trial,
    trained again: what was the luck of being picked.
    """
    first = document.candidates[0]
    sign = -1 if document.metric == "val_loss" else 1
    return None if first["mean"] is None else sign * (first["value"] - first["mean"])


def _winner(
    context: Context, judged: Sequence[Candidate], able: Sequence[Candidate]
) -> tuple[int, str]:
    """The place of the simplest among those whose mean is within one standard error of the
    highest; and why it is chosen.
    """
    sign = -1 if context.config.search.metric == "val_loss" else 1
    best = max(able, key=lambda c: sign * c["mean"])
    error = _error(context, judged, best)
    tied = [c for c in able if sign * (best["mean"] - c["mean"]) <= error]
    chosen = min(tied, key=lambda c: (_complexity(c), -sign * c["mean"]))
    reason = f"{_name(chosen)} has the best mean"
    if chosen is not best:
        reason = (
            f"{_name(chosen)} {_simpler(chosen, best)} than {_name(best)}, whose mean is not"
            f" better by more than one standard error ({error:.4f})"
        )
    return judged.index(chosen), reason


def _complexity(candidate: Candidate) -> tuple[float, float, float]:
    """Fewer params are simpler, then a smaller rate, then a larger decay."""
    return candidate["params"], candidate["learning_rate"], -candidate["weight_decay"]


def _simpler(chosen: Candidate, best: Candidate) -> str:
    if chosen["params"] < best["params"]:
        return "is smaller"
    rate = chosen["learning_rate"] < best["learning_rate"]
    return "learns at a smaller rate" if rate else "decays its weights more"


def _error(context: Context, judged: Sequence[Candidate], best: Candidate) -> float:
    """The standard error of a candidate's mean: over seeds, their variance pooled over all
    candidates, and over rows, where the metric is an accuracy.
    """
    variances = [c["sd"] ** 2 for c in judged if c["sd"] is not None]
    seeds = float(np.mean(variances)) / len(best["values"]) if variances else 0.0
    if context.config.search.metric == "val_loss":
        return math.sqrt(seeds)
    return math.hypot(
        math.sqrt(seeds), standard_error(best["mean"], len(context.data.validation.y))
    )


def _name(candidate: Candidate) -> str:
    return f"{candidate['stage']}/{candidate['trial']}"


def ensembles(
    document: FinalDocument, done: Sequence[TrialResult]
) -> Iterator[tuple[str, list[int]]]:
    """The predictors to choose from, by name, with the ids of their nets: the simplest first."""
    assert document.winner is not None
    finished = {r.id for r in done if r.status is Status.DONE}
    ours = [n for n in document.candidates[document.winner]["ids"] if n in finished]
    yield f"ensemble of the winner's {len(ours)}", ours
    every = [n for c in document.candidates for n in c["ids"] if n in finished]
    if len(every) > len(ours):
        yield f"ensemble of all {len(every)}", ours + [n for n in every if n not in ours]


def pick(context: Context, predictors: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The predictor to save: the most accurate on the validation rows; the smaller of equals."""
    name = accuracy_of(context).removeprefix("val_")
    return max(predictors, key=lambda each: (each[name], -len(each["members"])))


def wilson(accuracy: float, rows: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy measured on n rows (Wilson 1927)."""
    middle = (accuracy + Z * Z / (2 * rows)) / (1 + Z * Z / rows)
    inner = accuracy * (1 - accuracy) / rows + Z * Z / (4 * rows * rows)
    half = Z * math.sqrt(inner) / (1 + Z * Z / rows)
    return max(0.0, middle - half), min(1.0, middle + half)


def scores(
    answers: np.ndarray[Any, Any], y: np.ndarray[Any, Any], classes: int
) -> dict[str, Any]:
    """Of probabilities (N, C) for the labels y (N,): accuracy with its interval, and the like."""
    right = answers.argmax(axis=1) == y
    recall = [right[y == c].mean() for c in range(classes) if (y == c).any()]
    likely = np.maximum(answers[np.arange(len(y)), y], np.finfo(float).tiny)
    accuracy = float(right.mean())
    return {
        "rows": len(y), "accuracy": accuracy, "interval": list(wilson(accuracy, len(y))),
        "balanced_accuracy": float(np.mean(recall)), "loss": float(-np.log(likely).mean()),
    }  # fmt: skip
