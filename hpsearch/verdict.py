"""What a stage or a check concludes, and why: the documents of the contract."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

from pydantic import ValidationError

from hpsearch.search.space import hparams_of, parse_space
from hpsearch.strictjson import fitting, plain

GOES_ON = "goes on with"  # how the decision after a search stage begins where there is a next one
CHECKING = ("data", "sanity", "overfit", "sweep")  # the checking stages, in order
BEST = {"trial": int, "metric": str, "value": float, "epoch": int | None,
        "hparams": Mapping[str, Any]}  # fmt: skip
CANDIDATE = {"stage": str, "trial": int, "value": float, "epochs": int, "params": int,
             "hparams": Mapping[str, Any], "ids": Sequence[int]}  # fmt: skip
JUDGED = {"values": Sequence[float], "mean": float, "sd": float}  # a candidate once it is
PREDICTOR = {"name": str, "rows": int, "accuracy": float, "loss": float}
TESTED = {"rows": int, "accuracy": float, "interval": tuple[float, float], "one_net": float}


def place_of(stage: str) -> float:
    """A search stage's place in the order of the recipe; infinity for what follows them all."""
    number = "0" if stage == "coarse" else stage.removeprefix("refine-")
    return int(number) if number.isdigit() else math.inf


class Verdict(StrEnum):
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


SEVERITY = {Verdict.PASS: 0, Verdict.WARN: 1, Verdict.FAIL: 2}


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    return max(verdicts, key=SEVERITY.__getitem__, default=Verdict.PASS)


@dataclass(frozen=True)
class Check:
    """One question that a checking stage asks: what was found, what is right, how to mend it."""

    name: str
    verdict: Verdict
    value: float | int | str | None
    expected: float | int | str | None
    message: str
    fix: str = ""
    diagnosis: str | None = None

    def to_json(self) -> dict[str, Any]:
        record = {key: plain(value) for key, value in asdict(self).items()}
        if self.diagnosis is None:
            del record["diagnosis"]
        return record


@dataclass(frozen=True)
class CheckDocument:
    """The document of a checking stage: `data`, `sanity`, `overfit` or `sweep`.

    `facts` holds what the stage measured besides its checks (tables for the report, the range
    that the sweep proposes); `settings` what it depended on, so that a change is noticed.
    """

    stage: str
    checks: tuple[Check, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    settings: str = ""

    @property
    def verdict(self) -> Verdict:
        return worst([check.verdict for check in self.checks])

    def to_json(self) -> dict[str, Any]:
        checks = [check.to_json() for check in self.checks]
        head = {"stage": self.stage, "verdict": self.verdict, "checks": checks}
        return {**head, "facts": plain(self.facts), "settings": self.settings}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        known = {f.name for f in fields(Check)}
        checks = tuple(
            Check(**fitting(
                {k: v for k, v in item.items() if k in known} | _verdict_of(item), Check
            ))
            for item in record["checks"]
        )  # fmt: skip
        given = {key: record[key] for key in ("stage", "facts", "settings") if key in record}
        return cls(**fitting({**given, "checks": checks}, cls))


def _verdict_of(item: Mapping[str, Any]) -> dict[str, Verdict]:
    return {"verdict": Verdict(item["verdict"])}


@dataclass(frozen=True)
class Edge:
    """A side of a searched range where the best trials lie, with the evidence.

    `strength` is info, warn, strong or stability; `position` is the best trial's place in the
    range, 0 to 1 on the hyperparameter's scale; `next` the bounds to search next.
    """

    hparam: str
    side: str
    strength: str
    position: float
    evidence: Mapping[str, Any]
    message: str
    next: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        bounds = record.get("next")
        return cls(**fitting({**record, "next": tuple(bounds) if bounds else None}, cls))


@dataclass(frozen=True)
class SearchDocument:
    """The document of a search stage, `stage.json`: the contract's keys, then what it ran with.

    `verdict` is None while trials are missing. `space` and `next_space` map an hparam to its
    distribution as YAML writes it; `reasons` says of each next range why; `settings` is what
    the trials' numbers depend on besides their own hparams; `carried` are the hparams of the
    first trials where they come from the round before; `verdicts` counts the words for the
    trials' curves; `importance` is every hparam's share, 1 in all; `best_of_n` what searches of
    n trials would have reached (see `stages.counting`); `isolated` compares the values of the
    scientific hparams (see `stages.isolation`); `decision` says why the search went on or ended
    after it.
    """

    stage: str
    verdict: Verdict | None
    trials: int
    completed: int = 0
    diverged: int = 0
    pruned: int = 0
    failed: int = 0
    best: Mapping[str, Any] | None = None
    edges: tuple[Edge, ...] = ()
    next_space: Mapping[str, Any] = field(default_factory=dict)
    next_command: str = ""
    message: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)
    sampler: str = "random"
    metric: str = "val_accuracy"
    epochs: int = 0
    baseline: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    carried: Sequence[Mapping[str, Any]] = ()
    verdicts: Mapping[str, int] = field(default_factory=dict)
    importance: Mapping[str, float] = field(default_factory=dict)
    best_of_n: Mapping[str, Any] = field(default_factory=dict)
    isolated: Mapping[str, Any] = field(default_factory=dict)
    decision: str = ""

    def to_json(self) -> dict[str, Any]:
        record = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        return {**record, "edges": [edge.to_json() for edge in self.edges]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        verdict = Verdict(record["verdict"]) if record["verdict"] else None
        edges = tuple(Edge.from_json(edge) for edge in record["edges"])
        known = {f.name for f in fields(cls)}
        given = {key: value for key, value in record.items() if key in known}
        given["carried"] = [hparams_of(each) for each in record.get("carried", ())]
        if given.get("best") is not None:
            fitting(given["best"], BEST)
        document = cls(**fitting({**given, "verdict": verdict, "edges": edges}, cls))
        for space in (document.space, document.next_space):
            _parsed(space)
        return document


def _parsed(space: Mapping[str, Any]) -> None:
    try:
        parse_space(space)
    except ValidationError as error:
        name = error.errors()[0]["loc"][0]
        raise ValueError(f"{name} cannot be {space[str(name)]!r:.40}") from error


@dataclass(frozen=True)
class FinalDocument:
    """The document of `final`, `final.json`: the winners, what they came to, and the test set.

    `candidates` are the trials trained again, best first (see `stages.final.opening`), `winner`
    the place of the chosen one among them; `optimism` what the search promised too much;
    `predictors` what one net and the ensembles reach on the validation rows, and `chosen` the
    name of the one that is saved, of the nets `members`, and `confusion` the classes that it takes
    for others there (see `stages.mistakes`). `test` is what it reaches on the test rows, None
    where there are none; `earlier` the choices evaluated before, by --force.
    """

    verdict: Verdict | None
    candidates: Sequence[Mapping[str, Any]]
    metric: str
    seeds: int
    completed: int = 0
    diverged: int = 0
    failed: int = 0
    winner: int | None = None
    reason: str = ""
    optimism: float | None = None
    predictors: Sequence[Mapping[str, Any]] = ()
    chosen: str = ""
    members: Sequence[int] = ()
    test: Mapping[str, Any] | None = None
    earlier: Sequence[Mapping[str, Any]] = ()
    message: str = ""
    model: str = ""
    confusion: Mapping[str, Any] | None = None
    next_command: str = ""
    stage: str = "final"

    @property
    def trials(self) -> int:
        """How many are trained again."""
        return len(self.candidates) * self.seeds

    @property
    def plan(self) -> list[tuple[Any, ...]]:
        """What decides the choice: which trials are trained again, with which seeds."""
        return [(c["stage"], c["trial"], *c["ids"]) for c in self.candidates]

    def to_json(self) -> dict[str, Any]:
        record = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        return {"stage": self.stage, "verdict": self.verdict, "trials": self.trials, **record}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        known = {f.name for f in fields(cls)}
        given = {key: value for key, value in record.items() if key in known}
        verdict = Verdict(record["verdict"]) if record["verdict"] else None
        document = cls(**fitting({**given, "verdict": verdict}, cls))
        for candidate in document.candidates:
            fitting(candidate, CANDIDATE | (JUDGED if verdict else {}))
        for predictor in document.predictors:
            fitting(predictor, PREDICTOR)
        if document.test is not None:
            fitting(document.test, TESTED)
        if document.winner is not None and not 0 <= document.winner < len(document.candidates):
            raise ValueError(f"winner {document.winner} is none of the candidates")
        return document


Document = CheckDocument | SearchDocument | FinalDocument
