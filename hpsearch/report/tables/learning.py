"""How trials learnt, epoch by epoch and minibatch by minibatch, as DataFrames."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hpsearch.curves import ACTIONS, tally
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import rows_of
from hpsearch.trial import Status, TrialResult, ranking

if TYPE_CHECKING:
    import pandas as pd

BEST = 5  # trials of the last stage that are looked at closely
OTHERS = 3  # more of them, each with another verdict
MOST = 12  # in all, with the winner's nets
WINDOW, PARTS = 10, 50  # minibatches, or the part of the run, that a moving average covers
COURSE = ("trial", "place", "status", "epoch")
END = ("trial", "place", "status", "verdict", "epochs")
EPOCH = (
    "epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate",
    "update_ratio",
)  # fmt: skip


class Close(NamedTuple):
    """A trial looked at closely: with its minibatch losses, why it is shown, and how many
    minibatches an epoch has.
    """

    result: TrialResult
    why: str
    batches: float

    @property
    def name(self) -> str:
        return f"{self.result.stage}/{self.result.id}"


def leading(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The trials that were completed, best first, then the pruned ones, the furthest first."""
    found = list(results)
    pruned = [r for r in found if r.status is Status.PRUNED]
    return [*ranking(found), *sorted(pruned, key=lambda r: (r.epochs, r.rank), reverse=True)]


def places(results: Sequence[TrialResult]) -> dict[int, int]:
    """The place of each trial that was completed, by id; the best has 1."""
    return {result.id: place for place, result in enumerate(ranking(results), 1)}


def courses(results: Sequence[TrialResult], measures: Sequence[str]) -> "pd.DataFrame":
    """One row per trial and epoch, the best trials first: trial, place (0 for one without),
    status, epoch from 1, and the measures, which are names of curves.
    """
    import pandas as pd

    ranks, columns = places(results), (*COURSE, *measures)
    ordered = sorted(results, key=lambda r: (ranks.get(r.id, math.inf), r.id))
    rows = [
        (r.id, ranks.get(r.id, 0), str(r.status), n + 1, *(_at(r, name, n) for name in measures))
        for r in ordered
        for n in range(r.epochs)
    ]
    return pd.DataFrame(rows, columns=list(columns))


def _at(result: TrialResult, measure: str, number: int) -> float:
    curve: Sequence[float] = getattr(result.curves, measure)
    return curve[number] if number < len(curve) else math.nan


def ends(
    results: Sequence[TrialResult], batches: Mapping[int, float], measures: Sequence[str]
) -> "pd.DataFrame":
    """One row per trial by id: where it ended. `epochs` counts a part of one too, by the
    `batches` of an epoch (by trial); a measure is the last there is, NaN where there is none.
    """
    import pandas as pd

    ranks = places(results)
    rows = [
        (r.id, ranks.get(r.id, 0), str(r.status), r.verdict, r.step / batches[r.id],
         *(_at(r, name, r.epochs - 1) if r.epochs else math.nan for name in measures))
        for r in sorted(results, key=lambda r: r.id)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=[*END, *measures])


def batches(result: TrialResult, rows: int | None, settings: Mapping[str, Any]) -> float:
    """Minibatches of an epoch: what the trial had, where it ended with one; else of so many
    training rows. Where nothing tells, all it had are one.
    """
    if result.status in (Status.DONE, Status.PRUNED) and result.epochs and result.step:
        return result.step / result.epochs
    size = result.hparams.get("batch_size", settings.get("train.batch_size"))
    if rows and isinstance(size, int) and size > 0:
        return math.ceil(rows / size)
    return max(1.0, result.step / max(1, result.epochs))


def close(material: Material) -> list[Close]:
    """The leading trials of the last stage that has any, then an example of each of a few other
    verdicts, divergence first and then the commonest, then the winner's nets.
    """
    rows, found = rows_of(material.store, "train"), []
    for stage, trial, why in [*_searched(material), *_winners(material)][:MOST]:
        if result := material.store.result(stage, trial):
            found.append(Close(result, why, batches(result, rows, _settings(material, stage))))
    return found


def _settings(material: Material, stage: str) -> Mapping[str, Any]:
    """What the stage's trials were trained with; the winners', as the search's last."""
    documents = {document.stage: document.settings for document in material.searches}
    return documents.get(stage) or next(reversed(documents.values()), {})


def _searched(material: Material) -> Iterator[tuple[str, int, str]]:
    """Stage, id and reason of what is shown of the search."""
    begun = [stage for stage, results in material.trials.items() if results]
    shown = leading(material.trials[begun[-1]])[:BEST] if begun else []
    for place, result in enumerate(shown, 1):
        why = "best" if place == 1 else f"place {place}"
        yield result.stage, result.id, why if result.status is Status.DONE else "pruned"
    whole = [
        result for stage in reversed(begun) for result in material.trials[stage]
        if result.status is not Status.PRUNED
    ]  # fmt: skip
    words = sorted(tally(whole), key=lambda word: word != "diverged")
    for word in [w for w in words if w not in {result.verdict for result in shown}][:OTHERS]:
        result = next(result for result in whole if result.verdict == word)
        yield result.stage, result.id, "an example"


def _winners(material: Material) -> Iterator[tuple[str, int, str]]:
    """Those nets of the winner that have been trained so far."""
    final = material.final
    if final and final.winner is not None:
        for number, trial in enumerate(final.candidates[final.winner]["ids"], 1):
            yield "final", trial, f"the winner, seed {number}"


def minibatches(shown: Close) -> "pd.DataFrame":
    """One row per stored minibatch: step from 1, epoch (parts too), loss, and its average."""
    import pandas as pd

    steps = [step for step, _ in shown.result.losses]
    losses = [loss for _, loss in shown.result.losses]
    window = max(WINDOW, shown.result.step / PARTS)
    return pd.DataFrame({
        "step": steps, "epoch": [step / shown.batches for step in steps], "loss": losses,
        "average": averaged(steps, losses, window),
    })  # fmt: skip


def averaged(
    steps: Sequence[int], losses: Sequence[float], window: float
) -> list[float]:
    """The exponential average of losses at some of the steps; one `window` steps ago weighs
    1 - 1/window to that power. Losses that are not finite count for nothing; NaN before the first
    that is.
    """
    kept, out, last = 1 - 1 / window, list[float](), 0
    total = weight = 0.0
    for step, loss in zip(steps, losses, strict=True):
        decay, last = kept ** (step - last), step
        total, weight = total * decay, weight * decay
        if math.isfinite(loss):
            total, weight = total + loss, weight + 1
        out.append(total / weight if weight else math.nan)
    return out


def epochs(shown: Close) -> "pd.DataFrame":
    """One row per epoch of the trial: its curves."""
    import pandas as pd

    result = shown.result
    rows = [(n + 1, *(_at(result, name, n) for name in EPOCH[1:])) for n in range(result.epochs)]
    return pd.DataFrame(rows, columns=list(EPOCH))


def action(word: str) -> str:
    """What to do about a verdict; empty where it is not one of the curves'."""
    return ACTIONS.get(word, "")
