"""Starts two hpsearch on one run at the same moment: `python tests/pairs.py --pairs 100`.

One must win, the other say at once who has. Then the winner is killed, and the run must be free in
the moment that it is gone, whatever its workers are still at.
"""

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from kills import RECIPE, Command, group, import_everything

from hpsearch.errors import HostError
from hpsearch.locking import locked

LONG = "search.coarse={trials: 2000, epochs: 50}"


class Pairs:
    """Counts who won, and how long a run stayed locked."""

    def __init__(self, root):
        self.root, self.pairs, self.named, self.faults = root, 0, 0, []
        self.free, self.lost = [], []
        (root / "recipe.yaml").write_text(RECIPE)

    def one(self):
        runs, self.pairs = self.root / str(self.pairs), self.pairs + 1
        words = ["search", str(self.root / "recipe.yaml"), "--runs-dir", str(runs)]
        words += ["--jobs", "2", "--set", LONG]
        pair = [Command(words, self.root / f"{n}.log") for n in range(2)]
        began = time.monotonic()
        while time.monotonic() < began + 30 and all(c.poll() is None for c in pair):
            time.sleep(0.001)
        self.lost.append(time.monotonic() - began)
        ended = [command for command in pair if command.poll() is not None]
        if len(ended) != 1 or ended[0].code != 3:
            self.faults.append(f"{[(c.code, c.said()[-300:]) for c in ended]}")
        winner = pair[0] if ended and pair[1] is ended[0] else pair[1]
        said = re.search(r"another hpsearch \(process (\d+) on \S+, since", ended[0].said())
        self.named += bool(said) and int(said[1]) == winner.pid
        while not group(winner.pid) and not list(runs.glob("run/coarse/trials/*")):
            if winner.wait(0.001):
                self.faults.append(f"the winner ended: {winner.said()[-300:]}")
                return
        self._freed(winner, runs / "run")

    def _freed(self, winner, folder):
        """Kills the winner alone, and takes the run."""
        os.kill(winner.pid, signal.SIGKILL)
        winner.wait(60)
        began = time.monotonic()
        try:  # as the next hpsearch does: a worker just forked may have yet to close the file
            with locked(folder):
                self.free.append(time.monotonic() - began)
        except HostError as error:
            self.faults.append(f"not free when its owner was gone: {error}")
        until = time.monotonic() + 5
        while group(winner.pid) and time.monotonic() < until:
            time.sleep(0.005)
        if left := group(winner.pid):
            self.faults.append(f"{len(left)} workers outlived it")

    def summary(self):
        return {
            "pairs": self.pairs, "losers that named the winner": self.named,
            "longest until the loser ended": round(max(self.lost), 3),
            "longest until the run was free": round(max(self.free, default=0), 4),
            "free in less than 100 ms": sum(each < 0.1 for each in self.free),
            "faults": self.faults[:20],
        }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100)
    given = parser.parse_args()
    import_everything()
    with tempfile.TemporaryDirectory(prefix="pairs-") as root:
        pairs = Pairs(Path(root))
        for _ in range(given.pairs):
            pairs.one()
    print(json.dumps(pairs.summary(), indent=2))
    return 1 if pairs.faults or pairs.named < given.pairs else 0


if __name__ == "__main__":
    sys.exit(main())
