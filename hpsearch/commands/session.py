"""One command's work on one run: from the command line's words to a Runner, and back."""

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from rich.console import Console

from hpsearch.commands.options import Options
from hpsearch.config.find import Found, bundled, find
from hpsearch.config.load import load
from hpsearch.config.schema import Config
from hpsearch.config.searchable import augments
from hpsearch.config.written import Override
from hpsearch.data import Augment, Dataset, Source, cache
from hpsearch.data import load as load_data
from hpsearch.data.truncation import truncation_said
from hpsearch.environment import environment, other_kernel
from hpsearch.errors import HostError, Stopped, Terminated
from hpsearch.executors import wanted_kind
from hpsearch.finishing import Finisher
from hpsearch.live import Trace
from hpsearch.progress import Displays, TerminalDisplay
from hpsearch.report.console import Terminal
from hpsearch.store import RunStore, open_run
from hpsearch.training import Watch

STOPPING = (signal.SIGINT, signal.SIGTERM)
KEPT = "what is finished is kept: the same command goes on"


@dataclass(frozen=True)
class Session:
    """A config, its run, and where messages go."""

    config: Config
    store: RunStore
    options: Options
    argument: str | None
    console: Console

    @classmethod
    def of(cls, options: Options, argument: str | None) -> "Session":
        """Finds and reads the config; says on stderr which, where none was named."""
        console = Terminal(stderr=True)
        other = options.run not in (None, argument)
        found = find(argument, runs_dir=options.runs_dir, cwd=Path.cwd(), fresh=other)
        note = found.note or _shadows(found)
        if note and not options.quiet:
            console.print(note, style="dim", markup=False, soft_wrap=True)
        overrides = [o if isinstance(o, str) else Override(*o) for o in options.overrides]
        config = load(found, overrides)
        store = RunStore(options.runs_dir, config.name)
        return cls(config, store, options, argument, console)

    def existing(self) -> RunStore:
        """The run, for commands that only read; UsageError where there is none."""
        open_run(self.options.runs_dir, self.config.name)
        return self.store

    @contextmanager
    def runner(self, *, writing: bool = True) -> Iterator[Finisher]:
        """The run opened for writing; signals stop it at the next minibatch.

        Without `writing` nothing is locked or saved, and the runner may only be asked.
        """
        view = TerminalDisplay(self.console, quiet=self.options.quiet)
        wanted_kind()  # a misspelt one is refused before anything is written
        trace = Trace(self.store.folder)
        watch = Watch(failed=self._failed, pulse=trace.pulse)
        with _stop_on_signals(watch) as caught:
            runner = Finisher(
                self.config, self.store, Displays(view, trace), jobs=self.options.workers,
                load=lambda: self._load(view, watch.stop), watch=watch,
                force=self.options.force, strict=self.options.strict,
            )  # fmt: skip
            try:
                with ExitStack() as held:
                    held.enter_context(truncation_said(self._mapped))
                    if writing:
                        held.enter_context(self.store.writing())
                    assert runner.data  # bad data must leave nothing behind
                    if writing:
                        held.enter_context(trace)
                    self._compare(view)
                    yield runner
            except Stopped as stopped:
                stopped.exit_code = 128 + caught[0] if caught else stopped.exit_code
                raise
            except BrokenPipeError as gone:
                if not writing:
                    raise
                raise HostError(f"stopped, for nobody reads its words any more; {KEPT}") from gone
            except (KeyboardInterrupt, Terminated):
                now = Stopped("stopped at once; every finished trial is kept")
                now.exit_code = 128 + caught[0] if caught else now.exit_code
                raise now from None
            finally:
                view.close()

    @property
    def _mapped(self) -> Path | str:
        """Where the files lie that may be mapped."""
        data = self.config.data
        return cache.folder() if data.source == "images" else data.path or "the data"

    def _compare(self, view: TerminalDisplay) -> None:
        """Says so if finished trials were made with another matrix library."""
        store = self.store
        if any(map(store.has_results, store.search_stages())):
            note = other_kernel(store.run_facts(), environment())
            if note:
                view.say(note)

    def _failed(self, traceback: str) -> None:
        """What broke a cohort, on stderr, for --debug."""
        if self.options.debug:
            self.console.print(traceback, style="dim", markup=False, soft_wrap=True)

    def _load(self, view: TerminalDisplay, stop: threading.Event) -> Dataset:
        data = self.config.data
        source = Source(
            data.source, Path(data.path) if data.path else None, data.target, data.drop,
            data.missing, self.config.seed, data.split.validation, data.split.test, Path.cwd(),
        )  # fmt: skip

        with view.loading() as progress:

            def tell(done: int, total: int) -> None:
                if stop.is_set():
                    raise Stopped("stopped while loading the data; nothing was written")
                progress(done, total)

            augment = Augment(**vars(data.augment))
            found = load_data(
                source, **data.preprocess.model_dump(), augment=augment, progress=tell,
                say=view.say,
            )  # fmt: skip
        for place, searched in augments(self.config):
            Augment(**vars(searched)).check(found.image_shape, place)
        return found

    def next(self, command: str) -> str:
        """The next command to run, with this one's CONFIG and run options; `predict` takes the
        run alone.
        """
        words, options = ["hpsearch", *command.split()], self.options
        if words[1] != "predict":
            words[2:2] = [self.argument] if self.argument else []
            words += ["--run", options.run] if options.run else []
            words += ["--seed", str(options.seed)] if options.seed is not None else []
            words += [word for item in options.set_ or () for word in ("--set", item)]
        if options.runs_dir != Path("runs"):
            words += ["--runs-dir", str(options.runs_dir)]
        return shlex.join(words)


def _shadows(found: Found) -> str:
    """What is said where a run was meant by the name of a bundled config, and is not like it."""
    ours = bundled().get(found.name)
    if ours is None or found.path.name != "config.yaml":
        return ""
    same = load(found) == load(replace(found, path=ours))
    return "" if same else f"{found.name}: taking {found.shown}, not the bundled config"


@contextmanager
def _stop_on_signals(watch: Watch) -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM stops cohorts in training after the minibatch, or else whatever
    is being done; the second ends it all. One that is ignored, as a shell has it for what runs in
    the background of a script, stays so. Yields those caught.
    """
    caught: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if caught:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        caught.append(number)
        watch.stop.set()
        if not watch.busy.is_set():
            raise Stopped(f"stopped; {KEPT}")

    heard = [n for n in STOPPING if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
