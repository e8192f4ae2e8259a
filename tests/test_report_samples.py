"""Made-up runs for the tests of the report, and a test that the store keeps them."""

import math
from unittest.mock import patch

from hpsearch.store import RunStore
from hpsearch.trial import Curves, Status, TrialResult
from hpsearch.verdict import Check, CheckDocument, Edge, SearchDocument, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
NAMES = (
    "[/red]", "[bold]x", "\x1b[31mred", "\x1b]8;;file:///x\x1b\\link", "<script>alert(1)</script>",
    "</pre><img src=x onerror=alert(1)>", '" onclick="x', "{code}", "%s%n", "\x07bell", "\x00",
    "\u202eevil", "\u2028line", "\udcff", "a\nb", "a\rb", "\x9b31m", ":smile:",
    "漢字" * 10, "x" * 300,
)  # fmt: skip
SPACE = {
    "learning_rate": {"log_uniform": [1e-4, 1.0]},
    "weight_decay": {"zero_or_log_uniform": {"bounds": [1e-6, 1.0], "zero": 0.5}},
    "hidden": {"choice": [[50], [64, 32]]},
    "momentum": {"uniform": [0.8, 0.99]},
}


def trial(number, accuracies, *, stage="coarse", metric="val_accuracy", **hparams):
    """A trial whose validation accuracy went so; its loss is what is missing to one."""
    losses = [1 - a for a in accuracies]
    curves = Curves(
        train_loss=losses, train_accuracy=accuracies, val_loss=losses, val_accuracy=accuracies,
        val_balanced_accuracy=accuracies, learning_rate=[0.1] * len(losses),
        update_ratio=[1e-3] * len(losses),
    )  # fmt: skip
    best = max(range(len(accuracies)), key=accuracies.__getitem__) + 1
    return TrialResult(
        stage, number, Status.DONE, 7, hparams, metric, curves, [(1, 2.3)], 10, best_epoch=best
    )


def diverged(number, *, stage="coarse", reason="loss not finite, at step 3", **hparams):
    losses = [(1, 2.3), (2, math.nan)]
    return TrialResult(
        stage, number, Status.DIVERGED, 7, hparams, "val_accuracy", Curves(), losses, 3,
        reason=reason,
    )  # fmt: skip


def settings(rate, decay=1e-3, hidden=(50,), momentum=0.9):
    return {
        "learning_rate": rate,
        "weight_decay": decay,
        "hidden": hidden,
        "momentum": momentum,
    }


def trials():
    """Twelve that ran, the best one at id 4, and two that diverged."""
    rates = [10 ** (-4 + number / 3) for number in range(12)]
    done = [
        trial(n, [0.2, 0.5 + n / 50, 0.4], **settings(rate, 0.0 if n % 2 else 1e-3))
        for n, rate in enumerate(rates)
    ]
    done[4] = trial(4, [0.3, 0.8, 0.95], **settings(0.9, 1e-5, (64, 32)))
    return [*done, diverged(12, **settings(1.0)), diverged(13, **settings(0.95))]


def search(verdict=WARN, **changes):
    """The document of those trials."""
    message = "learning_rate: best 0.9 is on the edge"
    edge = Edge("learning_rate", "high", "warn", 0.99, {}, message, (0.1, 10.0))
    given = {
        "stage": "coarse", "verdict": verdict, "trials": 14, "completed": 12, "diverged": 2,
        "best": {"trial": 4, "metric": "val_accuracy", "value": 0.95, "val_accuracy": 0.95,
                 "epoch": 3, "hparams": settings(0.9, 1e-5, (64, 32))},
        "edges": (edge,), "space": SPACE,
        "next_space": {**SPACE, "learning_rate": {"log_uniform": [0.1, 10.0]}},
        "reasons": {"learning_rate": "the best lie there"}, "message": "best 95.0%",
    }  # fmt: skip
    return SearchDocument(**{**given, **changes})


def opened(trials_=60):
    """A search under way: no verdict yet."""
    return SearchDocument("coarse", None, trials_, space=SPACE)


CHECKS = {
    "data": CheckDocument(
        "data",
        (
            Check("non-finite", PASS, 0, 0, "every value is finite", "not shown"),
            Check("class-balance", WARN, 12.0, 10.0, "largest class 12 times", "weigh them"),
        ),
        {
            "inputs": 64, "image_shape": (8, 8, 1), "classes": ["0", "1"], "n_classes": 2,
            "features": [f"pixel {n}" for n in range(12)],
            "rows": {"train": 1437, "validation": 180, "test": 180},
            "preview": {"rows": [[0.5, math.nan, -1.25] * 4] * 5, "classes": ["0"] * 5},
        },
    ),
    "sanity": CheckDocument(
        "sanity",
        tuple(Check(f"check-{n}", PASS, 1.0, 1.0, "fine") for n in range(8)),
        {
            "n_params": 3760,
            "layers": [{"layer": 1, "units": 50, "mean": 0.52, "std": 0.87, "zero": 0.5,
                        "saturated": 0.5, "dead": 0.02}],
        },
    ),
    "overfit": CheckDocument(
        "overfit",
        (Check("overfit", FAIL, math.nan, 0.02, "loss 2.3 -> 2.2", "more units", "partial"),),
        {
            "rates": [
                {"learning_rate": 1.0, "status": "diverged", "first_loss": 2.3, "loss": None,
                 "accuracy": None},
                {"learning_rate": 0.1, "status": "done", "first_loss": 2.3, "loss": 2.2,
                 "accuracy": 0.5},
            ],
            "curve": [2.3, math.nan, 2.2], "learning_rate": 0.1,
        },
    ),
    "sweep": CheckDocument(
        "sweep",
        (
            Check("usable-rate", PASS, 0.2, 2.3, "learning rate 0.1 works"),
            Check("range", PASS, "0.003 to 1", "0.0001 to 1", "proposes 0.003 to 1"),
        ),
        {
            "baseline": 2.302,
            "rates": [
                {"rate": 10.0, "diverged": True, "step": 9, "first": 2.3, "score": math.inf,
                 "error": math.inf, "accuracy": math.nan, "usable": False},
                {"rate": 0.1, "diverged": False, "step": 100, "first": 2.3, "score": 0.2,
                 "error": 0.01, "accuracy": 0.94, "usable": True},
                {"rate": 1e-3, "diverged": False, "step": 100, "first": 2.3, "score": 2.25,
                 "error": 0.01, "accuracy": 0.2, "usable": False},
                {"rate": 1e-5, "diverged": False, "step": 100, "first": 2.3, "score": 2.2999,
                 "error": 0.01, "accuracy": 0.1, "usable": False},
            ],
            "learning_rate": 0.1, "range": [1 / 300, 1.0], "diverging": 10.0,
        },
    ),
}  # fmt: skip


def quickly(function):
    """Without waiting for the disk: what is made up may be lost in a power cut."""
    return patch("os.fsync", new=lambda _: None)(function)


@quickly
def full_run(root, name="r"):
    """A run with every checking stage and a coarse search."""
    store = RunStore(root, name)
    store.write_config("name: r\n")
    for document in CHECKS.values():
        store.write_document(document)
    store.write_document(search())
    for result in trials():
        store.record(result)
    store.write_weights("coarse/best", 4, {})
    store.write_tables("coarse", trials())
    store.write_next("coarse", "name: r\n")
    return store


@quickly
def hostile_run(root, name):
    """A run in which every text that a user decides is `name`."""
    store = RunStore(root, "r")
    store.write_config("name: r\n")
    name = name.encode("utf-8", "replace").decode()  # no file can hold a lone surrogate
    checks = (Check(name, FAIL, name, name, name, name),)
    facts = {**CHECKS["data"].facts, "classes": [name], "features": [name] * 12}
    facts |= {"preview": {"rows": [[1.0] * 12], "classes": [name]}, "rows": {name: 3}}
    store.write_document(CheckDocument("data", checks, facts))
    edge = Edge(name, "high", "warn", 0.9, {}, name)
    hparams = {name: 0.5, "activation": name}
    best = {"trial": 0, "metric": "val_accuracy", "value": 0.9, "epoch": 1, "hparams": hparams}
    space = {name: {"uniform": [0, 1]}, "activation": {"choice": [name, "relu"]}}
    store.write_document(
        search(best=best, edges=(edge,), space=space, next_space=space, reasons={name: name},
               message=name)
    )  # fmt: skip
    store.record(trial(0, [0.9], **hparams))
    store.record(diverged(1, reason=name, **{name: 0.7, "activation": "relu"}))
    return store


def test_the_store_keeps_the_samples(tmp_path):
    store = full_run(tmp_path)
    assert [document.stage for document in store.documents()] == [*CHECKS, "coarse"]
    assert [result.id for result in store.results("coarse")] == list(range(14))
