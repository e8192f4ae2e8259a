"""What a cohort leaves behind: curves, losses, best epochs, and who diverged when."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.cohort import Pulse
from hpsearch.lockstep import Lockstep, Scores
from hpsearch.nn.activations import Array
from hpsearch.nn.losses import LOSSES
from hpsearch.spec import TrialSpec
from hpsearch.trial import Curves, Status, TrialResult

# Times the first loss (CS231n lecture 6: "if the cost is ever > 3 * original cost"), or times
# log C where the first minibatch happened to be an easy one.
DIVERGED = 3.0
REASON = f"loss not finite, or above {DIVERGED:g} times the first"
STALE = "stopped early: no better for {} epochs"
SMOOTHING = 0.9  # of the loss compared with it, so that one odd minibatch is no divergence
MOST = 490  # minibatch losses kept of each trial, evenly thinned, and the last ten; it is even
TAIL = 10
PULSE = 0.5  # seconds between two looks at the losses from outside


def _same(value: float) -> float:
    """The number; of all NaNs one, since the sign of 0 / 0 depends on where in an array it was."""
    return float(value) if value == value else math.nan


class LossLog:
    """The minibatch losses of a cohort's trials (K of them, at their places in the task): every
    step's at first, and each time they become too many, half of them. What there is of a trial
    depends on nothing but its own last step.
    """

    def __init__(self, trials: int) -> None:
        self._steps: list[int] = []
        self._stride = 1
        self._kept, self._last = np.zeros((trials, MOST)), np.zeros((trials, TAIL))

    def add(self, step: int, places: NDArray[np.intp], loss: NDArray[np.float64]) -> None:
        """The `loss` of the trials at `places` in step 1, 2, ..."""
        self._last[places, step % TAIL] = loss
        if (step - 1) % self._stride == 0:
            if len(self._steps) == MOST:
                self._halve()
            self._kept[places, len(self._steps)] = loss
            self._steps.append(step)

    def _halve(self) -> None:
        self._steps = self._steps[::2]
        self._kept[:, : MOST // 2] = self._kept[:, ::2]
        self._stride *= 2

    def state(self, place: int) -> dict[str, NDArray[np.float64]]:
        """What there is of one trial; arrays by name."""
        return {"kept": self._kept[place].copy(), "last": self._last[place].copy()}

    def restore(self, step: int, states: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        """Takes all trials to `step`, where each had its `state`."""
        while -(-step // self._stride) > MOST:
            self._stride *= 2
        self._steps = list(range(1, step + 1, self._stride))
        for place, state in enumerate(states):
            self._kept[place], self._last[place] = state["kept"], state["last"]

    def of(self, place: int, step: int) -> list[tuple[int, float]]:
        """Of one trial, while `step` is its last."""
        late = range(max(1, step - TAIL + 1), step + 1)
        found = dict(zip(self._steps, self._kept[place].tolist(), strict=False))
        found |= {each: float(self._last[place, each % TAIL]) for each in late}
        return sorted(found.items())


class Left(NamedTuple):
    """How a trial left the cohort: at which step, for what reason, and its losses until then."""

    status: Status
    step: int
    reason: str
    losses: list[tuple[int, float]]


class Recorder:
    """The record of a cohort whose budget is `steps`. `alive` (K,) are the places in `specs` of
    the trials still in it; arrays here cover all the specs and are addressed through it.
    """

    def __init__(self, specs: Sequence[TrialSpec], steps: int, cohort: Lockstep) -> None:
        self.specs, self.cohort = specs, cohort
        self.alive = np.arange(len(specs))
        self.curves = [Curves() for _ in specs]
        self._steps, self._losses = steps, LossLog(len(specs))
        self._first = np.zeros(len(specs))  # this and the next three (K,), of the living
        self._smooth = np.zeros(len(specs))
        self._epoch_loss = np.zeros(len(specs))
        self._penalty = cohort.penalty()
        self._epoch_rows = 0
        self._indifferent = LOSSES[specs[0].loss].indifferent(specs[0].net.sizes[-1])
        self._left: dict[int, Left] = {}
        self._best_epoch: list[int | None] = [None] * len(specs)
        self._best_weights: list[Array | None] = [None] * len(specs)
        self._seconds = [0.0] * len(specs)  # of earlier legs
        self.pulse_due = 0.0

    def restore(self, paused: Sequence[TrialResult]) -> None:
        """Goes on where these, one for each spec, have paused, and the cohort with them."""
        states, step = [result.state or {} for result in paused], paused[0].step
        self.cohort.restore(step, states)
        self._losses.restore(step, states)
        self._penalty = self.cohort.penalty()
        for place, (result, state) in enumerate(zip(paused, states, strict=True)):
            self.curves[place], self._best_epoch[place] = result.curves, result.best_epoch
            self._first[place], self._smooth[place] = state["levels"]
            self._best_weights[place] = state.get("best")
            self._seconds[place] = result.train_seconds

    def _state(self, k: int) -> dict[str, NDArray[Any]]:
        """All that the k-th of the living needs to go on; arrays by name."""
        place = int(self.alive[k])
        best, levels = self._best_weights[place], np.array([self._first[k], self._smooth[k]])
        state = {**self.cohort.state(k), **self._losses.state(place), "levels": levels}
        return state if best is None else {**state, "best": best}

    def loss(self, loss: NDArray[np.float64], rows: int) -> None:
        """Takes a step's losses (K,) down, and the trials that diverged out of the cohort."""
        step = self.cohort.t
        self._losses.add(step, self.alive, loss)
        self._epoch_loss += loss * rows
        self._epoch_rows += rows
        if step == 1:
            self._first = np.fmax(loss, self._indifferent)
        self._smooth *= SMOOTHING
        self._smooth += (1 - SMOOTHING) * loss
        limit = DIVERGED * (1 - SMOOTHING**step)
        self._drop(~(self._smooth <= limit * self._first), Status.DIVERGED, REASON)

    def pulse(self) -> Pulse:
        """The cohort as it is now; the losses are smoothed. The next is due in a moment."""
        self.pulse_due = time.monotonic() + PULSE
        step, ids = self.cohort.t, [self.specs[place].id for place in self.alive.tolist()]
        losses = (self._smooth / (1 - SMOOTHING**step)).tolist()
        found = dict(zip(ids, losses, strict=True))
        return Pulse(self.specs[0].id, step, self._steps, found)

    def epoch(self, rate: NDArray[np.float64], train: Scores, validation: Scores | None) -> None:
        """Writes an epoch's numbers, each (K,), into the curves of the living."""
        for k, place in enumerate(self.alive.tolist()):
            curves = self.curves[place]
            curves.train_loss.append(_same(self._epoch_loss[k] / self._epoch_rows))
            curves.train_accuracy.append(_same(train.accuracy[k]))
            curves.learning_rate.append(_same(rate[k]))
            curves.update_ratio.append(_same(self.cohort.update_ratios[:, k].max()))
            if self.specs[place].rates.weight_decay:
                curves.penalty.append(_same(self._penalty[k]))
            if validation:
                curves.val_loss.append(_same(validation.loss[k]))
                curves.val_accuracy.append(_same(validation.accuracy[k]))
                curves.val_balanced_accuracy.append(_same(validation.balanced_accuracy[k]))
                self._keep_best(place, k)
        self._epoch_loss[:], self._epoch_rows = 0.0, 0
        lost = ~(train.loss <= DIVERGED * self._first)
        if validation:
            lost |= ~np.isfinite(validation.loss)
        self._drop(lost, Status.DIVERGED, f"after the epoch, {REASON}")
        if validation and self.cohort.t < self._steps:
            stale = np.array([self._stale(place) for place in self.alive.tolist()], bool)
            self._drop(stale, Status.DONE, STALE)
        self._penalty = self.cohort.penalty()

    def _keep_best(self, place: int, k: int) -> None:
        curve = getattr(self.curves[place], self.specs[place].metric)
        sign = -1 if self.specs[place].metric == "val_loss" else 1
        best = self._best_epoch[place]
        if math.isfinite(curve[-1]) and (
            best is None or sign * curve[-1] > sign * curve[best - 1]
        ):
            self._best_epoch[place] = len(curve)
            self._best_weights[place] = self.cohort.memory.flat(k)

    def _stale(self, place: int) -> bool:
        """Whether the trial's patience is at its end."""
        patience, best = self.specs[place].patience, self._best_epoch[place]
        if patience is None or best is None:
            return False
        return len(self.curves[place].train_loss) - best >= patience

    def _drop(self, leaving: NDArray[np.bool_], status: Status, reason: str) -> None:
        if leaving.any():
            for place in self.alive[leaving].tolist():
                self._leave(place, status, reason)
            living = ~leaving
            self.alive, self._first = self.alive[living], self._first[living]
            self._smooth, self._epoch_loss = self._smooth[living], self._epoch_loss[living]
            self._penalty = self._penalty[living]
            self.cohort.keep(living)

    def _leave(self, place: int, status: Status, reason: str = "") -> None:
        step = self.cohort.t
        self._left[place] = Left(status, step, reason, self._losses.of(place, step))

    def results(self, seconds: float) -> list[TrialResult]:
        """One result per spec; weights only of the best that finished, and of those to be kept.
        Those whose budget is not spent have paused.
        """
        paused = self.cohort.t < self._steps
        for place in self.alive.tolist():
            self._leave(place, Status.PAUSED if paused else Status.DONE)
        each = seconds / len(self.specs)
        results = [self._result(place, each) for place in range(len(self.specs))]
        if paused:
            for k, place in enumerate(self.alive.tolist()):
                results[place] = replace(results[place], state=self._state(k))
        done = [r for r in results if r.status is Status.DONE]
        best = max(done, key=lambda r: r.rank, default=None)
        for place, result in enumerate(results):
            kept = self.specs[place].keep and result.status is Status.DONE
            if result is best or kept:
                results[place] = replace(result, weights=self._best_weights[place])
        return results

    def _result(self, place: int, seconds: float) -> TrialResult:
        spec, left = self.specs[place], self._left[place]
        reason = f"{left.reason.format(spec.patience)}, at step {left.step}" if left.reason else ""
        return TrialResult(
            stage=spec.stage, id=spec.id, seed=spec.seed, hparams=spec.hparams,
            status=left.status, metric=spec.metric, curves=self.curves[place],
            best_epoch=self._best_epoch[place], step=left.step, losses=left.losses, reason=reason,
            train_seconds=self._seconds[place] + seconds,
        )  # fmt: skip
