"""The loop that runs a stage. Read this first.

    config.yaml -> Config -> for stage in RECIPE:
        specs    = stage.plan(context, done)               pure
        tasks    = cohort.tasks(specs that are not done)   pure; one task = one cohort of K trials
        results  = executor(train_cohort, tasks)           the only heavy step
        store.record(*results), as each cohort arrives     atomic
        document = stage.judge(context, done)              pure; stop here, or hand the space on

The report reads the store, at any time, also while the run goes on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial

from hpsearch import pausing
from hpsearch.config.dump import dump
from hpsearch.config.schema import Config
from hpsearch.data import Dataset
from hpsearch.data.sharing import MappedFiles
from hpsearch.dispatch import Allowance, Dispatch, Limits
from hpsearch.errors import ConfigError, GateError, HostError
from hpsearch.portable import portable
from hpsearch.progress import Display
from hpsearch.search.samplers import tpe
from hpsearch.settings import check_settings, contradictions, run_facts, search_settings
from hpsearch.stages import CHECKS, gates, rounds, search
from hpsearch.stages.context import Context, Round, Stage
from hpsearch.store import RunStore
from hpsearch.training import Watch
from hpsearch.trial import Status, TrialResult
from hpsearch.verdict import CheckDocument, Document, SearchDocument, place_of


class Runner:
    """One run: a config, its folder, and the stages done so far."""

    def __init__(
        self, config: Config, store: RunStore, view: Display, *,
        load: Callable[[], Dataset], jobs: int, watch: Watch,
        force: bool = False, strict: bool = False,
    ) -> None:  # fmt: skip
        self.config, self.store, self.view = config, store, view
        self.jobs, self.force, self.strict = jobs, force, strict
        self.watch, self._load = replace(watch, steps=view.steps), load
        self.judged: set[str] = set()  # stages concluded by this runner, not found concluded

    @cached_property
    def data(self) -> Dataset:
        """The data set, loaded when a stage first needs it."""
        data = self._load()
        self.files = MappedFiles.of(data)
        return data

    @cached_property
    def allowance(self) -> Allowance:
        """Of `search.budget.seconds`; what earlier commands took is what their trials say."""
        seconds, store = self.config.search.budget.seconds, self.store
        names = [] if seconds is None else store.search_stages()
        trials = [r for n in names for r in (*store.results(n), *store.checkpoints(n).paused())]
        spent = sum(result.train_seconds for result in trials) / self.jobs
        return Allowance(seconds, spent)

    def run(self) -> Iterator[Document]:
        """Every stage in order, refine while its rule asks; ends early at a failed gate."""
        self.verify()
        for stage in CHECKS:
            yield (document := self.check(stage.name))
            if self.closed(document) and not self.force:
                return
        begun = iter(dict.fromkeys(["coarse", *self.store.search_stages()]))  # coarse if lost too
        while name := next(begun, None) or self.due()[0]:
            yield (round_ := self.search(name))
            if self.closed(round_) and not self.force:
                return

    def check(self, name: str) -> CheckDocument:
        """Runs a checking stage, or returns its document where nothing has changed since."""
        stage = next(stage for stage in CHECKS if stage.name == name)
        settings = check_settings(self.config, stage, self.data)
        known = self.store.check_document(name)
        context = self.context(name)
        unchanged = known and known.settings == settings and stage.holds(context, known)
        if known and unchanged and not self.force:
            self.view.say(f"{name}: nothing changed since it last ran; --force runs it again")
            return known
        self._gate(name)
        self._save()
        document = stage.judge(context, self._train(stage, context, [], keep=False, within=None))
        assert isinstance(document, CheckDocument)
        document = replace(document, settings=settings)
        self.files.verify()
        self.store.write_document(document)
        self.judged.add(name)
        self.view.end(document)
        return document

    def search(self, name: str) -> SearchDocument:
        """Runs what is missing of a search stage (`coarse`, `refine-2`), judges and records it."""
        self._gate(name)
        self.verify()
        context, done = self._open(name), pausing.own(self.store, name, self.config.seed)
        opened = context.opened
        assert opened is not None
        if not (self._unfinished(context) or self.force):
            self.view.say(f"{name}: {len(done)} of {opened.trials} trials are done")
            return self._derive(context, opened, done)
        stage = search.COARSE if name == "coarse" else search.REFINE
        try:
            done = self._train(stage, context, done, keep=True, within=self.allowance)
        finally:
            self.store.write_tables(name, self.store.results(name))
        document = stage.judge(context, done)
        assert isinstance(document, SearchDocument)
        document = rounds.decided(context, Round(document, done), over=self.allowance.said)
        self._write_next(document)
        self.store.checkpoints(name).remove(*(result.id for result in done))
        self.store.write_document(document)
        self.judged.add(name)
        self.view.end(document)
        return document

    def due(self) -> tuple[str | None, str]:
        """The search stage to run next, or None where the rule says stop; and why."""
        for name in self.store.search_stages():
            if self._unfinished(self.context(name)):
                return name, "it was begun and not finished"
        context = self.context("refine")
        over = self.allowance.said if context.rounds else ""
        return (None, over) if over else rounds.due(context)

    def _unfinished(self, context: Context) -> bool:
        """Whether trials of a stage that has begun, or its verdict, are missing."""
        if context.opened is None or context.opened.verdict is None:
            return context.opened is not None
        lacking = self.store.finished(context.stage) < search.drawing_of(context).total
        return lacking and not self.allowance.is_over

    def verify(self) -> None:
        """Raises ConfigError if finished trials would come out different with this config, or if
        the sampler is not there.
        """
        if self.config.search.sampler == "tpe":
            tpe.require()
        changed = self.contradictions()
        if changed:
            raise ConfigError(
                f"{self.store.folder}: finished trials were made with other settings: "
                + "; ".join(changed)
                + "; set them back, go on with --run NAME, or delete the stage's folder"
            )

    def contradictions(self) -> list[str]:
        """What of the config is not what the finished trials were made with."""
        store = self.store
        begun = map(store.search_document, filter(store.has_results, store.search_stages()))
        return contradictions(self.config, self.data, filter(None, begun))

    def _save(self) -> None:
        """Writes the config and what else decides the results, before the first of them. Where
        trials were made with other settings, theirs stay.
        """
        if self.contradictions():
            self.view.say("config.yaml stays as it is: it is that of the finished trials")
            return
        self.store.write_config(dump(self.config))
        self.store.write_run(run_facts(self.config, self.data))

    def context(self, name: str) -> Context:
        """What stage `name` may look at: the documents that hold for this config and data."""
        searching = name.startswith(("coarse", "refine", "final"))
        begun = self.store.search_stages() if searching else []
        earlier = [stage for stage in begun if place_of(stage) < place_of(name)]
        return Context(
            self.config, self.data, name, self._checks(),
            [r for r in map(self._round, earlier) if r.document.verdict],
            self.store.search_document(name) if name in begun else None,
        )  # fmt: skip

    def _round(self, name: str) -> Round:
        document = self.store.search_document(name)
        assert document is not None
        return Round(document, self.store.results(name))

    def _checks(self) -> dict[str, CheckDocument]:
        found = {stage.name: self.store.check_document(stage.name) for stage in CHECKS}
        return {
            stage.name: document
            for stage in CHECKS
            if (document := found[stage.name])
            and document.settings == check_settings(self.config, stage, self.data)
        }

    def _open(self, name: str) -> Context:
        """Begins a search stage, or takes it up."""
        context = self.context(name)
        if self.store.has_results(name):
            if not context.opened:
                raise HostError(
                    f"{self.store.document_path(name)}: is missing, so nobody knows how the trials"
                    " there were made; put a copy of it back, or delete the stage's folder"
                )
            self._save()
            return context
        for before in context.rounds[-1:]:  # whose decision may have been another
            self._derive(self.context(before.document.stage), before.document, before.results)
        context = replace(context, opened=None)
        settings = search_settings(self.config, name, self.data, search.space_of(context))
        opened = search.opening(context, settings)
        self._save()
        self.store.checkpoints(name).clear()  # whose stage is gone
        self.store.write_document(opened)
        return replace(context, opened=opened)

    def _gate(self, name: str) -> None:
        """Raises GateError if an earlier stage failed; says so if one has not been run."""
        if self.force:
            return
        context = self.context(name)
        if why := gates.refusal(context, strict=self.strict):
            raise GateError(why)
        if missing := gates.not_run(context):
            verb = "has" if len(missing) == 1 else "have"
            self.view.say(f"{name}: starts although {', '.join(missing)} {verb} not been run")

    def closed(self, document: Document) -> bool:
        """Whether a run ends at this document."""
        return gates.closes(self.context("refine"), document, strict=self.strict)

    def _train(
        self, stage: Stage, context: Context, done: Sequence[TrialResult], *,
        keep: bool, within: Allowance | None,
    ) -> list[TrialResult]:  # fmt: skip
        """Plans and trains until the plan wants no more, or the time is up; all results by id."""
        checkpoints = self.store.checkpoints(context.stage)
        paused = checkpoints.paused() if keep else []
        known = {result.id: result for result in [*paused, *done]}
        announced, limits = {r.id for r in done}, Limits.of(self.config.search)
        self._take(pausing.pruned(stage, context, known, checkpoints), known, keep=keep)
        while missing := pausing.missing(stage, context, known, checkpoints):
            work = Dispatch(
                self.data, self.watch, self.view.say, jobs=self.jobs, keep=keep,
                allowance=within, limits=limits)  # fmt: skip
            new = {*known, *(spec.id for spec in missing)} - announced
            announced |= new
            begin = partial(self.view.begin, context.stage, len(new), work.steps(missing))
            for results in work.trained(missing, begin):
                self.files.verify()
                self._take(results, known, keep=keep)
            self._take(pausing.pruned(stage, context, known, checkpoints), known, keep=keep)
            if within and within.is_over:
                break
        return [r for r in pausing.by_id(known) if r.status is not Status.PAUSED]

    def _take(
        self, results: Sequence[TrialResult], known: dict[int, TrialResult], *, keep: bool
    ) -> None:
        if keep:
            self._record(results, known)
        for result in results:
            known[result.id] = result.light if keep else result
            if result.status is not Status.PAUSED:
                self.view.trial(result)

    def _record(self, results: Sequence[TrialResult], before: Mapping[int, TrialResult]) -> None:
        """Writes trials, the best one's weights first: its file then promises them."""
        for result in results:
            if result.weights is not None and result.status is Status.DONE:
                known = self.store.best_trial(result.stage)
                best = before.get(known) if known is not None else None
                if best is None or result.rank > best.rank:
                    model = portable(self.config, self.data, result)
                    self.store.write_weights(f"{result.stage}/best", result.id, model)
        self.store.record(*results)

    def _derive(
        self, context: Context, document: SearchDocument, done: Sequence[TrialResult]
    ) -> SearchDocument:
        """Writes again what is derived from the trials, where it is gone, and what is due after
        the last stage, where the config says something else now: roles too.
        """
        folder, known = self.store.stage_folder(document.stage), document
        document = rounds.with_roles_of_now(context, Round(document, done))
        if document != known:
            self._write_next(document)
            self.store.write_document(document)
        if not all((folder / name).exists() for name in ("trials.csv", "curves.csv")):
            self.store.write_tables(document.stage, done)
        if document.best and not (folder / "next.yaml").exists():
            self._write_next(document)
        decided = rounds.decided(context, Round(document, done), over=self.allowance.said)
        if decided != document and document.stage == self.store.search_stages()[-1]:
            self.store.write_document(decided)
            return decided
        return document

    def _write_next(self, document: SearchDocument) -> None:
        if document.best:
            self.store.write_next(document.stage, search.next_config(self.config, document))
