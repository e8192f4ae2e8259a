"""Event files for TensorBoard, scalars and its HParams tab: a folder per trial, stage/00041.

Scalars are the curves by epoch, and `best_*` at the best epoch, since the HParams tab shows a
tag's last value. They have single precision, as TensorBoard reads no other; hparams have double.
A trial that diverged or failed ends with STATUS_FAILURE.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hpsearch.exports.packages import needed, quiet
from hpsearch.exports.source import Exported, Progress, best, scalar
from hpsearch.search.distributions import Bounded
from hpsearch.trial import AT_BEST, Status, TrialResult

PLUGIN = "hparams"
FILE = "events.out.tfevents.0.hpsearch"


def write(run: Exported, target: Path, progress: Progress) -> None:
    """The folder `target`; UsageError where tensorboardX is missing."""
    with quiet():
        events, trials = Events(), run.trials
        began = min(run.times(result)[0] for result in trials)
        events.write(target, [(began, 0, [events.experiment(run, began)])])
        for number, result in enumerate(trials, 1):
            folder = target / result.stage / f"{result.id:05d}"
            events.write(folder, events.trial(run, result))
            progress(number, len(trials))


class Events:
    """What tensorboardX's messages are made into. A file is written as it is made, for its own
    writers keep a thread and a queue for each.
    """

    def __init__(self) -> None:
        def part(name: str) -> Any:
            return needed(f"tensorboardX.{name}", "tensorboard", "tensorboardX")

        self._record = part("record_writer").RecordWriter
        self._event = part("proto.event_pb2").Event
        self._summary, self._hparams = part("proto.summary_pb2"), part("proto.plugin_hparams_pb2")
        self._api = part("proto.api_pb2")

    def write(self, folder: Path, events: Iterable[tuple[float, int, list[Any]]]) -> None:
        """An event file: (time, step, values) each."""
        folder.mkdir(parents=True)
        writer = self._record(str(folder / FILE))
        try:
            for moment, step, values in events:
                event = self._event(wall_time=moment, step=step)
                event.summary.value.extend(values)
                writer.write(event.SerializeToString())
        finally:
            writer.close()

    def trial(self, run: Exported, result: TrialResult) -> Iterator[tuple[float, int, list[Any]]]:
        """The start, every epoch, the best one, the end."""
        began, ended = run.times(result)
        yield began, 0, [self._started(run, result, began)]
        curves = {name: getattr(result.curves, name) for name in run.curves}
        for n in range(result.epochs):
            moment = began + (ended - began) * (n + 1) / result.epochs
            there = {name: curve[n] for name, curve in curves.items() if n < len(curve)}
            yield moment, n + 1, self._scalars(there)
        found = {f"best_{name}": value for name, value in best(result).items()}
        yield ended, result.best_epoch or 0, self._scalars(found)
        yield ended, 0, [self._ended(result, ended)]

    def _scalars(self, named: Mapping[str, float]) -> list[Any]:
        value = self._summary.Summary.Value
        return [value(tag=name, simple_value=number) for name, number in named.items()]

    def _told(self, tag: str, **content: Any) -> Any:
        """A message of the HParams tab."""
        data = self._hparams.HParamsPluginData(version=0, **content).SerializeToString()
        plugin = self._summary.SummaryMetadata.PluginData(plugin_name=PLUGIN, content=data)
        metadata = self._summary.SummaryMetadata(plugin_data=plugin)
        return self._summary.Summary.Value(tag=f"_hparams_/{tag}", metadata=metadata)

    def _started(self, run: Exported, result: TrialResult, began: float) -> Any:
        info = self._hparams.SessionStartInfo(
            group_name=f"{result.stage}/{result.id:05d}", start_time_secs=began
        )
        _set(info.hparams["stage"], result.stage)
        _set(info.hparams["status"], str(result.status))
        for name, value in result.hparams.items():
            _set(info.hparams[name], _told_as(run.types[name], value))
        return self._told("session_start_info", session_start_info=info)

    def _ended(self, result: TrialResult, ended: float) -> Any:
        fine = result.status in (Status.DONE, Status.PRUNED)
        status = self._api.Status.Value("STATUS_SUCCESS" if fine else "STATUS_FAILURE")
        info = self._hparams.SessionEndInfo(status=status, end_time_secs=ended)
        return self._told("session_end_info", session_end_info=info)

    def experiment(self, run: Exported, began: float) -> Any:
        """What was searched, and which metrics there are."""
        stages = dict.fromkeys(result.stage for result in run.trials)
        shown = [f"best_{name}" for name in AT_BEST if name in run.curves]
        api = self._api
        experiment = api.Experiment(
            name=run.name, time_created_secs=began,
            hparam_infos=[self._listed("stage", str, list(stages)),
                          self._listed("status", str, list(map(str, Status))),
                          *(self._searched(run, name) for name in run.types)],
            metric_infos=[api.MetricInfo(name=api.MetricName(tag=tag)) for tag in shown],
        )  # fmt: skip
        return self._told("experiment", experiment=experiment)

    def _searched(self, run: Exported, name: str) -> Any:
        """An hparam with all that it was, and a range with all that it could have been."""
        kind = run.types[name]
        values = [_told_as(kind, r.hparams[name]) for r in run.trials if name in r.hparams]
        if kind is not float:
            return self._listed(name, kind, values)
        ranges = [kind.bounds for kind in run.kinds(name) if isinstance(kind, Bounded)]
        values += [bound for bounds in ranges for bound in bounds]
        info = self._api.HParamInfo(name=name, type=self._type("FLOAT64"))
        info.domain_interval.min_value, info.domain_interval.max_value = min(values), max(values)
        return info

    def _listed(self, name: str, kind: type, values: list[Any]) -> Any:
        word = "BOOL" if kind is bool else "STRING"
        info = self._api.HParamInfo(name=name, type=self._type(word))
        for value in dict.fromkeys(values):
            _set(info.domain_discrete.values.add(), value)
        return info

    def _type(self, word: str) -> Any:
        return self._api.DataType.Value(f"DATA_TYPE_{word}")


def _told_as(kind: type, value: Any) -> Any:
    return str(scalar(value)) if kind is str else value


def _set(message: Any, value: Any) -> None:
    """A value of Google's Struct."""
    if isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, str):
        message.string_value = value
    else:
        message.number_value = value
