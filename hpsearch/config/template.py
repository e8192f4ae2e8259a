"""What `hpsearch init` and `hpsearch schema` give: a commented config, and the editor's schema."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpsearch.config.dump import flow
from hpsearch.config.find import run_name
from hpsearch.config.schema import SEARCHABLE, Config
from hpsearch.config.section import Section

SCHEMA_FILE = "hpsearch.schema.json"
HEAD = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
# Every key here has its default: change what you like, leave out what you do not care about.
# Then: `hpsearch data` looks at the data, `hpsearch run` does everything in order.
# `hpsearch schema` lists all keys.
"""
SPACE = """\
  space: {}  # left out: learning_rate, over the range that the sweep proposes; or for example
  # space:
  #   learning_rate: {log_uniform: [1e-4, 1]}
  #   weight_decay: {log_uniform: [1e-6, 1]}
  #   hidden: {choice: [50, 100, [100, 50]], role: scientific}  # compared, each at its best
"""
LISTED: dict[str, tuple[str, ...]] = {
    "data": ("source", "path", "target", "drop"),
    "data.split": ("validation", "test"),
    "data.preprocess": ("center", "scale"),
    "model": ("hidden", "activation", "init"),
    "train": ("optimizer", "learning_rate", "weight_decay", "momentum", "batch_size", "schedule"),
    "sweep": ("learning_rates",),
    "search": ("metric", "space"),
    "search.coarse": ("trials", "epochs"),
    "search.refine": ("trials", "epochs", "rounds"),
}
_FOLDERS = {"cifar10": "data_batch_*", "idx": "*idx[13]-ubyte*", "npz": "*.npy"}


def template(name: str, *, data: Path | None = None, target: str | None = None) -> str:
    """A commented config for a new folder: the keys people change, each with its default.

    `data` (a path relative to where the config will stand) and the column `target` fill in the
    data section.
    """
    values = Config().model_dump()
    values["name"] = run_name(name)
    if data is not None:
        values["data"] |= {"source": source_of(data), "path": data.as_posix(), "target": target}
    lines = [*_lines(Config, values, (), ("name", "seed"))]
    for dotted, keys in LISTED.items():
        *parents, last = path = dotted.split(".")
        lines.append("  " * len(parents) + f"{last}:")
        lines += _lines(*_at(Config, values, path), tuple(path), keys)
    return HEAD + "".join(f"{line}\n" for line in lines)


def source_of(data: Path) -> str:
    """The data.source that a file or folder is for, by its look."""
    if data.is_dir():
        return next((s for s, files in _FOLDERS.items() if any(data.glob(files))), "images")
    return "npz" if data.suffix.lower() in (".npz", ".npy") else "csv"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the config, with descriptions, for editors."""
    schema = Config.model_json_schema()
    space = schema["$defs"]["Search"]["properties"]["space"]
    distribution = space.pop("additionalProperties")
    space |= {
        "additionalProperties": False,
        "properties": dict.fromkeys(SEARCHABLE, distribution),
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _at(section: type[Section], values: Any, path: list[str]) -> tuple[type[Section], Any]:
    """The section and its values at a path of keys."""
    for key in path:
        section, values = section.model_fields[key].annotation, values[key]  # type: ignore[assignment]
    return section, values


def _lines(
    section: type[Section], values: dict[str, Any], path: tuple[str, ...], keys: tuple[str, ...]
) -> Iterator[str]:
    indent = "  " * len(path)
    for key in keys:
        if key == "space":
            yield SPACE.rstrip("\n")
            continue
        written = f"{indent}{key}: {flow(values[key])}"
        yield f"{written:<34}  # {section.model_fields[key].description}"
