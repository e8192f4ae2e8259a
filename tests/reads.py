"""Reads a run in every way that there is, again and again, while others write it."""

import json
import os
import random
import shutil
import signal
from collections import Counter

import numpy as np

FEW = 60  # rounds between two reads of the kinds that take seconds


class Reader:
    """Reads the run `run` below `runs`, and beside it the finished run `other`."""

    def __init__(self, runs, other, place, seed):
        from hpsearch.store import RunStore

        self.runs, self.other, self.place = runs, other, place
        self.rng, self.counts, self.errors = random.Random(seed), Counter(), []
        self.store = RunStore(runs, "run")
        self.often = (self.record, self.record, self.record, self.status, self.gates, self.best,
                      self.listed, self.compared, self.answered)  # fmt: skip
        self.rarely = (self.every_result, self.exported, self.examined, self.shown)

    def round(self, number):
        kinds = [*self.often, *(self.rarely if number % FEW == FEW - 1 else ())]
        for kind in kinds:
            try:
                kind()
                self.counts[kind.__name__] += 1
            except Exception as error:
                self.errors.append(f"{kind.__name__}: {error!r}")

    def record(self):
        """Any record as it lies there."""
        from hpsearch import records

        paths = self.store.trial_files("coarse") or [self.store.document_path("coarse")]
        path = self.rng.choice(paths)
        text = records.text_of(path)
        if path.parent.name == "trials":
            records.trial_in(path, text)
        else:
            records.parsed(path, text, records.mapping)

    def status(self):
        from hpsearch.report.status import Look

        Look.at(self.store).to_json()

    def gates(self):
        """`report --json`, but for the page."""
        from hpsearch.report.terminal import run_json

        run_json(self.store)

    def best(self):
        self.store.best_trial("coarse")

    def listed(self):
        from hpsearch.report import listing
        from hpsearch.store import runs

        found = listing.chosen(runs(self.runs), ["best>=0"], "-best")
        listing.as_csv(found, None)
        assert not any(entry.cell("error") for entry in found), listing.as_csv(found, None)

    def compared(self):
        from hpsearch.commands.comparing import compare

        compare("run", self.other, runs_dir=self.runs)

    def answered(self):
        """`predict`."""
        from hpsearch.commands.predicting import predict

        predict(self.other, str(self.place / "rows.npy"), runs_dir=self.runs)

    def every_result(self):
        """By a command that has just begun."""
        from hpsearch.store import RunStore

        RunStore(self.runs, "run").results("coarse")

    def exported(self):
        from hpsearch.exports import Format
        from hpsearch.exports.writing import export

        target = self.place / f"export-{os.getpid()}"
        if self.store.finished("coarse"):
            export(self.store, Format.csv, target, force=True, progress=lambda n, of: None)
            shutil.rmtree(target)

    def examined(self):
        """`doctor` where somebody else writes. What is derived may be behind."""
        from hpsearch.doctor.folder import Examination
        from hpsearch.verdict import Verdict

        for check in Examination(self.store, lambda store: "").checks():
            assert check.verdict is not Verdict.FAIL, check.message

    def shown(self):
        """The page of `report`."""
        from hpsearch.report.page import UNREAD, page

        assert UNREAD not in page(self.store)


def begin(runs, other, place, seed):
    """Forks a reader that reads until it gets SIGTERM; its process."""
    np.save(place / "rows.npy", np.zeros((3, 64)))
    child = os.fork()
    if child:
        return child
    over, number, reader = [], 0, Reader(runs, other, place, seed)
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    while not over:
        if (runs / "run" / "coarse" / "stage.json").exists():
            reader.round(number)
            number += 1
    found = {"reads": dict(reader.counts), "errors": reader.errors}
    (place / f"reads-{os.getpid()}.json").write_text(json.dumps(found))
    os._exit(0)


def end(readers, place):
    """How often they read, by kind, and what went wrong."""
    counts, errors = Counter(), []
    for child in readers:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        found = json.loads((place / f"reads-{child}.json").read_text())
        counts += Counter(found["reads"])
        errors += found["errors"]
    told = {"reads": counts.total(), "of each kind": dict(counts)}
    return {**told, "errors of readers": errors[:10]}
