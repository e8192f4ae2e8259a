"""Sends signals to hpsearch at random moments: `python tests/stops.py --help`.

SIGINT or SIGTERM, to the command alone or, as a terminal does it, to its whole group; once, or a
second time before it has ended. Counted are the exit codes, what is left behind, and the seconds
that each kind took.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from kills import Kills, finished, group, import_everything

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
WORK = ("plain", "workers", "halved")
FIRST, SECOND = 2.0, 0.5  # seconds that are promised
LAST = 1.0  # until a worker has seen that its parent is gone


class Signals(Kills):
    """Runs that are stopped again and again, until they have got to their end."""

    def __init__(self, root, seed, *, fresh=False):
        super().__init__(root, seed, fresh=fresh)
        self.took, self.ended, self.halves = {"first": [], "second": []}, 0, 0

    @property
    def sent(self):
        return sum(map(len, self.took.values()))

    def one(self, name, most):
        wanted = self.undisturbed(name)
        folder, self.runs = self.root / f"{name}-{self.runs}", self.runs + 1
        before = {}
        for _ in range(most):
            command = self.start(name, folder)
            if command.wait(self._delay(command, folder / "run")):
                break
            self._stopped(name, command, folder / "run")
            now = finished(folder / "run")
            self._check(name, before, now)
            before = now
        last = self.start(name, folder)
        assert last.wait(600) and last.code == 0, last.said()
        self._compare(name, folder / "run", wanted, before)
        shutil.rmtree(folder)

    def _stopped(self, name, command, folder):
        """Sends one signal or two; what comes of it is noted."""
        number, whole = self.rng.choice(list(CODES)), self.rng.random() < 0.5
        send = os.killpg if whole else os.kill
        began, kind = time.monotonic(), "first"
        send(command.pid, number)
        if self.rng.random() < 0.4 and not command.wait(self.rng.uniform(0, 0.02)):
            began, kind = time.monotonic(), "second"
            send(command.pid, number)
        if not command.wait(60):
            self.faults.append(f"{name}: does not end: {command.said()[-300:]}")
            command.kill()
        if command.code == 0:  # it was about to end
            self.ended += 1
            return
        self.took[kind].append(time.monotonic() - began)
        self._look(name, command, folder, CODES[number], kind)

    def _look(self, name, command, folder, code, kind):
        """At what a run that was stopped has left behind; half a file only where it was ended at
        once, for the next command to remove.
        """
        said = command.said()
        if command.code not in (code, 128 - code):  # before it could do anything about it
            self.faults.append(f"{name}: ended with {command.code}, not {code}: {said[-300:]}")
        elif not ("stopped" in said or said == "" or "next: " in said) or "Traceback" in said:
            self.faults.append(f"{name}: said {said[-300:]!r}")
        until = time.monotonic() + LAST
        while (left := group(command.pid)) and time.monotonic() < until:
            time.sleep(0.002)
        if left:
            self.faults.append(f"{name}: {len(left)} processes left after the {kind}")
        passing = [p.name for p in folder.rglob(".*") if p.name != ".lock"]
        if passing and kind == "first":
            self.faults.append(f"{name}: left {passing}")
        self.halves += len(passing)

    def summary(self):
        limits = {"first": FIRST, "second": SECOND}
        numbers = {
            kind: {"sent": len(s), "median": round(statistics.median(s), 3),
                   "longest": round(max(s), 3), "too long": sum(t > limits[kind] for t in s)}
            for kind, s in self.took.items() if s
        }  # fmt: skip
        return {**numbers, "ended before": self.ended, "runs": self.runs,
                "files left half by the second": self.halves,
                "faults": self.faults[:20]}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--signals", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs="+", default=list(WORK))
    parser.add_argument("--fresh", action="store_true", help="an interpreter for each command")
    parser.add_argument("--minutes", type=float, default=1e9, help="end earlier")
    given = parser.parse_args()
    import_everything()
    until = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="signals-") as root:
        signals = Signals(Path(root), given.seed, fresh=given.fresh)
        while signals.sent < given.signals and time.monotonic() < until:
            name = given.work[signals.runs % len(given.work)]
            signals.one(name, min(8, given.signals - signals.sent))
    print(json.dumps(signals.summary(), indent=2))
    return 1 if signals.faults else 0


if __name__ == "__main__":
    sys.exit(main())
