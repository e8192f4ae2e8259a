"""What the tables of a page are made of: all that a run's folder holds, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpsearch.report.tables.stages import documents, rows_of
from hpsearch.store import RunStore
from hpsearch.trial import TrialResult
from hpsearch.verdict import CheckDocument, Document, FinalDocument, SearchDocument


@dataclass(frozen=True)
class Material:
    """A run as it was at one moment. `trials` has every search stage in order, its trials by id
    without their minibatch losses (`store.result` reads those of one trial); `rows` is how many
    the validation accuracy was measured on, None where nobody knows.
    """

    store: RunStore
    documents: Sequence[Document]
    trials: Mapping[str, Sequence[TrialResult]]
    rows: int | None

    @classmethod
    def of(cls, store: RunStore) -> "Material":
        found = documents(store)
        searched = [d.stage for d in found if isinstance(d, SearchDocument)]
        trials = {stage: store.results(stage) for stage in searched}
        return cls(store, found, trials, rows_of(store, "validation"))

    @property
    def searches(self) -> list[SearchDocument]:
        """Every search stage's document, in order."""
        return [d for d in self.documents if isinstance(d, SearchDocument)]

    @property
    def final(self) -> FinalDocument | None:
        return next((d for d in self.documents if isinstance(d, FinalDocument)), None)

    def check(self, stage: str) -> CheckDocument | None:
        """The document of one checking stage."""
        checks = (d for d in self.documents if isinstance(d, CheckDocument))
        return next((d for d in checks if d.stage == stage), None)
