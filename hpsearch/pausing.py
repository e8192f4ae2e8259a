"""Where trials pause at rungs: which of them go on, from their checkpoints, and which do not; and
whose the finished ones are.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hpsearch.checkpoint import Checkpoints, read
from hpsearch.errors import HostError
from hpsearch.records import remedy
from hpsearch.spec import TrialSpec
from hpsearch.stages.context import Context, Stage
from hpsearch.stages.context import seed as seed_of
from hpsearch.store import RunStore
from hpsearch.trial import Status, TrialResult


def missing(
    stage: Stage, context: Context, known: Mapping[int, TrialResult], checkpoints: Checkpoints
) -> list[TrialSpec]:
    """The trials to train next, given those `known`: finished, or paused, which go on."""
    return [
        replace(_from_where_it_is(spec, known.get(spec.id)), checkpoint=checkpoints.path(spec.id))
        for spec in stage.plan(context, by_id(known))
        if spec.id not in known or known[spec.id].status is Status.PAUSED
    ]


def _from_where_it_is(spec: TrialSpec, paused: TrialResult | None) -> TrialSpec:
    """The trial's rest; all of it where what has paused is another trial of that number."""
    same = paused and (paused.seed, paused.hparams) == (spec.seed, spec.hparams)
    done = paused.epochs if paused and same else 0
    return replace(spec, budget=replace(spec.budget, done=done))


def pruned(
    stage: Stage, context: Context, known: Mapping[int, TrialResult], checkpoints: Checkpoints
) -> list[TrialResult]:
    """The paused trials that do not go on, as results."""
    given_up = stage.pruned(context, by_id(known))
    return [
        replace(read(checkpoints.path(n)), status=Status.PRUNED, reason=why, state=None)
        for n, why in given_up.items()
    ]


def own(store: RunStore, stage: str, seed: int) -> list[TrialResult]:
    """The finished trials of a stage; HostError where one is not of a run with this seed."""
    results = store.results(stage)
    for result in results:
        require_own(store.trial_path(stage, result.id), result, seed)
    return results


def require_own(path: Path, result: TrialResult, seed: int) -> None:
    """HostError where the trial that was read from `path` is not of a run with this seed."""
    if result.seed != seed_of(seed, result.stage, result.id):
        said = f"holds trial {result.id} of a run with another seed"
        raise HostError(f"{path}: {said}; {remedy(path)}")


def by_id(results: Mapping[int, TrialResult]) -> list[TrialResult]:
    """The results in the order of their ids."""
    return [results[number] for number in sorted(results)]
