"""Made-up searches in every state, as the tables and plots of the report see them."""

import math
from dataclasses import replace

from test_report_samples import NAMES, SPACE, diverged, search, settings, trial, trials

from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import so_far
from hpsearch.trial import Status
from hpsearch.verdict import SearchDocument

FINER = {**SPACE, "learning_rate": {"log_uniform": [0.1, 10.0]}}


def material(*found, rows=180):
    """A run of these stages, each a document with its trials."""
    documents = [so_far(d, results) if d.verdict is None else d for d, results in found]
    return Material(None, documents, {d.stage: results for d, results in found}, rows)


def of_stage(results, stage):
    return [replace(result, stage=stage) for result in results]


def plain_search(space, results, **changes):
    """A judged stage with no edges over another space."""
    given = {"edges": (), "next_space": {}, "space": space, "trials": len(results)}
    return search(**{**given, **changes}), results


def healthy():
    first = search(importance={"learning_rate": 0.9, "weight_decay": 0.06, "hidden": 0.04})
    later = search(stage="refine-1", space=FINER, next_space=FINER, edges=(),
                   importance={"learning_rate": 0.3, "weight_decay": 0.7}, baseline=0.1,
                   best_of_n={"meter": "10 more trials buy about 0.1 points"})  # fmt: skip
    return material((first, trials()), (later, of_stage(trials(), "refine-1")))


def half_way():
    """The second stage has two trials, one diverged, and no verdict."""
    opened = SearchDocument("refine-1", None, 40, space=FINER)
    done = of_stage([trials()[3], trials()[12]], "refine-1")
    return material((search(), trials()), (opened, done))


def begun():
    """No trial is finished yet."""
    return material((SearchDocument("coarse", None, 40, space=SPACE), []))


def alone():
    return material((search(trials=1), trials()[:1]))


def lost():
    """All diverged but one, which failed."""
    results = [diverged(n, **settings(10.0**n)) for n in range(5)]
    results[2] = replace(results[2], status=Status.FAILED, reason="MemoryError: no")
    return material((search(best=None, completed=0, diverged=4, failed=1, edges=()), results))


def conditional():
    """Momentum is drawn with one optimizer alone; halving has given some up."""
    space = {
        "learning_rate": {"log_uniform": [1e-3, 1]},
        "optimizer": {"choice": ["sgd", "momentum"]},
        "momentum": {"one_minus_log_uniform": [0.5, 0.99], "when": {"optimizer": ["momentum"]}},
    }
    results = []
    for n in range(12):
        chosen = {"optimizer": "momentum", "momentum": 0.5 + n / 25} if n % 2 else {}
        given = {"learning_rate": 10 ** (-n / 4), "optimizer": "sgd", **chosen}
        results.append(trial(n, [n / 20, n / 15], **given))
    results[4:8] = [replace(result, status=Status.PRUNED) for result in results[4:8]]
    return material(plain_search(space, results))


def losses():
    """The metric is a loss, and losses are orders of magnitude apart."""
    rates = [10 ** (-n / 4) for n in range(14)]
    results = [
        trial(n, [1 - 3.0**n / 1000], metric="val_loss", **settings(rate, 0.0))
        for n, rate in enumerate(rates)
    ]
    best = {**search().best, "metric": "val_loss", "value": 0.001}
    return material(plain_search(SPACE, results, metric="val_loss", best=best, edges=()))


def odd():
    """Values of every kind, none the same kind twice, in no known space; and not finite curves."""
    values = [None, True, "a", (1, 2), 3, 0.5, "x" * 300]
    results = [trial(n, [0.05 * n, 0.1 * n], any=v, rate=n + 1.0) for n, v in enumerate(values)]
    results += [trial(7, [math.nan], any="a", rate=2.0), trial(8, [math.inf], any=1, rate=1e30)]
    late = trial(9, [0.9, 0.99], any="a", rate=3.0)
    results.append(replace(late, status=Status.DIVERGED))  # after a good epoch
    return material(plain_search({}, results))


def constant():
    """Nothing varies between the trials."""
    return material(plain_search({}, [trial(n, [n / 10], **settings(0.1)) for n in range(3)]))


def single():
    """One hparam is searched."""
    space = {"learning_rate": {"log_uniform": [1e-4, 1]}}
    done = [trial(n, [n / 10], learning_rate=10 ** (-n / 2)) for n in range(8)]
    return material(plain_search(space, [*done, diverged(8, learning_rate=1.0)]))


def grids():
    """A grid of five by five, of which one hparam decides; then a random stage."""
    space = {"learning_rate": {"log_uniform": [1e-4, 1]}, "weight_decay": {"log_uniform": [1, 2]}}
    grid = [
        trial(5 * i + k, [0.2 * i + 0.01 * k], learning_rate=10.0 ** (i - 4),
              weight_decay=1 + k / 4)
        for i in range(5)
        for k in range(5)
    ]  # fmt: skip
    random = [trial(n, [n / 20], stage="refine-1", learning_rate=10 ** (-n / 3),
                    weight_decay=1 + n / 20) for n in range(12)]  # fmt: skip
    shares = {"learning_rate": 0.9, "weight_decay": 0.1}
    return material(
        plain_search(space, grid, sampler="grid", importance=shares),
        plain_search(space, random, stage="refine-1", sampler="random"),
    )


def scientific():
    """Two values are compared; a third has too few trials."""
    row = {"value": "relu", "low": None, "high": None, "trials": 9, "trial": 4, "best": 0.95,
           "error": 0.02, "expected": 0.94, "behind": 0.0, "noise": 0.0, "standing": "leads"}
    rows = [row, {**row, "value": [64, 32], "best": 0.9, "behind": 0.05, "standing": "worse"},
            {**row, "value": "<b>", "trial": None, "best": None, "error": None, "expected": None,
             "behind": None, "noise": None, "standing": "not compared"}]  # fmt: skip
    found = {"compared": 9, "message": "activation: relu beats <b>", "values": rows}
    return material((search(isolated={"activation": found}), trials()))


def hostile(name):
    """Every text of the user's is `name`."""
    space = {name: {"uniform": [0, 1]}, "activation": {"choice": [name, "relu"]}}
    results = [trial(0, [0.9], **{name: 0.5, "activation": name})]
    results += [trial(1, [0.8], **{name: 0.6, "activation": "relu"})]
    results += [diverged(2, reason=name, **{name: 0.7, "activation": "relu"})]
    edge = replace(search().edges[0], hparam=name, message=name)
    row = {"value": name, "low": None, "high": None, "trials": 9, "trial": 1, "best": 0.95,
           "error": 0.02, "expected": 0.94, "behind": 0.0, "noise": 0.0, "standing": name}
    found = {"compared": 9, "message": name, "values": [row]}
    return material(
        plain_search(space, results, edges=(edge,), isolated={name: found}, sampler="grid",
                     importance={name: 0.7, "activation": 0.3}, best_of_n={"meter": name},
                     message=name, reasons={name: name})
    )  # fmt: skip


STATES = {
    made.__name__: made
    for made in (healthy, half_way, begun, alone, lost, conditional, losses, odd, constant, single,
                 grids, scientific)
}  # fmt: skip
HOSTILE = [name.encode("utf-8", "replace").decode() for name in NAMES]
