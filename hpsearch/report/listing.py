"""What `ls` lists: runs as rows of named cells, chosen, sorted, and written in several formats."""

import csv
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from hpsearch.config.suggest import did_you_mean
from hpsearch.config.yaml12 import read
from hpsearch.csvtables import neutral
from hpsearch.errors import ConfigError, UsageError
from hpsearch.report.progress import run_entry
from hpsearch.report.text import MISSING, is_real, number, plain
from hpsearch.store import RunStore
from hpsearch.strictjson import dumps
from hpsearch.verdict import CHECKING, SEVERITY, Verdict

KEYS = (
    "name", "stage", "verdict", "state", "metric", "best", "best_trial", "trials", "changed",
    "error",
)  # fmt: skip
IN_MARKDOWN = ("name", "stage", "state", "metric", "best", "best_trial", "trials", "changed")
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": le, ">=": ge, "!=": ne, "==": eq, "=": eq, "<": lt, ">": gt,
}  # fmt: skip
CONDITION = re.compile(r"\s*([^\s=!<>~]+)\s*(<=|>=|!=|==|=|<|>|~)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A run of the list, and its cells by name; None is what it has not."""

    store: RunStore

    @cached_property
    def document(self) -> dict[str, Any]:
        """The run as `ls --json` has it."""
        return run_entry(self.store)

    def cell(self, key: str) -> Any:
        """A number, a text, True, False or None; a `changed` in the local time of who looks."""
        if key.startswith("best."):
            return _scalar((self._best.get("hparams") or {}).get(key.removeprefix("best.")))
        return self._known[key] if key in self._known else _scalar(self._of_config(key))

    @cached_property
    def _best(self) -> Mapping[str, Any]:
        return self.document.get("best") or {}

    @cached_property
    def _known(self) -> dict[str, Any]:
        found, best = self.document, self._best
        name = f"{best['stage']}/{best['trial']}" if best else None
        state = "damaged" if "error" in found else found["state"]
        values = {
            "name": found["name"], "stage": found.get("stage"), "verdict": found.get("verdict"),
            "state": state, "metric": best.get("metric"), "best": best.get("value"),
            "best_trial": name, "trials": found.get("trials"),
            "changed": local(found.get("changed")), "error": found.get("error"),
        }  # fmt: skip
        return {key: _scalar(value) for key, value in values.items()}

    def _of_config(self, key: str) -> Any:
        found = self._config
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    @cached_property
    def _config(self) -> Any:
        try:
            return read(self.store.config.read_bytes(), self.store.config.name).value
        except (OSError, ConfigError):
            return None


def local(changed: str | None) -> str | None:
    """A time to the second, in the zone of who looks."""
    if not changed:
        return None
    return datetime.fromisoformat(changed).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _scalar(value: Any) -> Any:
    """Text for what is neither a number nor a truth: 50-20 for a list."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return dumps(value, None) if isinstance(value, Mapping) else _text(value)


def _text(value: Any) -> str:
    return number(value) if isinstance(value, list | tuple | bool) else str(value)


@dataclass(frozen=True)
class Condition:
    """`KEY OP VALUE`, say `best>0.5`, `stage=final` or `model.activation~elu`."""

    key: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """UsageError where it is none."""
        found = CONDITION.fullmatch(text)
        if found is None:
            raise UsageError(
                f"--where {text}: must be KEY OP VALUE, OP one of = != < <= > >= and ~ (contains),"
                " in quotes, or the shell takes > for itself: --where 'best>0.5'"
            )
        return cls(known(found[1], "--where"), found[2], found[3])

    def holds(self, entry: Entry) -> bool:
        """Of a cell that is missing only that it is no other, and that it equals nothing."""
        cell = entry.cell(self.key)
        if cell is None or not self.value:
            same = cell is None and not self.value
            return (self.sign in ("=", "==") and same) or (self.sign == "!=" and not same)
        if self.sign == "~":
            return self.value.lower() in _text(cell).lower()
        if not is_real(cell):
            here, there = _rank(self.key, _text(cell)), _rank(self.key, self.value)
            return ORDERS[self.sign](here, there)
        return ORDERS[self.sign](cell, self._number)

    @cached_property
    def _number(self) -> float:
        try:
            return float(self.value)
        except ValueError as error:
            where = f"--where {self.key}{self.sign}{self.value}"
            raise UsageError(f"{where}: {self.key} is a number, got {self.value}") from error


def _rank(key: str, text: str) -> Any:
    """What a cell's text is sorted and compared by: stages and verdicts have an order."""
    if key == "verdict" and text in SEVERITY:
        return str(SEVERITY[Verdict(text)])
    if key == "stage":
        name, _, round_ = text.partition("-")
        order = (*CHECKING, "coarse", "refine", "final")
        place = order.index(name) if name in order else len(order)
        return f"{place}-{round_:0>6}-{text if name not in order else ''}"
    return text


def known(key: str, option: str) -> str:
    """The key; UsageError, with the names there are, where it is none."""
    if key in KEYS or key in (keys := all_keys()):
        return key
    from hpsearch.config.keys import key_meant

    meant = did_you_mean(key, KEYS) or did_you_mean(key, keys)
    if not meant and (path := key_meant(key, ())):
        meant = f': did you mean "{path}"?'
    raise UsageError(
        f"{option} {key}: no such key{meant}; keys: {', '.join(KEYS)}, best.HPARAM, and those of"
        " the config, say model.activation"
    )


def all_keys() -> set[str]:
    """Those of a run's cells, of the config, and of the best trial's hparams."""
    from hpsearch.config.keys import LEVELS
    from hpsearch.config.schema import SEARCHABLE

    paths = [(*map(str, path), name) for path, names in LEVELS.items() for name in names]
    return {*KEYS, *map(".".join, paths), *(f"best.{name}" for name in SEARCHABLE)}


def columns_of(text: str) -> list[str]:
    """The keys that `--columns a,b` names."""
    return [known(key.strip(), "--columns") for key in text.split(",")]


def chosen(
    stores: Sequence[RunStore], where: Sequence[str], sort: str, *, reverse: bool = False
) -> list[Entry]:
    """The runs for which all of `where` holds, sorted by a key, from its largest with a `-` before
    it; `reverse` turns the order round. What has no such cell comes last; of equals the name
    decides.
    """
    key = known(sort.removeprefix("-"), "--sort")
    conditions = [Condition.parse(text) for text in where]
    entries = [Entry(store) for store in stores]
    found = [e for e in entries if all(condition.holds(e) for condition in conditions)]
    found.sort(key=lambda entry: entry.store.name)
    there = [entry for entry in found if entry.cell(key) is not None]
    there.sort(key=lambda e: _place(key, e.cell(key)), reverse=reverse != sort.startswith("-"))
    return there + [entry for entry in found if entry.cell(key) is None]


def _place(key: str, cell: Any) -> tuple[bool, float, str]:
    """Numbers before texts."""
    text = not isinstance(cell, int | float)
    return text, 0.0 if text else float(cell), _rank(key, cell) if text else ""


def as_json(entries: Sequence[Entry], columns: Sequence[str] | None) -> dict[str, Any]:
    """The runs whole, or these cells of each."""
    if columns is None:
        return {"runs": [entry.document for entry in entries]}
    return {"runs": [{key: entry.cell(key) for key in columns} for entry in entries]}


def as_csv(entries: Sequence[Entry], columns: Sequence[str] | None) -> str:
    """One line per run; no text in it is a formula to a spreadsheet."""
    names = columns or KEYS
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for entry in entries:
        cells = [entry.cell(key) for key in names]
        writer.writerow([neutral(c) if isinstance(c, str) else _bare(c) for c in cells])
    return buffer.getvalue()


def _bare(cell: Any) -> Any:
    return number(cell) if isinstance(cell, bool) else cell


def as_markdown(entries: Sequence[Entry], columns: Sequence[str] | None) -> str:
    """A table; no text in it is markup."""
    names = columns or IN_MARKDOWN
    rows = [names, ["---"] * len(names)]
    rows += [[_marked(entry.cell(key)) for key in names] for entry in entries]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _marked(cell: Any) -> str:
    text = html.escape(shown(cell), quote=False)
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", text)


def shown(cell: Any) -> str:
    """A cell as people read it."""
    return MISSING if cell is None else plain(number(cell) if is_real(cell) else _text(cell))
