import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from test_report_samples import (
    CHECKS,
    FAIL,
    NAMES,
    diverged,
    full_run,
    hostile_run,
    opened,
    search,
    settings,
    trial,
    trials,
)

from hpsearch.errors import HostError
from hpsearch.report.terminal import (
    check_view,
    document_view,
    run_view,
    runs_view,
    search_view,
    status_view,
)
from hpsearch.store import RunStore, runs
from hpsearch.trial import Status
from hpsearch.verdict import CheckDocument

WIDTHS = (60, 80, 100, 140)


def shown(view, width=100, colour=False):
    """The view as a terminal would print it; without colour as a pipe would."""
    file = io.StringIO()
    Console(
        file=file, width=width, force_terminal=colour, legacy_windows=False, _environ={},
        color_system="truecolor" if colour else None,
    ).print(view)  # fmt: skip
    return file.getvalue()


def line_with(text, word):
    return next(line for line in text.splitlines() if word in line)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_terminal(tmp_path, width):
    store = full_run(tmp_path)
    views = [document_view(document, store) for document in store.documents()]
    for view in [*views, run_view(store), status_view(store), runs_view([store])]:
        assert max(cell_len(line) for line in shown(view, width).splitlines()) <= width


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_shown_and_not_obeyed(tmp_path, name):
    store = hostile_run(tmp_path, name)
    views = [document_view(document, store) for document in store.documents()]
    for view in [*views, run_view(store), status_view(store), runs_view([store])]:
        text = shown(view, 60)
        assert not any((ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 for c in text)
        assert "\u202e" not in text
        assert max(cell_len(line) for line in text.splitlines()) <= 60
    if len(name) < 30 and name.isprintable():
        assert name in shown(check_view(store.documents()[0]), 200)


def test_a_pipe_gets_no_escape_codes(tmp_path):
    store = full_run(tmp_path)
    assert "\x1b" not in shown(run_view(store))
    assert "\x1b" in shown(run_view(store), colour=True)


def test_the_fix_stands_below_what_did_not_pass():
    text = shown(check_view(CHECKS["data"]))
    assert line_with(text, "class-balance").split()[:2] == ["!", "warn"]
    assert line_with(text, "fix:").strip() == "fix: weigh them"
    assert "not shown" not in text
    assert "✗ fail" in shown(check_view(CHECKS["overfit"]))


def test_colours_mean_the_verdict():
    assert "\x1b[33m! warn" in shown(check_view(CHECKS["data"]), colour=True)
    assert "\x1b[31m✗ fail" in shown(check_view(CHECKS["overfit"]), colour=True)
    assert "\x1b[32m✓ pass" in shown(check_view(CHECKS["sanity"]), colour=True)


def test_the_data_view_previews_rows():
    text = shown(check_view(CHECKS["data"]))
    assert "train 1,437, validation 180, test 180" in text
    assert "64 (images of 8 x 8 x 1)" in text
    assert text.count("-1.25") == 10
    narrow = shown(check_view(CHECKS["data"]), 60)
    assert "not shown in 60 columns: pixel 5, pixel 6, pixel 7" in narrow


def test_the_sanity_view_has_a_row_per_layer():
    text = shown(check_view(CHECKS["sanity"]))
    assert "3,760 parameters" in text
    row = ["1", "50", "0.5200", "0.8700", "50.0%", "50.0%", "2.0%"]
    assert text.splitlines()[-1].split() == row


def test_the_overfit_view_has_the_rates_and_the_curve():
    text = shown(check_view(CHECKS["overfit"]))
    assert line_with(text, "diverged").split() == ["1", "2.300", "->", "–", "–", "diverged"]
    assert line_with(text, "the best").split()[:5] == ["0.1", "2.300", "->", "2.2", "50%"]
    assert "2.3 █ ▁ 2.2" in text


def test_the_overfit_curve_falls_through_decades_evenly():
    facts = {**CHECKS["overfit"].facts, "curve": [1.0, 0.1, 0.01]}
    text = shown(check_view(CheckDocument("overfit", CHECKS["overfit"].checks, facts)))
    assert "1 █▅▁ 0.01" in text


def test_the_sweep_view_says_what_became_of_each_rate():
    text = shown(check_view(CHECKS["sweep"]))
    for rate, words in [("10", "diverged at step 9"), ("0.1", "usable, the best"),
                        ("0.001", "falls too little"), ("1e-5", "flat")]:  # fmt: skip
        assert line_with(text, words).split()[0] == rate
    assert "proposed range  0.003333 to 1" in text


@pytest.mark.parametrize("facts", [{"rows": 3}, {"rates": None}, {"layers": [{}], "n_params": 1}])
@pytest.mark.parametrize("stage", list(CHECKS))
def test_facts_that_cannot_be_read_cost_only_themselves(stage, facts):
    text = shown(check_view(CheckDocument(stage, CHECKS[stage].checks, facts)))
    assert "cannot be read" in text
    assert CHECKS[stage].checks[0].name in text


def test_the_search_view_shows_the_importance_and_what_more_trials_would_buy():
    said = {"meter": "10 more trials buy about 0.3 points"}
    shares = {"weight_decay": 0.1, "learning_rate": 0.9, "width": None}
    text = shown(search_view(search(importance=shares, best_of_n=said), trials()))
    lines = [line.split() for line in text.splitlines()]
    shares = {line[0]: line[-2:] for line in lines if line and line[-1].endswith("█")}
    assert shares["learning_rate"] == ["90.0%", "█" * 9]
    assert shares["weight_decay"] == ["10.0%", "█"]
    assert "10 more trials buy about 0.3 points" in text
    assert "importance" not in shown(search_view(search(), trials()))
    shares = {"learning_rate": 0.9, "hidden": 0.1}
    narrow = shown(search_view(search(importance=shares), trials()), 60)
    assert "not shown in 60 columns: importance\n" in narrow


def test_the_best_so_far_is_a_line_over_the_trials():
    text = shown(search_view(search(), trials()))
    line = line_with(text, "the best so far, over 12 trials")
    assert line.split("  ")[-2:] == ["▁▁▁▂████████", "0.5000 to 0.9500"]
    lost = replace(trial(12, [0.99, 0.99], **settings(1.0)), status=Status.DIVERGED)
    assert "over 12 trials" in shown(search_view(search(), [*trials()[:12], lost]))
    assert "the best so far" not in shown(search_view(opened(), trials()[:4]))
    falling = [trial(n, [0.9 - n / 10], metric="val_loss", **settings(0.1)) for n in range(6)]
    by_loss = search(metric="val_loss", best=None)
    assert line_with(shown(search_view(by_loss, falling)), "so far").endswith("0.1 to 0.1")


def test_what_halving_gave_up_follows_what_was_completed():
    given_up = [
        replace(trial(n, [0.1 + n / 100], **settings(0.001 * n)), status=Status.PRUNED)
        for n in range(1, 12)
    ]
    done = trial(12, [0.3, 0.6, 0.7], **settings(0.5))
    text = shown(search_view(search(best=None), [*given_up, done]))
    rows = text[text.index("  trial  ") :].splitlines()[1:11]
    assert [int(row.split()[0]) for row in rows] == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert ["pruned" in row for row in rows] == [False] + [True] * 9
    assert rows[0].rstrip().endswith("█") and rows[1].split()[2] == "0.2100"
    assert "the best 10 of 1 completed and 11 pruned; all: coarse/trials.csv" in text
    ruler = next(line for line in text.splitlines() if "├" in line and "learning_rate" in line)
    assert "▪" in ruler and "█" in ruler
    assert "pruned" not in shown(search_view(search(), trials()))


def test_an_hparam_that_the_best_trial_has_not_is_said_so():
    results = trials()
    for result in (results[4], results[11]):
        result.hparams.pop("momentum")
    rulers = [line for line in shown(search_view(search(), results)).splitlines() if "├" in line]
    assert [line.split()[0] for line in rulers if "has none" in line] == ["momentum"]
    assert ["█" in line for line in rulers] == ["has none" not in line for line in rulers]


def test_a_long_list_of_values_wraps_where_the_ruler_ends():
    space = {"hidden": {"choice": [[n, n] for n in range(10, 99, 10)]}, "learning_rate":
             {"log_uniform": [1e-4, 1.0]}}  # fmt: skip
    best = [trial(n, [0.5 + n / 10], learning_rate=0.1, hidden=(20, 20)) for n in range(2)]
    for width, length in ((60, 16), (100, 26), (140, 40)):
        text = shown(search_view(search(space=space, next_space={}, best=None), best), width)
        lines = text[text.index("one of") :].splitlines()
        lines = lines[: next(n for n, line in enumerate(lines) if "learning_rate" in line)]
        assert all(len(line.replace("one of  ", "").split("  20-20")[0].strip()) <= length + 16
                   for line in lines)  # fmt: skip
        assert len(lines) > 1 and "█ 20-20" in text


def test_the_search_view_ranks_and_shows_what_varies():
    text = shown(search_view(search(), trials(), rows=180))
    assert "best val_accuracy 0.9500 ± 0.0170, trial 4, epoch 3" in text
    assert "14 trials, 2 diverged" in text
    assert "standard error" not in text
    ranked = text[text.index("trial  ") : text.index("the same in all")].splitlines()
    order = [int(line.split()[0]) for line in ranked[1:11]]
    assert order == [4, 11, 10, 9, 8, 7, 6, 5, 3, 2]
    assert "momentum" not in ranked[0]
    assert "the same in all: momentum 0.9" in text
    assert "learning_rate: best 0.9 is on the edge" in text
    assert "0.1 to 10" in line_with(text, "the best lie there")
    assert "█ 64-32" in line_with(text, "one of")


def test_where_it_is_narrow_metrics_give_way_to_what_was_searched():
    text = shown(search_view(search(), trials()), 75)
    columns = line_with(text, "trial  ").split()
    assert {"val_accuracy", "learning_rate", "weight_decay", "hidden"} < set(columns)
    assert "val_loss" in line_with(text, "not shown in 75 columns")


def test_curves_share_one_scale():
    results = [trial(0, [0.1, 0.9], **settings(0.1)), trial(1, [0.75, 0.85], **settings(0.2))]
    text = shown(search_view(search(), results))
    assert line_with(text, "▁").split()[-1] == "▁█"
    assert line_with(text, "0.8500").split()[-1] == "▇█"


@pytest.mark.parametrize(("strength", "colour"), [("warn", "33"), ("strong", "31"), ("info", "")])
def test_the_edge_is_coloured_where_it_is_flagged(strength, colour):
    edge = replace(search().edges[0], strength=strength)
    text = shown(search_view(search(edges=(edge,)), trials()), colour=True)
    line = next(line for line in text.splitlines() if "├" in line and "learning_rate" in line)
    assert line.split("m┤")[0].endswith(f"\x1b[{colour}") if colour else "\x1b[33m" not in line


def test_a_tie_is_called_noise():
    results = [trial(n, [0.9 - n / 1000], learning_rate=0.1 * (n + 1)) for n in range(3)]
    text = shown(search_view(search(best=None), results, rows=100))
    assert "the best 3 trials lie within one standard error" in text
    assert "standard error" not in shown(search_view(search(best=None), results))


def test_a_search_without_a_completed_trial():
    results = [diverged(n, **settings(n + 1.0)) for n in range(3)]
    document = search(FAIL, best=None, edges=(), message="none of 3 finished")
    text = shown(search_view(document, results))
    assert "none of 3 finished" in text
    assert text.count("loss not finite, at step 3") == 3


@pytest.mark.parametrize("results", [[], trials()[:1], trials()[-1:]])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_search_with_one_trial_or_none(results, width):
    text = shown(search_view(opened(), results), width)
    assert f"unfinished {len(results)}/60" in text


def test_a_search_by_loss_shows_the_loss():
    results = [trial(n, [0.5 + n / 10], metric="val_loss", **settings(0.1 + n)) for n in range(3)]
    best = {"trial": 2, "metric": "val_loss", "value": 0.3, "epoch": 1, "hparams": {}}
    text = shown(search_view(search(metric="val_loss", best=best), results, rows=100))
    assert "best val_loss 0.3, trial 2" in text
    assert "±" not in text


def test_a_curve_with_gaps_is_shown():
    result = trial(0, [0.2, 0.5], learning_rate=0.1)
    result.curves.val_accuracy[0] = math.nan
    assert "0.5000" in shown(search_view(opened(1), [result]))


def test_a_metric_that_does_not_exist_is_a_damaged_file():
    with pytest.raises(HostError, match="no metric"):
        search_view(search(metric="score"), trials())


def test_the_run_view_says_where_everything_lies(tmp_path):
    store = full_run(tmp_path)
    text = shown(run_view(store), 300)
    assert "0.9500 ± 0.0170, trial coarse/4, epoch 3" in text
    for place in (str(store.folder), "coarse/best.npz", "coarse/trials.csv", "coarse/next.yaml"):
        assert place in text
    assert "report.html" not in text


def test_the_views_of_a_run_that_has_only_begun(tmp_path):
    store = RunStore(tmp_path, "r")
    store.write_config("name: r\n")
    store.write_document(opened())
    assert "unfinished 0/60" in shown(status_view(store))
    assert shown(status_view(store)).count("not run") == 6
    assert str(store.folder)[:20] in shown(run_view(store), 300)
    assert "best.npz" not in shown(run_view(store), 300)
    assert "no runs yet" in shown(runs_view([]))
    assert "unfinished 0/60" in shown(runs_view([store]))


def test_a_damaged_run_is_an_error_alone_and_a_row_among_others(tmp_path):
    full_run(tmp_path, "b")
    broken = full_run(tmp_path, "a")
    broken.trial_path("coarse", 3).write_text("{}", "utf-8")
    broken.document_path("data").write_text('{"stage": 1}', "utf-8")
    with pytest.raises(HostError):
        run_view(broken)
    with pytest.raises(HostError):
        status_view(broken)
    text = shown(runs_view(runs(tmp_path)), 300)
    assert "damaged" in line_with(text, "data.json")
    assert "val_accuracy 0.9500 coarse/4" in line_with(text, "  b ")


def test_reading_writes_nothing(tmp_path):
    store = full_run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in Path(tmp_path).rglob("*")}
    shown(run_view(store)), shown(status_view(store)), shown(runs_view([store]))
    assert {path: path.stat().st_mtime_ns for path in Path(tmp_path).rglob("*")} == before
