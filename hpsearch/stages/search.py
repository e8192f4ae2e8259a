"""The search stages: coarse, then refine as often as its rule asks (CS231n steps 4, 5 and 7)."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from hpsearch.config.dump import dump
from hpsearch.config.schema import Coarse, Config, Refine
from hpsearch.curves import tally
from hpsearch.errors import ConfigError
from hpsearch.search.space import Distribution, LogUniform, parse_space, with_roles, write_space
from hpsearch.spec import Budget, TrialSpec
from hpsearch.stages import halving
from hpsearch.stages.context import Context, Stage
from hpsearch.stages.counting import best_of_n
from hpsearch.stages.drawing import Drawing
from hpsearch.stages.gathering import Comparable, gathered, inside, tried
from hpsearch.stages.isolation import isolated
from hpsearch.stages.searched import sweep_range
from hpsearch.stages.standing import accuracy_of, baseline_of, clear_of
from hpsearch.stages.zooming import zoom
from hpsearch.trial import Status, TrialResult, ranking
from hpsearch.verdict import SearchDocument, Verdict

CARRIED = 3  # trials of the last round run again, as a control for the change of epochs
FLAGGED = ("warn", "strong", "stability")


def space_of(context: Context) -> dict[str, Distribution]:
    """What this stage searches: what it was begun with; else, for coarse, the config's space,
    with the sweep's range where it has no learning rate; for refine, what the last round left.
    The roles are always the config's.
    """
    return with_roles(_drawn_from(context), context.config.search.space)


def _drawn_from(context: Context) -> dict[str, Distribution]:
    search = context.config.search
    if context.opened:
        return parse_space(context.opened.space)
    if context.stage != search.round and context.rounds:
        return parse_space(context.rounds[-1].document.next_space)
    space = dict(search.space)
    if "learning_rate" not in space:
        space["learning_rate"] = LogUniform(log_uniform=sweep_range(context))
    return space


def budget_of(context: Context) -> tuple[int, int, str]:
    """The trials asked for, epochs and schedule of this stage."""
    part = _part(context, context.stage)
    return part.trials, part.epochs, part.schedule or context.config.train.schedule


def _part(context: Context, stage: str) -> Coarse | Refine:
    """What the config says of a search stage."""
    search = context.config.search
    return search.coarse if stage == "coarse" else search.refine


def room(context: Context) -> int | None:
    """How many trials of this stage `search.budget.trial_epochs` lets train after those of the
    rounds before; None where there is no limit. A trial costs all epochs it may train, whether
    it does or not, so that what fits depends on nothing that is still to be found out.
    """
    limit = context.config.search.budget.trial_epochs
    if limit is None:
        return None
    part = _part(context, context.stage)
    left = limit - sum(
        halving.cost(_part(context, r.document.stage).halving, len(r.results), r.document.epochs)
        for r in context.rounds
    )
    numbers = range(1, left + 1)  # a trial costs an epoch at least
    return bisect_right(numbers, left, key=lambda n: halving.cost(part.halving, n, part.epochs))


def plan(context: Context, done: Sequence[TrialResult]) -> list[TrialSpec]:
    """The stage's trials that are not done, or those that can be told already; each a function of
    (run seed, stage, id), and with tpe of the results before its batch. With halving as far as
    the next rung.
    """
    finished = [result for result in done if result.status is not Status.PAUSED]
    missing = drawing_of(context).missing(finished)
    specs = [spec_of(context, n, hparams) for n, hparams in missing]
    if not rungs_of(context):
        return specs
    return halving.legs(specs, {r.id: r for r in done}, _course(context, done))


def pruned(context: Context, done: Sequence[TrialResult]) -> Mapping[int, str]:
    """Which of the paused trials are given up, and why."""
    return _course(context, done).pruned


def rungs_of(context: Context) -> list[halving.Rung]:
    """The rungs of this stage; none where it does not halve."""
    part = _part(context, context.stage)
    if part.halving is None:
        return []
    return halving.rungs(part.halving, drawing_of(context).total, part.epochs)


def trial_epochs(context: Context, done: Sequence[TrialResult], specs: Sequence[TrialSpec]) -> int:
    """How many epochs are ahead of the stage, whose next trials are `specs`."""
    if not rungs_of(context):
        total = drawing_of(context).total
        return (total - sum(result.id < total for result in done)) * budget_of(context)[1]
    return halving.trial_epochs(_course(context, done), specs, rungs_of(context))


def _course(context: Context, done: Sequence[TrialResult]) -> halving.Course:
    results = {result.id: result for result in done}
    return halving.course(results, drawing_of(context).total, rungs_of(context))


def drawing_of(context: Context) -> Drawing:
    """Which hparams the stage's trials have, and how many trials it has."""
    carried = context.opened.carried if context.opened else _carried(context)
    asked = budget_of(context)[0]
    settings = _settings(context)
    return Drawing(context, space_of(context), carried, asked, settings, room(context))


def _settings(context: Context) -> dict[str, Any]:
    """What the config says of every key of a trial of this stage."""
    config, (_, _, schedule) = context.config, budget_of(context)
    return {**config.configured, "schedule": schedule}


def spec_of(context: Context, number: int, hparams: Mapping[str, Any]) -> TrialSpec:
    """The trial of this stage with this number and these hparams."""
    _, epochs, schedule = budget_of(context)
    given = {} if "schedule" in hparams else {"schedule": schedule}
    return context.spec(number, Budget(epochs), hparams=dict(hparams), **given)


def _carried(context: Context) -> list[dict[str, Any]]:
    """The best of the last round that lie in this one's space, to be trained again."""
    if context.stage == "coarse" or not context.rounds:
        return []
    space, trials = space_of(context), budget_of(context)[0]
    settings = _settings(context)
    best = [r for r in ranking(context.rounds[-1].results) if inside(r, space, settings)]
    return [dict(r.hparams) for r in best[: min(CARRIED, trials // 10)]]


def evidence(context: Context, done: Sequence[TrialResult]) -> list[Comparable]:
    """All trials that count when this stage is judged, best first: its own, and those of earlier
    rounds that lie in its space and were trained as it trains.
    """
    _, epochs, schedule = budget_of(context)
    earlier = [
        round_.results
        for round_ in context.rounds
        if round_.document.epochs == epochs
        and round_.document.settings.get("train.schedule", schedule) == schedule
    ]
    return gathered(done, earlier, space_of(context), _settings(context))


def opening(context: Context, settings: dict[str, Any]) -> SearchDocument:
    """The stage's document before its first trial: the space it will keep to."""
    _, epochs, _ = budget_of(context)
    search = context.config.search
    if room(context) == 0:
        raise ConfigError(
            f"search.budget.trial_epochs: {search.budget.trial_epochs} leaves no room for a trial"
            f" of {context.stage}, which trains {epochs} epochs; raise it"
        )
    return SearchDocument(
        context.stage, None, drawing_of(context).total,
        space=write_space(space_of(context)), sampler=search.sampler,
        metric=search.metric, epochs=epochs, settings=settings, carried=_carried(context),
    )  # fmt: skip


def judge(context: Context, done: Sequence[TrialResult]) -> SearchDocument:
    """The stage's document: the best trial, the edges, and the next space with its reasons."""
    space, best = space_of(context), ranking(done)
    zoomed = zoom(context, space, done, evidence(context, done))
    counts = {str(status): sum(r.status is status for r in done) for status in Status}
    _, epochs, _ = budget_of(context)
    drawing, (verdict, message) = drawing_of(context), _conclude(context, best, done)
    if verdict is Verdict.PASS and any(edge.strength in FLAGGED for edge in zoomed.edges):
        verdict = Verdict.WARN
    search, carried = context.config.search, context.opened.carried if context.opened else ()
    draws = tried([] if drawing.exhausted else done, len(carried))
    return SearchDocument(
        stage=context.stage, verdict=verdict, trials=max(drawing.total, len(done)),
        completed=counts["done"], diverged=counts["diverged"], pruned=counts["pruned"],
        failed=counts["failed"], best=best[0].described if best else None,
        edges=tuple(zoomed.edges), next_space=write_space(zoomed.space),
        next_command="hpsearch search --stage refine",
        message="; ".join(filter(None, (message, drawing.remark, _cut(context, drawing, done)))),
        reasons=zoomed.reasons, space=write_space(space), sampler=search.sampler,
        metric=search.metric, epochs=epochs, baseline=baseline_of(context),
        settings=context.opened.settings if context.opened else {},
        carried=carried, verdicts=tally(done),
        importance=zoomed.importance, best_of_n=best_of_n(best, draws),
        isolated=isolated(context, space, done),
    )  # fmt: skip


def _cut(context: Context, drawing: Drawing, done: Sequence[TrialResult]) -> str:
    """That the seconds were up before all trials were trained, where they were."""
    seconds = context.config.search.budget.seconds
    if seconds is None or len(done) >= drawing.total:
        return ""
    said = f"the budget ended it after {len(done)} of {drawing.total} trials"
    return f"{said} (search.budget.seconds: {seconds:g})"


def _conclude(
    context: Context, best: Sequence[TrialResult], done: Sequence[TrialResult]
) -> tuple[Verdict, str]:
    """The verdict without the edges, and why."""
    if not done:
        return Verdict.FAIL, "no trial was trained to its end"
    if not best:
        return Verdict.FAIL, f"none of {len(done)} trials finished: {_lost(context, done)}"
    accuracy = max(result.at_best(accuracy_of(context)) for result in best)
    baseline, rows = baseline_of(context), len(context.data.validation.y)
    needed = clear_of(baseline, context)
    said = (
        f"best {accuracy:.1%} on {rows} validation rows;"
        f" answering without the input gives {baseline:.1%}"
    )
    if not needed < 1:
        return Verdict.FAIL, f"{said}: {_hopeless(context)}"
    if not accuracy > needed:
        return Verdict.FAIL, f"{said}: no trial beats that by three standard errors"
    if accuracy <= clear_of(baseline, context, trials=len(best)) < 1:
        return Verdict.WARN, f"{said}: the best of {len(best)} trials may come so far by chance"
    diverged = sum(result.status is Status.DIVERGED for result in done)
    if 2 * diverged > len(done):
        lost = f"{diverged} of {len(done)} trials diverged: the range reaches too far"
        return Verdict.WARN, f"{said}; {lost}"
    if failed := [result for result in done if result.status is Status.FAILED]:
        return Verdict.WARN, f"{said}; {_failed(context, failed)}"
    return Verdict.PASS, said


def _hopeless(context: Context) -> str:
    """What to do where not even an accuracy of 100 % would beat the baseline by enough."""
    fix, chance = "more validation rows (data.split.validation)", 1 / context.data.n_classes
    if clear_of(chance, context) < 1:
        fix = f"search.metric: val_balanced_accuracy, or {fix}"
    return f"too close for any trial to beat it by three standard errors; {fix}"


def _lost(context: Context, done: Sequence[TrialResult]) -> str:
    """What became of trials none of which was completed, and what to do about it."""
    failed = [result for result in done if result.status is Status.FAILED]
    diverged = sum(result.status is Status.DIVERGED for result in done)
    if diverged == len(done):
        return "all diverged; search smaller rates"
    parts = [f"{diverged} diverged"] if diverged else []
    if dropped := len(done) - diverged - len(failed):
        parts.append(f"{dropped} pruned: search more trials, or smaller rates")
    return ", ".join([*parts, _failed(context, failed)] if failed else parts)


def _failed(context: Context, failed: Sequence[TrialResult]) -> str:
    """How many failed, why the first did, and how to have them tried again."""
    files = f"{context.stage}/trials/{failed[0].id:05d}.json" + (", ..." if failed[1:] else "")
    return f"{len(failed)} failed ({failed[0].reason}); to try again delete {files}"


def next_config(config: Config, document: SearchDocument) -> str:
    """`next.yaml`: the config of the next stage, with the reason of each range beside it."""
    number = 1 if document.stage == "coarse" else int(document.stage.split("-")[1]) + 1
    values = config.model_dump(mode="json")
    values["search"] |= {"space": document.next_space, "round": f"refine-{number}"}
    following = Config.model_validate(values)
    reasons = {f"search.space.{name}": why for name, why in document.reasons.items()}
    return dump(following, comments=reasons)


COARSE = Stage("coarse", plan, judge, pruned=pruned)
REFINE = Stage("refine", plan, judge, pruned=pruned)
