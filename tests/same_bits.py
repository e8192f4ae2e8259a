"""The same search in every place that can train it: `python tests/same_bits.py --help`.

Twenty configs, each searched with one, two and four jobs by every kind of executor, twice; and
killed in the middle of trials that are written down after each epoch, and taken up somewhere
else. What a search leaves must be the same to the byte, but for what a clock says.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from faulty_disk import WHEN, Disk, Killed
from kills import contents
from places import PLACES, training_in
from resumes import Seen
from tiny_run import config_in, quickly, run

TRIALS, EPOCHS = 8, 3
JOBS = (1, 2, 4)
SMALL = (f"search.coarse={{trials: {TRIALS}, epochs: {EPOCHS}}}",)
OFTEN = "search.checkpoint_seconds=1.0e-9"
HALVED = "search.coarse.halving={eta: 2, min_epochs: 1}"
PIXELS = ("data.path={folder}/images.npz", "data.preprocess={center: mean-image, scale: unit}")
MIXED = "search.space.hidden={choice: [[5], [6, 4], [4, 4, 3]]}"
CONFIGS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "halved": (HALVED,),
    "deep, small batches": ("model.hidden=[6, 5, 4, 4]", "train.batch_size=7"),
    "batch norm": ("model.normalization=batch", "model.hidden=[6, 4]", "train.batch_size=16"),
    "layer norm, sobol": ("model.normalization=layer", "search.sampler=sobol"),
    "dropout, searched": ("search.space.dropout={uniform: [0, 0.6]}", "model.hidden=[8, 8]"),
    "adam, one cycle": ("train.optimizer=adam", "train.schedule=one_cycle"),
    "adamw, cosine, warm-up": (
        "train.optimizer=adamw", "train.schedule=cosine", "train.warmup_epochs=1",
        "search.space.weight_decay={log_uniform: [1e-5, 1e-1]}",
    ),
    "nesterov, steps": (
        "train.optimizer=nesterov", "train.schedule=step", "train.decay_epochs=1",
        "search.space.momentum={one_minus_log_uniform: [0.5, 0.99]}",
    ),
    "rmsprop, exponential, halved": (
        "train.optimizer=rmsprop", "train.schedule=exponential", HALVED),
    "adagrad, inverse, halton": (
        "train.optimizer=adagrad", "train.schedule=inverse", "search.sampler=halton"),
    "sgd, hinge": ("train.optimizer=sgd", "train.loss=hinge", "train.batch_size=13"),
    "smoothed labels, one batch": ("train.label_smoothing=0.1", "train.batch_size=1000"),
    "activations": ("search.space.activation={choice: [relu, tanh, prelu, elu, selu]}",),
    "optimizers": (
        "search.space.optimizer={choice: [sgd, adam, rmsprop, nesterov]}",
        "search.space.batch_size={choice: [10, 25]}",
    ),
    "architectures": (MIXED, "search.sampler=grid"),
    "architectures, halved": (MIXED, HALVED, "search.space.dropout={uniform: [0, 0.3]}"),
    "diverging, patient": (
        "search.space.learning_rate={log_uniform: [1e-2, 1e8]}", "train.patience=1",
        "search.metric=val_loss",
    ),
    "images": (*PIXELS, "data.augment={flip: true, shift: 1}"),
    "images, mixed, halved": (
        *PIXELS, MIXED, HALVED, "model.normalization=batch", "train.optimizer=adam",
        "search.space.augment={choice: [none, flip, shift1, flip+shift2]}",
    ),
}  # fmt: skip
OF_THE_CONFIG = ("config.yaml", "run.json", "coarse/next.yaml")  # which differ where it does


class SameBits:
    """Searches everywhere, and counts what differs."""

    def __init__(self, root, seed=0):
        self.root, self.config = root, config_in(root)
        rng = np.random.default_rng(0)
        y = np.arange(90) % 3
        x = rng.integers(0, 200, (90, 6, 6)) + 25 * y[:, None, None] * (np.arange(6) > 2)
        np.savez(root / "images.npz", x=x.astype(np.uint8), y=y)
        self.rng = random.Random(seed)
        self.searches, self.records, self.killed, self.resumed = 0, 0, Counter(), 0
        self.bytes, self.faults = 0, []

    def words(self, name, *more):
        given = [*SMALL, *(w.replace("{folder}", str(self.root)) for w in CONFIGS[name]), *more]
        words = ["search", str(self.config), "--stage", "coarse", "--quiet", "--json"]
        return [*words, *(word for change in given for word in ("--set", change))]

    def everywhere(self, name, *, places=tuple(PLACES), jobs=JOBS, repeats=2):
        """One config in every place."""
        wanted = self.left(name, places[0], 1)
        for place in places:
            for number in jobs:
                for _ in range(repeats):
                    found = self.left(name, place, number)
                    self.compare(f"{name}, {place}, {number} jobs", found, wanted)

    def left(self, name, place, jobs):
        runs = self.root / "runs"
        self.searched(runs, self.words(name), place, jobs)
        found = contents(runs / "tiny")
        shutil.rmtree(runs)
        return found

    def searched(self, runs, words, place, jobs):
        with training_in(place):
            done = run(self.config, runs, *words, jobs=jobs)
        assert done.exit_code in (0, 1), done.output
        self.searches += 1

    def in_the_middle(self, name, kills):
        """One config, killed between two epochs of its trials, and taken up from checkpoints."""
        words, runs = self.words(name, OFTEN), self.root / "runs"
        seen, disk = Seen(), Disk(runs)
        with seen.between(), disk.between():
            self.searched(runs, words, "in-process", 1)
        wanted = contents(runs / "tiny")
        shutil.rmtree(runs)
        plain = self.left(name, "in-process", 1)
        self.compare(f"{name}, written down", _results(wanted), _results(plain))
        for _ in range(kills):
            self._killed(runs, words, seen.ticks, disk.told)
            place, jobs = self.rng.choice([*PLACES]), self.rng.choice(JOBS)
            taken_up = [*runs.glob("tiny/checkpoints/coarse/*.npz")]
            self.resumed += len(taken_up)
            self.searched(runs, words, place, jobs)
            self.compare(f"{name}, killed, {place}", contents(runs / "tiny"), wanted)
            shutil.rmtree(runs)

    def _killed(self, runs, words, ticks, changes):
        """A search that dies somewhere, mostly in training."""
        place, jobs = self.rng.choice([*PLACES]), self.rng.choice(JOBS)
        seen, disk = Seen(), Disk(runs)
        if place in ("in-process", "threads"):
            seen = Seen(self.rng.randint(2, ticks), "an epoch")
        else:
            disk = Disk(runs, self.rng.randint(changes // 4, changes), self.rng.choice(WHEN))
        with training_in(place), seen.between(), disk.between():
            try:
                run(self.config, runs, *words, jobs=jobs)
            except Killed:
                self.killed[place] += 1

    def compare(self, where, found, wanted):
        self.records += sum("/trials/" in path for path in found)
        for path in sorted({*found, *wanted}):
            a, b = found.get(path, b""), wanted.get(path, b"")
            differing = sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b))
            self.bytes += differing
            if differing or (path in found) != (path in wanted):
                self.faults.append(f"{where}: {path}: {differing} bytes")

    def summary(self):
        return {
            "searches": self.searches, "trials compared": self.records,
            "killed in": dict(self.killed), "trials taken up from checkpoints": self.resumed,
            "differing bytes": self.bytes, "faults": self.faults[:20],
        }  # fmt: skip


def _results(found):
    return {path: content for path, content in found.items() if path not in OF_THE_CONFIG}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--kills", type=int, default=5, help="of each config, in training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS), choices=list(CONFIGS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bits-") as root, pytest.MonkeyPatch.context() as p:
        quickly(p)
        bits = SameBits(Path(root), given.seed)
        for name in given.configs:
            bits.everywhere(name, repeats=given.repeats)
            bits.in_the_middle(name, given.kills)
    print(json.dumps({"configs": len(given.configs), **bits.summary()}, indent=2))
    return 1 if bits.faults else 0


if __name__ == "__main__":
    sys.exit(main())
