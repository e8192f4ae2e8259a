"""Searches in which one trial in ten breaks its worker: `python tests/poisonings.py --help`.

All the others must come to their end, and each of the poisoned must be on record as failed, with
what it died of.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

REASONS = {
    "kill": "killed by SIGKILL", "segfault": "killed by SIGSEGV", "exit": "exit code 7",
    "limit": "MemoryError", "hang": "no answer for 0.5 s", "unpicklable": "pickle",
}  # fmt: skip


def specs(trials, how):
    """Trials on digits, every tenth of which is poisoned."""
    from hpsearch.nn.net import Net
    from hpsearch.spec import Budget, Rates, TrialSpec

    net = Net((64, 12, 10))
    plain = TrialSpec("coarse", 0, 1, 0, net, Rates(0.05), 100, "momentum", Budget(2))
    return [
        replace(plain, id=n, seed=n, hparams={"poison": how} if n % 10 == 7 else {"n": n})
        for n in range(trials)
    ]


def one(how, *, trials, jobs, retries, data):
    """What became of a search with this poison."""
    from hpsearch.dispatch import Dispatch, Limits
    from hpsearch.training import Watch
    from hpsearch.trial import Status

    said, began = [], time.monotonic()
    silence = 0.5 if how == "hang" else 60.0  # a fresh worker takes a while to start
    limits = Limits(silence=silence, retries=retries)
    work = Dispatch(data, Watch(), said.append, jobs=jobs, keep=True, limits=limits)
    found = [r for results in work.trained(specs(trials, how)) for r in results]
    failed = [r for r in found if r.status is Status.FAILED]
    return {
        "poison": how, "completed": sum(r.status is Status.DONE for r in found),
        "failed": len(failed), "with the reason": sum(REASONS[how] in r.reason for r in failed),
        "right": sorted(r.id for r in failed) == list(range(7, trials, 10)),
        "records": len(found), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--retries", type=int, default=1)
    parser.add_argument("--poison", nargs="+", default=list(REASONS), choices=list(REASONS))
    given = parser.parse_args()
    os.environ["HPSEARCH_EXECUTOR"] = "processes"
    from poisoned import Poisoned

    from hpsearch import dispatch
    from hpsearch.data import Source, load

    dispatch.Trainer = Poisoned
    data = load(Source("digits"), center="feature", scale="standard")
    rest = {"trials": given.trials, "jobs": given.jobs, "retries": given.retries, "data": data}
    found = [one(how, **rest) for how in given.poison]
    print(json.dumps(found, indent=2))
    least = given.trials - len(range(7, given.trials, 10))
    well = all(f["right"] and f["completed"] == least and f["with the reason"] for f in found)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
