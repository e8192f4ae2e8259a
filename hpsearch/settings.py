"""Which settings a stage's results depend on, so that a change of the config is noticed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpsearch import __version__
from hpsearch.config.schema import Config
from hpsearch.data import Dataset
from hpsearch.stages.context import Stage

IDLE = ("train.epochs",)  # keys of model and train that no trial of a search depends on


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
    config: Config, stage: str, data: Dataset, searched: Sequence[str]
) -> dict[str, Any]:
    """The settings that a search stage's trials depend on besides their own hparams, by key."""
    flat = flatten(config.model_dump(mode="json"))
    part = "search.coarse" if stage == "coarse" else "search.refine"
    own = (f"{part}.epochs", f"{part}.schedule", "search.metric", "search.sampler", "seed")
    varying = {f"{section}.{name}" for section in ("model", "train") for name in searched}
    used = {
        key: value for key, value in flat.items()
        if key in own or (key.startswith(("model.", "train.")) and key not in {*varying, *IDLE})
    }  # fmt: skip
    if config.search.round == stage:
        used |= {key: value for key, value in flat.items() if key.startswith("search.space.")}
    return {**used, "data": data.fingerprint}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed, a phrase per key: `train.batch_size was 100, is 200`."""
    return [
        "the data, its split or its preprocessing" if key == "data"
        else f"{key} was {old.get(key, 'not there')}, is {new.get(key, 'not there')}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]  # fmt: skip
