"""Commands that read, over records that say anything: `python tests/odd_records.py --records 500`.

A record of a small run is changed somewhere, in an hparam more often than elsewhere, or is gone,
and its checksum is made right again: as one that another hpsearch wrote. No command may call that
a bug, which is exit 4.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tiny_run import config_in, quickly, run

from hpsearch.seal import KEY, sealed

ODD = (
    None, True, -1, 0, 10**400, 1e308, 0.5, "", "relu", "<b>", [], {}, [None], ["x"], [1, 2, 3],
    {"x": None}, "nan", [[1]],
)  # fmt: skip
NAMES = ("learning_rate", "hidden", "activation", "augment", "schedule", "no_such", "epochs", "")
COMMANDS = (
    ("diff", "tiny", "whole"), ("diff", "whole:coarse/0", "tiny:coarse/0"),
    ("diff", "tiny:coarse/1", "whole:refine-1/0"), ("diff", "tiny:final/0", "whole:coarse/3"),
    ("ls", "--where", "best>0.1", "--sort", "-best"),
    ("ls", "--where", "best.learning_rate~1", "--sort", "best.hidden", "--format", "csv"),
    ("ls", "--columns", "name,best.learning_rate,model.hidden,changed", "--sort", "verdict"),
    ("ls", "--format", "markdown"), ("ls", "--json"), ("status", "tiny"),
    ("status", "tiny", "--json"), ("report", "tiny", "--json"), ("report", "tiny"),
    ("replay", "tiny", "coarse/0"), ("replay", "tiny", "refine-1/1"),
    ("replay", "tiny", "final/0"), ("export", "tiny", "--to", "csv"),
    ("export", "tiny", "--to", "tensorboard"), ("predict", "tiny", "rows.npy"),
    ("doctor", "tiny"),
)  # fmt: skip
WRITES = ("export",)


def finished(folder):
    """Two runs in the folder's `runs`, `tiny` and `whole`, which are the same; and new rows."""
    config, runs = config_in(folder), folder / "runs"
    assert run(config, runs).exit_code == 0
    shutil.copytree(runs / "tiny", runs / "whole")
    np.save(folder / "rows.npy", np.random.default_rng(1).normal(size=(3, 4)))


class Oddities:
    """Changes records of the runs in a `finished` folder, and counts how the commands end."""

    def __init__(self, folder, seed=0):
        self.folder, self.rng = folder, random.Random(seed)
        self.runs = folder / "runs"
        self.records = sorted((self.runs / "tiny").rglob("*.json"))
        self.codes, self.faults, self.changed = Counter(), [], 0

    def one(self):
        """One record changed, all commands, and the record as it was."""
        path, self.changed = self.rng.choice(self.records), self.changed + 1
        before = path.read_bytes()
        what = f"{path.relative_to(self.runs)}: {self._change(path, before)}"
        for words in COMMANDS:
            self._tried(what, words)
        path.write_bytes(before)

    def _change(self, path, before):
        """What was changed."""
        if self.rng.random() < 0.1:
            path.unlink()
            return "gone"
        record = json.loads(before.rpartition(KEY)[0] + b"}")
        told = _in_hparams if self.rng.random() < 0.5 else _anywhere
        said = told(self.rng, record)
        path.write_bytes(sealed(json.dumps(record)))
        return said

    def _tried(self, what, words):
        out = self.folder / "out"
        given = [str(self.folder / word) if word == "rows.npy" else word for word in words]
        given += ["--out", str(out)] if words[0] in WRITES else []
        ended = run(self.folder / "tiny.yaml", self.runs, *given)
        shutil.rmtree(out, ignore_errors=True)
        self.codes[ended.exit_code] += 1
        if ended.exit_code not in (0, 1, 2, 3) or "Traceback" in ended.output:
            last = ended.output.strip().splitlines()[-1:]
            self.faults.append(f"{what}: {' '.join(words)}: {ended.exit_code} {last}")

    def summary(self):
        return {
            "records changed": self.changed, "commands": sum(self.codes.values()),
            "exit codes": {str(code): n for code, n in sorted(self.codes.items())},
            "faults": self.faults[:20],
        }  # fmt: skip


def _in_hparams(rng, record):
    """One hparam of a trial, or of what a document says of trials, another, more or fewer."""
    found = [place for place in _mappings(record) if place[1] in ("hparams", "space", "carried")]
    if not found:
        return _anywhere(rng, record)
    holder, key = rng.choice(found)
    if not isinstance(holder[key], dict) or rng.random() < 0.1:
        holder[key] = rng.choice(ODD)
        return f"{key} = {holder[key]!r:.30}"
    name = rng.choice(NAMES)
    if name in holder[key] and rng.random() < 0.3:
        del holder[key][name]
        return f"{key} without {name}"
    holder[key][name] = rng.choice(ODD)
    return f"{key}.{name} = {holder[key][name]!r:.30}"


def _anywhere(rng, record):
    holder, key = rng.choice(list(_mappings(record)))
    if rng.random() < 0.2:
        del holder[key]
        return f"no {key}"
    holder[key] = rng.choice(ODD)
    return f"{key} = {holder[key]!r:.30}"


def _mappings(record):
    """Every (mapping, key) below a record."""
    if isinstance(record, list):
        for item in record[:3]:
            yield from _mappings(item)
    elif isinstance(record, dict):
        for key, value in record.items():
            yield record, key
            yield from _mappings(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="odd-") as root, pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        patch.setattr("os.fsync", lambda descriptor: None)
        finished(Path(root))
        odd = Oddities(Path(root), given.seed)
        for _ in range(given.records):
            odd.one()
    print(json.dumps(odd.summary(), indent=2))
    return 1 if odd.faults else 0


if __name__ == "__main__":
    sys.exit(main())
