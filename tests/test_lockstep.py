"""Promise 1: a trial's bits are the same alone or in company, whatever becomes of the company."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpsearch import blas
from hpsearch.cohort import Task, cohort_size, tasks
from hpsearch.data import Dataset, Rows, Source, load, minibatches, preprocess
from hpsearch.executors import executor
from hpsearch.lockstep import FLUSH, Lockstep, _correct
from hpsearch.nn import products
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.net import Net, initialize
from hpsearch.nn.normalization import NORMALIZATIONS
from hpsearch.nn.optimizers import OPTIMIZERS
from hpsearch.nn.schedules import SCHEDULES
from hpsearch.recorder import LossLog
from hpsearch.spec import Budget, Rates, TrialSpec, View
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Status

DIGITS = load(Source("digits"), center="feature", scale="standard")
SPIRAL = load(Source("spiral"), center="none", scale="none")


def spec(
    number, rate, *, data=DIGITS, hidden=(20,), activation="relu", normalization="none", **changes
):
    given = {
        "stage": "coarse", "seed": 77 + number, "order_seed": 3, "batch_size": 100,
        "net": Net((data.inputs, *hidden, data.n_classes), activation, "xavier",
                   normalization=normalization),
        "optimizer": "momentum",
        "rates": Rates(rate, 1e-3, decay_factor=0.7, decay_epochs=1.5), "budget": Budget(2),
    }  # fmt: skip
    return TrialSpec(id=number, **{**given, **changes})


def bits(result):
    """Everything that a trial's numbers are, exactly."""
    curves = {name: np.array(curve).tobytes() for name, curve in vars(result.curves).items()}
    return (result.id, result.status, result.step, result.best_epoch, curves, repr(result.losses),
            result.verdict)  # fmt: skip


def train(specs, data=DIGITS):
    return train_cohort(Task(tuple(specs)), data, Watch())


RATES = st.builds(
    Rates,
    learning_rate=st.floats(-4, 3).map(lambda exponent: 10.0**exponent),
    weight_decay=st.sampled_from([0.0, 0.0, 1e-4, 0.1, 5.0]),
    momentum=st.floats(0, 0.99),
    beta1=st.floats(0, 0.95),
    beta2=st.floats(0.5, 0.9999),
    decay_factor=st.floats(0.1, 1),
    decay_epochs=st.floats(0.3, 3),
    dropout=st.sampled_from([0.0, 0.0, 0.1, 0.5, 0.9]),
    epsilon=st.floats(-10, -2).map(lambda exponent: 10.0**exponent),
    pct_start=st.floats(0, 1),
    warmup_epochs=st.sampled_from([0.0, 0.0, 0.3, 1.0, 5.0]),
)


@settings(max_examples=100, deadline=None)
@given(
    company=st.lists(RATES, min_size=1, max_size=12),
    watched_rates=RATES,
    position=st.integers(0, 12),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    schedule=st.sampled_from(sorted(SCHEDULES)),
    normalization=st.sampled_from(["none", *NORMALIZATIONS]),
    loss=st.sampled_from(sorted(LOSSES)),
    smoothing=st.sampled_from([0.0, 0.1]),
    hidden=st.sampled_from([(), (1,), (20,), (13, 7), (50, 33)]),
    batch=st.sampled_from([1437, 718, 359, 204, 100, 37]),  # the last minibatch: 1, 3, 5, 9 rows
    on_digits=st.booleans(),
)
@example(  # all weights are 0 in the end, and an update is 0 / 0 of them: a NaN of either sign
    [Rates(1.0, momentum=0.0)], Rates(1.0, weight_decay=5.0, momentum=0.0), 0, "momentum", "gelu",
    "constant", "layer", "hinge", 0.0, (1,), 37, True,
)
def test_alone_or_in_company(
    company, watched_rates, position, optimizer, activation, schedule, normalization, loss,
    smoothing, hidden, batch, on_digits,
):
    """Rates up to 1000 make neighbours diverge at any step: dropping them must not show. Nor
    must anything else in which they differ: decay (also none at all), momentum, schedule,
    warm-up.
    """
    data = DIGITS if on_digits else SPIRAL
    shape = {"optimizer": optimizer, "activation": activation, "schedule": schedule,
             "hidden": hidden, "batch_size": batch, "data": data, "loss": loss,
             "normalization": normalization}  # fmt: skip
    smoothed = [replace(r, label_smoothing=smoothing) for r in (*company, watched_rates)]
    specs = [spec(n, 0.0, rates=rates, **shape) for n, rates in enumerate(smoothed[:-1])]
    watched = spec(99, 0.0, rates=smoothed[-1], **shape)
    specs.insert(min(position, len(specs)), watched)
    together = {r.id: r for r in train(specs, data)}
    assert bits(together[99]) == bits(train([watched], data)[0])


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("hidden", [(), (1,), (6,), (50, 33), (2, 1)])
def test_alone_or_in_company_with_few_rows(hidden, rows):
    """Where the library has other kernels: for vectors, and for a handful of rows."""
    once = {"hidden": hidden, "batch_size": rows, "budget": Budget(1, iterations=6)}
    specs = [spec(n, 10.0 ** (n - 4), **once) for n in range(6)]
    together = train(specs)
    for number in range(6):
        assert bits(together[number]) == bits(train([specs[number]])[0])


def test_a_tie_beside_it_does_not_change_how_a_nan_counts():
    logits = np.array([[[np.nan], [1.0]], [[2.0], [2.0]], [[1.0], [3.0]]])
    y = np.array([0])
    together = _correct(logits.copy(), y)
    assert together[:, 0].tolist() == [False, True, False]
    assert [bool(_correct(logits[k : k + 1], y)[0, 0]) for k in range(3)] == [False, True, False]


def test_a_cohort_that_has_lost_trials_is_as_contiguous_as_before():
    cohort = Lockstep([spec(n, 0.1) for n in range(4)])
    cohort.keep(np.array([True, False, True, True]))
    for array in (cohort.memory.params.weights[0], cohort.memory.grads.weights[0]):
        assert array.flags.c_contiguous and len(array) == 3


@pytest.mark.parametrize("hidden, batch", [((20,), 100), ((64,), 37), ((20, 7), 100), ((), 100)])
def test_alone_or_in_company_where_the_first_layer_is_wide(hidden, batch):
    """Many inputs: the cohort's first layer is one matrix, if its bits are those of K alone."""
    rng = np.random.default_rng(0)
    rows = Rows(rng.integers(0, 256, (200, 1500), np.uint8), rng.integers(0, 10, 200))
    fitted = preprocess.fit(rows, None, "feature", "standard")
    names = tuple(map(str, range(1500)))
    data = Dataset(rows, rows, None, names[:10], names, None, fitted, "")
    shape = {"data": data, "hidden": hidden, "batch_size": batch}
    specs = [spec(n, 10.0 ** (n - 5), **shape) for n in range(9)]
    together = train(specs, data)
    assert {r.status for r in together} == {Status.DONE, Status.DIVERGED}
    for number in (0, 3, 8):
        assert bits(together[number]) == bits(train([specs[number]], data)[0])


@settings(max_examples=60, deadline=None)
@given(
    trials=st.integers(2, 9), outputs=st.integers(1, 70), inputs=st.integers(1, 2000),
    rows=st.integers(1, 130), double=st.booleans(),
)  # fmt: skip
def test_the_products_of_the_first_layer_are_those_of_each_trial(
    trials, outputs, inputs, rows, double
):
    rng = np.random.default_rng(inputs)
    dtype = np.float64 if double else np.float32
    w, dz, x = (rng.standard_normal(shape).astype(dtype) for shape in
                ((trials, outputs, inputs), (trials, outputs, rows), (rows, inputs)))  # fmt: skip
    z, g, shared = np.empty_like(dz), np.empty_like(w), products.batch(x)
    products.project(w, shared, z)
    products.correlate(dz, shared, g)
    for k in range(trials):
        mine, my_g = np.empty_like(z[:1]), np.empty_like(g[:1])
        products.project(w[k : k + 1].copy(), shared, mine)
        products.correlate(dz[k : k + 1].copy(), shared, my_g)
        assert z[k].tobytes() == mine.tobytes() and g[k].tobytes() == my_g.tobytes()
    tolerance = 1e-3 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(z, w @ x.T, atol=tolerance)
    np.testing.assert_allclose(g, dz @ x, atol=tolerance)


@pytest.mark.parametrize("kernel", ["HASWELL", "SKYLAKEX"])
def test_promise_1_holds_on_every_kernel(kernel):
    """The tests of this file again, in a process whose matrix library is told its kernel."""
    flags = set(blas.CPUINFO.read_text().split()) if blas.CPUINFO.exists() else set()
    if not {"HASWELL": {"avx2", "fma"}, "SKYLAKEX": blas.AVX512}[kernel] <= flags:
        pytest.skip(f"this processor cannot run {kernel}")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__)), "-k",
             "alone_or_in_company or products_of or same_bits_too or tie_beside"]  # fmt: skip
    env = os.environ | {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("hidden", [(), (20,)])
def test_the_wide_form_is_the_same_arithmetic(hidden, monkeypatch):
    """Whatever the library's kernels: if it were always used, only last bits would differ."""
    specs = [spec(n, 0.01, hidden=hidden) for n in range(5)]
    plain = train(specs)
    monkeypatch.setattr(products, "wide", lambda sizes, dtype: True)
    for result, expected in zip(train(specs), plain, strict=True):
        np.testing.assert_allclose(
            result.curves.train_loss, expected.curves.train_loss, rtol=1e-4
        )


def test_weights_are_the_same_bits_too():
    watched = spec(5, 0.05)
    alone = train([watched])[0]
    others = [spec(n, 1e-6 * 10**n, rates=Rates(1e-6, 0.0, momentum=0.1 * n)) for n in range(3)]
    together = train([others[0], watched, spec(1, 1e3), *others[1:]])[1]
    assert together.weights is not None
    assert together.weights.tobytes() == alone.weights.tobytes()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_grouping_and_jobs_do_not_matter(jobs, optimizer):
    specs = [spec(n, 10.0 ** (-4 + n / 3), optimizer=optimizer) for n in range(21)]
    cohorts = tasks(specs, jobs=jobs)
    assert sorted(s.id for task in cohorts for s in task.specs) == list(range(21))
    with executor(jobs) as pool:
        futures = [pool.submit(train_cohort, task, DIGITS, Watch()) for task in cohorts]
        results = {r.id: r for future in futures for r in future.result()}
    for number in (0, 7, 20):
        assert bits(results[number]) == bits(train([specs[number]])[0])


def test_trials_of_other_shapes_never_share_a_cohort():
    specs = [spec(0, 0.1), spec(1, 0.1, hidden=(21,)), spec(2, 0.1, batch_size=50),
             spec(3, 0.1, optimizer="adam"), spec(4, 0.1)]  # fmt: skip
    cohorts = tasks(specs, jobs=1)
    assert {tuple(s.id for s in task.specs) for task in cohorts} == {(0, 4), (1,), (2,), (3,)}
    costs = [task.cost for task in cohorts]
    assert costs == sorted(costs, reverse=True) and cohorts[0].specs[0].id == 0


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=60), jobs=st.integers(1, 5),
    epochs=st.integers(1, 3), inputs=st.sampled_from([64, 3072]),
)  # fmt: skip
def test_every_trial_is_in_one_cohort_and_every_worker_has_work(widths, jobs, epochs, inputs):
    specs = [
        spec(n, 0.1, net=Net((inputs, 20 * width, 10)), budget=Budget(epochs))
        for n, width in enumerate(widths)
    ]
    cohorts = tasks(specs, jobs=jobs)
    assert sorted(s.id for task in cohorts for s in task.specs) == list(range(len(specs)))
    assert len(cohorts) >= min(jobs, len(specs))
    for task in cohorts:
        assert len({s.shape for s in task.specs}) == 1
        assert len(task.specs) <= cohort_size(task.specs[0].net.n_params)


def test_many_alike_trials_are_an_even_load():
    for jobs in (1, 2, 3, 4, 8):
        cohorts = tasks([spec(n, 0.1) for n in range(200)], jobs=jobs)
        loads = [0.0] * jobs
        for task in cohorts:
            loads[loads.index(min(loads))] += task.cost
        assert max(loads) <= 1.15 * sum(loads) / jobs
        assert min(len(task.specs) for task in cohorts) >= 8


def test_a_diverged_trial_is_a_result():
    lost, kept = train([spec(0, 1e6), spec(1, 0.01)])
    assert lost.status is Status.DIVERGED and lost.step >= 1 and "step" in lost.reason
    assert kept.status is Status.DONE and kept.epochs == 2 and lost.weights is None


def test_a_cohort_of_lost_trials_ends_early():
    results = train([spec(n, 1e8, budget=Budget(50)) for n in range(3)])
    assert all(r.status is Status.DIVERGED and r.step < 100 for r in results)


def test_training_learns_digits_and_keeps_the_best_epoch():
    result = train([spec(0, 0.05, budget=Budget(12), hidden=(50,))])[0]
    curve = result.curves.val_accuracy
    assert max(curve) >= 0.94
    assert result.value == max(curve) and curve[result.best_epoch - 1] == max(curve)


def test_losses_are_thinned_evenly_and_the_budget_is_kept():
    result = train([spec(0, 1e-4, batch_size=1, budget=Budget(1, iterations=1200))])[0]
    steps = [step for step, _ in result.losses]
    assert result.step == 1200 and 255 <= len(steps) <= 500
    assert set(np.diff(steps[:-10])) == {4} and steps[-10:] == list(range(1191, 1201))


def test_the_losses_of_a_trial_are_as_many_as_its_own_steps_allow():
    """However long it might have trained, and however long the others do."""
    losses = LossLog(3)
    told = {place: {} for place in range(3)}
    ends, found = {0: 30, 1: 2000, 2: 5000}, {}
    for step in range(1, 5001):
        places = np.array([place for place, end in ends.items() if step <= end])
        losses.add(step, places, step + places / 10)
        told |= {place: told[place] | {step: step + place / 10} for place in places.tolist()}
        found |= {p: dict(losses.of(p, step)) for p, end in ends.items() if step == end}
    for place, end in ends.items():
        steps, own = list(found[place]), LossLog(1)
        for step in range(1, end + 1):
            own.add(step, np.array([0]), np.array([step + place / 10]))
        assert found[place] == {step: told[place][step] for step in steps} == dict(own.of(0, end))
        assert len(set(np.diff(steps[:-10]))) <= 1 and steps[-10:] == list(range(end - 9, end + 1))
        assert min(end, 245) <= len(steps) <= 500


@pytest.mark.filterwarnings("error")
def test_a_trial_that_stops_early_in_a_long_budget_is_judged_by_all_its_steps():
    early = spec(0, 0.0, batch_size=30, budget=Budget(5000), patience=4)
    result = train([early])[0]
    assert result.step == 240 == len(result.losses) and result.verdict == "stuck"


def test_a_view_trains_on_its_rows_alone():
    rows = View(rows=tuple(range(20)))
    result = train([spec(0, 0.1, view=rows, batch_size=20, budget=Budget(300), evaluate=False)])[0]
    assert result.curves.train_accuracy[-1] == 1.0 and result.step == 300
    blind = train([spec(0, 0.1, view=View(zero=True), budget=Budget(3), evaluate=False)])[0]
    assert blind.curves.train_accuracy[-1] < 0.2
    assert min(loss for _, loss in blind.losses) > 2.1


def test_the_accuracy_of_an_evaluation_is_that_of_its_predictions():
    """An independent count: the curves' last entry from the weights, by plain NumPy."""
    result = train([spec(0, 0.05, budget=Budget(1))])[0]
    d, h, c = DIGITS.inputs, 20, DIGITS.n_classes
    w1, w2, b1, b2 = np.split(result.weights, np.cumsum([d * h, h * c, h]))
    x = DIGITS.batch(DIGITS.validation, slice(None))
    logits = np.maximum(x @ w1.reshape(h, d).T + b1, 0) @ w2.reshape(c, h).T + b2
    y = DIGITS.validation.y
    assert result.curves.val_accuracy[-1] == (logits.argmax(1) == y).mean()
    recalls = [(logits.argmax(1) == y)[y == k].mean() for k in range(c)]
    assert result.curves.val_balanced_accuracy[-1] == pytest.approx(np.mean(recalls))
    p = np.exp(logits - logits.max(1, keepdims=True))
    nll = -np.log((p / p.sum(1, keepdims=True))[np.arange(len(y)), y]).mean()
    assert result.curves.val_loss[-1] == pytest.approx(nll, rel=1e-5)


def test_decay_that_kills_the_weights_leaves_no_denormals():
    """They would make every product thirty times slower; see `Memory.flush`."""
    decay = Rates(0.01, 80.0, momentum=0.9)
    cohort = Lockstep([spec(0, 0.01, rates=decay, hidden=(20, 20))])
    x, y = DIGITS.batch(DIGITS.train, slice(0, 100)), DIGITS.train.y[:100]
    for _ in range(40 * FLUSH):
        cohort.step(x, y)
    weights = cohort.memory.flat(0)[: cohort.net.n_weights]
    assert (weights == 0).any()
    assert (np.abs(weights[weights != 0]) > np.finfo(np.float32).tiny).all()


def test_a_plain_loop_in_double_precision_trains_to_the_same_curve():
    """The textbook in twenty lines, on the same minibatches from the same initial weights."""
    rates = Rates(0.05, 1e-2, decay_factor=0.9, decay_epochs=1.0)
    alike = {"optimizer": "sgd", "schedule": "step", "budget": Budget(4)}
    trial = spec(0, 0.05, rates=rates, **alike)
    result = train([spec(7, 1e5, **alike), trial])[1]
    d, h, c = trial.net.sizes
    flat = initialize(trial.net, np.random.default_rng([trial.seed, 1]))
    w1, w2, b1, b2 = np.split(flat, np.cumsum([d * h, h * c, h]))
    w1, w2 = w1.reshape(h, d).T, w2.reshape(c, h).T
    x, y = DIGITS.batch(DIGITS.train, slice(None), np.float64), DIGITS.train.y
    curve = []
    for epoch in range(4):
        lr, total = 0.05 * 0.9**epoch, 0.0
        for rows in minibatches(len(y), 100, trial.order_seed, epoch):
            a = np.maximum(x[rows] @ w1 + b1, 0)
            scores = np.exp(a @ w2 + b2)
            p = scores / scores.sum(1, keepdims=True)
            total += -np.log(p[np.arange(len(rows)), y[rows]]).sum()
            dz = (p - np.eye(c)[y[rows]]) / len(rows)
            da = (dz @ w2.T) * (a > 0)
            w2, b2 = w2 - lr * (a.T @ dz + 1e-2 * w2), b2 - lr * dz.sum(0)
            w1, b1 = w1 - lr * (x[rows].T @ da + 1e-2 * w1), b1 - lr * da.sum(0)
        curve.append(total / len(y))
    np.testing.assert_allclose(result.curves.train_loss, curve, rtol=1e-4)
