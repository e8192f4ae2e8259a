"""Exports read back by the libraries that they are for: every trial and every number is there."""

import json
import math
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import warnings
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_report_samples import diverged, trial

from hpsearch.cli import app
from hpsearch.exports.source import Exported, scalar
from hpsearch.store import RunStore
from hpsearch.trial import Curves, Status
from hpsearch.verdict import SearchDocument

optuna = pytest.importorskip("optuna")
pytest.importorskip("tensorboardX")

SPACE = {
    "learning_rate": {"log_uniform": [1e-4, 1.0]},
    "weight_decay": {"zero_or_log_uniform": {"bounds": [1e-6, 1.0], "zero": 0.5}},
    "hidden": {"choice": [[50], [64, 32]]}, "optimizer": {"choice": ["sgd", "momentum"]},
    "momentum": {"one_minus_log_uniform": [0.5, 0.99], "when": {"optimizer": "momentum"}},
    "batch_size": {"int_log_uniform": [10, 200]}, "dropout": {"uniform": [0.0, 0.5]},
    "flag": {"choice": [True, False]}, "warmup": {"int_uniform": [0, 3]},
}  # fmt: skip
REFINED = SPACE | {
    "learning_rate": {"log_uniform": [0.01, 1.0]},
    "hidden": {"choice": [[64, 32], [9]]},  # other choices than before
    "dropout": {"choice": [0.0, 0.25]},  # another kind than before
}


def hparams(n, rng):
    drawn = {
        "learning_rate": float(10 ** rng.uniform(-4, 0)),
        "weight_decay": 0.0 if n % 3 == 0 else float(10 ** rng.uniform(-6, 0)),
        "hidden": ((50,), (64, 32))[n % 2], "optimizer": ("sgd", "momentum")[n % 2],
        "batch_size": 10 + n, "dropout": (0.0, 0.25)[n % 2], "flag": n % 4 < 2, "warmup": n % 3,
    }  # fmt: skip
    return drawn | ({"momentum": 1 / 3 + n / 50} if n % 2 else {})


@pytest.fixture(params=["val_accuracy", "val_loss"])
def run(request, tmp_path, monkeypatch):
    """A run with trials of every status and numbers of every kind, as a folder; no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    store, rng = RunStore(tmp_path / "runs", "r"), np.random.default_rng(0)
    store.write_config("name: r\n")
    for stage, space in (("coarse", SPACE), ("refine-1", REFINED)):
        store.write_document(
            SearchDocument(stage, None, 20, space=space, metric=request.param)
        )
        for n in range(6):
            given = hparams(n, rng) | ({"learning_rate": 2e-3} if n == 2 else {})  # carried over
            made = trial(n, list(rng.uniform(0, 1, 4)), stage=stage, **given)
            store.record(replace(made, metric=request.param, verdict="healthy"))
        store.record(
            diverged(6, stage=stage, **hparams(6, rng)),
            replace(broken(7, stage, hparams(7, rng)), metric=request.param),
            replace(trial(8, [0.3], stage=stage, **hparams(1, rng)), status=Status.PRUNED,
                    reason="not among\nthe best", metric=request.param),
        )  # fmt: skip
    store.record(trial(0, [0.99, 0.995], stage="final", **hparams(3, rng)))
    return RunStore(tmp_path / "runs", "r")  # which has it as the files do, without infinities


def refuse(*_):
    raise AssertionError("the network was asked for something")


def broken(number, stage, given):
    """A trial that diverged after two epochs whose losses no JSON has a word for."""
    curves = Curves(
        train_loss=[2.0, math.inf], train_accuracy=[0.1, 0.1], val_loss=[2.0, math.nan],
        val_accuracy=[0.2, 0.1], val_balanced_accuracy=[0.2, 0.1], learning_rate=[0.1, 0.1],
        update_ratio=[0.5, 1e9],
    )  # fmt: skip
    return replace(diverged(number, stage=stage, **given), curves=curves, best_epoch=1)


def export(kind, *words):
    found = CliRunner().invoke(app, ["export", "r", "--to", kind, *words])
    assert found.exit_code == 0, found.output
    assert found.stderr.startswith("next: hpsearch") and found.stderr.count("\n") == 1
    return found


def alike(found, wanted):
    np.testing.assert_array_equal(list(found), list(wanted))


# --- Optuna


def as_drawn(params):
    """The hparams again, from what Optuna was told."""
    return {
        name.removesuffix(" = 0"): 0.0 if name.endswith(" = 0") else value
        for name, value in params.items()
        if not name.endswith(" = 0") or value
    }


def test_optuna_has_every_trial(run):
    export("optuna")
    study = optuna.load_study(study_name="r", storage="sqlite:///r-optuna.db")
    wanted = Exported.of(run)
    lower = wanted.metric == "val_loss"
    assert study.direction.name == ("MINIMIZE" if lower else "MAXIMIZE")
    assert study.metric_names == [wanted.metric]
    states = {"done": "COMPLETE", "pruned": "PRUNED", "diverged": "FAIL"}
    assert len(study.trials) == len(wanted.searched) == 18
    for one, result in zip(study.trials, wanted.searched, strict=True):
        assert one.state.name == states[result.status]
        assert as_drawn(one.params) == {k: scalar(v) for k, v in result.hparams.items()}
        curve = getattr(result.curves, wanted.metric)
        assert list(one.intermediate_values) == list(range(1, len(curve) + 1))
        alike(one.intermediate_values.values(), curve)
        assert one.value == (None if result.status is Status.DIVERGED else result.value)
        told = one.user_attrs
        assert (told["stage"], told["trial"], told["seed"]) == (result.stage, result.id, 7)
        assert (told["status"], told.get("verdict", "")) == (result.status, result.verdict)
        assert told.get("best_epoch") == result.best_epoch
        assert told.get("reason", "") == result.reason
    best = max((r for r in wanted.searched if r.status is Status.DONE), key=lambda r: r.score)
    assert study.best_value == best.value


def test_optunas_ranges_are_the_stages(run):
    export("optuna")
    study = optuna.load_study(study_name="r", storage="sqlite:///r-optuna.db")
    kinds = optuna.distributions
    first, second = study.trials[1].distributions, study.trials[11].distributions
    assert first["learning_rate"] == kinds.FloatDistribution(1e-4, 1.0, log=True)
    assert second["learning_rate"] == kinds.FloatDistribution(2e-3, 1.0, log=True), "wider"
    assert first["momentum"] == kinds.FloatDistribution(1 / 3 + 1 / 50, 0.99)
    assert first["batch_size"] == kinds.IntDistribution(10, 200, log=True)
    assert first["warmup"] == kinds.IntDistribution(0, 3)
    assert first["hidden"] == second["hidden"]
    assert first["hidden"].choices == ("50", "64-32", "9")
    assert first["dropout"].choices == (0.0, 0.25), "a range, then a list: a list"
    assert first["weight_decay = 0"].choices == (False, True)
    assert "momentum" not in study.trials[0].params, "it did not apply"


def tables(path, names, without=()):
    """The rows of these tables, but for columns that count or tell the time."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            name: sorted(
                repr({k: row[k] for k in row.keys() if k not in without})  # noqa: SIM118
                for row in connection.execute(f"SELECT * FROM {name}")
            )
            for name in names
        }


def test_optunas_rows_are_those_that_it_writes_itself(run):
    """Whatever its schema comes to be, this fails if ours is no longer like it."""
    from hpsearch.exports.optuna import frozen

    export("optuna")
    wanted = Exported.of(run)
    direction = "minimize" if wanted.metric == "val_loss" else "maximize"
    own = optuna.create_study(storage="sqlite:///own.db", study_name="r", direction=direction)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        own.set_metric_names([wanted.metric])
    own.add_trials(list(frozen(optuna, wanted)))
    names = (
        "studies", "study_directions", "study_system_attributes", "trials", "trial_params",
        "trial_values", "trial_user_attributes", "trial_intermediate_values",
    )  # fmt: skip
    keys = {"param_id", "trial_value_id", "trial_user_attribute_id", "trial_intermediate_value_id"}
    assert tables("r-optuna.db", names, keys) == tables("own.db", names, keys)


# --- TensorBoard


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return found, {
        tag: {event.step: event.value for event in found.Scalars(tag)}
        for tag in found.Tags()["scalars"]
    }


def test_tensorboard_has_every_trial(run):
    pytest.importorskip("tensorboard")
    from tensorboard.plugins.hparams import metadata

    export("tensorboard")
    wanted = Exported.of(run)
    for result in wanted.trials:
        folder = Path("r-tensorboard") / result.stage / f"{result.id:05d}"
        found, curves = scalars(folder)
        for name in wanted.curves:
            curve = np.float32(getattr(result.curves, name))
            assert list(curves.get(name, {})) == list(range(1, len(curve) + 1))
            alike(curves.get(name, {}).values(), curve)
        if result.best_epoch:
            best = {result.best_epoch: np.float32(result.at_best(wanted.metric))}
            assert curves[f"best_{wanted.metric}"] == best
        told = found.summary_metadata

        def content(tag, told=told):
            return told[f"_hparams_/{tag}"].plugin_data.content

        start = metadata.parse_session_start_info_plugin_data(content("session_start_info"))
        hparams = {k: getattr(v, v.WhichOneof("kind")) for k, v in start.hparams.items()}
        asked = {k: scalar(v) for k, v in result.hparams.items()}
        assert hparams == {"stage": result.stage, "status": result.status, **asked}
        end = metadata.parse_session_end_info_plugin_data(content("session_end_info"))
        assert end.status == (2 if result.status is Status.DIVERGED else 1)
    assert len(list(Path("r-tensorboard").rglob("events*"))) == len(wanted.trials) + 1


# --- MLflow


@pytest.fixture
def mlflow():
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("mlflow")


def test_mlflow_has_every_trial(run, mlflow):
    export("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/r-mlflow.db")
    experiment = client.get_experiment_by_name("r")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    found = {one.info.run_name: one for one in runs}
    wanted = Exported.of(run)
    assert set(found) == {f"{r.stage}/{r.id}" for r in wanted.trials} and len(runs) == 19
    status = {"done": "FINISHED", "pruned": "KILLED", "diverged": "FAILED"}
    for result in wanted.trials:
        one = found[f"{result.stage}/{result.id}"]
        assert one.info.status == status[result.status]
        assert one.data.params == {k: str(scalar(v)) for k, v in result.hparams.items()}
        assert one.data.tags["stage"] == result.stage
        assert one.data.tags.get("reason", "") == result.reason
        for name in wanted.curves:
            history = client.get_metric_history(one.info.run_id, name)
            history = sorted(history, key=lambda metric: metric.step)
            curve = np.clip(getattr(result.curves, name), -1.7976931348623157e308, None)
            alike((m.value for m in history), np.minimum(curve, 1.7976931348623157e308))
            assert [m.step for m in history] == list(range(1, len(curve) + 1))
        if result.best_epoch:
            assert one.data.metrics[f"best_{wanted.metric}"] == result.at_best(wanted.metric)


def test_mlflows_rows_are_those_that_it_writes_itself(run, mlflow):
    """Whatever its schema comes to be, this fails if ours is no longer like it."""
    from mlflow.entities import Metric, Param, RunTag

    export("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/own.db")
    experiment = client.create_experiment("r", artifact_location=Path("x").absolute().as_uri())
    written = mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/r-mlflow.db")
    for one in written.search_runs(["1"], max_results=1000):
        fresh = client.create_run(experiment, one.info.start_time, run_name=one.info.run_name)
        histories = [
            metric for name in one.data.metrics
            for metric in written.get_metric_history(one.info.run_id, name)
        ]  # fmt: skip
        client.log_batch(
            fresh.info.run_id,
            [Metric(m.key, m.value, m.timestamp, m.step) for m in histories],
            [Param(k, v) for k, v in one.data.params.items()],
            [RunTag(k, v) for k, v in one.data.tags.items()],
        )
        client.set_terminated(fresh.info.run_id, one.info.status, one.info.end_time)
    names = ("runs", "params", "tags", "metrics", "latest_metrics")
    drawn = {"run_uuid", "artifact_uri"}
    assert tables("r-mlflow.db", names, drawn) == tables("own.db", names, drawn)


# --- their pages


@contextmanager
def serving(*command):
    """The command's server on a free port of this machine, up and answering; gone afterwards."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [word.format(port=port) for word in command]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    server = subprocess.Popen(
        words, env=os.environ | quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield lambda path, body=None: fetched(server, f"http://127.0.0.1:{port}{path}", body)
    finally:
        os.killpg(server.pid, 9)
        server.wait()


def fetched(server, url, body, patience=200):
    """What stands at an address, once the server is up."""
    end = time.monotonic() + patience
    given = {"data": body, "headers": {"Content-Type": "application/json"}} if body else {}
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, **given)) as answer:
                return answer.read().decode()
        except OSError:
            assert server.poll() is None and time.monotonic() < end, url
            time.sleep(0.2)


def program(name):
    """A command of this environment."""
    found = shutil.which(name, path=Path(sys.executable).parent)
    return found or pytest.skip(f"needs {name}")


@pytest.fixture
def open_run(run, monkeypatch):
    """The run for a test that asks a server on this machine."""
    connect = socket.socket.__base__.connect
    monkeypatch.setattr(socket.socket, "connect", connect)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("run", ["val_accuracy"], indirect=True)
def test_optuna_dashboard_opens(open_run):
    export("optuna")
    dashboard = program("optuna-dashboard")
    with serving(dashboard, "sqlite:///r-optuna.db", "--port", "{port}") as get:
        assert "Optuna Dashboard" in get("/dashboard")
        assert '"study_name":"r"' in get("/api/studies").replace(" ", "")
        answer = get("/api/studies/1")
    assert len(json.loads(answer)["trials"]) == 18


@pytest.mark.slow
@pytest.mark.parametrize("run", ["val_accuracy"], indirect=True)
def test_tensorboard_opens(open_run):
    export("tensorboard")
    board = program("tensorboard")
    words = ("--logdir", "r-tensorboard", "--port", "{port}", "--load_fast", "false")
    with serving(board, *words) as get:
        assert "TensorBoard" in get("/")
        asked = b'{"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE"],'
        asked += b'"colParams": [], "startIndex": 0, "sliceSize": 100}'
        end = time.monotonic() + 60
        while '"totalSize": 19' not in (
            answer := get("/data/plugin/hparams/session_groups", asked)
        ):
            assert time.monotonic() < end, answer[:1000]
            time.sleep(0.5)
        assert "learning_rate" in get("/data/plugin/hparams/experiment", b'{"experimentName": ""}')
        assert "coarse/00001" in get("/data/plugin/scalars/tags")
    assert answer.count("STATUS_FAILURE") == 4


@pytest.mark.slow
@pytest.mark.parametrize("run", ["val_accuracy"], indirect=True)
def test_mlflow_opens(open_run, mlflow):
    pytest.importorskip("flask")
    export("mlflow")
    store = f"sqlite:///{Path.cwd()}/r-mlflow.db"
    words = ("server", "--backend-store-uri", store, "--port", "{port}", "--workers", "1")
    with serving(program("mlflow"), *words) as get:
        assert "MLflow" in get("/")
        body = b'{"experiment_ids": ["1"], "max_results": 1000}'
        answer = get("/api/2.0/mlflow/runs/search", body)
    assert len(json.loads(answer)["runs"]) == 19 and "best_val_accuracy" in answer
