"""A cohort's arithmetic: K trials as stacked arrays, stepped and evaluated together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.data import Dataset, Rows
from hpsearch.nn.activations import Array
from hpsearch.nn.losses import mean_rows, softmax_cross_entropy
from hpsearch.nn.mlp import Params, Tape, backward, forward, initialize
from hpsearch.nn.optimizers import OPTIMIZERS, CohortRates, flush
from hpsearch.nn.optimizers import step as optimizer_step
from hpsearch.nn.schedules import SCHEDULES, Decay
from hpsearch.trial import TrialSpec

CHUNK = 1000  # rows evaluated at a time
FLUSH = 32  # steps between two looks for numbers that have become denormal


class Scores(NamedTuple):
    """What an evaluation gives for each trial, each (K,) in float64."""

    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    balanced_accuracy: NDArray[np.float64]


class Lockstep:
    """The trials of a cohort that are still training; every array is led by K and shrinks with it.

    A trial's numbers are the same bits whatever the others are and whenever they leave: each
    reduction runs over one trial's own numbers, in an order that does not depend on K.
    """

    def __init__(self, specs: Sequence[TrialSpec], dtype: type[np.floating] = np.float32) -> None:
        self.net, self.dtype, self.t = specs[0].net, dtype, 0
        self.optimizer = OPTIMIZERS[specs[0].optimizer]
        self.schedule = SCHEDULES[specs[0].schedule]
        flat = np.stack([initialize(s.net, np.random.default_rng([s.seed, 1])) for s in specs])
        self.params = Params.over(flat.astype(dtype), self.net)
        self.grads = Params.over(np.empty_like(self.params.flat), self.net)
        self.state = tuple(np.zeros_like(self.params.flat) for _ in range(self.optimizer.slots))
        self.base = CohortRates(
            *(np.array([getattr(s.rates, name) for s in specs]) for name in CohortRates._fields)
        )
        self.update_ratio = np.zeros(len(specs))
        self._tapes: dict[int, Tape] = {}

    @property
    def size(self) -> int:
        """K."""
        return len(self.params.flat)

    def rates(self, epoch: float) -> CohortRates:
        """The rates in force at `epoch` (a fraction within an epoch), the schedule applied."""
        factor = self.schedule(epoch, Decay(self.base.decay_factor, self.base.decay_epochs))
        return self.base._replace(learning_rate=self.base.learning_rate * factor)

    def step(
        self, x: Array, y: NDArray[np.int64], epoch: float, *, measure: bool = False
    ) -> NDArray[np.float64]:
        """One update on the minibatch x (N, D), y (N,); the mean losses before it, (K,).

        With `measure`, `update_ratio` is set to |update| / |weights| of this step.
        """
        before = self.params.flat.copy() if measure else None
        tape = self._tape(len(y))
        logits = forward(self.net, self.params, x, tape)
        losses = softmax_cross_entropy(logits, y, tape.grad[-1])
        backward(self.net, self.params, self.grads, x, tape)
        self.t += 1
        optimizer_step(
            self.optimizer, self.params.flat, self.grads.flat, self.state, self.rates(epoch),
            t=self.t, n_weights=self.net.n_weights,
        )  # fmt: skip
        if self.t % FLUSH == 0:
            flush(self.params.flat, *self.state)
        if before is not None:
            self.update_ratio = self._update_ratio(before)
        return mean_rows(losses)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Trials outside `mask` (K,) leave; the others' arrays close ranks."""
        self.params = Params.over(self.params.flat[mask], self.net)
        self.grads = Params.over(self.grads.flat[mask], self.net)
        self.state = tuple(array[mask] for array in self.state)
        self.base = CohortRates(*(rate[mask] for rate in self.base))
        self.update_ratio = self.update_ratio[mask]
        self._tapes.clear()

    def evaluate(self, data: Dataset, rows: Rows, *, zero: bool = False) -> Scores:
        """Loss, accuracy and balanced accuracy of every trial on all `rows`."""
        counts = np.bincount(rows.y, minlength=data.n_classes)
        loss = np.zeros(self.size)
        right = np.zeros((self.size, data.n_classes))
        for start in range(0, len(rows.y), CHUNK):
            part = slice(start, start + CHUNK)
            x = data.batch(rows, part, self.dtype)
            y = rows.y[part]
            logits = forward(
                self.net, self.params, np.zeros_like(x) if zero else x, self._tape(len(y))
            )
            for k, correct in enumerate(logits.argmax(axis=-1) == y):
                right[k] += np.bincount(y[correct], minlength=data.n_classes)
            loss += mean_rows(softmax_cross_entropy(logits, y)) * len(y)
        recall = right[:, counts > 0] / counts[counts > 0]
        balanced = np.array([row.mean() for row in recall])
        return Scores(loss / len(rows.y), right.sum(axis=1) / len(rows.y), balanced)

    def _update_ratio(self, before: Array) -> NDArray[np.float64]:
        """|update| / |weights| since `before` (K, P), (K,): the largest over a trial's layers."""
        layers = list(zip(self.params.weights, Params.over(before, self.net).weights, strict=True))
        ratios = [max(_ratio(w[k], was[k]) for w, was in layers) for k in range(self.size)]
        return np.array(ratios)

    def _tape(self, rows: int) -> Tape:
        if rows not in self._tapes:
            self._tapes[rows] = Tape.for_(self.net, self.size, rows, self.dtype)
        return self._tapes[rows]


def _ratio(new: Array, old: Array) -> float:
    size = float(np.linalg.norm(old.astype(np.float64)))
    change = float(np.linalg.norm((new - old).astype(np.float64)))
    return change / size if size > 0 else float(change > 0)
