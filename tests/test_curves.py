"""The verdicts on curves: every rule on a curve drawn for it, and on trials with known faults."""

import csv
import json
from collections import Counter
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.cohort import Task
from hpsearch.csvtables import curves_csv, trials_csv
from hpsearch.curves import ACTIONS, RULES, tally, verdict
from hpsearch.lockstep import Lockstep
from hpsearch.nn.net import Net
from hpsearch.reading import Yardstick
from hpsearch.report.searching import curves_say, search_view
from hpsearch.report.tables.stages import so_far
from hpsearch.spec import Budget, Rates, TrialSpec
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Curves, Status, TrialResult
from hpsearch.verdict import SearchDocument

WORDS = ("diverged", "overwhelming-decay", "bad-init", "too-high-rate", "too-low-rate", "stuck",
         "loss-rises", "too-short", "overfitting", "still-improving", "saturated-early",
         "underfitting", "noisy-end", "healthy")  # fmt: skip
TEN = Yardstick(rows=180, probe=180, chance=np.log(10), baseline=np.log(10), room=np.log(10))
EPOCH = 15  # minibatches


def drawn(loss, *, train=None, val=None, val_loss=None, ratio=5e-3, rate=0.1, first=None,
          penalty=(), losses=None, status=Status.DONE):  # fmt: skip
    """A trial of which the epochs' training losses are given; the rest, unless said, goes with a
    good one: accuracies that follow the loss, minibatch losses in a line from epoch to epoch.
    """
    loss, n = np.array(loss, float), len(loss)
    fit = np.clip(1 - loss / np.log(10), 0, 1)
    train = fit if train is None else np.broadcast_to(train, n)
    val = np.maximum(train - 0.02, 0.1) if val is None else np.broadcast_to(val, n)
    val_loss = loss + 0.1 if val_loss is None else np.broadcast_to(val_loss, n)
    curves = Curves(loss, train, val_loss, val, val, np.broadcast_to(rate, n),
                    np.broadcast_to(ratio, n), penalty)  # fmt: skip
    first = 2.6 if first is None else first
    if losses is None:
        losses = np.interp(np.arange(n * EPOCH), (np.arange(n + 1)) * EPOCH, [first, *loss])
    best = int(np.argmax(val)) + 1 if n else None
    pairs = [(step + 1, float(value)) for step, value in enumerate(losses)]
    return TrialResult("coarse", 0, status, 0, {}, "val_accuracy", curves, pairs, len(pairs), best)


FALLING = 0.05 + 2 * np.exp(-np.arange(15) / 1.5)  # what a good rate does
LINE = np.linspace(2.5, 1.6, 12)
TENTH = [2.6] * 30 + list(np.linspace(2.5, 0.05, 195)) + [0.05] * 75
PLATEAU = [1.5, *[1.2] * 11]
STEADY = [0.9] * 20


CURVES = {
    "diverged": drawn([2.0], status=Status.DIVERGED),
    "overwhelming-decay": drawn([2.3] * 5, penalty=[60.0, 5, 2, 1, 1]),
    "bad-init": drawn(np.linspace(2.6, 0.05, 20), losses=TENTH),
    "too-high-rate": drawn(PLATEAU, ratio=0.2),
    "too-low-rate": drawn(LINE, train=0.3, val=0.3),
    "stuck": drawn([2.303] * 6, first=2.303, ratio=0.0),
    "loss-rises": drawn([1.0, 0.5, 0.8, 0.9, 1.0]),
    "too-short": drawn([1.0, 0.5]),
    "overfitting": drawn(FALLING, train=1.0, val=0.8, val_loss=[*[0.5] * 10, *[0.7] * 5]),
    "still-improving": drawn(np.linspace(1.0, 0.2, 8)),
    "saturated-early": drawn([0.1] * 20, val=[0.95, 0.99, *[0.95] * 18]),
    "underfitting": drawn(PLATEAU, train=0.5, val=0.5),
    "noisy-end": drawn([0.1] * 20, val=[*STEADY[:14], 0.92, 0.9, 0.75, 0.9, 0.75, 0.9]),
    "healthy": drawn(FALLING, train=1.0, val=0.97, val_loss=[0.3, *[0.15] * 14]),
}

# One thing changed in a curve above that makes it another, and what it is then.
SPARED = {
    "a-small-penalty": (drawn([2.3] * 5, penalty=[0.6] * 5), "stuck"),
    "a-penalty-that-does-no-harm": (drawn(FALLING, penalty=[60.0] * 15), "healthy"),
    "a-penalty-that-had-no-time": (drawn([2.5] * 5, penalty=[5.0] * 5, ratio=1e-5, rate=1e-5),
                                   "too-low-rate"),
    "a-slow-start-of-a-warm-up": (
        drawn(np.linspace(2.6, 0.05, 20), losses=TENTH, rate=np.linspace(0.01, 0.1, 20)),
        "still-improving"),
    "large-updates-of-a-loss-that-falls": (drawn(np.linspace(1.5, 0.8, 12), ratio=0.2),
                                           "still-improving"),
    "a-line-at-large-updates": (drawn(LINE, train=0.3, val=0.3, ratio=0.02), "still-improving"),
    "a-line-that-leaves-validation-behind": (
        drawn(LINE, train=0.5, val=0.1, val_loss=2.4), "overfitting"),
    "a-loss-that-rises-at-large-updates": (drawn([1.0, 0.5, 0.8, 0.9, 1.0], ratio=0.03),
                                           "too-high-rate"),
    "one-bad-epoch": (drawn([1.0, 0.5, 0.2, 0.6, 0.1]), "still-improving"),
    "a-gap-while-validation-gains": (
        drawn(FALLING, train=1.0, val=np.linspace(0.6, 0.8, 15), val_loss=0.6), "still-improving"),
    "a-rise-without-a-gap": (
        drawn(FALLING, train=0.98, val=0.97, val_loss=[*[0.5] * 10, *[0.7] * 5]), "healthy"),
    "a-gap-of-chance": (
        drawn(FALLING, train=1.0, val=0.95, val_loss=[*[0.5] * 10, *[0.7] * 5]), "healthy"),
    "an-early-best-of-chance": (drawn([0.1] * 20, val=[0.95, 0.955, *[0.95] * 18]), "healthy"),
    "swings-within-the-error": (drawn([0.1] * 20, val=[*STEADY[:15], .9, .88, .9, .88, .9]),
                                "healthy"),
    "a-high-loss-that-levels-off": (
        drawn(1.4 + 1.1 * np.exp(-np.arange(12) / 3), train=0.3, val=0.3), "still-improving"),
    "a-bad-start-that-is-being-made-up-for": (
        drawn([3.2, 2.9, 2.7, 2.55, 2.45, 2.38, 2.33, 2.30], first=3.3), "still-improving"),
    "a-loss-that-rises-while-accuracy-gains": (
        drawn(FALLING, train=1.0, val=np.linspace(0.6, 0.8, 15),
              val_loss=[*[0.5] * 10, *[0.7] * 5]), "overfitting"),
    "a-gain-that-is-still-worse-than-nothing": (
        drawn(FALLING, train=1.0, val=0.1, val_loss=np.linspace(9, 4, 15)), "overfitting"),
    "a-gain-in-loss-alone": (drawn(np.linspace(0.5, 0.2, 8), train=0.9, val=0.9),
                             "still-improving"),
    "an-accuracy-that-swings": (
        drawn([0.1] * 20, val=[*STEADY[:14], 0.92, 0.9, 0.83, 0.9, 0.83, 0.9]), "noisy-end"),
    "an-accuracy-that-drops-and-returns": (
        drawn([0.1] * 20, val=[*STEADY[:14], 0.92, 0.9, 0.9, 0.6, 0.6, 0.9]), "noisy-end"),
    "minibatches-too-few": (drawn([1.0, 0.6, 0.5, 0.4, 0.3], losses=[2.6] * 10), "too-short"),
}  # fmt: skip


def test_the_words_are_these_from_the_gravest_on():
    assert tuple(rule.verdict for rule in RULES) == WORDS == tuple(CURVES)
    assert all(ACTIONS.values()) and len(set(ACTIONS.values())) == len(WORDS)
    assert all(rule.fits.__doc__ for rule in RULES)


@pytest.mark.parametrize("word", WORDS)
def test_every_rule_finds_its_curve(word):
    assert verdict(CURVES[word], TEN) == word


@pytest.mark.parametrize("what", SPARED)
def test_and_knows_its_neighbour(what):
    curve, expected = SPARED[what]
    assert verdict(curve, TEN) == expected


def test_a_first_loss_far_off_that_is_not_made_up_for_is_a_bad_start():
    """The lecture's other sign of it; where it is made up for, nobody minds."""
    assert verdict(drawn([20.0, 9, 5, 4, 3], first=30.0), TEN) == "bad-init"
    assert verdict(drawn([9.0, 1, 0.5, 0.2, 0.1], first=30.0), TEN) == "still-improving"


def test_first_updates_that_broke_the_net_are_a_rate_too_high():
    broken = [2.6, 4.5, 3.0, *[2.303] * 57]
    assert verdict(drawn([2.35, 2.303, 2.303, 2.303], losses=broken, ratio=0.0), TEN) == (
        "too-high-rate"
    )


def test_labels_that_say_nothing_are_learnt_by_heart():
    assert verdict(drawn([2.2, 2.1, 1.9, 1.8], train=0.5, val=0.1, val_loss=2.4), TEN) == (
        "overfitting"
    )


def test_few_validation_rows_forgive_more():
    """The same gap and the same loss: on 20 rows they are chance."""
    for word in ("overfitting", "saturated-early"):
        few = verdict(CURVES[word], TEN._replace(rows=20, probe=20))
        assert few in ("healthy", "still-improving"), word


def test_nothing_is_said_where_nothing_was_measured():
    unmeasured = replace(CURVES["healthy"], curves=Curves(FALLING))
    assert verdict(unmeasured, TEN) == ""
    assert verdict(replace(unmeasured, status=Status.DIVERGED), TEN) == "diverged"


FINITE = st.floats(0, 30)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), epochs=st.integers(1, 25), per_epoch=st.integers(1, 30))
def test_any_record_has_a_verdict(data, epochs, per_epoch):
    """No record is too short or too odd for the rules, and none divides by nothing."""

    def curve(values, n=epochs):
        return data.draw(st.lists(values, min_size=n, max_size=n))

    share = st.floats(0, 1)
    trial = drawn(
        curve(FINITE), train=curve(share), val=curve(share), val_loss=curve(FINITE),
        ratio=curve(st.floats(0, 10)), rate=curve(st.floats(1e-8, 10)),
        penalty=data.draw(st.sampled_from([(), [100.0] * epochs])),
        losses=np.resize(curve(FINITE), epochs * per_epoch),
    )  # fmt: skip
    rows = data.draw(st.integers(1, 1000))
    baseline, room = (data.draw(st.floats(0, np.log(2))) for _ in range(2))
    yardstick = Yardstick(rows, rows, np.log(2), baseline, room)
    assert verdict(trial, yardstick) in WORDS


def trained(
    data, rates, *, epochs, hidden=(50,), decay=0.0, batch=100, loss="softmax", smoothing=0.0,
    dropout=0.0, **net,
):
    """The verdicts on trials at these rates."""
    more = {"label_smoothing": smoothing, "dropout": dropout}
    layers = Net((data.inputs, *hidden, data.n_classes), **net)
    specs = [
        TrialSpec("coarse", n, 7 + n, 0, layers, Rates(rate, decay, **more), batch, "momentum",
                  Budget(epochs), loss=loss)
        for n, rate in enumerate(rates)
    ]  # fmt: skip
    return [result.verdict for result in train_cohort(Task(tuple(specs)), data, Watch())]


GOOD = [0.02, 0.03, 0.05, 0.07, 0.1] * 4


def test_good_trials_are_healthy(digits):
    """Twenty draws at sensible rates; and in a short search none of them is called ill."""
    assert Counter(trained(digits, GOOD, epochs=20))["healthy"] >= 19
    assert set(trained(digits, GOOD, epochs=5)) <= {"healthy", "still-improving"}
    assert set(trained(digits, GOOD, epochs=1)) == {"too-short"}
    assert Counter(trained(digits, GOOD, epochs=20, decay=1e-3))["healthy"] >= 19


@pytest.mark.parametrize("how", [{"loss": "hinge"}, {"smoothing": 0.4}, {"dropout": 0.3}], ids=str)
@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_good_trials_are_healthy_however_they_are_trained(digits, how, normalization):
    """Smoothed labels leave a loss of 1.3 that is no lack of fit, the hinge starts at 9."""
    found = Counter(trained(digits, GOOD[:10], epochs=20, normalization=normalization, **how))
    assert found["healthy"] + found["still-improving"] >= 9, found


@pytest.mark.parametrize("smoothing", [0.1, 0.4, 0.8])
def test_smoothed_labels_do_not_pass_for_something_learnt(digits, smoothing):
    """However little they leave between the loss of knowing nothing and the least one."""
    assert trained(digits, [0.0], epochs=15, smoothing=smoothing) == ["stuck"]
    assert trained(digits, [1e-6], epochs=15, smoothing=smoothing) == ["too-low-rate"]


def test_trials_with_known_faults_are_called_by_their_names(digits):
    assert set(trained(digits, [1e-6, 1e-5, 5e-5], epochs=15)) == {"too-low-rate"}
    assert set(trained(digits, [1e-6, 1e-5, 5e-5], epochs=5)) == {"too-low-rate"}
    assert set(trained(digits, [1e-4, 1e-2, 0.1], epochs=15, decay=10.0)) == {"overwhelming-decay"}
    assert set(trained(digits, [1e-3, 0.1], epochs=15, init="constant", init_scale=0.0)) == {
        "stuck"
    }
    assert set(trained(digits, [1e-3, 0.1], epochs=15, bias_init=-20.0)) == {"stuck"}
    assert set(trained(digits, [3.0, 10.0], epochs=5)) == {"diverged"}
    wild = {"activation": "sigmoid", "init": "small", "init_scale": 5.0}
    assert set(trained(digits, [1e-4, 1e-2], epochs=15, **wild)) == {"bad-init"}


def test_the_rest_of_a_class_of_faults_is_found_on_few_rows(digits, spiral):
    few = replace(digits, train=digits.train.part(slice(60)))
    assert set(trained(few, [0.05, 0.1], epochs=40, batch=10)) == {"overfitting"}
    assert set(trained(spiral, [0.3] * 3, epochs=150, hidden=())) == {"underfitting"}
    assert set(trained(spiral, [0.3] * 3, epochs=30)) == {"still-improving"}


def test_the_penalty_is_that_of_the_weights_when_the_epoch_began(digits):
    layers = Net((digits.inputs, 20, digits.n_classes))
    specs = [
        TrialSpec("coarse", n, 7, 0, layers, Rates(0.01, decay), 100, "sgd", Budget(2))
        for n, decay in enumerate([0.0, 0.1, 2.0])
    ]
    flat = [Lockstep([one]).memory.flat(0)[: layers.n_weights] for one in specs]
    none, some, more = train_cohort(Task(tuple(specs)), digits, Watch())
    assert list(none.curves.penalty) == []
    for result, decay, weights in ((some, 0.1, flat[1]), (more, 2.0, flat[2])):
        expected = 0.5 * decay * (weights.astype(float) ** 2).sum()
        assert result.curves.penalty[0] == pytest.approx(expected, rel=1e-5)
    assert more.curves.penalty[1] < 0.6 * more.curves.penalty[0]


def test_the_word_is_in_the_trials_file_and_in_both_tables():
    trial = replace(CURVES["overwhelming-decay"], verdict="overwhelming-decay")
    assert TrialResult.from_text(trial.to_text()).verdict == "overwhelming-decay"
    old = trial.to_json()
    del old["verdict"], old["curves"]["penalty"]
    read = TrialResult.from_json(old)
    assert read.verdict == "" and list(read.curves.penalty) == []
    table = list(csv.DictReader(StringIO("".join(trials_csv([trial, replace(read, id=1)])))))
    assert [row["verdict"] for row in table] == ["overwhelming-decay", ""]
    curves = list(csv.DictReader(StringIO("".join(curves_csv([trial, replace(read, id=1)])))))
    assert [row["penalty"] for row in curves] == ["60.0", "5.0", "2.0", "1.0", "1.0", *[""] * 5]


def with_word(number, word, accuracy=0.9):
    status = Status.DIVERGED if word == "diverged" else Status.DONE
    return replace(drawn([0.1], val=accuracy, status=status), id=number, verdict=word)


def test_the_stage_counts_them_the_commonest_first():
    words = ["healthy", "diverged", "still-improving", "still-improving", "", "diverged"]
    results = [with_word(n, word) for n, word in enumerate(words)]
    counts = {"diverged": 2, "still-improving": 2, "healthy": 1}
    assert list(tally(results).items()) == list(counts.items())
    document = so_far(SearchDocument("coarse", None, 6), results)
    assert document.verdicts == counts
    record = json.loads(json.dumps(document.to_json()))
    assert SearchDocument.from_json(record).verdicts == counts
    del record["verdicts"]
    assert SearchDocument.from_json(record).verdicts == {}


def test_the_search_says_what_ails_its_best_trials():
    lost = [with_word(n, "diverged") for n in range(7)]
    ill = [with_word(10 + n, "still-improving", 0.9) for n in range(6)]
    well = [with_word(20 + n, "healthy", 0.8) for n in range(8)]
    said = curves_say(tally([*lost, *ill, *well]), [*ill, *well])
    todo = ACTIONS["still-improving"]
    assert said == ["curves: 8 healthy, 7 diverged, 6 still improving",
                    f"6 of the best 10: still improving; {todo}"]  # fmt: skip
    assert len(curves_say(tally([*lost, *ill, *well]), [*well, *ill])) == 1
    assert curves_say({}, ill) == []
    document = so_far(SearchDocument("coarse", None, 30), [*lost, *ill, *well])
    console = Console(file=StringIO(), width=100)
    console.print(search_view(document, [*lost, *ill, *well]))
    shown = " ".join(console.file.getvalue().split())
    assert all(line in shown for line in said)


def test_the_commands_tell(tmp_path, monkeypatch):
    """A search end to end counts what its files say; train says the word and what to do."""
    monkeypatch.chdir(tmp_path)
    small = ["--set", "search.coarse={trials: 8, epochs: 4}", "--set", "train.patience=2"]
    found = CliRunner().invoke(app, ["search", "digits", "--json", *small])
    document = json.loads(found.stdout)
    folder = tmp_path / "runs" / "digits" / "coarse"
    trials = [json.loads(path.read_text()) for path in sorted((folder / "trials").iterdir())]
    assert document["verdicts"] == dict(Counter(trial["verdict"] for trial in trials))
    assert sum(document["verdicts"].values()) == 8
    slow = ["train", "digits", "--set", "train.learning_rate=1e-5", "--set", "train.epochs=4"]
    said = CliRunner().invoke(app, [*slow, "--set", "model.bias_init=-20"]).stdout
    assert "curves: stuck; ask sanity for dead" in said
    said = CliRunner().invoke(app, ["train", "digits", "--set", "train.learning_rate=1e3"]).stdout
    assert ACTIONS["diverged"] in " ".join(said.split())
    early = ["--set", "train.learning_rate=0.3", "--set", "train.epochs=60"]
    said = CliRunner().invoke(app, ["train", "digits", *early, "--set", "train.patience=2"]).stdout
    assert "stopped early: no better for 2 epochs" in said
