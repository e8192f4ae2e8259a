"""The recipe's end: the winners trained again, one chosen and saved, the test set read once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch import pausing
from hpsearch.data import Rows
from hpsearch.errors import GateError
from hpsearch.nn.net import Net
from hpsearch.portable import portable
from hpsearch.prediction import Member, Predictor
from hpsearch.runner import Runner
from hpsearch.stages import final, mistakes
from hpsearch.stages.context import Context, Stage
from hpsearch.trial import Status, TrialResult
from hpsearch.verdict import Document, FinalDocument

MODEL = "models/best"
LOCKED = (
    "final: the test set has been read, for another choice; that result stands, and this one is"
    " not evaluated: --force does it, and puts that on record"
)


class Finisher(Runner):
    """A runner that knows how to end: `run` goes on to `final`."""

    refused = False  # whether another choice than the stored one was asked for

    def run(self) -> Iterator[Document]:
        """Every stage in order, and `final` where no gate is closed."""
        document: Document | None = None
        for document in super().run():
            yield document
        if self.force or document is None or not self.closed(document):
            yield self.final()

    def final(self) -> FinalDocument:
        """Trains the winners again, as far as they are not, chooses, saves, and evaluates; or
        returns what is stored where that was done. Another choice than the one evaluated is
        `refused`, unless forced.
        """
        self._gate(final.NAME)
        self.verify()
        context, known = self.context(final.NAME), self.store.final_document()
        wanted = final.opening(context, known, self._taken(known))
        if known and known.plan != wanted.plan:
            wanted = replace(wanted, earlier=_tested(known))
            if wanted.earlier and not self.force:
                self.refused = True
                self.view.say(LOCKED)
                return known
        elif known and known.verdict:
            self.view.say("final: is done, and what it says is locked")
            self._restore(context, known)
            return known
        self._save()
        self.store.write_document(wanted)
        return self._conclude(context, wanted)

    def _restore(self, context: Context, known: FinalDocument) -> None:
        """Trains lost trials again, and saves the chosen nets and their mistakes where the file
        is gone.
        """
        there = {result.id for result in self.store.results(final.NAME)}
        unsaved = known.winner is not None and self.store.arrays(MODEL) is None
        if unsaved or not there.issuperset(_given(known)):
            self._trained(context, known)
        if known.winner is None:
            return
        if unsaved:
            self._save_model(self._predictor(known.members), known.members)
        if self.store.arrays(mistakes.NAME) is None:
            saved = Predictor.read(self.store.folder / f"{MODEL}.npz")
            judged = _Judged(saved, self.data.validation, self.jobs)
            self._save_mistakes(judged.answers(len(known.members)), known.members)

    def _save_model(self, chosen: Predictor, members: Sequence[int]) -> str:
        path = self.store.write_weights(MODEL, members[0], chosen.arrays())
        return str(path.relative_to(self.store.folder))

    def _save_mistakes(self, answers: NDArray[np.float64], members: Sequence[int]) -> None:
        found = mistakes.surest(answers, self.data.validation, self.data)
        self.store.write_weights(mistakes.NAME, members[0], found)

    def _taken(self, known: FinalDocument | None) -> int:
        """How many ids there are, given or used."""
        given = _given(known) if known else []
        return max([*given, *(r.id for r in self.store.results(final.NAME))], default=-1) + 1

    def _trained(self, context: Context, opened: FinalDocument) -> list[TrialResult]:
        """All trials by id, those trained that are missing."""
        stage = Stage(
            final.NAME, lambda context, done: final.plan(context, opened),
            lambda context, done: final.judge(context, opened, done),
        )  # fmt: skip
        try:
            return self._train(stage, context, self._finished(), keep=True, within=None)
        finally:
            if results := self.store.results(final.NAME):
                self.store.write_tables(final.NAME, results)

    def _conclude(self, context: Context, opened: FinalDocument) -> FinalDocument:
        """Trains what is missing, and judges it."""
        done = self._trained(context, opened)
        document = final.judge(context, opened, done)
        if document.winner is not None:
            document = self._evaluated(context, document, done)
        self.files.verify()
        self.store.checkpoints(final.NAME).remove(*(result.id for result in done))
        self.store.write_document(document)
        self.judged.add(final.NAME)
        self.view.end(document)
        return document

    def _finished(self) -> list[TrialResult]:
        """The trials that need no training: those whose weights are there, or never were."""
        return [
            result for result in pausing.own(self.store, final.NAME, self.config.seed)
            if result.status is not Status.DONE or self.store.arrays(_nets(result.id))
        ]  # fmt: skip

    def _record(self, results: Sequence[TrialResult], before: Mapping[int, TrialResult]) -> None:
        """The weights of every net of `final` are kept: a trial's file promises them."""
        for result in results:
            if result.stage == final.NAME and result.weights is not None:
                nets = portable(self.config, self.data, result)
                self.store.write_weights(_nets(result.id), result.id, nets)
        if results and results[0].stage == final.NAME:
            self.store.record(*results)
        else:
            super()._record(results, before)

    def _evaluated(
        self, context: Context, document: FinalDocument, done: Sequence[TrialResult]
    ) -> FinalDocument:
        """The predictors on the validation rows, the best of them saved, and its test."""
        names = dict(final.ensembles(document, done))
        *_, ids = names.values()
        everything = self._predictor(ids)
        validation = _Judged(everything, self.data.validation, self.jobs)
        predictors = [
            {"name": "one net", "members": ids[:1], **validation.alone(len(_first(names)))},
            *({"name": name, "members": of, **validation.together(len(of))}
              for name, of in names.items()),
        ]  # fmt: skip
        chosen = final.pick(context, predictors[1:])
        size = len(chosen["members"])
        test = None
        saved = replace(everything, members=everything.members[:size])
        model, answers = self._save_model(saved, chosen["members"]), validation.answers(size)
        self._save_mistakes(answers, chosen["members"])
        if self.data.test is not None:
            tested, nets = _Judged(saved, self.data.test, self.jobs), len(_first(names))
            test = tested.together(size) | tested.one_net(min(size, nets))
        return replace(
            document, predictors=predictors, chosen=chosen["name"], members=chosen["members"],
            test=test, model=model,
            confusion=mistakes.confusion(answers, validation.y, self.data.classes),
        )  # fmt: skip

    def _predictor(self, ids: Sequence[int]) -> Predictor:
        """All nets together."""
        data, members = self.data, [self._member(number) for number in ids]
        return Predictor(members, data.preprocess, data.classes, data.features, data.image_shape)

    def _member(self, number: int) -> Member:
        """The net of a trial; it is asked about flipped images where its training flipped them."""
        result, arrays = self.store.result(final.NAME, number), self.store.arrays(_nets(number))
        if result is None or arrays is None:
            raise GateError(f"final: the weights of trial {number} are gone; run it again")
        flip = self.data.image_shape is not None and self.config.augment_with(result.hparams).flip
        sizes = tuple(int(size) for size in arrays["sizes"])
        kind = str(arrays["activation"]), str(arrays["normalization"])
        return Member(Net(sizes, kind[0], normalization=kind[1]), arrays["weights"], flip)


class _Judged:
    """What each net, and more of them together, answer for the same rows."""

    def __init__(self, predictor: Predictor, rows: Rows, jobs: int) -> None:
        self.y, self.classes = rows.y, len(predictor.classes)
        x = rows.gather()
        self.plain = predictor.plain(x, jobs=jobs)
        self.flipped = predictor.flipped(x, self.plain, jobs=jobs)
        self.flips = any(member.flip for member in predictor.members)

    def alone(self, nets: int) -> dict[str, Any]:
        """The mean over the first so many nets, each for itself and without flips."""
        return self._mean(self.plain[:nets])

    def one_net(self, nets: int) -> dict[str, float]:
        """The mean accuracy of the first so many nets, without flips and with them."""
        found = {"one_net": self._mean(self.plain[:nets])["accuracy"]}
        if self.flips:
            found["one_net_flipped"] = self._mean(self.flipped[:nets])["accuracy"]
        return found

    def _mean(self, nets: NDArray[np.float64]) -> dict[str, Any]:
        each = [self._scores(answers) for answers in nets]
        mean = {name: float(np.mean([s[name] for s in each])) for name in each[0]
                if name != "interval"}  # fmt: skip
        return {**mean, "rows": len(self.y)}

    def answers(self, nets: int) -> NDArray[np.float64]:
        """The probabilities (N, C) of the first so many nets as an ensemble."""
        return np.asarray(np.mean(self.flipped[:nets], axis=0))

    def together(self, nets: int) -> dict[str, Any]:
        """What these are worth."""
        return self._scores(self.answers(nets))

    def _scores(self, answers: NDArray[np.float64]) -> dict[str, Any]:
        return final.scores(answers, self.y, self.classes)


def _first(names: Mapping[str, Sequence[int]]) -> Sequence[int]:
    return next(iter(names.values()))


def _given(known: FinalDocument) -> list[int]:
    """The ids of all its trials."""
    return [number for candidate in known.candidates for number in candidate["ids"]]


def _nets(number: int) -> str:
    return f"{final.NAME}/nets/{number:05d}"


def _tested(known: FinalDocument) -> list[Mapping[str, Any]]:
    """The choices for which the test set has been read, the known document's with them."""
    choice = {"plan": known.plan, "chosen": known.chosen, "test": known.test}
    return [*known.earlier, *([choice] if known.test else [])]
