"""MLflow runs in SQLite: an experiment per run, an MLflow run per trial, the stage as a tag.

Metrics are the curves, a value per epoch, and `best_*` at the best epoch, since MLflow's tables
show a curve's last value. There are no artifacts. `mlflow-skinny` with SQLAlchemy and Alembic is
enough to write and to read; MLflow's own pages need the whole package.
"""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from hpsearch.exports.database import Rows, fill
from hpsearch.exports.packages import needed, quiet
from hpsearch.exports.source import Exported, Progress, best, facts, scalar
from hpsearch.trial import Status, TrialResult

STATUS = {
    Status.DONE: "FINISHED", Status.PRUNED: "KILLED", Status.DIVERGED: "FAILED",
    Status.FAILED: "FAILED",
}  # fmt: skip
SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
LONGEST = 5000  # characters of a tag, of which MLflow takes 8,000
LARGEST = 1.7976931348623157e308  # MLflow's infinity


def write(run: Exported, target: Path, progress: Progress) -> None:
    """The file `target`; UsageError where MLflow is missing."""
    os.environ.update(SILENT)  # before MLflow is imported, or it calls home
    with quiet():
        mlflow = needed("mlflow", "mlflow", "MLflow")

        def make(url: str) -> None:
            client = mlflow.MlflowClient(url, registry_uri=url)
            nowhere = f"{url.removesuffix('.db')}-artifacts"
            client.create_experiment(run.name, artifact_location=nowhere)

        fill(target, make, _rows(run, target, progress))


def _rows(run: Exported, target: Path, progress: Progress) -> Iterator[Rows]:
    """A trial's rows in MLflow's tables, as its version 3 has them."""
    trials = run.trials
    for number, result in enumerate(trials, 1):
        name = f"{result.stage}/{result.id}"
        key = {"run_uuid": uuid5(NAMESPACE_URL, f"hpsearch:{run.name}/{name}").hex}
        began, ended = (round(1000 * seconds) for seconds in run.times(result))
        metrics = list(_metrics(run, result, began, ended))
        yield {
            "runs": [{
                **key, "name": name, "source_type": "UNKNOWN", "source_name": "",
                "entry_point_name": "", "user_id": "unknown", "status": STATUS[result.status],
                "start_time": began, "end_time": ended, "source_version": "",
                "lifecycle_stage": "active", "artifact_uri": "", "experiment_id": 1,
            }],
            "params": [
                {**key, "key": hparam, "value": str(scalar(value))}
                for hparam, value in result.hparams.items()
            ],
            "tags": [
                {**key, "key": tag, "value": str(value)[:LONGEST]}
                for tag, value in {**facts(result), "mlflow.runName": name}.items()
            ],
            "metrics": [{**key, **metric} for metric in metrics],
            "latest_metrics": [{**key, **m} for m in {m["key"]: m for m in metrics}.values()],
        }  # fmt: skip
        progress(number, len(trials))


def _metrics(
    run: Exported, result: TrialResult, began: int, ended: int
) -> Iterator[Mapping[str, Any]]:
    """Every number of every curve, the last epoch's last, then the best ones."""
    for name in run.curves:
        curve = getattr(result.curves, name)
        for epoch, value in enumerate(curve, 1):
            moment = began + (ended - began) * epoch // len(curve)
            yield _metric(name, value, epoch, moment)
    for name, value in best(result).items():
        yield _metric(f"best_{name}", value, result.best_epoch or 0, ended)


def _metric(name: str, value: float, step: int, moment: int) -> Mapping[str, Any]:
    """A number as MLflow stores it: NaN as 0 with a mark, infinities as the largest float."""
    finite = 0.0 if math.isnan(value) else min(max(value, -LARGEST), LARGEST)
    return {
        "key": name, "value": finite, "timestamp": moment, "step": step,
        "is_nan": math.isnan(value),
    }  # fmt: skip
