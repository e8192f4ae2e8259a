"""Kills hpsearch at random moments and takes its runs up again: `python tests/kills.py --help`.

Each run is the real command line in a process group of its own, forked from an interpreter that
has imported everything (with --fresh an interpreter of its own): what would take the most time
is the start. After each kill every finished trial must still be there, byte for byte; and at the
end the folder must be that of a run that nobody has disturbed.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).parents[1]
RECIPE = """
name: run
model: {hidden: [12]}
overfit: {epochs: 400}
search:
  space: {learning_rate: {log_uniform: [1e-2, 0.5]}, weight_decay: {log_uniform: [1e-6, 1e-2]}}
  coarse: {trials: 12, epochs: 4}
  refine: {trials: 8, epochs: 4, rounds: 1}
final: {top: 2, seeds: 2}
"""
HALVED = "search.coarse.halving={eta: 2, min_epochs: 1}"
OFTEN = "search.checkpoint_seconds=1.0e-6"
DEEP = "search.space.hidden={choice: [[8], [12, 6], [20]]}"
WORK: dict[str, tuple[str, ...]] = {
    "plain": ("--jobs", "1"),
    "workers": ("--jobs", "2", "--set", DEEP),
    "halved": ("--jobs", "2", "--set", HALVED, "--set", DEEP),
    "written-down": ("--jobs", "2", "--set", OFTEN, "--set", HALVED, "--set", DEEP),
    "sobol": ("--jobs", "2", "--set", "search.sampler=sobol", "--set", OFTEN),
    "grid": ("--jobs", "1", "--set", "search.sampler=grid", "--set", DEEP),
}  # fmt: skip
CHECKING = ("data", "sanity", "overfit", "sweep")
MOMENTS = ("loading", *CHECKING, "coarse", "refine", "final", "report")
REPORTS = 3  # kills of one run, at most, when all that is left to do is its page
PASSING = re.compile(r"\.lock|\.live\.json|report\.html")
TIMED = re.compile(rb'"(?:train_)?seconds": [^,\n]*|"checksum": [^\n]*')


class Command:
    """One hpsearch in a process group of its own; its words go to a file."""

    def __init__(self, words, log, *, fresh=False):
        self.code, self._log, before = None, log, {"HPSEARCH_EXECUTOR": "processes"}
        if "2" not in words:
            before = {}
        if fresh:
            env = {**os.environ, **before, "PYTHONPATH": str(ROOT)}
            with log.open("wb") as file:
                command = [sys.executable, "-m", "hpsearch", *words]
                started = subprocess.Popen(
                    command, stdout=file, stderr=file, env=env, start_new_session=True
                )
            self.pid = started.pid
            started.returncode = 0  # it is waited for here
            return
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.environ.update(before)
            _become(words, log)

    def poll(self):
        """The exit code, negative for a signal; None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, seconds):
        """Whether it has ended within so many seconds."""
        until = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        return self.code is not None

    def kill(self):
        """The whole group, at once."""
        os.killpg(self.pid, signal.SIGKILL)
        assert self.wait(60)

    def said(self):
        return self._log.read_text("utf-8", "replace")


def _become(words, log):
    """In a fork: the console script with these words, and no way back."""
    from hpsearch.cli import main

    code = 70
    try:
        for number in (0, 1, 2):
            how = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            path = os.devnull if number == 0 else str(log) + (".out" if number == 1 else "")
            file = os.open(path, how, 0o644)
            os.dup2(file, number)
            os.close(file)
        sys.argv = ["hpsearch", *words]
        main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def import_everything():
    """What a command imports when it is asked to do something."""
    from hpsearch.blas import prepare

    prepare()
    import hpsearch.cli
    import hpsearch.commands.rehearsal
    import hpsearch.commands.session
    import hpsearch.exports
    import hpsearch.report.page
    import hpsearch.report.terminal  # noqa: F401


def group(leader):
    """The living processes of a group, its leader left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(of) == leader and state not in "ZX" and int(stat.parent.name) != leader:
            found.append(int(stat.parent.name))
    return found


def finished(folder):
    """The bytes of every finished trial."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.glob("*/trials/*.json")}


def contents(folder):
    """Every file that a run leaves, without what a clock decides."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if PASSING.fullmatch(name):
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            content = TIMED.sub(b"", content)
        if path.name == "trials.csv":
            content = b"\n".join(line.rpartition(b",")[0] for line in content.splitlines())
        found[name] = content
    return found


def moment(folder):
    """At what the run is, by what lies in its folder."""
    if not (folder / "config.yaml").exists():
        return "loading"
    if (folder / "final.json").exists():
        ended = b'"verdict": null' not in (folder / "final.json").read_bytes()
        return "report" if ended else "final"
    begun = sorted(p.parent.name.partition("-")[0] for p in folder.glob("*/stage.json"))
    if begun:
        return begun[-1]
    return next((c for c in CHECKING if not (folder / f"{c}.json").exists()), "sweep")


class Kills:
    """Kills runs until there have been enough, and counts what became of them."""

    def __init__(self, root, seed, *, fresh=False):
        self.root, self.fresh = root, fresh
        self.rng = random.Random(seed)
        self.kills, self.moments, self.faults = 0, Counter(), []
        self.runs, self.kept, self.workers = 0, 0, 0
        (root / "recipe.yaml").write_text(RECIPE)
        self._wanted = {}

    def start(self, name, folder):
        words = ["run", str(self.root / "recipe.yaml"), "--runs-dir", str(folder), *WORK[name]]
        return Command(words, folder.with_suffix(".log"), fresh=self.fresh)

    def undisturbed(self, name):
        """What a run of this kind leaves."""
        if name not in self._wanted:
            folder = self.root / f"undisturbed-{name}"
            command = self.start(name, folder)
            assert command.wait(600) and command.code == 0, command.said()
            self._wanted[name] = contents(folder / "run")
        return self._wanted[name]

    def one(self, name, most):
        """One run, killed at most so many times until it has got to its end."""
        wanted = self.undisturbed(name)
        folder, self.runs = self.root / f"{name}-{self.runs}", self.runs + 1
        before, killed, reports = {}, 0, 0
        while True:
            command = self.start(name, folder)
            enough = killed == most or reports == REPORTS
            delay = 600 if enough else self._delay(command, folder / "run")
            if command.wait(delay):
                break
            before = self._killed(name, command, folder / "run", before)
            killed, reports = killed + 1, reports + (moment(folder / "run") == "report")
        if command.code != 0:
            self.faults.append(f"{name}: ended with {command.code}: {command.said()[-400:]}")
        self._compare(name, folder / "run", wanted, before)
        shutil.rmtree(folder)

    def _delay(self, command, folder):
        """When to kill: soon, once it is where it was before, or a stage on."""
        at = MOMENTS.index(moment(folder)) + self.rng.choice((0, 0, 1))
        while command.poll() is None and MOMENTS.index(moment(folder)) < min(at, len(MOMENTS) - 1):
            time.sleep(0.001)
        return self.rng.uniform(0, 0.2)

    def _killed(self, name, command, folder, before):
        """Kills the group, or now and then a worker first; what is finished then."""
        self.moments[moment(folder)] += 1
        self.kills += 1
        workers = group(command.pid)
        if workers and self.rng.random() < 0.3:
            self.workers += 1
            with suppress(ProcessLookupError):  # it had ended
                os.kill(self.rng.choice(workers), signal.SIGKILL)
            if command.wait(self.rng.uniform(0, 0.2)):
                return finished(folder)
        command.kill()
        until = time.monotonic() + 5
        while left := group(command.pid):
            if time.monotonic() > until:
                self.faults.append(f"{name}: {len(left)} processes left")
                break
        now = finished(folder)
        self._check(name, before, now)
        return now

    def _check(self, name, before, now):
        for trial, content in before.items():
            self.kept += 1
            if now.get(trial) != content:
                self.faults.append(f"{name}: {trial} {'changed' if trial in now else 'lost'}")

    def _compare(self, name, folder, wanted, before):
        self._check(name, before, finished(folder))
        found = contents(folder)
        for path in sorted({*found, *wanted}):
            if found.get(path) != wanted.get(path):
                both = path in found and path in wanted
                what = "another" if both else "too many" if path in found else "missing"
                self.faults.append(f"{name}: {path}: {what}")

    def summary(self):
        return {
            "kills": self.kills, "of a worker first": self.workers, "runs": self.runs,
            "moments": dict(sorted(self.moments.items())),
            "finished trials looked at again": self.kept, "faults": self.faults[:20],
        }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--each", type=int, default=40, help="of one run, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs="+", default=list(WORK), choices=list(WORK))
    parser.add_argument("--fresh", action="store_true", help="an interpreter for each command")
    parser.add_argument("--minutes", type=float, default=1e9, help="end earlier")
    given = parser.parse_args()
    import_everything()
    until = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="kills-") as root:
        kills = Kills(Path(root), given.seed, fresh=given.fresh)
        turn = 0
        while kills.kills < given.kills and time.monotonic() < until:
            kills.one(given.work[turn % len(given.work)], min(given.each, given.kills))
            turn += 1
    print(json.dumps(kills.summary(), indent=2))
    return 1 if kills.faults else 0


if __name__ == "__main__":
    sys.exit(main())
