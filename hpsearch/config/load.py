"""From a config file and the command line to a Config: find, read, override, check, resolve."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from hpsearch.config.dump import dump
from hpsearch.config.find import Found, bundled, find, runs
from hpsearch.config.messages import Fault, faults_of, report
from hpsearch.config.schema import Config
from hpsearch.config.searchable import (
    condition_faults,
    space_faults,
    unread_faults,
    values_of,
)
from hpsearch.config.written import Override, Written
from hpsearch.config.yaml12 import KeyPath, brief
from hpsearch.errors import ConfigError

__all__ = ["Found", "Override", "bundled", "dump", "find", "load", "runs"]

_FROM_FILES = ("csv", "npz", "idx", "cifar10", "images")


def load(found: Found, overrides: Sequence[str | Override] = ()) -> Config:
    """The complete config: the file, then each override (`KEY=VALUE` or an Override) in turn.

    Paths come out absolute: the file's are relative to its folder, those of overrides to the
    working directory. ConfigError with one located line per fault; HostError where the file
    cannot be read.
    """
    written = Written.from_file(found)
    if found.path.name == "config.yaml" and found.path.parent.name == found.name:
        written.values["name"] = found.name  # a run that was copied has the name of its folder
    for override in overrides:
        written.put(_parsed(override), found.cwd)
    written.values.setdefault("name", found.name)
    return _resolved(_checked(written), written)


def _parsed(override: str | Override) -> Override:
    return override if isinstance(override, Override) else Override.parse(override)


def _checked(written: Written) -> Config:
    """The written values as a Config; ConfigError with every fault at once."""
    faults = list(_faults_beyond_one_key(written))
    try:
        config = Config.model_validate(written.values)
    except ValidationError as error:
        faults += faults_of(error, written)
    else:
        faults += [*_ignored(config, written), *_crossed(config)]
    if faults:
        raise ConfigError(report(faults, written))
    return config


def _ignored(config: Config, written: Written) -> Iterator[Fault]:
    """What is written but would not be read: nobody means that."""
    data = written.values.get("data", {})
    if config.data.source in ("digits", "spiral") and data.get("path") is not None:
        fix = "leave it out, or name data.source (csv, npz, idx, cifar10, images)"
        yield Fault(("data", "path"), f"is not read by source {config.data.source}: {fix}")
    for key in ("target", "drop"):
        if config.data.source != "csv" and data.get(key):
            rule = f"is read by source csv alone, not by {config.data.source}: leave it out"
            yield Fault(("data", key), rule)
    yield from condition_faults(config)
    yield from unread_faults(config)


def _crossed(config: Config) -> Iterator[Fault]:
    """Bounds that are each right, but not together."""
    low, high = config.sweep.ramp.low, config.sweep.ramp.high
    if low >= high:
        yield Fault(("sweep", "ramp", "high"), f"must be above low, {low:g}, got {high:g}")
    if "batch" in values_of(config, "normalization") and 1 in values_of(config, "batch_size"):
        rule = "must be at least 2 where model.normalization is batch: one row has no variance"
        yield Fault(_place(config, "train", "batch_size"), f"{rule}, got 1")
    if config.search.metric == "val_loss" and len(set(values_of(config, "loss"))) > 1:
        rule = "val_loss of different losses cannot be compared: set val_accuracy"
        yield Fault(("search", "metric"), rule)
    yield from _halving(config)


def _halving(config: Config) -> Iterator[Fault]:
    """Rungs that no trial comes to, and a sampler that cannot wait for them."""
    for name in ("coarse", "refine"):
        part = getattr(config.search, name)
        if part.halving and part.halving.min_epochs >= part.epochs:
            rule = f"must be below search.{name}.epochs, {part.epochs}"
            got = f"got {part.halving.min_epochs}; or set search.{name}.halving: null"
            yield Fault(("search", name, "halving", "min_epochs"), f"{rule}, {got}")
        if part.halving and config.search.sampler == "tpe":
            rule = "must be null where search.sampler is tpe, which learns from finished trials"
            fix = "rungs compare all trials of the stage: set search.sampler: random"
            yield Fault(("search", name, "halving"), f"{rule}; {fix}")


def _place(config: Config, section: str, key: str) -> KeyPath:
    """Where a key's values are written: in the space, if it is searched."""
    return ("search", "space", key) if key in config.search.space else (section, key)


def _faults_beyond_one_key(written: Written) -> Iterator[Fault]:
    search, data = written.values.get("search"), written.values.get("data")
    if isinstance(search, dict):
        yield from space_faults(search.get("space"))
    if isinstance(data, dict) and data.get("source") in _FROM_FILES and data.get("path") is None:
        yield Fault(("data", "source"), f"{data['source']} needs a file or folder: set data.path")


def _resolved(config: Config, written: Written) -> Config:
    """The config with every path in it absolute."""
    data, split = config.data, config.data.split
    places: dict[str, object] = {
        name: _absolute(getattr(split, name), ("data", "split", name), written)
        for name in ("validation", "test")
    }
    path = _absolute(data.path, ("data", "path"), written)
    data = data.model_copy(update={"path": path, "split": split.model_copy(update=places)})
    return config.model_copy(update={"data": data})


def _absolute(value: object, path: KeyPath, written: Written) -> object:
    """Text as an absolute path, `..` taken out and `~/` filled in; anything else as it is."""
    if not isinstance(value, str):
        return value
    where = written.at(path)
    place = Path(value).expanduser() if value.startswith("~/") else Path(value)
    whole = os.path.normpath(where.folder / place)
    try:
        whole.encode()
    except UnicodeEncodeError:
        key, rule = ".".join(map(str, path)), "must be UTF-8, with every folder on the way"
        said = f"{where.value}: {key}: {rule}, got {brief(whole)}; rename it"
        raise ConfigError(said) from None
    return whole
