"""Two tables over all stages: `trials.csv` and `curves.csv`, as every stage has its own."""

from pathlib import Path

from hpsearch.atomic import write_together
from hpsearch.csvtables import curves_csv, trials_csv
from hpsearch.exports.source import Exported, Progress


def write(run: Exported, target: Path, progress: Progress) -> None:
    """The folder `target`; the trials of `final` are the last ones."""
    tables = {"trials.csv": trials_csv, "curves.csv": curves_csv}
    write_together({
        target / name: (piece.encode() for piece in table(run.trials, stage=True))
        for name, table in tables.items()
    })  # fmt: skip
    progress(len(run.trials), len(run.trials))
