"""Where trials pause at rungs: which of them go on, from their checkpoints, and which do not."""

from collections.abc import Mapping
from dataclasses import replace

from hpsearch.checkpoint import Checkpoints, read
from hpsearch.spec import TrialSpec
from hpsearch.stages.context import Context, Stage
from hpsearch.trial import Status, TrialResult


def missing(
    stage: Stage, context: Context, known: Mapping[int, TrialResult], checkpoints: Checkpoints
) -> list[TrialSpec]:
    """The trials to train next, given those `known`: finished or paused."""
    return [
        replace(spec, checkpoint=checkpoints.path(spec.id)) if spec.budget.done else spec
        for spec in stage.plan(context, by_id(known))
        if spec.id not in known or known[spec.id].status is Status.PAUSED
    ]


def pruned(
    stage: Stage, context: Context, known: Mapping[int, TrialResult], checkpoints: Checkpoints
) -> list[TrialResult]:
    """The paused trials that do not go on, as results."""
    given_up = stage.pruned(context, by_id(known))
    return [
        replace(read(checkpoints.path(n)), status=Status.PRUNED, reason=why, state=None)
        for n, why in given_up.items()
    ]


def by_id(results: Mapping[int, TrialResult]) -> list[TrialResult]:
    """The results in the order of their ids."""
    return [results[number] for number in sorted(results)]
