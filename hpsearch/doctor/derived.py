"""What is derived from a run's records, and could be made again: its tables and its page."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpsearch.config.find import Found
from hpsearch.config.load import load
from hpsearch.csvtables import curves_csv, trials_csv
from hpsearch.doctor.faults import content_of, fault_of
from hpsearch.errors import ConfigError, HostError
from hpsearch.store import RunStore
from hpsearch.trial import TrialResult
from hpsearch.verdict import Check, Verdict

TABLES = {"trials.csv": trials_csv, "curves.csv": curves_csv}
Page = Callable[[RunStore], str]


@dataclass(frozen=True)
class Derived:
    """Looks at it, and writes it again where it is to `repair`."""

    store: RunStore
    page: Page
    repair: bool

    def tables(self, trials: Mapping[str, list[TrialResult]]) -> Iterator[Check]:
        """`trials.csv` and `curves.csv` against what the trials of each stage say."""
        for stage, results in trials.items():
            if not results:
                continue
            other = [
                name for name, table in TABLES.items()
                if content_of(self.store.folder / stage / name) != "".join(table(results)).encode()
            ]  # fmt: skip
            if other and self.repair:
                self.store.write_tables(stage, results)
            yield self._said("tables", stage, other)

    def next_configs(self) -> Iterator[Check]:
        """They may have been edited, as they are meant to be: so they are only read."""
        for path in sorted(self.store.folder.glob("*/next.yaml")):
            try:
                load(Found(path, self.store.name, Path.cwd(), str(path)))
            except (ConfigError, HostError) as error:
                fix = "mend it, or delete it: the next search command writes it again"
                yield fault_of("next-config", error, fix)

    def page_itself(self) -> Iterator[Check]:
        """The page, where there is one: to be asked for where all that it shows is good."""
        if not self.store.report.exists():
            return
        page = self.page(self.store)
        other = content_of(self.store.report) != page.encode()
        if other and self.repair:
            self.store.write_report(page)
        yield self._said("page", self.store.name, ["report.html"] if other else [])

    def _said(self, name: str, place: str, other: Iterable[str]) -> Check:
        files = ", ".join(other)
        if not files:
            return Check(name, Verdict.PASS, None, None, f"{place}: what its records say")
        if self.repair:
            return Check(name, Verdict.PASS, files, None, f"{place}: {files}: written again")
        fix = "hpsearch doctor again, when nobody writes the run"
        return Check(name, Verdict.WARN, files, None, f"{place}: {files}: not as derived", fix)
