"""The plots of a search: plotly accepts every drawing, and each shows what its table says."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
from searched import (
    HOSTILE,
    STATES,
    conditional,
    grids,
    half_way,
    healthy,
    hostile,
    losses,
    lost,
    material,
    odd,
    of_stage,
    plain_search,
    scientific,
    single,
)
from test_report_samples import SPACE, diverged, search, settings, trial, trials

from hpsearch.report.plots.axes import axes
from hpsearch.report.plots.grids import random_or_grid
from hpsearch.report.plots.importance import importance
from hpsearch.report.plots.isolation import isolation
from hpsearch.report.plots.parallel import parallel
from hpsearch.report.plots.progress import best_of_n, history
from hpsearch.report.plots.scatter import scatter
from hpsearch.report.tables import points
from hpsearch.report.tables.importance import widest
from hpsearch.report.tables.points import everything, reached
from hpsearch.trial import ranking
from hpsearch.verdict import CheckDocument, Edge, Verdict

PLOTS = (parallel, importance, scatter, axes, history, best_of_n, random_or_grid, isolation)


def drawn(plot):
    """Every drawing of a plot, as plotly reads it: it refuses what it does not know."""
    return {view: go.Figure(drawing) for view, drawing in plot.views.items()}


def traces(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def texts(value):
    """All strings in a drawing."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("draw", PLOTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("state", STATES)
def test_whatever_state_a_search_is_in_it_is_drawn_or_there_is_nothing_to_show(draw, state):
    plot = draw(STATES[state]())
    if plot is None:
        return
    assert drawn(plot)
    json.dumps([plot.views, [vars(switch) for switch in plot.switches]], allow_nan=False)
    assert plot.caption.endswith(".") and plot.alt.endswith(".") and plot.title
    assert re.fullmatch("[a-z]+(-[a-z]+)*", plot.name) and len(plot.table)
    assert set(plot.notes) in (set(), set(plot.views))
    for drawing in plot.views.values():
        assert not {"paper_bgcolor", "plot_bgcolor", "font", "width"} & set(drawing["layout"])


def test_each_plot_is_there_where_there_is_something_to_show():
    shown = {state: {d.__name__ for d in PLOTS if d(made())} for state, made in STATES.items()}
    usual = {"parallel", "scatter", "axes", "history"}
    assert shown["healthy"] == usual | {"importance", "best_of_n"}
    assert shown["lost"] == usual and shown["begun"] == set()
    assert shown["alone"] == usual and shown["half_way"] == usual | {"best_of_n"}
    assert shown["grids"] == usual | {"importance", "best_of_n", "random_or_grid"}
    assert shown["scientific"] == usual | {"best_of_n", "isolation"}
    assert shown["constant"] == {"history", "best_of_n"}


@pytest.mark.parametrize("draw", PLOTS, ids=lambda f: f.__name__)
def test_a_run_that_has_not_searched_shows_nothing(draw):
    assert draw(material()) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_acts_in_a_drawing(name):
    for draw in PLOTS:
        plot = draw(hostile(name))
        found = texts(list(plot.views.values()))
        for text in found:
            inner = text.replace("<br>", " ").replace("<extra></extra>", "")
            assert not re.search(r"[<>\x00-\x1f\x7f-\x9f\u202e\u2028]", inner), text
            assert re.fullmatch(r"([^&]|&(amp|lt|gt);)*", inner), text
        drawn(plot)


def test_every_line_goes_through_its_trials_hparams():
    run = conditional()
    trace, results = drawn(parallel(run))["coarse"].data[0], everything(run)
    at = {each.label: each for each in trace.dimensions}
    assert trace.dimensions[-1].label == "val_accuracy"
    rates = dict(zip(10 ** np.array(at["learning_rate"]["values"]), range(12), strict=True))
    for rate, line in rates.items():
        result = min(results, key=lambda r: abs(r.hparams["learning_rate"] - rate))
        assert result.hparams["learning_rate"] == pytest.approx(rate)
        for name in ("optimizer", "momentum"):
            ticks = dict(zip(at[name].tickvals, at[name].ticktext, strict=True))
            place = at[name]["values"][line]
            if name not in result.hparams:
                assert ticks[place] == "–"
            elif name == "optimizer":
                assert ticks[place] == result.hparams[name]
            else:
                assert 1 - 10**-place == pytest.approx(result.hparams[name])
        assert at["val_accuracy"]["values"][line] == reached(result, "val_accuracy")


@pytest.mark.parametrize("made", [healthy, losses])
def test_the_button_brushes_the_best_ten_lines(made):
    run = made()
    plot = parallel(run)
    (switch,) = plot.switches
    ((key, ((low, high),)),) = switch.on[0].items()
    place = int(re.fullmatch(r"dimensions\[(\d+)\]\.constraintrange", key)[1])
    assert switch.off == ({key: [None]}, {})
    views = drawn(plot)
    for figure in views.values():
        figure.data[0].dimensions[place].constraintrange = (low, high)
    every = next(iter(views.values())).data[0].dimensions[place]["values"]
    kept = sorted(value for value in every if low <= value <= high)
    assert kept == sorted(r.value for r in ranking(everything(run))[:10])


@pytest.mark.parametrize("made", [healthy, losses, lost])
def test_better_is_higher_on_the_last_axis_and_diverged_is_lowest(made):
    run = made()
    trace = next(iter(drawn(parallel(run)).values())).data[0]
    bottom, top = trace.dimensions[-1].range
    heights = [(v - bottom) / (top - bottom) for v in trace.dimensions[-1]["values"]]
    assert heights == sorted(heights) and heights[0] >= 0 and heights[-1] <= 1
    count = sum(math.isnan(reached(r, run.searches[-1].metric)) for r in everything(run))
    assert sum(height == heights[0] for height in heights) >= count


def test_many_axes_are_not_squeezed_and_more_are_left_out():
    space = {f"h{n}": {"uniform": [0, 1]} for n in range(15)}
    results = [trial(k, [k / 9], **dict.fromkeys(space, k / 10 + 0.01)) for k in range(9)]
    plot = parallel(material(plain_search(space, results, importance={"h7": 0.9, "h8": 0.1})))
    (figure,) = drawn(plot).values()
    names = [each.label for each in figure.data[0].dimensions]
    assert len(names) == 13 and names[-2] == "h7" and plot.width >= 90 * 13
    assert "12 most important of 15 hparams" in plot.thinned
    assert parallel(single()).width == 0


def test_importance_draws_shares_and_says_what_does_not_matter():
    plot = importance(healthy())
    views = drawn(plot)
    assert list(views) == ["coarse", "refine-1"]
    (bars,) = views["coarse"].data
    assert list(bars.y) == ["learning_rate", "weight_decay", "hidden"]
    assert list(bars.x) == pytest.approx([90, 6, 4])
    assert ["does not matter" in text for text in bars.text] == [False, False, True]
    assert [shape == "/" for shape in bars.marker.pattern.shape] == [False, False, True]
    assert "hidden does not matter" in plot.notes["coarse"]
    assert "widest range searched (coarse) learning_rate decides: 90 %" in plot.caption
    assert "last round (refine-1) weight_decay decides: 70 %" in plot.caption
    assert all(figure.layout.xaxis.range[1] <= 100 for figure in views.values())


def judged(*importances, verdict=Verdict.PASS, **changes):
    """Healthy stages with these importances."""
    stages = [
        (replace(d, importance=given, verdict=verdict, **changes), healthy().trials[d.stage])
        for d, given in zip(healthy().searches, importances, strict=True)
    ]
    return material(*stages)


def test_shares_close_together_are_called_equal_and_a_stage_that_failed_says_nothing():
    clear, even = {"learning_rate": 0.88, "hidden": 0.12}, {"hidden": 0.53, "learning_rate": 0.47}
    assert "nothing is certain: 53 against 47 %" in importance(judged(clear, even)).caption
    plot = importance(judged(even, clear))
    assert "hidden and learning_rate matter about equally: 53 against 47 %" in plot.caption
    assert "matter about equally" in parallel(judged(even, clear)).caption
    assert "So it does within those" in importance(judged(clear, clear)).caption
    failed = judged(clear, even, verdict=Verdict.FAIL)
    for draw in (importance, parallel):
        assert "Nothing was learnt" in draw(failed).caption
        assert "decides:" not in draw(failed).caption
    assert "only hparam that was searched" in parallel(single()).caption


def test_the_widest_ranges_tell_what_mattered_and_order_the_axes():
    documents = judged({"learning_rate": 0.9, "hidden": 0.1}, {"hidden": 1.0}).searches
    assert widest(documents) is documents[0]
    narrow = replace(documents[0], space={**SPACE, "learning_rate": {"log_uniform": [0.1, 1]}})
    assert widest([narrow, documents[1]]) is documents[1]
    assert widest([replace(documents[0], verdict=Verdict.FAIL), documents[1]]) is documents[1]
    assert points.by_importance(documents, ["hidden", "learning_rate"])[0] == "learning_rate"


def test_the_boxes_are_the_ranges_of_the_stages_and_of_the_next():
    document, results = half_way().searches, half_way().trials
    (figure,) = drawn(scatter(half_way())).values()
    boxes = {shape.name: shape for shape in figure.layout.shapes}
    assert set(boxes) == {"coarse", "refine-1"}
    assert (boxes["coarse"].x0, boxes["coarse"].x1) == (-4, 0)
    assert (boxes["refine-1"].x0, boxes["refine-1"].x1) == (-1, 1)
    assert (boxes["coarse"].y0, boxes["coarse"].y1) == (-6, 0)
    assert boxes["coarse"].line.dash != boxes["refine-1"].line.dash
    first = material((document[0], results["coarse"]))
    (figure,) = drawn(scatter(first)).values()
    assert [(s.name, s.line.dash) for s in figure.layout.shapes] == [
        ("coarse", "solid"), ("next", "dot")]  # fmt: skip
    assert figure.layout.xaxis.range[1] > 1, "the next range has room"


def test_the_plane_has_every_trial_once_by_its_mark():
    (figure,) = drawn(scatter(healthy())).values()
    (done,), (crossed,), (best,) = (
        traces(figure, name) for name in ("completed", "diverged", "best")
    )
    assert len(done.x) == 24 and len(crossed.x) == 4 and crossed.marker.symbol == "x-thin"
    assert best.marker.symbol == "star" and 10 ** best.x[0] == pytest.approx(0.9)
    rates = sorted(r.hparams["learning_rate"] for r in everything(healthy()) if r.best_epoch)
    assert sorted(10 ** np.array(done.x)) == pytest.approx(rates)


def test_zero_decay_stands_at_its_tick_below_the_range():
    (figure,) = drawn(scatter(healthy())).values()
    ticks = dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True))
    zeros = sum(r.hparams["weight_decay"] == 0 for r in everything(healthy()) if r.best_epoch)
    assert ticks["0"] < -6 and list(traces(figure, "completed")[0].y).count(ticks["0"]) == zeros


def test_a_single_hparam_is_drawn_against_the_metric():
    plot = scatter(single())
    (figure,) = drawn(plot).values()
    assert figure.layout.yaxis.title.text == "validation accuracy"
    (done,), (crossed,) = traces(figure, "completed"), traces(figure, "diverged")
    assert max(done.y) == 0.7 and max(crossed.y) < min(done.y)
    assert plot.title == "Learning rate against validation accuracy"


def test_bad_losses_and_diverged_trials_stand_on_the_worse_side():
    run = losses()
    results = [*everything(run), diverged(14, **settings(1.0))]
    run = material((run.searches[0], results))
    (figure,) = drawn(history(run)).values()
    assert figure.layout.yaxis.type == "log"
    (crossed,), (done,) = traces(figure, "diverged"), traces(figure, "coarse")
    ticks = dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True))
    assert ticks["diverged"] == crossed.y[0] and ticks["0.01"] == pytest.approx(0.01)
    assert min(crossed.y) > max(done.y)
    (figure,) = drawn(scatter(run)).values()
    assert traces(figure, "completed")[0].marker.reversescale is True


def test_a_flagged_edge_is_shaded_and_its_evidence_told():
    found = [("learning_rate", "high", "strong"), ("momentum", "low", "info")]
    edges = [Edge(name, side, strength, 0.9, {}, f"{name} says") for name, side, strength in found]
    plot = axes(material((search(edges=tuple(edges)), trials())))
    views = drawn(plot)
    zones = {n: [s for s in f.layout.shapes if s.type == "rect"] for n, f in views.items()}
    assert {name for name, shapes in zones.items() if shapes} == {"learning_rate"}
    (zone,) = zones["learning_rate"]
    assert (zone.x0, zone.x1) == pytest.approx((-0.2, 0.0))
    assert plot.notes["learning_rate"] == "strong edge: learning_rate says"
    assert "learning_rate at its high end (strong)" in plot.caption
    assert "momentum" not in plot.caption
    quiet = axes(material((search(edges=(edges[1],)), trials()))).caption
    assert "for momentum there is no evidence beyond" in quiet
    assert "no edge" in plot.notes["weight_decay"]


def test_the_ends_of_the_judged_range_are_lines():
    figure = drawn(axes(healthy()))["learning_rate"]
    lines = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert [(s.x0, s.name, s.line.dash, s.showlegend) for s in lines] == [
        (-1, "range of refine-1", None, True), (1, "range of refine-1", None, False),
        (-4, "other ranges", "dash", True), (0, "other ranges", "dash", False),
    ]  # fmt: skip


def test_no_next_range_is_drawn_where_the_search_has_ended():
    for decision, there in (("goes on with refine-1", True), ("ends: no edge is left", False)):
        run = material((search(decision=decision), trials()))
        for draw, name in ((axes, "next range"), (scatter, "next")):
            figure = next(iter(drawn(draw(run)).values()))
            assert (name in {shape.name for shape in figure.layout.shapes}) is there


def swept(best, **changes):
    """A search of rates from .0001 to 1 after a sweep in which this rate does best."""
    run = material((search(edges=(), **changes), trials()))
    rates = [{"rate": 0.02, "score": 0.5, "usable": True}, {"rate": 5.0, "usable": False}]
    rates += [{"rate": best, "score": 0.1, "usable": True}]
    sweep = CheckDocument("sweep", (), {"range": [best / 30, best * 10], "rates": rates})
    return replace(run, documents=[sweep, *run.documents])


def test_what_did_best_in_the_sweep_and_nobody_tried_is_told():
    assert "did best in the sweep, 3, was never tried" in axes(swept(3.0)).caption
    assert "did best in the sweep, 1e-5, was" in axes(swept(1e-5)).caption
    for rate in (1e-4, 0.1, 1.0):
        assert "the sweep" not in axes(swept(rate)).caption
    failed = axes(swept(0.1, verdict=Verdict.FAIL))
    assert failed.caption.startswith("Not known: nothing was learnt")
    assert set(failed.notes.values()) == {"not known: nothing was learnt"}


def test_the_hparam_in_question_is_shown_first():
    names = ("hidden", "weight_decay", "learning_rate")
    for name in names:
        edge = replace(search().edges[0], hparam=name)
        assert next(iter(axes(material((search(edges=(edge,)), trials()))).views)) == name
    moved = material(
        (search(edges=(), importance={"weight_decay": 0.9, "learning_rate": 0.1}), trials()),
        *[(d, healthy().trials["refine-1"]) for d in healthy().searches[1:]],
    )
    assert next(iter(axes(moved).views)) == "learning_rate"


def test_the_best_five_and_the_diverged_are_marked_on_every_axis():
    for name, figure in drawn(axes(half_way())).items():
        (five,), (best,), (crossed,) = (
            traces(figure, mark) for mark in ("best five", "best", "diverged")
        )
        assert len(five.x) == 4 and len(best.x) == 1 and len(crossed.x) == 3, name
        values = [y for trace in figure.data if trace.name in ("coarse", "refine-1")
                  for y in trace.y]  # fmt: skip
        assert best.y[0] == max(values) and max(crossed.y) < min(values)
        assert sorted([*five.y, *best.y]) == sorted(values)[-5:]


def test_a_stage_that_is_not_judged_is_judged_by_the_one_before():
    assert "coarse" in axes(half_way()).caption
    opened = material((search(verdict=None, edges=()), trials()))
    assert "not judged yet" in axes(opened).caption


def test_the_best_so_far_is_a_step_and_the_stages_are_marked():
    plot = history(healthy())
    (figure,) = drawn(plot).values()
    (line,) = traces(figure, "best so far")
    assert line.line.shape == "hv"
    table = plot.table.set_index("order")["best"]
    assert list(line.y) == table[list(line.x)].tolist()
    assert set(line.y) == set(table.dropna()), "every turn is there"
    assert [shape.x0 for shape in figure.layout.shapes] == [14.5]
    assert [note.text for note in figure.layout.annotations] == ["coarse", "refine-1"]
    (chance,) = traces(figure, "chance")
    assert set(chance.y) == {0.1} and chance.line.dash == "dash"
    assert "came first with trial 5 of 28 (coarse/4)" in plot.caption


def test_what_more_trials_would_buy_is_told_of_every_stage():
    plot = best_of_n(healthy())
    views = drawn(plot)
    assert list(views) == ["refine-1", "coarse"]
    assert "10 more trials buy about 0.1 points" in plot.notes["refine-1"]
    assert "more trials" not in plot.notes["coarse"]
    names = "expected best (unbiased)", "plug-in: a little low"
    (unbiased,), (plug_in,) = (traces(views["coarse"], n) for n in names)
    assert unbiased.y[-1] == 0.95 and unbiased.y[0] == pytest.approx(plug_in.y[0])
    assert (unbiased.line.dash, plug_in.line.dash) == ("solid", "dash")
    assert plot.switches[0].on[1] == {"xaxis.type": "log"}


def test_a_few_completed_trials_tell_little():
    few = plain_search(SPACE, trials()[:3], best_of_n={"meter": "10 more trials buy a lot"})
    said = best_of_n(material(few)).caption
    assert "3 completed trials tell little" in said and "buy" not in said
    assert "tell little" not in best_of_n(material(plain_search(SPACE, trials()[:4]))).caption


def test_many_stages_have_short_names_above_the_search():
    stages = [f"refine-{n}" for n in range(1, 5)]
    run = material(*[plain_search(SPACE, of_stage(trials(), s), stage=s) for s in stages])
    (figure,) = drawn(history(run)).values()
    assert [note.text for note in figure.layout.annotations] == ["r1", "r2", "r3", "r4"]
    assert all(not note.textangle for note in figure.layout.annotations)
    assert figure.layout.legend.traceorder == "normal"


def test_the_grid_is_seen_from_what_matters_and_compared_at_equal_n():
    plot = random_or_grid(grids())
    views = drawn(plot)
    assert list(views) == ["values tried", "seen from learning_rate", "best of n"]
    assert "25 trials tried 5 values of learning_rate" in plot.caption
    assert "yes: it spent 20 trials" in plot.caption
    bars = {trace.name: list(trace.x) for trace in views["values tried"].data}
    assert bars["grid"] == [5, 5] and bars["random, on average"] == [25, 25]
    seen = views["seen from learning_rate"]
    assert len(traces(seen, "5 values, grid")) == len(traces(seen, "25 values, random")) == 1
    assert sorted(set(traces(seen, "trial of the grid")[0].x)) == [-4, -3, -2, -1, 0]
    ends = {trace.name: max(trace.x) for trace in views["best of n"].data}
    assert set(ends) == {"coarse (grid)", "refine-1 (random)"} and max(ends.values()) <= 12


def test_where_no_hparam_decides_alone_the_grid_is_not_blamed():
    document, results = grids().searches[0], grids().trials["coarse"]
    even = {"learning_rate": 0.5, "weight_decay": 0.5}
    found = plain_search(document.space, results, sampler="grid", importance=even)
    assert "wasted less" in random_or_grid(material(found)).caption


def test_a_grid_of_one_hparam_or_of_a_list_wastes_nothing():
    line = {"learning_rate": {"log_uniform": [1e-4, 1]}}
    done = [trial(n, [n / 10], learning_rate=10.0**-n) for n in range(5)]
    lists = {"activation": {"choice": ["relu", "tanh"]}, "weight_decay": {"log_uniform": [1, 2]}}
    more = [trial(n, [n / 10], activation=("relu", "tanh")[n % 2], weight_decay=1 + n // 2 / 9)
            for n in range(18)]  # fmt: skip
    shares = {"activation": 0.9, "weight_decay": 0.1}
    for space, results, told in ((line, done, {"learning_rate": 1.0}), (lists, more, shares)):
        found = plain_search(space, results, sampler="grid", importance=told)
        caption = random_or_grid(material(found)).caption
        assert "So no" in caption and "yes" not in caption and "wasted" not in caption


def test_of_a_search_that_failed_nothing_is_said_to_decide_or_to_be_right():
    told = {"learning_rate": 0.9, "weight_decay": 0.1}
    done = plain_search(SPACE, trials(), importance=told)
    lost = plain_search(SPACE, trials(), importance=told, verdict=Verdict.FAIL)
    assert "decides (90 %" in parallel(material(done)).caption
    assert "no hparam decides" in parallel(material(lost)).caption
    assert "Not known" in axes(material(lost)).caption


def test_beyond_an_edge_of_stability_there_is_nothing_to_search():
    edge = Edge("learning_rate", "high", "stability", 0.99, {}, "training diverges from 1 on")
    plot = axes(material((search(edges=(edge,)), trials())))
    assert "beyond that of learning_rate training diverges" in plot.caption
    assert plot.notes["learning_rate"] == "stability edge: training diverges from 1 on"


def test_isolated_values_have_their_errors_and_standings():
    plot = isolation(scientific())
    (figure,) = drawn(plot).values()
    (leads,), (worse,) = traces(figure, "leads"), traces(figure, "clearly worse")
    assert (leads.x[0], leads.y[0], leads.error_y.array[0]) == ("relu", 0.95, 0.02)
    assert (worse.x[0], worse.y[0]) == ("64-32", 0.9)
    assert leads.marker.symbol != worse.marker.symbol
    assert "relu beats <b>" in plot.caption, "the page escapes captions, and only once"


def test_ten_thousand_trials_are_thinned_and_it_is_said():
    results = [
        trial(n, [(n * 7919 % 10007) / 10007], **settings(10 ** -(n % 400 / 100), momentum=0.9))
        for n in range(3000)
    ]
    best = {f"coarse/{r.id}" for r in ranking(results)[:200]}
    run = material(plain_search(SPACE, results))
    assert parallel(run).thinned.startswith("600 of 3,000 trials are drawn: the best 200")
    for draw in (scatter, axes, history):
        plot = draw(run)
        assert plot.thinned.startswith("2,000 of 3,000 trials are drawn: the best 200")
        figure = next(iter(drawn(plot).values()))
        if draw is scatter:
            shown = {text.split("<br>")[0] for text in traces(figure, "completed")[0].text}
            assert best <= shown and len(shown) == 2000


def test_values_of_every_kind_have_a_tick():
    figure = drawn(axes(odd()))["any"]
    texts_ = list(figure.layout.xaxis.ticktext)
    assert "–" in texts_ and "true" in texts_ and "1-2" in texts_ and "0.5" in texts_
