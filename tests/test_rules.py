"""The rules of training, keeping and checking, each on numbers made for it: what counts, what
does not, and on which side of the line.
"""

import errno
import math
import os
import threading
from collections import deque
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lecture import COARSE, REFINED
from test_runner import runner
from test_stages import conclude, config, lecture_results, result, verdicts

from hpsearch.atomic import write_atomically
from hpsearch.cohort import Task
from hpsearch.data import Rows
from hpsearch.errors import GateError, HostError
from hpsearch.executors import as_finished
from hpsearch.lockstep import Lockstep, Scores
from hpsearch.nn import gradcheck, optimizers
from hpsearch.nn.net import Tensor
from hpsearch.recorder import Recorder
from hpsearch.search.space import Choice, write_space
from hpsearch.settings import check_settings, differences, search_settings, space_differences
from hpsearch.spec import Budget, Rates, View
from hpsearch.stages import CHECKS, RECIPE, data, sanity, search
from hpsearch.stages.context import Context, Round
from hpsearch.store import RunStore
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Curves, Status
from hpsearch.verdict import Check, CheckDocument, SearchDocument, Verdict

LOG_C = math.log(10)
LIMIT = 3 * LOG_C  # where the first loss is log C, or smaller


def train(spec, dataset):
    return train_cohort(Task((spec,)), dataset, Watch())[0]


# --- who diverges


@pytest.mark.parametrize(
    "losses, lost",
    [
        ([5.0] + [14.9] * 99, False),
        ([5.0] + [15.1] * 99, True),
        ([0.1] + [0.99 * LIMIT] * 99, False),  # an easy first minibatch
        ([0.1] + [1.01 * LIMIT] * 99, True),
        ([LOG_C] * 20 + [30.0] + [LOG_C] * 20, False),  # one odd minibatch
        ([LOG_C] * 20 + [30.0] * 5, True),
        ([LOG_C, math.nan], True),
        ([LOG_C, math.inf], True),
        ([math.nan], True),
    ],
)
def test_a_loss_that_stays_above_three_times_the_first_is_divergence(make_spec, losses, lost):
    specs = [make_spec(0)]
    trial = Lockstep(specs)
    recorder = Recorder(specs, len(losses), trial)
    for step, loss in enumerate(losses, 1):
        if trial.size:
            trial.t = step
            recorder.loss(np.array([loss]), 100)
    assert (recorder.results(0.0)[0].status is Status.DIVERGED) == lost
    assert trial.size == (not lost)


@pytest.mark.parametrize(
    "loss, validation_loss, lost",
    [
        (LOG_C, LOG_C, False),
        (LOG_C, 1e3, False),
        (LOG_C, math.nan, True),
        (LOG_C, math.inf, True),
        (1.01 * LIMIT, LOG_C, True),
        (1.01 * LIMIT, None, True),
        (0.99 * LIMIT, None, False),
        (math.nan, None, True),
    ],
)
def test_an_evaluation_tells_who_diverged(make_spec, loss, validation_loss, lost):
    def scores(loss):
        return Scores(np.array([loss]), np.array([0.5]), np.array([0.5]))

    specs = [make_spec(0)]
    trial = Lockstep(specs)
    recorder = Recorder(specs, 1, trial)
    trial.t = 1
    recorder.loss(np.array([LOG_C]), 100)
    held_out = None if validation_loss is None else scores(validation_loss)
    recorder.epoch(np.array([0.1]), scores(loss), held_out)
    assert (recorder.results(0.0)[0].status is Status.DIVERGED) == lost


@pytest.mark.parametrize("evaluate", [True, False])
def test_the_last_step_may_be_the_one_that_diverges(make_spec, digits, evaluate):
    """Its minibatch loss is that of before the step: only the evaluation sees it."""
    spec = make_spec(0, 1e6, budget=Budget(1, iterations=1), evaluate=evaluate)
    found = train(spec, digits)
    assert found.status is Status.DIVERGED and found.step == 1
    assert found.losses[0][1] < LIMIT


# --- training


def test_an_exponential_schedule_falls_at_every_step(make_spec, digits):
    """So steep a fall that the second step of the epoch changes nothing any more."""
    rates = Rates(0.05, decay_factor=1e-30, decay_epochs=1e-3)
    spec = make_spec(0, optimizer="sgd", schedule="exponential", rates=rates, budget=Budget(1))
    epoch, step = train(spec, digits), train(replace(spec, budget=Budget(1, 1)), digits)
    constant = train(replace(spec, schedule="constant"), digits)
    assert (epoch.step, step.step) == (15, 1)
    assert epoch.weights.tobytes() == step.weights.tobytes() != constant.weights.tobytes()


def test_train_accuracy_is_measured_on_training_rows(make_spec, digits):
    other = Rows(digits.validation.gather(), (digits.validation.y + 1) % digits.n_classes)
    curves = train(make_spec(0, 0.05), replace(digits, validation=other)).curves
    assert curves.train_accuracy[-1] > 0.8 and curves.val_accuracy[-1] < 0.2


def test_the_order_seed_orders_the_minibatches(tmp_path, make_spec, digits):
    losses = [train(make_spec(0, order_seed=n), digits).losses for n in (0, 1, 1)]
    assert losses[0] != losses[1] == losses[2]
    context = Context(config(tmp_path, "seed=5"), digits, "coarse")
    assert context.spec(3, Budget(1)).order_seed == 5


# --- the loop


@pytest.mark.parametrize(
    "jobs, tasks, arrive",
    [
        (1, ["early", "fails", "never"], {"early"}),
        (2, ["fails", "late", "later", "never"], {"late", "later"}),
    ],
)
def test_a_failure_loses_nothing_that_finishes(jobs, tasks, arrive):
    told, arrived = threading.Event(), set()

    def work(task):
        if task == "fails":
            raise KeyError(task)
        assert task == "early" or told.wait()
        return task

    with pytest.raises(KeyError, match="fails"):
        for found in as_finished(work, deque(tasks), jobs=jobs, on_error=told.set):
            arrived.add(found)
    assert arrived == arrive


def trainer(accuracy=0.5, failing=None):
    """Stands in for the training: every trial is done, and as good as the next."""
    curves = Curves([1.0], [accuracy], [1.0], [accuracy], [accuracy], [0.1], [1e-3])

    def stand_in(task, data, watch):
        if any(spec.id == failing for spec in task.specs):
            raise FloatingPointError("this cohort fails")
        return [
            replace(
                result(s.id, accuracy, stage=s.stage, hparams=s.hparams, curves=curves),
                seed=s.seed,
            )
            for s in task.specs
        ]

    return stand_in


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trial_that_fails_costs_no_other(tmp_path, digits, monkeypatch, jobs):
    work = runner(tmp_path / "runs", jobs=jobs, data=digits)
    monkeypatch.setattr("hpsearch.dispatch.train_cohort", trainer(failing=4))
    document = work.search("coarse")
    assert (document.completed, document.failed, document.verdict) == (8, 1, Verdict.WARN)
    assert "FloatingPointError: this cohort fails" in document.message
    monkeypatch.setattr("hpsearch.dispatch.train_cohort", trainer())
    again = runner(tmp_path / "runs", jobs=jobs, data=digits)
    assert again.search("coarse").failed == 1 and again.view.trials == []
    work.store.trial_path("coarse", 4).unlink()
    assert runner(tmp_path / "runs", jobs=jobs, data=digits).search("coarse").completed == 9


def conclude_checks(work, **other):
    """Every checking stage has passed, but those that `other` names."""
    for stage in CHECKS:
        check = Check("wiring", other.get(stage.name, Verdict.PASS), None, None, "as it is")
        settings = check_settings(work.config, stage, work.data)
        work.store.write_document(CheckDocument(stage.name, (check,), {}, settings))


CLOSED = [
    ("warn", False, False),
    ("warn", True, True),
    ("fail", False, True),
    ("pass", True, False),
]


@pytest.mark.parametrize("verdict, strict, closed", CLOSED)
@pytest.mark.parametrize("stage", ["sanity", "coarse"])
def test_a_closed_gate_stops_refine(tmp_path, digits, monkeypatch, stage, verdict, strict, closed):
    work = runner(tmp_path / "runs", data=digits, strict=strict)
    monkeypatch.setattr("hpsearch.dispatch.train_cohort", trainer())
    given = {"sanity": Verdict.PASS, "coarse": Verdict.PASS, stage: Verdict(verdict)}
    conclude_checks(work, sanity=given["sanity"])
    space = {"learning_rate": {"log_uniform": [1e-3, 1e-1]}}
    work.store.write_document(SearchDocument("coarse", given["coarse"], 9, next_space=space))
    if closed:
        with pytest.raises(GateError, match=stage):
            work.search("refine-1")
    else:
        assert work.search("refine-1").completed == 6


@pytest.mark.parametrize("verdict, strict, closed", CLOSED)
def test_a_run_ends_at_a_closed_gate(tmp_path, digits, monkeypatch, verdict, strict, closed):
    work = runner(tmp_path / "runs", data=digits, strict=strict)
    monkeypatch.setattr("hpsearch.dispatch.train_cohort", trainer(accuracy=0.1))
    conclude_checks(work, overfit=Verdict(verdict))
    names = [document.stage for document in work.run()]
    assert names == ["data", "sanity", "overfit", "sweep", "coarse"][: 3 if closed else 5]
    assert closed or work.store.search_document("coarse").verdict == "fail"


# --- what counts as a change


STEP, ADAM = "train.schedule=step", "train.optimizer=adam"
SPACE = "search.space.momentum={uniform: [0.1, 0.9]}"


@pytest.mark.parametrize(
    "stage, searched, base, change, counts",
    [
        ("coarse", [], [], "search.metric=val_loss", True),
        ("coarse", [], [], "train.momentum=0.8", True),
        ("coarse", ["momentum"], [], "train.momentum=0.8", False),
        ("coarse", ["dropout"], [], "model.dropout=0.2", False),
        ("coarse", ["dropout where batch"], [], "model.dropout=0.2", True),  # the others have it
        ("coarse", [], [ADAM], "train.momentum=0.8", False),
        ("coarse", ["optimizer"], [ADAM], "train.momentum=0.8", True),
        ("coarse", [], [], "train.beta1=0.8", False),
        ("coarse", [], [ADAM], "train.beta1=0.8", True),
        ("coarse", [], [], "train.decay_factor=0.3", False),
        ("coarse", [], [STEP], "train.decay_factor=0.3", True),
        ("coarse", ["schedule"], [], "train.decay_factor=0.3", True),
        ("refine-1", [], [STEP], "train.decay_factor=0.3", False),  # refine is constant
        ("coarse", [], [STEP], "train.pct_start=0.5", False),
        ("coarse", [], ["train.schedule=one_cycle"], "train.pct_start=0.5", True),
        ("coarse", [], ["train.schedule=cosine"], "train.decay_factor=0.3", False),
        ("coarse", [], [], "train.warmup_epochs=1", True),  # of every schedule
        ("coarse", [], ["train.optimizer=rmsprop"], "train.beta1=0.8", False),
        ("coarse", [], ["train.optimizer=rmsprop"], "train.beta2=0.8", True),
        ("coarse", [], [], STEP, True),
        ("refine-1", [], [], STEP, False),
        ("refine-1", [], ["search.refine.schedule=null"], STEP, True),
        ("refine-1", [], [], "search.refine.schedule=step", True),
        ("coarse", [], ["search.coarse.schedule=constant"], STEP, False),
        ("coarse", [], [], "train.epochs=3", False),
        ("coarse", [], [], "search.refine.epochs=3", False),
        ("refine-2", [], [], "search.refine.epochs=3", True),
    ],
)
def test_what_trials_depend_on_counts_and_nothing_else(
    tmp_path, digits, stage, searched, base, change, counts
):
    when = {"normalization": ["batch"]}
    space = {name.split()[0]: Choice(choice=[0.1], when=when if "where" in name else None)
             for name in searched}  # fmt: skip
    old, new = (
        search_settings(config(tmp_path, *given), stage, digits, space)
        for given in (base, [*base, change])
    )
    assert bool(differences(old, new)) == counts


@pytest.mark.parametrize(
    "change, differs",
    [
        ((), False),
        ((SPACE,), True),  # one more than the stage was begun with
        (("search.space={weight_decay: {log_uniform: [1e-6, 1]}}",), False),  # the sweep's rate
        (("search.space={learning_rate: {log_uniform: [1e-4, 1]}}",), True),  # one fewer
        (("search.space.weight_decay={log_uniform: [1e-6, 2]}",), True),
        ((SPACE, "search.round=refine-1"), False),  # meant for another stage
    ],
)
def test_a_space_is_compared_with_the_one_its_stage_was_begun_with(tmp_path, change, differs):
    opened = SearchDocument("coarse", None, 9, space=write_space(config(tmp_path).search.space))
    assert bool(space_differences(config(tmp_path, *change), opened)) == differs


def test_the_sampler_is_among_the_settings_of_a_search(tmp_path, digits):
    chosen = config(tmp_path)
    settings = search_settings(chosen, "coarse", digits, {})
    assert settings["search.sampler"] == chosen.search.sampler


@pytest.mark.parametrize("stage", CHECKS, ids=lambda stage: stage.name)
def test_a_check_depends_on_the_data_and_the_version(tmp_path, digits, monkeypatch, stage):
    chosen = config(tmp_path)
    before = check_settings(chosen, stage, digits)
    assert check_settings(chosen, stage, replace(digits)) == before
    assert check_settings(chosen, stage, replace(digits, fingerprint="other")) != before
    monkeypatch.setattr("hpsearch.settings.__version__", "another")
    assert check_settings(chosen, stage, digits) != before


# --- the folder


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing):
    path = tmp_path / "file.json"
    write_atomically(path, b"old")

    def full(*_):
        assert path.read_bytes() == b"old", "the file is not touched before all is written"
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[failing], full)
    with pytest.raises(HostError, match="no space left"):
        write_atomically(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file.json", b"old")]


def test_trials_are_in_the_order_of_their_numbers_however_long(tmp_path):
    store, numbers = RunStore(tmp_path, "x"), [3, 99_999, 100_000, 1_000_000]
    for number in reversed(numbers):
        store.record(result(number, 0.5))
    assert [r.id for r in store.results("coarse")] == numbers


# --- data


def audited(tmp_path, dataset, check, *overrides):
    context = Context(config(tmp_path, *overrides), dataset, "data")
    return next(c for c in conclude(data.STAGE, context).checks if c.name == check)


@pytest.mark.parametrize(
    "counts, least, verdict",
    [([90, *[1] * 9], 0.5, "warn"), ([90, *[1] * 9], 0.1, "pass"), ([9] * 10, 0.99, "pass")],
)
def test_few_classes_that_matter_are_warned_of(tmp_path, digits, counts, least, verdict):
    """Whatever the ratio of the largest to the smallest: the perplexity of the labels."""
    y = digits.train.y
    kept = np.concatenate([np.flatnonzero(y == k)[:n] for k, n in enumerate(counts)])
    lopsided = replace(digits, train=digits.train.part(kept))
    limits = ("data.audit.class_ratio=1e9", f"data.audit.class_perplexity={least}")
    assert audited(tmp_path, lopsided, "class-balance", *limits).verdict == verdict


@pytest.mark.parametrize("label, rows, verdict", [(0, 2, "pass"), (1, 1, "pass"), (1, 2, "warn")])
def test_equal_rows_with_other_labels_are_warned_of(tmp_path, digits, label, rows, verdict):
    """Where there are several of them: the spiral's three arms begin at one point."""
    x, y = digits.train.gather(), digits.train.y
    again = Rows(np.vstack([x, x[:rows]]), np.append(y, (y[:rows] + label) % digits.n_classes))
    check = audited(tmp_path, replace(digits, train=again), "duplicate-rows")
    assert check.verdict == verdict and ("differ in label" in check.message) == (label > 0)


@pytest.mark.parametrize("value, rows, verdict", [(0, 3, "pass"), (9, 2, "pass"), (9, 3, "warn")])
def test_what_varies_in_validation_alone_is_warned_of(tmp_path, digits, value, rows, verdict):
    """Even among pixels, of which some never change; not where one or two rows may be chance."""
    seen = digits.validation.gather().copy()
    seen[:rows, 0] = value
    changed = replace(digits, validation=Rows(seen, digits.validation.y))
    check = audited(tmp_path, changed, "constant-features")
    assert check.verdict == verdict
    assert ("not in validation" in check.message) == (verdict == "warn")


# --- sanity


@pytest.mark.parametrize(
    "gain, noise, errors, verdict",
    [
        (0.05, 0.001, 3, "pass"),
        (0.05, 0.1, 3, "fail"),
        (0.05, 0.1, 1, "pass"),
        (0.2, 0.1, 3, "pass"),
        (-0.05, 0.001, 3, "fail"),
    ],
)
def test_inputs_must_help_beyond_the_noise(tmp_path, digits, gain, noise, errors, verdict):
    def trial(number, losses):
        return replace(result(number, 0.5), losses=list(enumerate(losses, 1)))

    context = Context(config(tmp_path, f"sanity.baseline_errors={errors}"), digits, "sanity")
    first_blind = next(s.id for s in sanity.plan(context, []) if s.view == View(zero=True))
    seeing = [2 - gain + noise * (-1) ** n for n in range(10)]
    done = [trial(0, seeing), trial(first_blind, [2.0] * 10)]
    assert sanity.zero_input_baseline(context, done).verdict == verdict


SMALL_SANITY = ("model.hidden=5", "sanity.baseline_iterations=20", "sanity.examples=50")


def checked(tmp_path, digits, *overrides):
    context = Context(config(tmp_path, *SMALL_SANITY, *overrides), digits, "sanity")
    return verdicts(sanity.judge(context, []))


@pytest.mark.parametrize("share, verdict", [(1.0, "pass"), (0.0, "fail")])
def test_the_gradient_of_the_decay_is_checked(tmp_path, digits, monkeypatch, share, verdict):
    plain = gradcheck.Objective.loss_and_gradient

    def partly(objective, flat):
        less = replace(objective, weight_decay=share * objective.weight_decay)
        return plain(objective, flat)[0], plain(less, flat)[1]

    monkeypatch.setattr(gradcheck.Objective, "loss_and_gradient", partly)
    assert checked(tmp_path, digits, "train.weight_decay=1")["gradient-check"] == verdict


def _forget(monkeypatch):
    plain = optimizers.Linear.prepare

    def prepare(optimizer, rates, t, dtype):
        return plain(optimizer, rates._replace(weight_decay=0 * rates.beta1), t, dtype)

    monkeypatch.setattr(optimizers.Linear, "prepare", prepare)


def _decay_biases(monkeypatch):
    monkeypatch.setattr(Tensor, "decays", property(lambda tensor: True))


@pytest.mark.parametrize(
    "plant, verdict",
    [(lambda monkeypatch: None, "pass"), (_forget, "fail"), (_decay_biases, "fail")],
    ids=["right", "forgets the decay", "decays the biases"],
)
def test_a_step_decays_the_weights_and_nothing_else(tmp_path, digits, monkeypatch, plant, verdict):
    plant(monkeypatch)
    found = checked(tmp_path, digits, "model.bias_init=0.5", "train.weight_decay=1e-3")
    assert found["regularization-raises-loss"] == verdict


@pytest.mark.parametrize("decays, verdict", [(True, "pass"), (False, "fail")])
def test_a_decoupled_decay_is_looked_for_in_a_step_and_not_in_the_loss(
    tmp_path, digits, monkeypatch, decays, verdict
):
    """Adam's 10 would be a penalty far above the loss; adamw's is no penalty."""
    if not decays:
        plain = optimizers.Elementwise.prepare
        monkeypatch.setattr(
            optimizers.Elementwise, "prepare",
            lambda kind, rates, t, dtype: plain(
                kind, rates._replace(weight_decay=0 * rates.beta1), t, dtype
            ),
        )  # fmt: skip
    given = ("train.optimizer=adamw", "train.weight_decay=10")
    found = checked(tmp_path, digits, *given)["regularization-raises-loss"]
    assert found == verdict
    coupled = checked(tmp_path, digits, "train.optimizer=adam", "train.weight_decay=10")
    assert coupled["regularization-raises-loss"] == "warn"


@pytest.mark.parametrize("stage", [s for s in CHECKS if s.name != "data"], ids=lambda s: s.name)
def test_the_checks_train_at_the_rates_they_name(tmp_path, digits, stage):
    """Neither the configured schedule nor its warm-up goes over them (the ramp has its own)."""
    given = ("train.schedule=one_cycle", "train.warmup_epochs=3", "sweep.ramp.enabled=false")
    specs = stage.plan(Context(config(tmp_path, *given), digits, stage.name), [])
    assert specs and {(s.schedule, s.rates.warmup_epochs) for s in specs} == {("constant", 0)}


# --- every stage


TINY = (*SMALL_SANITY, "overfit.epochs=3", "sweep.iterations=20",
        "search.space={learning_rate: {log_uniform: [1e-4, 1e-3]},"
        " weight_decay: {log_uniform: [1e-4, 1]}}")  # fmt: skip


@pytest.mark.parametrize("stage", RECIPE, ids=lambda stage: stage.name)
def test_judging_changes_nothing_and_repeats_itself(tmp_path, digits, stage):
    context = Context(config(tmp_path, *TINY), digits, stage.name)
    if stage in CHECKS:
        done = conclude(replace(stage, judge=lambda context, done: done), context)
        done = [*done[1::2], *done[::2]]  # in no order that judging could leave as it is
    else:
        coarse = lecture_results(COARSE, "coarse")
        judged = search.COARSE.judge(replace(context, stage="coarse"), coarse)
        checks = {"sweep": CheckDocument("sweep", (), {"diverging": 2e-3})}
        done = lecture_results(REFINED, stage.name)
        rounds = [Round(judged, coarse)] if stage is search.REFINE else []
        context = replace(context, checks=checks, rounds=rounds)
    before, others = deepcopy((context, done)), deepcopy((context, done))
    first, second = stage.judge(context, done), stage.judge(*others)
    assert first.to_json() == second.to_json()
    assert stage in CHECKS or first.edges, "an edge is what could be changed"
    assert same((context, done), before) and same(others, before)


def same(one, other):
    """Whether contexts and results are the same, to the last bit of the data."""

    def bits(context, done):
        rows = (context.data.train, context.data.validation)
        said = (context.config, context.checks, context.rounds, done)
        return repr(said), [(r.gather().tobytes(), r.y.tobytes()) for r in rows]

    return bits(*one) == bits(*other)
