import json
import math
from dataclasses import replace

import plotly.graph_objects as go
import pytest
from test_report_samples import CHECKS, NAMES, diverged, full_run, hostile_run, search, trial
from test_report_tables_learning import pruned, run_of_many, stored

from hpsearch.curves import ACTIONS
from hpsearch.report.plots.activations import activations
from hpsearch.report.plots.closeup import trial_curves
from hpsearch.report.plots.learning import curves
from hpsearch.report.plots.overfit import overfit_curve
from hpsearch.report.plots.sweep import range_test, sweep_curves
from hpsearch.report.tables.material import Material
from hpsearch.stages.layers import BINS
from hpsearch.trial import Curves, Status
from hpsearch.verdict import Check, CheckDocument, Verdict

PLOTS = (curves, trial_curves, sweep_curves, range_test, activations, overfit_curve)
TRIALS = (curves, trial_curves)
LEARNING = ("val_accuracy", "train_loss")


def drawings(plot):
    """Every view as plotly takes it: an unknown property, or a colour that is none, is refused."""
    text = json.dumps(dict(plot.views), allow_nan=False)
    return {name: go.Figure(view) for name, view in json.loads(text).items()}


def named(figure):
    return {trace.name: trace for trace in figure.data}


def numbers(values):
    return [value for value in values if value is not None]


def checked(plot):
    """What holds of every plot, then its drawings."""
    found = drawings(plot)
    assert plot.caption and plot.alt and plot.views and set(plot.notes) <= set(plot.views)
    for figure in found.values():
        layout = figure.to_plotly_json()["layout"]
        assert not {"paper_bgcolor", "plot_bgcolor", "font"} & set(layout)
        for trace in figure.data:
            assert len(trace.x) == len(trace.y)
    for switch in plot.switches:
        for figure in found.values():
            for traces, layout in (switch.on, switch.off):
                figure.update_layout(**{key.replace(".", "_"): v for key, v in layout.items()})
                assert not traces
    return found


def judged_trials():
    """Twelve completed, one of each fate besides."""
    done = [replace(trial(n, [0.1, 0.2 + n / 50]), verdict="healthy") for n in range(12)]
    late = replace(trial(12, [0.5, 0.4]), status=Status.DIVERGED, step=25, verdict="diverged")
    early = replace(diverged(13), verdict="diverged", step=3)
    return [*done, late, early, pruned(14, [0.3])]


def facts():
    return {"rows": {"train": 1000}}


def learnt(tmp_path, results, **changes):
    settings = {"train.batch_size": 100}
    return stored(
        tmp_path, search(settings=settings, **changes), results=results, facts=facts()
    )


# --- all curves in one plot


def test_the_best_ten_have_colours_dashes_and_symbols_of_their_own(tmp_path):
    plot = curves(learnt(tmp_path, judged_trials()))
    accuracy, loss = checked(plot).values()
    assert list(plot.views) == ["coarse: validation accuracy", "coarse: training loss"]
    tops = [trace for trace in accuracy.data if trace.name.isdigit()]
    assert [trace.name for trace in tops] == [str(n) for n in range(11, 1, -1)]
    assert len({(t.line.color, t.line.dash) for t in tops}) == 10
    assert len({t.marker.symbol for t in tops}) == 10
    assert "x" not in {t.marker.symbol for t in tops}
    assert list(tops[0].y) == [0.1, 0.42] and list(named(loss)["11"].y) == [0.9, 0.58]
    grey = named(accuracy)["others"]
    assert grey.y.count(None) == 4 and set(grey.customdata) == {0, 1, 12, 14}
    assert numbers(grey.y) == [0.1, 0.22, 0.1, 0.2, 0.5, 0.4, 0.3]


def test_ends_are_marked_where_they_were(tmp_path):
    accuracy, loss = checked(curves(learnt(tmp_path, judged_trials()))).values()
    crosses = [t for t in accuracy.data if t.name == "diverged"]
    assert [(list(t.x), list(t.y), t.yaxis) for t in crosses] == [
        ([2.5], [0.4], "y"), ([0.3], [0.02], "y2"),
    ]  # fmt: skip
    assert {t.marker.symbol for t in crosses} == {"x"}
    assert [t.showlegend for t in crosses] == [True, False]
    (ring,) = (t for t in accuracy.data if t.name == "pruned")
    assert (list(ring.x), list(ring.y), ring.marker.symbol) == ([1], [0.3], "circle-open")
    assert [list(t.y) for t in loss.data if t.name == "diverged"] == [[0.6], [0.98]]


def test_a_loss_that_explodes_leaves_the_plot_and_does_not_set_its_scale(tmp_path):
    huge = Curves(train_loss=[2.0, 1e30, 1e200], val_accuracy=[0.1] * 3)
    lost = replace(trial(1, [0.1]), curves=huge, status=Status.DIVERGED, step=30, best_epoch=None)
    plot = curves(learnt(tmp_path, [trial(0, [0.2, 0.5]), lost]))
    loss = checked(plot)["coarse: training loss"]
    assert loss.layout.yaxis.autorangeoptions.clipmax == pytest.approx(1.5 * 0.8)
    (cross,) = (t for t in loss.data if t.name == "diverged")
    assert (cross.yaxis, list(cross.x)) == ("y2", [3])


def test_the_metric_that_was_searched_comes_first(tmp_path):
    results = [trial(n, [a], metric="val_loss") for n, a in enumerate([0.2, 0.9])]
    plot = curves(learnt(tmp_path, results, metric="val_loss"))
    found = checked(plot)
    assert [name.split(": ")[1] for name in found] == [
        "validation loss", "validation accuracy", "training loss",
    ]  # fmt: skip
    top = next(t for t in found["coarse: validation loss"].data if t.name == "1")
    assert numbers(top.y) == pytest.approx([0.1])


def test_the_latest_stage_comes_first_and_the_progress_is_told(tmp_path):
    plot = curves(run_of_many(tmp_path))
    checked(plot)
    assert next(iter(plot.views)).startswith("refine-1") and len(plot.views) == 4
    assert "from 0.2000 in coarse to 0.3500 in refine-1" in plot.caption
    assert "trial 7 is the best, 0.3500" in plot.notes["refine-1: training loss"]
    assert "2 of 8 diverged" not in plot.notes["coarse: training loss"]
    assert "1 of 8 diverged" in plot.notes["coarse: training loss"]
    assert plot.table.stage.tolist()[0] == "refine-1"


def test_of_very_many_trials_few_are_drawn_and_it_is_said(tmp_path):
    material = learnt(tmp_path, judged_trials())
    many = [replace(trial(n, [n / 2000, 0.1]), verdict="healthy") for n in range(1000)]
    plot = curves(replace(material, trials={"coarse": many}))
    accuracy = checked(plot)["coarse: validation accuracy"]
    assert named(accuracy)["others"].y.count(None) == 200
    assert "besides the 10 in colour, 200 of 990" in plot.thinned
    long = [trial(n, [0.1] * 1000) for n in range(12)]
    accuracy = next(iter(drawings(curves(replace(material, trials={"coarse": long}))).values()))
    assert len(numbers(named(accuracy)["others"].x)) == 2 * 100
    assert not curves(material).thinned


def test_the_caption_says_what_was_found_and_explains_the_marks_there_are(tmp_path):
    plot = curves(learnt(tmp_path / "all", judged_trials()))
    assert "trial 11 is the best, 0.4200 validation accuracy at epoch 2 of 2" in plot.caption
    assert "cross" in plot.caption and "ring" in plot.caption
    plain = curves(learnt(tmp_path / "one", [trial(0, [0.5])]))
    assert "cross" not in plain.caption and "ring" not in plain.caption


def test_pruned_trials_have_colours_where_few_were_completed(tmp_path):
    results = [trial(0, [0.1, 0.2, 0.3]), pruned(1, [0.1, 0.2]), pruned(2, [0.3])]
    accuracy = next(iter(checked(curves(learnt(tmp_path, results))).values()))
    assert [t.name for t in accuracy.data] == ["0", "1", "2", "pruned"]


# --- trials from close by


def test_a_trials_panels_hold_its_own_numbers(tmp_path):
    losses = [(step, 2.0 / step) for step in range(1, 21)]
    result = replace(trial(0, [0.2, 0.6]), losses=losses, step=20, verdict="still-improving")
    plot = trial_curves(learnt(tmp_path, [result]))
    (view,) = checked(plot).values()
    dots, mean, *epochs = view.data
    assert list(dots.x) == pytest.approx([step / 10 for step, _ in losses])
    assert list(dots.y) == pytest.approx([loss for _, loss in losses], rel=1e-4)
    assert mean.y[0] == 2 and mean.y[-1] > dots.y[-1]
    assert [(t.name, t.yaxis) for t in epochs] == [
        ("training", "y"), ("validation", "y"), ("training", "y2"), ("validation", "y2"),
        ("update ratio", "y3"), ("0.001, healthy", "y3"),
    ]  # fmt: skip
    assert list(epochs[0].x) == [0.5, 1.5] and list(epochs[1].x) == [1, 2]
    assert list(epochs[3].y) == [0.2, 0.6] and list(epochs[4].y) == [0.001, 0.001]
    axes = (view.layout.yaxis, view.layout.yaxis2, view.layout.yaxis3)
    (top, _), (middle, high), (low, _) = (axis.domain[::-1] for axis in axes)
    assert top == 1 and high < middle < view.layout.yaxis.domain[0] and low < high
    assert axes[2].domain[0] == pytest.approx(0, abs=1e-9)


def test_every_verdict_is_told_with_its_action(tmp_path):
    for word, action in ACTIONS.items():
        plot = trial_curves(learnt(tmp_path / word, [replace(trial(0, [0.5]), verdict=word)]))
        ((view, note),) = plot.notes.items()
        assert f"say {word}" not in plot.caption, "it is said of the view alone that is chosen"
        assert f"say {word}: {action}." in note and word in view and [*plot.views] == [view]


def test_losses_that_are_none_zero_or_huge_can_be_drawn(tmp_path):
    losses = [(1, 2.0), (2, 0.0), (3, 1e300), (4, math.inf), (5, math.nan), (6, 1e-30)]
    result = replace(trial(0, [0.5]), losses=losses, step=6)
    (view,) = checked(trial_curves(learnt(tmp_path, [result]))).values()
    assert list(view.data[0].y) == [2.0, 0.0, 1e300, None, None, 1e-30]
    assert view.layout.yaxis.autorangeoptions.clipmax == pytest.approx(6.6)
    assert view.layout.yaxis.autorangeoptions.clipmin > 0


def test_a_trial_without_an_epoch_has_its_losses_alone(tmp_path):
    results = [replace(diverged(0), verdict="diverged")]
    (view,) = checked(trial_curves(learnt(tmp_path, results))).values()
    assert [t.name for t in view.data] == ["minibatch", "moving average"]
    assert "yaxis2" not in view.layout and tuple(view.layout.yaxis.domain) == (0, 1)


# --- sweep and range test


def swept(tmp_path, **changes):
    given = CHECKS["sweep"].facts
    rates = [{**row, "steps": [1, 50, row["step"]], "losses": [2.3, 1.0, row["score"]]}
             for row in given["rates"]]  # fmt: skip
    ramp = {"rates": [1e-3, 1e-2, 0.1], "losses": [2.0, 0.0, None], "smoothed": [2.0, 1.0, 1.5],
            "low": 2e-3, "steepest": 9e-3, "high": 0.05}  # fmt: skip
    facts = {**given, "rates": rates, "ramp": ramp, **changes}
    return stored(tmp_path, replace(CHECKS["sweep"], facts=facts))


def test_the_sweep_draws_every_rate_and_marks_the_best_and_the_lost(tmp_path):
    plot = sweep_curves(swept(tmp_path))
    over, by_rate = checked(plot).values()
    lines = named(over)
    assert list(lines) == ["10", "0.1, the best", "0.001", "1e-5", "diverged", "without the input"]
    widths = {name: lines[name].line.width for name in ("10", "0.1, the best", "0.001")}
    assert widths["0.1, the best"] == 2 * max(w for n, w in widths.items() if "best" not in n) + 1
    assert list(lines["0.1, the best"].y) == [2.3, 1.0, 0.2]
    assert list(lines["10"].y) == [2.3, 1.0, None]
    assert (list(lines["diverged"].x), lines["diverged"].marker.symbol) == ([9], "x")
    assert list(lines["without the input"].y) == [2.302, 2.302]
    found = named(by_rate)
    assert list(found["loss reached"].x) == [0.1, 1e-3, 1e-5]
    assert list(found["loss reached"].marker.symbol) == ["star", "circle", "circle"]
    assert list(found["diverged"].x) == [10] and by_rate.layout.xaxis.type == "log"
    (span,) = by_rate.layout.shapes
    assert (span.x0, span.x1) == (1 / 300, 1.0)
    for words in ("rate 0.1 does best", "from 2.3 to 0.2", "diverges from 10", "0.003333 to 1"):
        assert words in plot.caption


def test_a_sweep_of_before_the_curves_were_kept_shows_where_they_ended(tmp_path):
    plot = sweep_curves(Material.of(full_run(tmp_path)))
    assert list(checked(plot)) == ["loss reached, by rate"]


def test_a_sweep_in_which_nothing_helps(tmp_path):
    rates = [{"rate": r, "diverged": True, "step": 3, "first": 2.0, "score": None,
              "steps": [1, 2, 3], "losses": [2.0, None, None]} for r in (1.0, 0.1)]  # fmt: skip
    changes = {"rates": rates, "learning_rate": None, "range": None, "diverging": 0.1}
    plot = sweep_curves(swept(tmp_path, **changes))
    over, by_rate = checked(plot).values()
    assert "None of 2 rates" in plot.caption and "diverges from 0.1" in plot.caption
    assert len(named(over)["diverged"].x) == len(named(by_rate)["diverged"].x) == 2


def test_the_range_test_marks_what_it_tells(tmp_path):
    plot = range_test(swept(tmp_path))
    (view,) = checked(plot).values()
    shapes = {shape.name: shape.x0 for shape in view.layout.shapes}
    assert shapes == {
        "begins to fall, 0.002": 2e-3, "falls fastest, 0.009": 9e-3, "falls no more, 0.05": 0.05,
        "chosen by the sweep, 0.1": 0.1, "diverges in the sweep, 10": 10,
        "proposed range": 1 / 300,
    }  # fmt: skip
    dots, mean = view.data
    assert list(dots.y) == [2.0, 0.0, None] and list(mean.y) == [2.0, 1.0, 1.5]
    assert "begins to fall at 0.002" in plot.caption and "no more from 0.05" in plot.caption


def test_a_ramp_that_never_falls_says_so(tmp_path):
    ramp = {"rates": [1e-3], "losses": [2.0], "smoothed": [2.0], "low": None}
    plot = range_test(swept(tmp_path, ramp=ramp, range=None, learning_rate=None))
    (view,) = checked(plot).values()
    assert "never falls" in plot.caption
    assert [shape.name for shape in view.layout.shapes] == ["diverges in the sweep, 10"]
    assert range_test(swept(tmp_path / "none", ramp=None)) is None


# --- activations and overfit


def layered(tmp_path, count, **check):
    layers = [
        {"layer": n, "units": 50, "mean": 0.0, "std": 0.9 / n**2, "zero": 0.5, "saturated": 0.0,
         "dead": 0.02, "histogram": {"low": -1.0, "high": 1.0 / n, "counts": list(range(BINS)),
                                     "below": 1, "above": 1, "zeros": 818, "lost": 0}}
        for n in range(1, count + 1)
    ]  # fmt: skip
    given = {"verdict": Verdict.PASS, "message": "fine"} | check
    one = Check("activation-statistics", value=1.0, expected="0.2 to 1", **given)
    return stored(tmp_path, CheckDocument("sanity", (one,), {"layers": layers, "n_params": 9}))


def test_layers_share_an_axis_and_are_told_in_words(tmp_path):
    plot = activations(layered(tmp_path, 3, verdict=Verdict.WARN, message="they shrink"))
    (view,) = checked(plot).values()
    assert [bar.yaxis for bar in view.data] == ["y", "y2", "y3"]
    for n, bar in enumerate(view.data, 1):
        assert sum(bar.y) == pytest.approx(820 / 1640, rel=1e-3)
        assert bar.x[0] - bar.width[0] / 2 == pytest.approx(-1, rel=1e-3)
        assert bar.x[-1] + bar.width[-1] / 2 == pytest.approx(1 / n, rel=1e-3)
    assert [a.text for a in view.layout.annotations] == [
        "layer 1: std 0.9, 50% are 0, 2% dead", "layer 2: std 0.23, 50% are 0, 2% dead",
        "layer 3, shrinking: std 0.1, 50% are 0, 2% dead",
    ]  # fmt: skip
    assert "layer 1 healthy" in plot.caption and "layer 3 shrinking" in plot.caption
    assert "activation-statistics: they shrink" in plot.caption
    assert "Healthy" not in plot.caption


def test_healthy_layers_are_said_to_be(tmp_path):
    caption = activations(layered(tmp_path, 1)).caption
    assert caption == "Healthy: layer 1, mean 0, std 0.9, 50% are 0, 2% dead."


def test_of_very_deep_networks_some_layers_are_drawn(tmp_path):
    plot = activations(layered(tmp_path, 30))
    (view,) = checked(plot).values()
    assert len(view.data) == 12 and "12 of 30 layers" in plot.thinned and len(plot.table) == 30


def test_sanity_of_before_there_were_histograms_draws_none(tmp_path):
    assert activations(Material.of(full_run(tmp_path))) is None


def test_the_examples_learnt_by_heart_and_what_counts_as_learnt(tmp_path):
    plot = overfit_curve(Material.of(full_run(tmp_path)))
    (view,) = checked(plot).values()
    lines = named(view)
    assert list(lines["rate 0.1"].y) == [2.3, None, 2.2]
    assert view.layout.yaxis.type == "log" and list(lines["learnt below"].y) == [0.02, 0.02]
    assert "no." in plot.caption and "loss 2.3 -> 2.2" in plot.caption.lower()


def test_other_rates_end_where_they_did(tmp_path):
    rows = [
        {"learning_rate": 1.0, "status": "diverged", "epochs": 3, "first_loss": 2.0, "loss": 6.0},
        {"learning_rate": 0.1, "status": "done", "epochs": 200, "first_loss": 2.0, "loss": 0.01},
        {"learning_rate": 0.01, "status": "done", "epochs": 200, "first_loss": 2.0, "loss": 0.0},
    ]  # fmt: skip
    check = Check("overfit", Verdict.PASS, 0.01, 0.046, "20 examples: learnt")
    facts = {"rates": rows, "curve": [2.0, 0.0, 0.01], "learning_rate": 0.1, "epochs": 200}
    plot = overfit_curve(stored(tmp_path, CheckDocument("overfit", (check,), facts)))
    (view,) = checked(plot).values()
    lines = named(view)
    assert list(lines["rate 0.1"].x) == [1, 2, 3] and list(lines["rate 0.1"].y) == [2.0, 0.0, 0.01]
    other = lines["other rates, at their end"]
    assert (list(other.x), list(other.y)) == ([200], [0.0])
    assert (list(lines["diverged"].x), lines["diverged"].marker.symbol) == ([3], "x")
    assert "yes." in plot.caption


def test_where_every_rate_explodes_there_is_still_a_plot(tmp_path):
    rows = [{"learning_rate": 1.0, "status": "diverged", "epochs": 0, "first_loss": 2.0}]
    check = Check("overfit", Verdict.FAIL, math.inf, 0.046, "the loss explodes")
    material = stored(tmp_path, CheckDocument("overfit", (check,), {"rates": rows, "curve": []}))
    (view,) = checked(overfit_curve(material)).values()
    assert [trace.name for trace in view.data] == ["learnt below"]


# --- any run


@pytest.mark.parametrize("make", PLOTS)
def test_of_a_run_that_has_only_begun_there_is_nothing(tmp_path, make):
    assert make(stored(tmp_path / "empty")) is None
    assert make(stored(tmp_path / "begun", search(verdict=None))) is None


@pytest.mark.parametrize("results", [
    [trial(0, [0.5])], [diverged(0), diverged(1)], [pruned(0, [0.1])],
    [replace(diverged(0), status=Status.FAILED, losses=[], step=0, reason="MemoryError")],
    [trial(0, [math.nan, 0.5])], [trial(0, [0.5], hidden=(64, 32), activation=None, x=True)],
], ids=["one", "diverged", "pruned", "failed", "nan", "values"])  # fmt: skip
@pytest.mark.parametrize("make", TRIALS)
def test_odd_trials_are_drawn(tmp_path, make, results):
    for settings in ({}, {"train.batch_size": 100}):
        opened = search(settings=settings)
        plot = make(stored(tmp_path / str(len(settings)), opened, results=results))
        if plot is None:
            assert results[0].status in (Status.FAILED, Status.DIVERGED) and make is trial_curves
        else:
            checked(plot)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", TRIALS)
def test_hostile_names_are_text_in_a_drawing(tmp_path, make, name):
    plot = make(Material.of(hostile_run(tmp_path, name)))
    checked(plot)
    for text in _texts(dict(plot.views)):
        bare = text.replace("<br>", "").replace("<extra></extra>", "")
        assert "<" not in bare and "\x1b" not in bare and "\u202e" not in bare


def _texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
