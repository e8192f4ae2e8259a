"""Training that ends badly where a trial's hparams say so."""

from pathlib import Path

from poison import break_down

from hpsearch.dispatch import Trainer
from hpsearch.training import train_cohort


class Poisoned(Trainer):
    """Trains, except where the trial says otherwise; with `once` only at the first attempt."""

    def __call__(self, task, steps, stop):
        spoil(task)
        results = super().__call__(task, steps, stop)
        lost = any(spec.hparams.get("poison") == "unpicklable" for spec in task.specs)
        return (lambda: results) if lost else results


def spoil(task):
    for spec in task.specs:
        how, mark = spec.hparams.get("poison"), spec.hparams.get("once")
        if how not in (None, "unpicklable") and not (mark and Path(mark).exists()):
            if mark:
                Path(mark).touch()
            break_down(how)


def poisoned_cohort(task, data, watch):
    spoil(task)
    return train_cohort(task, data, watch)
