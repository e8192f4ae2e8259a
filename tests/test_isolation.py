"""Roles: they decide no draw; each value of a scientific hparam at its best, and the noise."""

import json
import math
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from lecture import REFINED
from rich.cells import cell_len
from test_report_samples import NAMES
from test_report_samples import search as search_with
from test_report_views import shown
from test_runner import contents, runner
from test_stages import config, result

from hpsearch.config.find import Found
from hpsearch.config.load import load
from hpsearch.errors import HostError
from hpsearch.report.isolation import isolated_view
from hpsearch.report.tables import stages as tables
from hpsearch.search.best_of_n import spread, unbiased
from hpsearch.search.isolation import Group, bucket_of, buckets, clear_from, compare
from hpsearch.search.samplers import SAMPLERS
from hpsearch.search.space import parse_space, with_roles, without_roles, write_space
from hpsearch.stages import search, sweep
from hpsearch.stages.context import Context, Round
from hpsearch.trial import Curves, Status
from hpsearch.verdict import CheckDocument, SearchDocument

KINDS = {
    "uniform": {"uniform": [-0.5, 2.5]},
    "log_uniform": {"log_uniform": [1e-4, 1.23456]},
    "int_uniform": {"int_uniform": [3, 40]},
    "few": {"int_uniform": [1, 3]},
    "int_log_uniform": {"int_log_uniform": [8, 300]},
    "zero_or_log_uniform": {"zero_or_log_uniform": {"bounds": [1e-6, 1e-2], "zero": 0.3}},
    "one_minus_log_uniform": {"one_minus_log_uniform": [0.5, 0.999]},
    "choice": {"choice": [[50], [100], 7, "relu", True, [50]]},
}
SPACE = (
    "search.space={learning_rate: {log_uniform: [1e-3, 0.5]%s},"
    " hidden: {choice: [[5], [20]]%s}, dropout: {uniform: [0, 0.3]%s}}"
)
SCIENTIFIC = ", role: scientific"


def document_of(context, done):
    return (search.COARSE if context.stage == "coarse" else search.REFINE).judge(context, done)


@pytest.fixture
def context(tmp_path, digits):
    def make(*roles, stage="coarse", overrides=(), **given):
        said = [SCIENTIFIC if name in roles else "" for name in ("rate", "hidden", "dropout")]
        return Context(config(tmp_path, SPACE % tuple(said), *overrides), digits, stage, **given)

    return make


def one(number, accuracy, hidden=(5,), rate=0.1, **changes):
    hparams = {"learning_rate": rate, "hidden": hidden, "dropout": 0.1}
    return replace(result(number, accuracy, hparams=hparams), **changes)


# --- what a role is


@pytest.mark.parametrize("name", KINDS)
def test_a_role_is_written_as_it_was_read_and_kept_by_other_bounds(name):
    for role in ("scientific", "nuisance"):
        written = {**KINDS[name], "when": {"optimizer": ["sgd"]}, "role": role}
        (kind,) = parse_space({"x": written}).values()
        again = write_space({"x": kind})
        assert (kind.role, again["x"].get("role", "nuisance")) == (role, role)
        assert parse_space(again) == {"x": kind} == parse_space(json.loads(json.dumps(again)))
        other = kind.with_values([1]) if name == "choice" else kind.with_bounds(*kind.bounds)
        assert (other.role, other.when) == (kind.role, kind.when)
    plain = parse_space({"x": KINDS[name]})
    assert "role" not in write_space(plain)["x"], "what has none is written as ever"
    assert without_roles(write_space({"x": kind})) == without_roles(again)
    assert with_roles(plain, {"x": replaced(kind, "scientific")})["x"].role == "scientific"
    assert with_roles({"x": replaced(kind, "scientific")}, plain)["x"].role == "nuisance"


def replaced(kind, role):
    return kind.model_copy(update={"role": role})


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_role_decides_nothing_that_is_drawn(context, sampler):
    chosen = (f"search.sampler={sampler}",)
    plain = search.plan(context(overrides=chosen), [])
    for roles in (("rate",), ("hidden", "dropout")):
        assert search.plan(context(*roles, overrides=chosen), []) == plain
    assert len({repr(spec.hparams) for spec in plain}) > 5


@pytest.mark.parametrize("sampler", ["halton", "sobol"])
def test_quasi_random_points_cover_the_values_of_a_list_evenly(context, sampler):
    overrides = (f"search.sampler={sampler}", "search.coarse.trials=64")
    drawn = [spec.hparams["hidden"] for spec in search.plan(context(overrides=overrides), [])]
    assert abs(drawn.count((5,)) - 32) <= 2


def test_a_scientific_range_is_left_alone_and_next_yaml_says_so(context, tmp_path):
    done = [one(n, 0.9 - abs(0.6 - n / 60), (5,), 10 ** (-3 + n / 25)) for n in range(60)]
    narrowed = document_of(context("hidden"), done).next_space["learning_rate"]["log_uniform"]
    assert narrowed == [0.01, 0.1]
    ours = context("rate", "hidden")
    document = document_of(ours, done)
    written = {"log_uniform": [1e-3, 0.5], "role": "scientific"}
    assert document.next_space["learning_rate"] == document.space["learning_rate"] == written
    assert document.reasons["learning_rate"].startswith("scientific: left as it is")
    assert document.reasons["hidden"] == "a list stays as it is"
    path = tmp_path / "next.yaml"
    path.write_text(search.next_config(ours.config, document))
    following = load(Found(path, "next", tmp_path, "next.yaml"), ()).search.space
    assert {name for name, k in following.items() if k.role == "scientific"} == {
        "learning_rate", "hidden",
    }  # fmt: skip


# --- the parts of a range


@pytest.mark.parametrize("trials", [0, 23, 40, 1000])
@pytest.mark.parametrize("name", KINDS)
def test_every_value_lies_in_the_part_that_is_shown_for_it(name, trials, rng):
    (kind,) = parse_space({"x": KINDS[name]}).values()
    among = buckets(kind, trials)
    drawn = [kind.sample(rng) for _ in range(400)]
    counts = np.zeros(len(among), int)
    for value in drawn:
        number = bucket_of(value, among)
        part = among[number]
        counts[number] += 1
        if part.value is not None:
            assert part.value == value and type(part.value) is type(value)
        else:
            holding = [n for n, p in enumerate(among) if p.low <= value <= p.high]
            assert holding == [number]
    assert 2 <= len(among) <= 6 and counts.min() > 400 / len(among) / 3, "about as many in each"
    if name not in ("choice", "few"):
        parts = [part for part in among if part.value is None]
        assert (parts[0].low, parts[-1].high) == kind.bounds


# --- the comparison


some = [np.array(s) for s in ([0.5], [0.1, 0.4, 0.2], [0.3, 0.3, 0.9, -1.0], [2.0, 1.0, 0.5, 7.0])]


@pytest.mark.parametrize("scores", some)
@pytest.mark.parametrize("n", [1, 2, 4])
def test_the_spread_is_that_over_all_draws_with_replacement(scores, n):
    best = [max(drawn) for drawn in product(scores, repeat=n)]
    assert spread(scores, n) == pytest.approx(np.std(best), abs=1e-12)


def test_the_comparison_by_hand():
    """Of 4 and 5 trials: every four of the five, and both groups' spread."""
    small, large = np.array([0.5, 0.9, 0.7, 0.6]), np.array([0.8, 0.4, 0.95, 0.3, 0.2])
    few = Group(np.array([0.99, 0.99, 0.99]), 0.01)
    number, (one_, other, left_out) = compare([Group(small, 0.03), Group(large, 0.04), few])
    mean = np.mean([max(part) for part in combinations(large, 4)])
    assert number == 4 and left_out is None
    assert (one_.expected, other.expected) == (pytest.approx(0.9), pytest.approx(mean))
    draws = product(np.concatenate([small, large]), repeat=4)
    noise = math.sqrt(np.var([max(d) for d in draws]) * (4 / 4 + 4 / 5) + 0.03**2 + 0.04**2)
    last, lead = sorted((one_, other), key=lambda place: place.expected)
    assert lead.standing == "leads" and last.standing == "noise"
    assert last.behind == pytest.approx(abs(mean - 0.9)) and last.noise == pytest.approx(noise)


def test_what_is_clear_depends_on_how_many_are_compared():
    assert clear_from(2) == pytest.approx(1.96, abs=5e-3)
    assert clear_from(4) == pytest.approx(2.638, abs=5e-3)


def trained(rng, number, shift=0.0):
    """Accuracies on 1,000 rows, where one nuisance hparam decides."""
    truth = 0.9 + shift - 0.8 * (rng.random(number) - 0.5) ** 2
    return rng.binomial(1000, truth) / 1000


def group(scores):
    best = scores.max()
    return Group(scores, math.sqrt(best * (1 - best) / 1000))


def test_more_trials_alone_make_nobody_win(rng):
    """Seven times as many have the better best in most searches, and win clearly in few."""
    naive = ahead = clear = 0
    for _ in range(400):
        few, many = trained(rng, 6), trained(rng, 42)
        _, places = compare([group(few), group(many)])
        naive += many.max() > few.max()
        ahead += places[1].standing == "leads"
        clear += any(place.standing == "worse" for place in places)
    assert naive > 300 and 160 < ahead < 260 and clear <= 20


@pytest.mark.parametrize("draw", [
    lambda rng, n: rng.standard_exponential(n), lambda rng, n: rng.standard_normal(n),
    lambda rng, n: -(rng.random(n) ** 0.3),
    lambda rng, n: (rng.random(n) < 0.6) + 0.1 * rng.random(n),
])  # fmt: skip
@pytest.mark.parametrize("counts", [(10, 10), (30, 30, 30, 30), (6, 30, 30)])
def test_noise_is_rarely_called_clear_even_without_the_errors(draw, counts, rng):
    found = 0
    for _ in range(200):
        _, places = compare([Group(draw(rng, n).astype(float), 0.0) for n in counts])
        found += any(place.standing == "worse" for place in places)
    assert found <= 18  # 5 % of 200 and two and a half standard errors


def test_a_real_difference_is_found(rng):
    found = [compare([group(trained(rng, 30)), group(trained(rng, 30, -0.08))])[1]
             for _ in range(50)]  # fmt: skip
    clear = sum(places[1].standing == "worse" for places in found)
    assert clear >= 45


# --- the document


def test_of_a_run_on_digits_it_is_what_pandas_finds(tmp_path):
    work = runner(
        tmp_path / "runs", SPACE % ("", SCIENTIFIC, SCIENTIFIC),
        "search.coarse={trials: 30, epochs: 2}", force=True,
    )  # fmt: skip
    document = work.search("coarse")
    frame = pd.read_csv(work.store.folder / "coarse" / "trials.csv")
    frame = frame[frame.status == "done"]
    assert len(frame) == document.completed == 30, "nothing diverged"
    frame["dropout"] = pd.cut(frame.dropout, [0, 0.15, 0.3], right=False).astype(str)
    for name, count in (("hidden", 2), ("dropout", 2)):
        rows = tables.isolated(document).query("hparam == @name")
        assert len(rows) == count and list(rows.columns) == list(tables.ISOLATED)
        groups = list(frame.groupby(name, sort=False))
        key = (lambda v: str(v)) if name == "dropout" else (lambda v: int(str(v).strip("[]() ,")))
        groups = [part for _, part in sorted(groups, key=lambda pair: key(pair[0]))]
        assert rows.trials.tolist() == [len(part) for part in groups]
        assert rows.best.tolist() == [part.val_accuracy.max() for part in groups]
        number = min(rows.trials)
        assert set(rows.compared) == {number}
        expected = [unbiased(part.val_accuracy.to_numpy(), number) for part in groups]
        assert rows.expected.tolist() == pytest.approx(expected)
        assert rows.behind.tolist() == pytest.approx([max(expected) - e for e in expected])
        for row, part in zip(rows.itertuples(), groups, strict=True):
            assert part.set_index("trial").val_accuracy[row.trial] == row.best
            error = math.sqrt((row.best * 180 + 1) / 182 * (1 - (row.best * 180 + 1) / 182) / 180)
            assert row.error == pytest.approx(error)


def test_the_lectures_rates_in_two_parts(context):
    """The upper half decade beats the lower one, with 13 trials and 9."""
    done = [one(n, accuracy, rate=10 * rate) for n, (accuracy, rate, _) in enumerate(REFINED)]
    space = "search.space={learning_rate: {log_uniform: [1e-3, 1e-2], role: scientific}}"
    found = document_of(context(overrides=(space,)), done).isolated["learning_rate"]
    low, high = found["values"]
    assert [row["trials"] for row in (low, high)] == [
        sum(rate < 3.16e-4 for _, rate, _ in REFINED),
        sum(rate >= 3.16e-4 for _, rate, _ in REFINED),
    ]
    assert (low["best"], high["best"], high["standing"]) == (0.509, 0.531, "leads")
    assert found["message"].startswith("learning_rate: 0.00316 .. 0.01 leads 0.001 .. 0.00316 by ")
    assert f"over the best of {high['trials']} and {low['trials']} trials" in found["message"]


def compared(context, done):
    return document_of(context, done).isolated["hidden"]


def test_what_counts_for_a_value(context):
    """Diverged trials as bad as the worst, pruned ones as if they had gone on, failed and carried
    not.
    """
    ours = context("hidden")
    few = [one(n, 0.5 + n / 20) for n in range(4)]
    others = [one(n, 0.1 + n / 100, (20,)) for n in range(4, 10)]
    usual = compared(ours, [*few, *others])
    lost = [one(n, 0.0, status=Status.DIVERGED, best_epoch=None) for n in range(10, 14)]
    found = compared(ours, [*few, *others, *lost])
    assert [row["trials"] for row in found["values"]] == [8, 6]
    worst = [0.14] * 4  # the least accuracy of any
    scores = np.array([r.score for r in few] + worst)
    assert found["values"][0]["expected"] == pytest.approx(unbiased(scores, 6))
    assert found["values"][0]["best"] == usual["values"][0]["best"] == 0.65
    pruned = [one(n, 0.7, status=Status.PRUNED) for n in range(10, 12)]
    failed = [one(n, 0.99, status=Status.FAILED) for n in range(12, 20)]
    found = compared(ours, [*few, *others, *pruned, *failed])
    assert found["values"] == usual["values"], "nobody tells what the pruned would have gained"
    longer = [replace(r, curves=Curves([1.0] * 2, val_accuracy=[0.1, r.score], val_loss=[1.0] * 2),
                      best_epoch=2) for r in [*few, *others]]  # fmt: skip
    found = compared(ours, [*longer, *pruned])
    assert found["values"][0]["trials"] == 6
    scores = np.array([r.score for r in few] + [0.14] * 2)  # no better than those that went on
    assert found["values"][0]["expected"] == pytest.approx(unbiased(scores, 6))
    opened = SearchDocument("coarse", None, 10, space=write_space(search.space_of(ours)),
                            carried=[dict(few[0].hparams)] * 2)  # fmt: skip
    found = compared(replace(ours, opened=opened), [*few, *others])
    assert [row["trials"] for row in found["values"]] == [2, 6]


def test_too_few_trials_are_said(context):
    done = [one(n, 0.5 + n / 50, (5,) if n < 6 else (20,)) for n in range(8)]
    found = compared(context("hidden"), done)
    assert found["message"] == (
        "hidden: only [5] has 4 trials, too few to compare; raise search.coarse.trials"
    )
    assert {row["standing"] for row in found["values"]} == {"not compared"}
    found = compared(context("hidden"), done[:2])
    assert "none of its values has 4 trials" in found["message"]
    lost = [one(n, 0, status=Status.DIVERGED, best_epoch=None) for n in range(9)]
    rows = compared(context("hidden"), lost)["values"]
    assert (rows[0]["trials"], rows[0]["best"], rows[1]["trials"]) == (9, None, 0)


def test_the_words(context):
    wide = (
        "search.space={learning_rate: {choice: [0.1]},"
        " hidden: {choice: [[40], [5], [80], [20]], role: scientific}}"
    )
    near = {(5,): 0.95, (20,): 0.94, (40,): 0.6, (80,): 0.4}
    done = [
        one(10 * place + n, accuracy - 0.001 * n, hidden)
        for place, (hidden, accuracy) in enumerate(near.items())
        for n in range(10)
    ]
    assert compared(context(overrides=(wide,)), done)["message"] == (
        "hidden: [5] leads [20] by 0.010, 0.4 standard errors, over the best of 10 and 10 trials:"
        " within the noise; [5] beats [40] by 0.350, 8.1 standard errors, over the best of 10 and"
        " 10 trials; also [80]"
    )
    three = [r for r in done if r.hparams["hidden"] != (20,)]
    assert compared(context(overrides=(wide,)), three)["message"] == (
        "hidden: [5] beats [40] by 0.350, 8.1 standard errors, over the best of 10 and 10 trials;"
        " also [80]"
    )
    ours = context("hidden", overrides=("search.sampler=tpe",))
    two = [r for r in done if r.id < 20]
    assert compared(ours, two)["message"].endswith("; only a hint, for tpe favours what did well")


def test_of_a_loss_the_least_is_the_best(context):
    losses = []
    for n in range(20):
        r = one(n, 0.5, (5,) if n < 10 else (20,))
        curves = replace(r.curves, val_loss=[0.2 + n / 100 + (n > 9)])
        losses.append(replace(r, metric="val_loss", curves=curves))
    ours = context("hidden", overrides=("search.metric=val_loss",))
    found = compared(ours, losses)
    first, second = found["values"]
    assert (first["best"], first["standing"], first["error"]) == (0.2, "leads", 0.0)
    assert second["expected"] == second["best"] == pytest.approx(1.3)
    assert second["behind"] == pytest.approx(1.1) and second["standing"] == "worse"
    assert found["message"].startswith("hidden: [5] beats [20] by 1.1, ")


def test_an_hparam_under_a_condition_is_compared_where_it_is_drawn(context):
    space = (
        "search.space={learning_rate: {choice: [0.1]}, optimizer: {choice: [sgd, momentum]},"
        " momentum: {choice: [0.5, 0.9],"
        " when: {optimizer: momentum}, role: scientific}}"
    )
    done = []
    for n in range(20):
        beside = {"momentum": 0.5 if n % 4 else 0.9} if n % 2 else {}
        hparams = {"learning_rate": 0.1, "optimizer": "momentum" if n % 2 else "sgd", **beside}
        done.append(result(n, 0.5, hparams=hparams))
    found = document_of(context(overrides=(space,)), done).isolated
    assert [row["trials"] for row in found["momentum"]["values"]] == [10, 0]
    assert list(found) == ["momentum"]


# --- a role that changes, and the way to JSON


def test_another_role_contradicts_nothing_and_is_judged_anew(tmp_path):
    coarse = "search.coarse={trials: 12, epochs: 1}"
    work = runner(tmp_path / "runs", SPACE % ("", "", ""), coarse, force=True)
    first = work.search("coarse")
    trials = contents(work.store.folder / "coarse" / "trials")
    again = runner(tmp_path / "runs", SPACE % (SCIENTIFIC, SCIENTIFIC, ""), coarse)
    assert again.contradictions() == [] and first.isolated == {}
    document = again.search("coarse")
    assert set(document.isolated) == {"learning_rate", "hidden"} and again.view.begun == []
    assert document.next_space["learning_rate"] == document.space["learning_rate"]
    assert (document.best, document.next_command) == (first.best, first.next_command)
    assert contents(work.store.folder / "coarse" / "trials") == trials
    assert "scientific: left as it is" in (work.store.folder / "coarse/next.yaml").read_text()
    assert again.store.search_document("coarse").to_json() == document.to_json()
    before = (work.store.folder / "coarse/stage.json").stat().st_mtime_ns
    runner(tmp_path / "runs", SPACE % (SCIENTIFIC, SCIENTIFIC, ""), coarse).search("coarse")
    assert (work.store.folder / "coarse/stage.json").stat().st_mtime_ns == before
    back = runner(tmp_path / "runs", SPACE % ("", "", ""), coarse).search("coarse")
    assert back.to_json() == first.to_json()


def test_an_earlier_stage_keeps_what_it_decided(tmp_path):
    small = ("search.coarse={trials: 8, epochs: 1}", "search.refine={trials: 4, epochs: 1}")
    work = runner(tmp_path / "runs", SPACE % ("", "", ""), *small, force=True)
    work.search("coarse"), work.search("refine-1")
    decided = work.store.search_document("coarse").decision
    again = runner(tmp_path / "runs", SPACE % ("", SCIENTIFIC, ""), *small)
    assert list(again.search("coarse").isolated) == ["hidden"]
    assert again.store.search_document("coarse").decision == decided != ""


def test_a_role_is_no_news_to_the_sweep(context):
    facts = {"searched": {"learning_rate": {"log_uniform": [1e-3, 0.5]}}}
    assert sweep.holds(context("rate"), CheckDocument("sweep", (), facts))
    facts = {"searched": {"learning_rate": {"log_uniform": [1e-4, 0.5]}}}
    assert not sweep.holds(context("rate"), CheckDocument("sweep", (), facts))


def test_the_role_goes_on_with_the_rounds(context):
    done = [one(n, 0.9 - n / 100, (5,) if n % 2 else (20,)) for n in range(20)]
    ours = context("hidden")
    before = Round(document_of(ours, done), done)
    after = replace(ours, stage="refine-1", rounds=[before])
    assert document_of(after, done).isolated["hidden"]["compared"] == 10
    other = replace(context("dropout"), stage="refine-1", rounds=[before])
    assert list(document_of(other, done).isolated) == ["dropout"], "the config's roles, not those"


def test_documents_of_before_are_read(context):
    done = [one(n, 0.9 - n / 100, (5,) if n % 2 else (20,)) for n in range(20)]
    record = json.loads(json.dumps(document_of(context("hidden"), done).to_json()))
    assert SearchDocument.from_json(record).to_json() == record
    del record["isolated"]
    assert SearchDocument.from_json(record).isolated == {}


# --- the view


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_view_fits_and_keeps_what_matters(context, width):
    done = [
        one(n, 0.9 - (n % 7) / 10, (5,) if n % 3 else (20,), 0.001 * 1.1**n) for n in range(60)
    ]
    document = document_of(context("rate", "hidden", "dropout"), done)
    for view in isolated_view(document):
        lines = shown(view, width).splitlines()
        assert max(map(cell_len, lines), default=0) <= width
    text = "".join(shown(view, 80) for view in isolated_view(document))
    assert "best of 20" in text and "within the noise" in text
    assert text.count("not shown in 80 columns: trial\n") == 1, "of the rate, with its wide parts"
    rows = [line.split() for line in text.splitlines()]
    assert ["5", "40", "0.9000"] in [row[:3] for row in rows]
    assert isolated_view(replace(document, isolated={})) == []
    coloured = "".join(shown(view, colour=True) for view in isolated_view(document))
    assert "\x1b[1;32mleads" in coloured


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_shown_and_not_obeyed(name):
    name = name.encode("utf-8", "replace").decode()
    row = {"value": name, "trials": name, "trial": None, "best": name, "error": None,
           "expected": None, "behind": None, "noise": None, "standing": name}  # fmt: skip
    found = {name: {"compared": name, "message": name, "values": [row]}}
    text = "".join(shown(view, 60) for view in isolated_view(search_with(isolated=found)))
    assert not any((ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 for c in text)
    assert "\u202e" not in text and max(map(cell_len, text.splitlines())) <= 60


@pytest.mark.parametrize("broken", [{"x": 3}, {"x": {}}, {"x": {"compared": 1, "values": [4]}}])
def test_a_damaged_comparison_is_said(broken):
    with pytest.raises(HostError, match=r"coarse/stage\.json: damaged"):
        isolated_view(search_with(isolated=broken))
