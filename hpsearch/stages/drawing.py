"""Which hparams the trials of a search stage have: carried over, drawn, or proposed."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any

from hpsearch.search.combinations import Combinations, lists_of
from hpsearch.search.conditions import Settings, applying
from hpsearch.search.samplers import POINTS, Place, tpe
from hpsearch.search.samplers.grid import grid
from hpsearch.search.space import Space
from hpsearch.stages.context import Context, seed
from hpsearch.trial import Status, TrialResult

Numbered = list[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Drawing:
    """The trials of one search stage: those `carried` from the round before, then what the
    sampler draws from the space.

    What is drawn for a trial is a function of (run seed, stage, number) and of the space; with
    tpe also of the results before its batch. In a finite space no trial is drawn twice, and there
    are no more than it has; of the grid's points too. Of all that there can be, the first for
    which there is `room` are trained.
    """

    context: Context
    space: Space
    carried: Sequence[Mapping[str, Any]]
    asked: int
    settings: Settings
    room: int | None = None

    @property
    def sampler(self) -> str:
        return self.context.config.search.sampler

    @property
    def total(self) -> int:
        """How many trials there are: those asked for, or as many as there can be and fit."""
        return self._possible if self.room is None else min(self._possible, self.room)

    @cached_property
    def _possible(self) -> int:
        carried = len(self.carried)
        return max(carried, self.asked if self._all is None else min(self.asked, self._all))

    @cached_property
    def _all(self) -> int | None:
        """How many different trials there can be at all; None where the space is not finite."""
        if (found := self._combinations) is None:
            return None
        others = found.total - sum(hparams in found for hparams in self.carried)
        return len(self.carried) + others

    @property
    def exhausted(self) -> bool:
        """Whether there is no trial beside these."""
        return self._all is not None and self.total >= self._all

    @property
    def remark(self) -> str:
        """Why there are fewer trials than were asked for; empty where there are not."""
        said = []
        if self._possible < self.asked:
            source = "grid" if self.sampler == "grid" else "space"
            many = f"{self._possible} settings, each tried once, not {self.asked}"
            said.append(f"the {source} has {many}")
        if self.total < self._possible:
            fit = f"the first {self.total} of {self._possible} trials"
            said.append(f"the budget is spent with {fit} (search.budget.trial_epochs)")
        return "; ".join(said)

    def missing(self, done: Sequence[TrialResult]) -> Numbered:
        """The trials to train next: of all that are not done, or with tpe of the first batch."""
        known = {result.id for result in done}
        if self.sampler == "tpe":
            return next(filter(None, self._batches(done, known)), [])
        if self._combinations is not None:
            each = enumerate(islice(self._each_once(), self.total))
            return [(number, hparams) for number, hparams in each if number not in known]
        return [(n, self._at(n)) for n in range(self.total) if n not in known]

    def _at(self, number: int) -> Mapping[str, Any]:
        if number < len(self.carried):
            return self.carried[number]
        own = seed(self.context.config.seed, self.context.stage, number)
        point = POINTS["sobol" if self.sampler == "tpe" else self.sampler]
        values = point(self.space, Place(number, own, self._seed("points")))
        return applying(self.space, values, self.settings)

    def _seed(self, purpose: str) -> int:
        return seed(self.context.config.seed, f"{self.context.stage}/{purpose}", 0)

    @cached_property
    def _combinations(self) -> Combinations | None:
        space = self.space
        if self.sampler == "grid":
            space = grid(space, max(1, self.asked - len(self.carried)))
        lists = lists_of(space)
        if lists is None:
            return None
        return Combinations(space, lists, self.settings, self._seed("order"))

    def _each_once(self, before: Iterable[Mapping[str, Any]] = ()) -> Iterator[Mapping[str, Any]]:
        """Those carried, then every combination that is not among them, nor `before`."""
        seen = {_key(hparams) for hparams in chain(self.carried, before)}
        fresh = (h for h in self._combinations or () if _key(h) not in seen)
        return chain(self.carried, fresh)

    def _batches(self, done: Sequence[TrialResult], known: set[int]) -> Iterator[Numbered]:
        """Of each batch the trials that are not done; it is known when those before it are."""
        for start in range(0, self.total, tpe.BATCH):
            batch = range(start, min(start + tpe.BATCH, self._possible))
            wanted = set(batch[: self.total - start]) - known
            if wanted:
                earlier = sorted((r for r in done if r.id < start), key=lambda r: r.id)
                hparams = self._proposed(batch, earlier)
                yield [(n, h) for n, h in zip(batch, hparams, strict=True) if n in wanted]

    def _proposed(
        self, batch: range, earlier: Sequence[TrialResult]
    ) -> list[Mapping[str, Any]]:
        if batch.start == 0:
            proposed = [self._at(number) for number in batch]
        else:
            proposed = [*tpe.propose(
                self.space, self.settings, [_told(result) for result in earlier],
                count=len(batch), seed=self._seed(f"batch {batch.start}") % 2**32,
            )]  # fmt: skip
        if self._combinations is None:
            return proposed
        return self._unlike(proposed, [result.hparams for result in earlier])

    def _unlike(
        self, proposed: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """In place of what was tried before, what was not tried yet."""
        seen, unlike = {_key(hparams) for hparams in before}, []
        others = islice(self._each_once([*before, *proposed]), len(self.carried), None)
        for hparams in proposed:
            fresh = hparams if _key(hparams) not in seen else next(others)
            seen.add(_key(fresh))
            unlike.append(fresh)
        return unlike


def _told(result: TrialResult) -> tpe.Told:
    if result.status is Status.DIVERGED:
        return tpe.Told(result.hparams, -math.inf)
    score = result.score if result.best_epoch is not None else None
    return tpe.Told(result.hparams, None if score is None or math.isnan(score) else score)


def _key(hparams: Mapping[str, Any]) -> str:
    return repr([
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in sorted(hparams.items())
    ])  # fmt: skip
