"""`hpsearch init`: a commented config to start from, and the schema its editor line names."""

import os
from pathlib import Path

from hpsearch.atomic import write_atomically
from hpsearch.config.template import json_schema, source_of, template
from hpsearch.data import Source, load
from hpsearch.data.files import is_utf8
from hpsearch.errors import UsageError
from hpsearch.strictjson import dumps

CONFIG, SCHEMA = "hpsearch.yaml", "hpsearch.schema.json"


def write_template(directory: Path, *, data: Path | None, target: str | None, force: bool) -> Path:
    """Writes both files; UsageError where there is a config already, unless `force`."""
    path = directory / CONFIG
    if path.exists() and not force:
        raise UsageError(f"{path}: is there already; --force writes over it")
    if data is not None and not data.exists():
        raise UsageError(f"--data {data}: no such file or folder")
    if data is not None and not is_utf8(str(data)):
        raise UsageError(f"--data {data}: must be UTF-8, as {CONFIG} is; rename it")
    if target is not None and data is None:
        raise UsageError(f"--target {target}: needs --data FILE, the table it is a column of")
    if data is not None:
        _try(data, target)
        # paths in a config count from its own folder
        data = Path(os.path.relpath(data, directory))
    text = template(directory.resolve().name, data=data, target=target)
    write_atomically(path, text.encode())
    write_atomically(directory / SCHEMA, dumps(json_schema()).encode())
    return path


def _try(data: Path, target: str | None) -> None:
    """What cannot be read is best heard of now: a wrong column of a table, a misnamed array. But
    for gaps, which a key of the config that is to be written decides about.
    """
    source = source_of(data)
    if target is not None and source != "csv":
        raise UsageError(f"--target {target}: is for a CSV file, {data} is read as {source}")
    if source == "csv" or data.suffix == ".npy":
        load(Source(source, data, target, missing="drop"), center="none", scale="none")
