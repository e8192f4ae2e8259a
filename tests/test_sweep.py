"""The sweep: which rate it takes, what the ramp shows, and what it says of the searched space."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from test_runner import runner
from test_stages import conclude, config, result, small_table, verdicts

from hpsearch import lockstep
from hpsearch.cohort import Task
from hpsearch.config.checking import Ramp, Sweep
from hpsearch.data import Rows, Source, load
from hpsearch.nn.schedules import Clock
from hpsearch.report.charts import RampChart
from hpsearch.search.space import parse_space
from hpsearch.spec import Budget
from hpsearch.stages import ramp, searched, sweep
from hpsearch.stages.context import Context
from hpsearch.stages.ladder import Ladder, Tried
from hpsearch.stages.updates import update_ratio, update_ratios
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Status
from hpsearch.verdict import Verdict

LOG_C = math.log(10)


def rate(value, loss, *, error=0.02, first=2.4):
    """A rate and its last loss, None where it diverged."""
    return Tried(value, loss is None, 100, first, 9.0 if loss is None else loss, error, 0.5)


def ladder(*rows, **changes):
    return Ladder([rate(*row) for row in rows], 2.3, Sweep(**changes))


def swept(tmp_path, dataset, *overrides):
    return conclude(sweep.STAGE, Context(config(tmp_path, *overrides), dataset, "sweep"))


def check_of(document, name):
    return next(check for check in document.checks if check.name == name)


# --- the rates


@pytest.mark.parametrize("loss, answer", [("softmax", 0.2714), ("hinge", 0.06)])
def test_smoothed_labels_cost_more_to_answer_without_the_input(tmp_path, loss, answer):
    """Of 3 % in one class: what even the best net leaves of the smoothed loss, 0.1985, is above
    the entropy of the labels, 0.135.
    """
    rng, y = np.random.default_rng(5), np.repeat([0, 1], [970, 30])
    x = rng.standard_normal((1000, 8)) + 4 * y[:, None]
    np.savez(tmp_path / "table.npz", x=x, y=y)
    data = load(Source("npz", tmp_path / "table.npz"), center="feature", scale="standard")
    document = swept(tmp_path, data, f"train.loss={loss}", "train.label_smoothing=0.1")
    assert check_of(document, "usable-rate").verdict == "pass"
    assert document.facts["baseline"] == pytest.approx(answer, rel=0.01)


@pytest.mark.parametrize(
    "score, error, first, learns",
    [
        (0.94 * LOG_C, 0.001, 9.0, True),
        (0.96 * LOG_C, 0.001, 9.0, False),  # within a twentieth of knowing nothing
        (LOG_C - 0.29, 0.1, 9.0, False),  # within three standard errors of it
        (LOG_C - 0.31, 0.1, 9.0, True),
        (1.0, 0.001, 1.12, True),
        (1.0, 0.001, 1.10, False),  # it began there
        (2.303, 0.001, 197.0, False),  # raw pixels: a hundredfold fall, to knowing nothing
    ],
)
def test_a_usable_rate_is_clearly_better_than_nothing_and_than_before(score, error, first, learns):
    tried = Tried(0.1, False, 100, first, score, error, 0.5)
    judged = Ladder([tried], LOG_C, Sweep())
    assert judged.learns(tried) == learns and bool(judged.usable) == learns
    assert not judged.learns(replace(tried, diverged=True))


@pytest.mark.parametrize(
    "rows, chosen",
    [
        ([(1.0, 2.2), (0.1, 0.50), (0.01, 0.49), (0.001, 1.5)], 0.1),  # they tie, 1.0 is stable
        ([(1.0, None), (0.1, 0.50), (0.01, 0.49), (0.001, 1.5)], 0.01),  # is 0.3 stable?
        ([(1.0, None), (0.3, 2.0), (0.1, 0.50), (0.01, 0.49)], 0.1),  # it is
        ([(0.3, None), (0.1, 0.50), (0.01, 0.49)], 0.01),  # it is not
        ([(1.0, None), (0.1, 0.60), (0.01, 0.49), (0.001, 1.5)], 0.01),  # no tie
        ([(0.3, None), (0.1, 0.49), (0.01, 0.9)], 0.1),  # not safe, but nothing is as good
        ([(0.9, 1e-9, 0), (0.3, 1e-5, 0), (0.1, 0.1, 0), (1.0, None)], 0.3),  # all but solved
    ],
)
def test_of_rates_as_good_as_each_other_the_largest_with_room_above_it_is_taken(rows, chosen):
    found = [rate(*row[:2], error=row[2] if len(row) > 2 else 0.02) for row in rows]
    assert Ladder(found, 2.3, Sweep()).best.rate == chosen


@pytest.mark.parametrize(
    "rows, more",
    [
        ([(0.1, 1.0), (0.01, 1.5)], [1.0]),
        ([(0.1, 1.5), (0.01, 1.0)], [0.001]),
        ([(0.1, None), (0.01, None)], [0.001, 0.0001]),
        ([(1.0, 1.5), (0.1, 1.0), (0.01, 1.2)], []),
        ([(1e6, None), (0.1, 1.0), (0.01, 1.2)], [1.0]),
        ([(1.0, 2.4), (0.1, 2.39), (0.01, 2.4)], [10.0]),
        ([(1.0, None), (0.1, 1.0), (0.01, 1.2)], [0.3]),  # is there room above the best?
        ([(1.0, None), (0.3, None), (0.1, 1.0), (0.01, 1.2)], []),
        ([(1.0, None), (0.3, 1.5), (0.1, 1.0), (0.01, 1.2)], []),
        ([(1.0, None), (0.3, 1.0), (0.1, 1.0), (0.01, 1.2)], [0.9]),
    ],
)
def test_the_sweep_goes_on_until_it_knows_the_best_and_the_room_above_it(rows, more):
    assert ladder(*rows).wanted() == pytest.approx(more)
    assert ladder(*rows, most=len(rows)).wanted() == []


def test_the_proposed_range_stops_where_training_diverges():
    low = ladder((1.0, None), (0.3, 2.0), (0.1, 0.5), (0.01, 1.5))
    assert low.range == pytest.approx((0.1 / 30, 1.0), rel=1e-2)
    assert ladder((1.0, 2.2), (0.1, None), (0.01, 1.5)).range == pytest.approx(
        (0.01 / 30, 0.1), rel=1e-2
    )
    assert ladder((1.0, 2.39), (0.1, None)).range is None


def test_the_sweep_finds_rates_that_the_config_did_not_name(tmp_path, digits):
    document = swept(tmp_path, digits, "sweep.learning_rates=[1e-6]", "train.learning_rate=1e-5")
    assert document.verdict == "pass" and 1e-2 <= document.facts["learning_rate"] <= 1


# --- why no rate is usable


@pytest.mark.parametrize(
    "rows, first, diagnosis",
    [
        ([(1.0, None), (0.1, None)], 2.4, "explodes"),
        ([(0.1, 2.39), (0.01, 2.4)], 2.4, "flat"),
        ([(1e2, 2.39), (0.01, 2.4)], 2.4, "flat-at-any"),
        ([(0.1, None), (0.01, 2.39)], 2.4, "not-the-rate"),
        ([(0.1, None), (0.01, 2.3)], 20.0, "hot-start"),
        ([(0.1, 2.31), (0.01, 2.5)], 2.8, "stuck-at-label-entropy"),
        ([(0.1, 2.5), (0.01, 2.7)], 2.8, "falls-too-little"),
    ],
)
def test_why_no_rate_is_usable(tmp_path, digits, rows, first, diagnosis):
    found = Ladder([rate(*row, first=first) for row in rows], LOG_C, Sweep())
    context = Context(config(tmp_path), digits, "sweep")
    check = sweep.none_usable(context, found)
    assert (check.verdict, check.diagnosis) == ("fail", diagnosis) and check.fix


@pytest.mark.parametrize(
    "last, accuracy, said",
    [(2.39, 0.5, True), (2.39, 0.11, False), (2.39, 0.15, False), (2.25, 0.5, False)],
)
def test_a_flat_loss_whose_accuracy_rises_is_put_into_words(
    tmp_path, digits, last, accuracy, said
):
    """2.25 is not flat, though no use either; 0.15 is within three standard errors of chance."""
    done = [
        replace(result(n, accuracy, hparams={"learning_rate": value}),
                losses=list(enumerate([2.4, *[last] * 20], 1)))
        for n, value in enumerate((0.1, 1e-2))
    ]  # fmt: skip
    check = sweep.judge(Context(config(tmp_path), digits, "sweep"), done).checks[0]
    assert check.verdict == "fail"
    assert ("loss is flat but the accuracy is already" in check.message) == said


@pytest.mark.parametrize(
    "iterations, expected",
    [(20, ("fail", "stuck-at-label-entropy")), (300, ("warn", "memorises"))],
)
def test_labels_that_do_not_fit_are_learnt_by_heart_at_most(
    tmp_path, digits, iterations, expected
):
    y = np.random.default_rng(0).permutation(digits.train.y)
    shuffled = replace(digits, train=Rows(digits.train.gather(), y))
    document = swept(tmp_path, shuffled, f"sweep.iterations={iterations}")
    check = document.checks[0]
    assert (check.verdict, check.diagnosis) == expected and "labels fit" in check.fix
    if iterations == 20:
        assert set(verdicts(document).values()) == {"fail"} and len(document.checks) == 3


@pytest.mark.parametrize(
    "accuracy, val_loss, verdict",
    [(0.1, 9.0, "warn"), (0.1, 2.2, "pass"), (0.9, 9.0, "pass")],
)
def test_what_is_learnt_must_hold_on_other_rows(tmp_path, digits, accuracy, val_loss, verdict):
    """In accuracy, or else in loss: a net may be right too early to be sure, or the reverse."""
    best = replace(rate(0.01, 0.5), accuracy=accuracy, val_loss=val_loss)
    context = Context(config(tmp_path), digits, "sweep")
    check = sweep.usable_rate(context, Ladder([best], LOG_C, Sweep()), best)
    assert check.verdict == verdict


def test_the_configured_rate_may_diverge_and_is_told_so(tmp_path, digits):
    check = swept(tmp_path, digits, "train.learning_rate=1e3").checks[0]
    assert (check.verdict, check.diagnosis) == ("warn", "configured-diverges")
    assert "1000, diverges at step" in check.message and check.fix == "train.learning_rate: 0.1"


# --- the ramp


def ramped(losses, **changes):
    settings = Ramp(iterations=max(20, len(losses)), **changes)
    return ramp.read(replace(result(0, 0.5), losses=list(enumerate(losses, 1))), settings)


def valley(steps=100, *, start=40, bottom=80):
    """Flat, then down in a straight line, then up into the sky."""
    down = np.interp(np.arange(bottom), [0, start, bottom], [2.3, 2.3, 0.3])
    return [*down, *0.3 * 2.0 ** np.arange(steps - bottom)]


def test_the_ramp_reaches_its_ends_in_equal_steps_of_the_log(tmp_path, digits, make_spec):
    chosen = Context(config(tmp_path, "sweep.ramp={low: 1e-5, high: 10, iterations: 61}"), digits,
                     "sweep")  # fmt: skip
    spec = ramp.spec(chosen, 0, seed=1)
    trial = lockstep.Lockstep([spec])
    clocks = [Clock(step, 61, per_epoch=15) for step in range(61)]
    rates = [float(trial.rates(now).learning_rate[0]) for now in clocks]
    assert rates == pytest.approx(np.geomspace(1e-5, 10, 61).tolist(), rel=1e-9)
    assert spec.steps(len(digits.train.y)) == 61


def test_the_ramp_finds_where_the_loss_falls():
    curve = ramped(valley())
    at = [round(math.log10(value / 1e-7) / 8 * 99) for value in (curve.low, curve.high)]
    assert 38 <= at[0] <= 45 and 74 <= at[1] <= 80
    assert curve.low < curve.steepest < curve.high
    assert len(curve.rates) < 90, "the explosion is left out"
    assert np.isfinite(curve.smoothed).all()


@pytest.mark.parametrize("losses", [[2.3] * 100, [2.3] * 50 + [math.nan], [math.inf], [2.3]])
def test_a_ramp_that_never_falls_has_no_range(losses):
    curve = ramped(losses)
    assert curve.low is curve.high is curve.steepest is None
    assert all(map(math.isfinite, curve.losses))


def test_the_average_of_the_ramp_is_unbiased_and_does_not_lag():
    assert ramp.averaged(np.full(50, 2.0), 0.98) == pytest.approx(np.full(50, 2.0))
    line = np.linspace(3.0, 1.0, 201)
    smooth = np.array(ramped(line).smoothed)
    assert smooth[50:150] == pytest.approx(line[50:150], abs=1e-6)


def test_a_steeper_fall_moves_the_steepest_place():
    losses = [2.3] * 20 + list(np.linspace(2.3, 2.0, 30)) + list(np.linspace(1.9, 0.5, 10))
    curve = ramped(losses + list(np.linspace(0.5, 0.4, 40)))
    at = round(math.log10(curve.steepest / 1e-7) / 8 * 99)
    assert 49 <= at <= 60


def test_the_ramp_is_beside_the_proposal_and_may_be_left_out(tmp_path, digits):
    document = swept(tmp_path, digits)
    shown, (low, high) = document.facts["ramp"], document.facts["range"]
    assert low < shown["steepest"] < high and shown["high"] < 1.2 * document.facts["diverging"]
    assert f"fastest at {shown['steepest']:g}" in check_of(document, "range").message
    without = swept(tmp_path, digits, "sweep.ramp.enabled=false")
    assert without.facts["ramp"] is None and without.facts["range"] == document.facts["range"]
    assert "ramp" not in check_of(without, "range").message


@pytest.mark.parametrize("width", [20, 33, 60, 100, 200])
def test_the_ramp_is_drawn_as_wide_as_there_is_room(width):
    console = Console(width=width, record=True, file=io.StringIO())
    curve = ramped(valley())
    console.print(RampChart(vars(curve)))
    bars, marks, words = (line.rstrip() for line in console.export_text().splitlines()[:3])
    assert len(bars) <= width and len(marks) <= width
    assert bars[2] in "▅▆▇█" and bars[marks.index("┤")] in "▁▂"
    assert marks.index("├") < marks.index("▲") <= marks.index("┤")
    assert "falls:" in words


# --- updates


def test_the_update_ratio_is_measured_by_layer(tmp_path, digits):
    """One step of gradient descent moves each layer by rate times gradient, and no more."""
    context = Context(config(tmp_path, "model.hidden=[20, 15]"), digits, "sweep")
    spec = context.spec(
        0, Budget(1, 1), optimizer="sgd", rates={"learning_rate": 0.1, "weight_decay": 0.0}
    )
    ratios = update_ratios(context, spec)
    slower = update_ratios(context, replace(spec, rates=replace(spec.rates, learning_rate=0.05)))
    assert len(ratios) == 3 and ratios == pytest.approx([2 * r for r in slower], rel=1e-3)
    trial = lockstep.Lockstep([spec])
    index = np.random.default_rng([spec.order_seed, 0]).permutation(len(digits.train.y))[:100]
    trial.step(digits.batch(digits.train, index), digits.train.y[index], measure=True)
    assert max(ratios) == pytest.approx(trial.update_ratios[:, 0].max(), rel=1e-5)


@pytest.mark.parametrize(
    "ratios, verdict, layer",
    [
        ([1e-3, 1e-2], "pass", ""),
        ([1.01e-4, 0.099], "pass", ""),
        ([1e-3, 0.99e-4], "warn", "layer 2 of 2 hardly moves"),
        ([0.101, 1e-3], "warn", "layer 1 of 2 moves by 10%"),
        ([0.2, 1e-6, 1e-3], "warn", "layer 2 of 3"),  # the worst is named
        ([0.0, 1e-3], "warn", "layer 1 of 2"),
    ],
)
def test_a_layer_that_stands_still_or_jumps_is_named(tmp_path, digits, ratios, verdict, layer):
    check = update_ratio(Context(config(tmp_path), digits, "sweep"), ratios, 0.1)
    assert check.verdict == verdict and layer in check.message
    assert (check.fix == "") == (verdict == "pass")


# --- the searched space


def space(tmp_path, digits, **written):
    chosen = config(tmp_path).model_copy(update={})
    search = chosen.search.model_copy(update={"space": parse_space(written)})
    return Context(chosen.model_copy(update={"search": search}), digits, "sweep")


HEALTHY = [(1.0, None), (0.3, 2.0), (0.1, 0.5), (0.01, 0.7), (0.001, 2.4)]


@pytest.mark.parametrize(
    "written, words",
    [
        ({"log_uniform": [1e-4, 1]}, None),
        ({"log_uniform": [1e-3, 20]}, None),  # 30 % of it diverges
        ({"log_uniform": [1e-3, 40]}, "35% lies above 1"),
        ({"uniform": [1e-4, 1.4]}, None),
        ({"uniform": [1e-4, 1.6]}, "38% lies above 1"),
        ({"log_uniform": [1e-8, 1e-5]}, "below the usable rates"),
        ({"log_uniform": [2.0, 30]}, "above the usable rates"),
        ({"log_uniform": [1e-5, 2e-2]}, "where the best rate, 0.1, is not"),
        ({"choice": [0.01, 0.1, 1.0]}, None),
        ({"choice": [0.1, 1.0, 2.0]}, "67% lies above 1"),
    ],
)
def test_a_space_of_rates_that_cannot_be_used_is_told_before_the_search(
    tmp_path, digits, written, words
):
    context, found = space(tmp_path, digits, learning_rate=written), ladder(*HEALTHY)
    said = list(searched.rate_troubles(context, found, found.best))
    assert bool(said) == (words is not None)
    check = sweep.range_check(context, found, said, curve=None)
    assert check.verdict == ("warn" if words else "pass") and (words or "") in check.message
    assert ("log_uniform: [0.00333, 1]" in check.fix) == bool(words)


def test_a_best_rate_outside_the_space_is_no_trouble_where_one_inside_is_as_good(tmp_path, digits):
    context = space(tmp_path, digits, learning_rate={"log_uniform": [1e-4, 0.05]})
    as_good = ladder((1.0, None), (0.3, 2.0), (0.1, 0.5), (0.01, 0.6), (0.001, 2.4))
    assert not list(searched.rate_troubles(context, as_good, as_good.best))


@pytest.mark.parametrize(
    "written, decay",
    [
        ({"log_uniform": [1e-6, 1]}, 1e-2),
        ({"uniform": [0, 0.3]}, 0.2),
        ({"zero_or_log_uniform": {"bounds": [1e-6, 1], "zero": 0.5}}, 1e-2),
        ({"choice": [0.0, 1e-4, 1e-3]}, 1e-3),
        ({"choice": [0.0]}, None),
    ],
)
def test_the_decay_that_is_tried_has_a_third_of_the_space_above_it(
    tmp_path, digits, written, decay
):
    found = searched.strong_decay(space(tmp_path, digits, weight_decay=written))
    assert found == (None if decay is None else pytest.approx(decay, rel=1e-2))


@pytest.mark.parametrize(
    "written, share",
    [
        ({"log_uniform": [1e-6, 1]}, 1 / 3),
        ({"zero_or_log_uniform": {"bounds": [1e-6, 1], "zero": 0.5}}, 1 / 6),
        ({"choice": [0.0, 1e-2, 1.0, 10.0]}, 3 / 4),
    ],
)
def test_the_share_above_a_decay_counts_what_is_drawn(written, share):
    kind = parse_space({"weight_decay": written})["weight_decay"]
    assert searched.share_above(kind, 1e-2) == pytest.approx(share)


@pytest.mark.parametrize(
    "overrides, words",
    [
        ([], None),
        (["search.space.weight_decay={log_uniform: [1e-3, 1e5]}"], "33% of the searched"),
        (["search.space={}", "train.weight_decay=10"], "with weight decay 10 the loss is 2.3"),
        (["search.space={}", "train.weight_decay=1e-3"], None),
        (["search.space={}", "train={weight_decay: 10, optimizer: adam}"], "with weight decay 10"),
    ],
)
def test_a_penalty_that_leaves_nothing_to_learn_is_told_before_the_search(
    tmp_path, digits, overrides, words
):
    check = check_of(swept(tmp_path, digits, *overrides), "range")
    assert check.verdict == ("warn" if words else "pass") and (words or "") in check.message
    assert ("weight_decay:" in check.fix) == bool(words)


def test_a_corrected_space_is_judged_anew_and_the_next_rounds_is_not(tmp_path):
    root, low = tmp_path / "runs", "search.space.learning_rate={log_uniform: [1e-8, 1e-5]}"
    first = runner(root, low).check("sweep")
    assert check_of(first, "range").verdict is Verdict.WARN
    assert runner(root, low, "search.round=refine-1").check("sweep").verdict is Verdict.WARN
    mended = runner(root)
    assert mended.check("sweep").verdict is Verdict.PASS and mended.view.begun
    again = runner(root, low, "search.round=refine-1")
    assert again.check("sweep").verdict is Verdict.PASS and not again.view.begun


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_small_table_has_nothing_to_worry_about(tmp_path, optimizer):
    given = (f"train.optimizer={optimizer}", "search.space={}")
    document = swept(tmp_path, small_table(tmp_path), *given)
    assert set(verdicts(document).values()) == {"pass"}, document


def test_trials_of_a_sweep_share_their_start_and_their_minibatches(tmp_path, digits):
    context = Context(config(tmp_path), digits, "sweep")
    specs = sweep.plan(context, [])
    assert len({(spec.seed, spec.order_seed) for spec in specs}) == 1
    assert len({spec.id for spec in specs}) == len(specs) == 5
    lost = [replace(result(s.id, 0.1, status=Status.DIVERGED), hparams=s.hparams) for s in specs]
    more = sweep.plan(context, lost)
    assert [s.hparams for s in more[: len(specs)]] == [s.hparams for s in specs]
    assert [s.hparams["learning_rate"] for s in more[len(specs) :]] == pytest.approx([1e-5, 1e-6])


def test_a_rare_class_is_learnt_from_smoothed_labels_too(tmp_path, rng):
    """What they leave of the loss at best, 0.2, is the entropy of the plain labels."""
    y = (np.arange(600) % 20 == 0).astype(int)
    x = rng.standard_normal((600, 5)) + 6 * y[:, None]
    np.savez(tmp_path / "rare.npz", x=x, y=y)
    rare = load(Source("npz", tmp_path / "rare.npz"), center="feature", scale="standard")
    document = swept(tmp_path, rare, "train.label_smoothing=0.1")
    assert verdicts(document)["usable-rate"] == "pass"


def test_the_curves_kept_of_the_rates_are_those_of_their_training(tmp_path, digits):
    """Each rate's own specification, trained by itself, gives the losses that were kept."""
    context = Context(config(tmp_path, "sweep.iterations=250"), digits, "sweep")
    document = conclude(sweep.STAGE, context)
    specs = {spec.rates.learning_rate: spec for spec in sweep.plan(context, [])[1:]}
    compared = [row for row in document.facts["rates"] if row["rate"] in specs]
    assert len(compared) == 4
    for row in compared:
        steps, losses = row["steps"], row["losses"]
        alone = train_cohort(Task((specs[row["rate"]],)), digits, Watch())[0]
        whole = dict(alone.losses)
        assert losses == [whole[step] for step in steps]
        assert steps[0] == 1 and steps[-1] == alone.step == row["step"]
        assert len(steps) == min(100, len(whole)) and steps == sorted(set(steps))
        assert max(np.diff(steps)) <= 2 * max(1, min(np.diff(steps))) + 1
