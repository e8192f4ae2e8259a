"""Thousands of tiny trials, killed every few seconds and read without a pause meanwhile.

`python tests/soak.py --trials 5000`: once disturbed, and once in peace, where the memory and the
files of the command and what its trials cost are looked at from its beginning to its end.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import reads
from kills import RECIPE, Command, contents, finished, group, import_everything

CONFIG = """
name: run
model: {hidden: [4]}
search:
  space: {learning_rate: {log_uniform: [1e-3, 0.5]}}
  coarse: {trials: TRIALS, epochs: EPOCHS}
"""
PLACES = (0.02, 0.25, 0.5, 0.75, 0.97)  # shares of the trials at which the command is looked at

LOOKS = 20  # at the open files of a moment


def start(root, name):
    words = ["search", str(root / "soak.yaml"), "--runs-dir", str(root / name), "--jobs", "2"]
    return Command([*words, "--stage", "coarse"], root / f"{name}.log")


def disturbed(root, *, seed, every, readers):
    """Kills the command every so many seconds until it is done; what was lost or changed."""
    rng, kills, before, faults = random.Random(seed), 0, {}, []
    runs = root / "disturbed"
    one_that_is_finished(root, runs)
    reading = [reads.begin(runs, "finished", root, n) for n in range(readers)]
    while True:
        command = start(root, "disturbed")
        if command.wait(rng.uniform(0.5, 1.5) * every):
            break
        command.kill()
        kills += 1
        now = finished(runs / "run")
        faults += [f"{t}: lost or changed" for t in before if now.get(t) != before[t]]
        before = now
    told = reads.end(reading, root)
    if command.code:
        faults.append(command.said()[-500:])
    return {"kills": kills, "faults": faults[:10], **told}


def one_that_is_finished(root, runs):
    """A run to compare with, and with a model."""
    (root / "recipe.yaml").write_text(RECIPE)
    words = ["run", str(root / "recipe.yaml"), "--runs-dir", str(runs), "--run", "finished"]
    command = Command([*words, "--jobs", "2"], root / "finished.log")
    assert command.wait(600) and command.code == 0, command.said()


def in_peace(root, trials):
    """The command's memory in MB, open files, and seconds per trial, at its places."""
    command, began, found = start(root, "peace"), time.monotonic(), []
    places = [max(1, round(share * trials)) for share in PLACES]
    folder = root / "peace" / "run" / "coarse" / "trials"
    while command.poll() is None:
        done = sum(1 for _ in folder.glob("*.json")) if folder.exists() else 0
        while places and done >= places[0]:
            places.pop(0)
            found.append((done, time.monotonic() - began, *looked_at(command.pid)))
        time.sleep(0.02)
    if command.code:
        return {"fault": command.said()[-500:]}
    first, last = found[0], found[-1]
    clock, cpu = (
        [round(1000 * (b[n] - a[n]) / (b[0] - a[0]), 2) for a, b in pairwise(found) if b[0] > a[0]]
        for n in (1, 4)
    )
    return {
        "memory grew by MB": round(last[2] - first[2], 1),
        "open files grew by": last[3] - first[3],
        "ms per trial, by quarters": clock, "of all processors": cpu,
        "left": len(group(command.pid)),
    }  # fmt: skip


def looked_at(pid):
    """Resident MB, the number of open files, and the processors' seconds, of workers too."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        size = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        files = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for _ in pauses(LOOKS)]
        return size / 1024, min(files), sum(map(processor, (pid, *group(pid))))
    except (OSError, StopIteration):
        return float("nan"), 0, float("nan")


def pauses(number):
    """So many moments: at some of them no trial is just being written."""
    for _ in range(number):
        yield time.sleep(0.005)


def processor(pid):
    """Seconds that a process and its ended children have computed, whatever else the machine did.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=2, help="of a trial: how long readers have")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills")
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    import_everything()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        root = Path(name)
        config = CONFIG.replace("TRIALS", str(given.trials)).replace("EPOCHS", str(given.epochs))
        (root / "soak.yaml").write_text(config)
        peace = in_peace(root, given.trials)
        hurt = disturbed(root, seed=given.seed, every=given.every, readers=given.readers)
        one, two = (contents(root / n / "run") for n in ("peace", "disturbed"))
        others = sorted(name for name in {*one, *two} if one.get(name) != two.get(name))
    found = {"in peace": peace, "disturbed": hurt, "files": len(one), "files that differ": others}
    print(json.dumps(found, indent=2))
    return 1 if others or hurt["faults"] or hurt["errors of readers"] else 0


if __name__ == "__main__":
    sys.exit(main())
