"""A cohort's arithmetic: K trials as stacked arrays, stepped and evaluated together."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.data import Dataset, Rows
from hpsearch.nn.activations import Array
from hpsearch.nn.dropout import Dropout
from hpsearch.nn.losses import LOSSES, mean_rows
from hpsearch.nn.mlp import Tape, backward, follow, forward, penalty
from hpsearch.nn.net import initialize
from hpsearch.nn.optimizers import OPTIMIZERS, CohortRates
from hpsearch.nn.params import Memory
from hpsearch.nn.products import batch
from hpsearch.nn.schedules import BEGINNING, SCHEDULES, Clock, warmup
from hpsearch.spec import TrialSpec

CHUNK = 1000  # rows evaluated at a time
CONSTANT = SCHEDULES["constant"]
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
        self.loss = LOSSES[specs[0].loss].rows
        flat = np.stack([initialize(s.net, np.random.default_rng([s.seed, 1])) for s in specs])
        self.memory = Memory(self.net, flat.astype(dtype), slots=self.optimizer.slots)
        self.base = CohortRates(
            *(np.array([getattr(s.rates, name) for s in specs]) for name in CohortRates._fields)
        )
        self.dropout = Dropout(self.base.dropout, [(s.seed, 2) for s in specs])
        self._longest_warmup = self.base.warmup_epochs.max()
        self.update_ratios = np.zeros((len(self.net.layers), len(specs)))
        self._ready: tuple[CohortRates | None, list[Array]] = (None, [])
        self._tapes: dict[tuple[int, bool], Tape] = {}

    @property
    def size(self) -> int:
        """K."""
        return self.memory.size

    def rates(self, now: Clock) -> CohortRates:
        """The rates in force, schedule and warm-up applied; `base` itself where neither moves."""
        if self.schedule is CONSTANT and now.epoch >= self._longest_warmup:
            return self.base
        factor = self.schedule.factor(now, self.base) * warmup(now, self.base)
        return self.base._replace(learning_rate=self.base.learning_rate * factor)

    def step(
        self, x: Array, y: NDArray[np.int64], now: Clock = BEGINNING, *, measure: bool = False
    ) -> NDArray[np.float64]:
        """One update on the minibatch x (N, D), y (N,), where the schedules are `now`; the mean
        losses before it, (K,).

        With `measure`, `update_ratios` (L, K) are set: |update| / |weights| of each layer.
        """
        memory, tape, inputs = self.memory, self._tape(len(y), train=True), batch(x)
        self.dropout.draw(tape.masks)
        before = [w.copy() for w in memory.params.weights] if measure else None
        logits = forward(self.net, memory.params, inputs, tape)
        losses = self.loss(logits, y, self._smoothing(), gradient=True)
        backward(self.net, memory.params, memory.grads, inputs, tape)
        self.t += 1
        follow(memory.params, tape, self.t)
        self.optimizer.apply(memory, self._prepared(self.rates(now)))
        if self.t % FLUSH == 0:
            memory.flush()
        if before is not None:
            layers = zip(memory.params.weights, before, strict=True)
            self.update_ratios = np.array([_ratio(w - was, was) for w, was in layers])
        return mean_rows(losses)

    def _prepared(self, rates: CohortRates) -> list[Array]:
        if rates is not self._ready[0] or not self.optimizer.steady:
            self._ready = rates, self.optimizer.prepare(rates, self.t, self.dtype)
        return self._ready[1]

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Trials outside `mask` (K,) leave; the others' arrays close ranks."""
        self.memory.keep(mask)
        self.base = CohortRates(*(rate[mask] for rate in self.base))
        self.dropout.keep(mask)
        self.update_ratios = self.update_ratios[:, mask]
        self._tapes.clear()

    def state(self, k: int) -> dict[str, NDArray[Any]]:
        """All that one trial needs to go on as if it had never paused; arrays by name."""
        return {"numbers": self.memory.state(k), "dropout": self.dropout.state(k)}

    def restore(self, t: int, states: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        """Takes all trials to step `t`, where each had its `state`."""
        self.t = t
        for k, state in enumerate(states):
            self.memory.restore(k, state["numbers"])
            self.dropout.restore(k, state["dropout"])

    def penalty(self) -> NDArray[np.float64]:
        """What weight decay adds to the loss of every trial, (K,): nothing if it is decoupled."""
        if self.optimizer.decoupled:
            return np.zeros(self.size)
        return penalty(self.memory.params, self.base.weight_decay)

    def evaluate(self, data: Dataset, rows: Rows, *, zero: bool = False) -> Scores:
        """Loss, accuracy and balanced accuracy of every trial on all `rows`."""
        counts = np.bincount(rows.y, minlength=data.n_classes)
        loss, correct = np.zeros(self.size), np.empty((self.size, len(rows.y)), bool)
        for start in range(0, len(rows.y), CHUNK):
            part = slice(start, start + CHUNK)
            x, y = data.batch(rows, part, self.dtype), rows.y[part]
            inputs = batch(np.zeros_like(x) if zero else x)
            logits = forward(self.net, self.memory.params, inputs, self._tape(len(y), train=False))
            correct[:, part] = _correct(logits, y)
            loss += mean_rows(self.loss(logits, y)) * len(y)
        right = np.array([np.bincount(rows.y[row], minlength=len(counts)) for row in correct])
        recall = right[:, counts > 0] / counts[counts > 0]
        balanced = np.array([row.mean() for row in recall])
        return Scores(loss / len(rows.y), right.sum(axis=1) / len(rows.y), balanced)

    def _smoothing(self) -> Array | None:
        return self.base.label_smoothing if self.base.label_smoothing.any() else None

    def _tape(self, rows: int, *, train: bool) -> Tape:
        if (rows, train) not in self._tapes:
            tape = Tape.for_(self.net, self.size, rows, self.dtype, train=train)
            if train and self.dropout.active:
                tape = tape.with_masks(tuple(np.ones_like(a) for a in tape.a[:-1]))
            self._tapes[rows, train] = tape
        return self._tapes[rows, train]


def _correct(logits: Array, y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each row's label has the largest logit, (K, N); the first of equals counts as it,
    and where there is a NaN none does.
    """
    largest = logits == np.maximum.reduce(logits, axis=1, keepdims=True)
    right = largest[:, y, np.arange(len(y))]
    if (np.add.reduce(largest, axis=1, dtype=np.intp) > 1).any():
        right &= largest.argmax(axis=1) == y  # slow where classes are few
    return np.asarray(right)


def _ratio(change: Array, old: Array) -> NDArray[np.float64]:
    """|change| / |old| of each trial, (K,); of weights that were all 0 it is 1, or 0 if they are
    still.
    """
    new, size = (_length(array.reshape(len(array), 1, -1)) for array in (change, old))
    return np.where(size > 0, new / np.where(size > 0, size, 1), np.sign(new))


def _length(rows: Array) -> NDArray[np.float64]:
    """The Euclidean norm of each of (K, 1, n)."""
    squares: Array = np.matmul(rows, rows.swapaxes(1, 2))
    return np.sqrt(squares[:, 0, 0], dtype=np.float64)
