"""Schedules against PyTorch's rates at every step, their own statements, and promise 1."""

from pathlib import Path

import numpy as np
import pytest
from descent import rates_in, rates_of

from hpsearch.cohort import Task
from hpsearch.data import minibatches
from hpsearch.lockstep import Lockstep
from hpsearch.nn.optimizers import RATES
from hpsearch.nn.schedules import SCHEDULES, Clock, warmup
from hpsearch.spec import Budget, Rates
from hpsearch.training import Watch, train_cohort

FALLING = [name for name in SCHEDULES if name != "one_cycle"]


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "golden/schedules.npz") as file:
        return dict(file)


def _clocks(golden):
    steps, per_epoch = int(golden["steps"]), int(golden["per_epoch"])
    return [Clock(step, steps, per_epoch) for step in range(steps)]


def _factors(name, rates, clocks):
    """(K, steps)."""
    return np.array([SCHEDULES[name].factor(now, rates) for now in clocks]).T


# --- PyTorch


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_step_of_every_schedule_has_the_rate_of_pytorch(name, golden):
    assert name in golden, f"give tests/oracle/golden_schedules.py PyTorch's {name}; rebuild it"
    rates = rates_of(4, **rates_in(golden))
    ours = rates.learning_rate[:, None] * _factors(name, rates, _clocks(golden))
    np.testing.assert_allclose(ours, golden[name], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("schedule, name", [("constant", "warmup"),
                                            ("exponential", "warm exponential")])  # fmt: skip
def test_a_warmup_is_pytorchs_linear_one_times_the_schedule(schedule, name, golden):
    rates, clocks = rates_of(4, **rates_in(golden)), _clocks(golden)
    ours = _factors(schedule, rates, clocks) * np.array([warmup(now, rates) for now in clocks]).T
    np.testing.assert_allclose(rates.learning_rate[:, None] * ours, golden[name], rtol=1e-10)


# --- what the docstrings say


@pytest.mark.parametrize("name", FALLING)
def test_schedules_start_at_one_and_never_rise(name):
    rates = rates_of(2, decay_factor=np.array([0.5, 0.9]), decay_epochs=np.array([2.0, 1.0]))
    factors = _factors(name, rates, [Clock(step, 41, 4) for step in range(41)])
    assert (factors[:, 0] == 1).all()
    assert (np.diff(factors) <= 0).all() and (factors > 0).all()


def test_a_cycle_rises_to_one_at_its_share_and_falls_to_nearly_nothing():
    rates = rates_of(3, pct_start=np.array([0.1, 0.3, 0.6]))
    factors = _factors("one_cycle", rates, [Clock(step, 100, 7) for step in range(100)])
    assert factors.argmax(axis=1).tolist() == [9, 29, 59]
    np.testing.assert_allclose(factors[:, 0], 1 / 25)
    np.testing.assert_allclose(factors.max(axis=1), 1)
    np.testing.assert_allclose(factors[:, -1], 4e-6)
    for path, top in zip(factors, (9, 29, 59), strict=True):
        assert (np.diff(path[: top + 1]) > 0).all() and (np.diff(path[top:]) < 0).all()


def test_decays_per_epoch_as_the_lecture_does():
    rates = rates_of(decay_factor=0.9, decay_epochs=1.0)
    step, exponential, inverse = (
        [SCHEDULES[name].factor(Clock(n, 1000, 100), rates)[0] for n in (99, 100, 250)]
        for name in ("step", "exponential", "inverse")
    )
    assert step == [1.0, 0.9, 0.9**2]
    k = -np.log(0.9)
    np.testing.assert_allclose(exponential, np.exp([-0.99 * k, -k, -2.5 * k]))
    k = 1 / 0.9 - 1
    np.testing.assert_allclose(inverse, [1 / (1 + 0.99 * k), 0.9, 1 / (1 + 2.5 * k)])


def test_a_step_falls_where_it_should_though_the_quotient_is_rounded():
    """8.1 / 2.7 is 2.9999999999999996."""
    for tenths in range(1, 60):
        rates = rates_of(decay_factor=0.5, decay_epochs=tenths / 10)
        factors = _factors("step", rates, [Clock(step, 400, 10) for step in range(400)])[0]
        assert factors.tolist() == [0.5 ** (step // tenths) for step in range(400)]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_short_budgets_and_ends_of_ranges_give_finite_factors(name, steps):
    rates = rates_of(
        5, decay_factor=np.array([1e-30, 1, 0.5, 1e-30, 1]),
        decay_epochs=np.array([1e-3, 1e30, 1, 1e30, 1e-3]),
        pct_start=np.array([0, 1, 1 / steps, 0.5, 0.3]),
    )  # fmt: skip
    with np.errstate(under="ignore"):
        factors = _factors(name, rates, [Clock(step, steps, 3) for step in range(steps)])
    assert ((factors >= 0) & (factors <= 1)).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_reads_what_it_says_and_nothing_else(name, golden):
    plain, clocks = rates_of(4, **rates_in(golden)), _clocks(golden)
    factors = _factors(name, plain, clocks)
    for key in RATES:
        other = plain._replace(**{key: getattr(plain, key) * 0.9 + 0.01})
        changed = not np.array_equal(_factors(name, other, clocks), factors)
        assert changed == (key in SCHEDULES[name].reads), key


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_trials_factors_are_the_same_bits_in_any_company(name, rng):
    k = 37
    rates = rates_of(
        k, decay_factor=rng.uniform(0.01, 1, k), decay_epochs=rng.uniform(0.1, 5, k),
        pct_start=rng.uniform(0, 1, k), warmup_epochs=rng.uniform(0, 5, k),
    )  # fmt: skip
    for step in range(0, 60, 7):
        now = Clock(step, 60, 11)
        together = SCHEDULES[name].factor(now, rates) * warmup(now, rates)
        for trial in range(k):
            alone = type(rates)(*(rate[[trial]] for rate in rates))
            factor = SCHEDULES[name].factor(now, alone) * warmup(now, alone)
            assert factor.tobytes() == together[[trial]].tobytes()


# --- in training


def test_a_constant_schedule_costs_nothing_once_all_are_warm(make_spec):
    """The very rates that the update was prepared for: nothing is computed anew."""
    cohort = Lockstep([make_spec(n, rates=Rates(0.1, warmup_epochs=n)) for n in range(3)])
    moments = [cohort.rates(Clock(step, 100, 10)) for step in (0, 19, 20, 99)]
    assert [rates is cohort.base for rates in moments] == [False, False, True, True]
    assert moments[1].learning_rate.tobytes() == cohort.base.learning_rate.tobytes()
    assert moments[0].learning_rate.tolist() == pytest.approx([0.1, 0.01, 0.005])
    steady = Lockstep([make_spec(0, rates=Rates(0.1))])
    assert steady.rates(Clock(0, 100, 10)) is steady.base


@pytest.mark.parametrize("name", SCHEDULES)
def test_training_follows_the_clock_to_a_budget_that_ends_within_an_epoch(
    name, make_spec, digits, monkeypatch
):
    """15 minibatches are an epoch of digits; 40 the budget."""
    rates, seen = Rates(0.01, decay_factor=0.5, decay_epochs=1.2, warmup_epochs=0.5), []
    plain = Lockstep._prepared

    def prepared(cohort, in_force):
        seen.append(float(in_force.learning_rate[0]))
        return plain(cohort, in_force)

    monkeypatch.setattr(Lockstep, "_prepared", prepared)
    per_epoch = len(list(minibatches(len(digits.train.y), 100, 0, 0)))
    spec = make_spec(0, schedule=name, rates=rates, budget=Budget(1, iterations=40))
    result = train_cohort(Task((spec,)), digits, Watch())[0]
    mine = rates_of(**vars(rates))
    expected = [
        float(0.01 * (SCHEDULES[name].factor(now, mine) * warmup(now, mine))[0])
        for now in (Clock(step, 40, per_epoch) for step in range(40))
    ]
    assert seen == expected and result.step == 40
    assert list(result.curves.learning_rate) == expected[::per_epoch]
