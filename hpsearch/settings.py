"""Which settings a stage's results depend on, so that a change of the config is noticed."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from hpsearch import __version__
from hpsearch.config.dump import dump, flow
from hpsearch.config.schema import Config
from hpsearch.config.searchable import FAMILIES, reads
from hpsearch.data import Dataset
from hpsearch.environment import environment
from hpsearch.search.space import Space, parse_space, without_roles, write_space
from hpsearch.stages.context import Stage
from hpsearch.strictjson import plain
from hpsearch.verdict import SearchDocument


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, Mapping)
        flat |= flatten(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def check_settings(config: Config, stage: Stage, data: Dataset) -> str:
    """A digest of all that a checking stage depends on."""
    flat = flatten(config.model_dump(mode="json"))
    parts = ("seed", *stage.sections)
    used = {
        key: value for key, value in flat.items()
        if any(key == part or key.startswith(f"{part}.") for part in parts)
    }  # fmt: skip
    text = json.dumps([__version__, data.fingerprint, sorted(used.items())], default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def search_settings(
    config: Config, stage: str, data: Dataset, space: Space
) -> dict[str, Any]:
    """The settings that the trials of a search stage depend on besides their own hparams in this
    space, by key. What is searched under a condition is set for the other trials.
    """
    always = {name for name, kind in space.items() if not kind.when}
    flat = flatten(config.model_dump(mode="json"))
    part = config.search.coarse if stage == "coarse" else config.search.refine
    flat["train.schedule"] = part.schedule or config.train.schedule
    idle = always | _unread(config, flat["train.schedule"], space)
    idle = {f"{section}.{name}" for section in ("model", "train") for name in idle}
    used = {
        key: value for key, value in flat.items()
        if key.startswith(("model.", "train.")) and key not in idle
    }  # fmt: skip
    name = "search.coarse" if stage == "coarse" else "search.refine"
    # where each trial's hparams say how it alters its images, the config does not
    seen = data.unaltered if "augment" in always else data.fingerprint
    own = {f"{name}.epochs": part.epochs, "seed": config.seed, "data": seen}
    if config.search.sampler == "grid":  # whose points depend on how many there are
        own[f"{name}.trials"] = part.trials
    if part.halving:  # so does who goes on
        own |= flatten({name: {"trials": part.trials, "halving": part.halving.model_dump()}})
        own["search.budget.trial_epochs"] = config.search.budget.trial_epochs
    return {**used, **own, "search.metric": config.search.metric,
            "search.sampler": config.search.sampler}  # fmt: skip


def _unread(config: Config, schedule: str, space: Space) -> set[str]:
    """Keys of model and train that no optimizer, schedule, ... of these trials reads."""
    unread, set_ = {"epochs"}, {**vars(config.model), **vars(config.train), "schedule": schedule}
    for kind, table in FAMILIES.items():
        if kind not in space:
            unread |= reads(table) - reads(table, [set_[kind]])
    return unread


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed, a phrase per key: `train.batch_size was 100, is 200`."""
    return [
        "the data, its split, its preprocessing or its augmentation" if key == "data"
        else f"{key} was {_written(old, key)}, is {_written(new, key)}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]  # fmt: skip


def _written(settings: Mapping[str, Any], key: str) -> str:
    """A setting as the config would have it."""
    return flow(plain(settings[key])) if key in settings else "not there"


def space_differences(config: Config, opened: SearchDocument) -> list[str]:
    """How the config's space differs from the one that a stage was begun with, where it is meant
    for this stage. No difference is a learning rate left out, which is then the sweep's, and a
    role, which decides nothing about a trial.
    """
    if config.search.round != opened.stage:
        return []
    began, now = (without_roles(s) for s in (opened.space, write_space(config.search.space)))
    written = {"learning_rate": began.get("learning_rate"), **now}
    return differences(*(
        {f"search.space.{name}": kind for name, kind in space.items() if kind}
        for space in (began, written)
    ))  # fmt: skip


def contradictions(
    config: Config, data: Dataset, begun: Iterable[SearchDocument]
) -> list[str]:
    """What of the config is not what the trials of these stages were made with."""
    changed: dict[str, None] = {}
    for opened in begun:
        now = search_settings(config, opened.stage, data, parse_space(opened.space))
        changed |= dict.fromkeys(differences(opened.settings, now))
        changed |= dict.fromkeys(space_differences(config, opened))
    return list(changed)


def run_facts(config: Config, data: Dataset) -> dict[str, Any]:
    """`run.json`: what decides the bits besides the config, and on how many rows."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return {
        "name": config.name, "seed": config.seed, **environment(), "data": data.fingerprint,
        "rows": {name: len(rows) if rows else 0 for name, rows in splits.items()},
        "config": hashlib.sha256(dump(config).encode()).hexdigest(),
    }  # fmt: skip
