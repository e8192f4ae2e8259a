"""`ls`: which runs it lists, in what order, and how they are written."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from test_report_samples import NAMES, opened, quickly, search, trial
from test_report_views import shown
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.commands.completing import complete_columns, complete_keys
from hpsearch.errors import UsageError
from hpsearch.report import listing
from hpsearch.report.listing import KEYS, Condition, Entry, chosen, columns_of
from hpsearch.report.terminal import entries_view
from hpsearch.store import RunStore, runs

RELU = "name: r\nmodel: {hidden: [50, 20], activation: relu}\ndata: {augment: {flip: true}}\n"
TANH = "name: r\nmodel: {hidden: [8], activation: tanh}\ntrain: {learning_rate: 1e-4}\n"


def described(value, stage="coarse"):
    return {"trial": 4, "metric": "val_accuracy", "value": value, "epoch": 1,
            "hparams": {"learning_rate": value / 10}}  # fmt: skip


@pytest.fixture(scope="module")
@quickly
def folder(tmp_path_factory):
    """Runs that a warned coarse search, a refined one, one under way, and one that is damaged."""
    root = tmp_path_factory.mktemp("runs")
    for name, config in (("b", RELU), ("a", TANH), ("c", RELU), ("broken", "name: [\n")):
        RunStore(root, name).write_config(config)
    RunStore(root, "b").write_document(search(best=described(0.5)))
    refined = replace(search(best=described(0.9)), stage="refine-10", verdict="pass")
    RunStore(root, "a").write_document(search(best=described(0.7)))
    RunStore(root, "a").write_document(refined)
    RunStore(root, "c").write_document(opened())
    RunStore(root, "c").record(trial(0, [0.6], learning_rate=0.06))
    RunStore(root, "broken").document_path("data").write_text("{", "utf-8")
    return root


def names(folder, *where, sort="name", reverse=False):
    return [e.store.name for e in chosen(runs(folder), where, sort, reverse=reverse)]


@pytest.mark.parametrize("sort, order", [
    ("name", "a b broken c"), ("-name", "c broken b a"), ("best", "b c a broken"),
    ("-best", "a c b broken"), ("stage", "b c a broken"), ("verdict", "a b broken c"),
    ("-verdict", "b a broken c"), ("trials", "c b a broken"), ("-trials", "a b c broken"),
    ("model.activation", "b c a broken"), ("train.learning_rate", "a b broken c"),
    ("best.learning_rate", "b c a broken"),
])  # fmt: skip
def test_runs_are_sorted_and_what_lacks_the_key_is_last(folder, sort, order):
    assert names(folder, sort=sort) == order.split()


def test_reverse_turns_any_order_round(folder):
    assert names(folder, reverse=True) == names(folder, sort="-name")
    assert names(folder, sort="-name", reverse=True) == names(folder)


@pytest.mark.parametrize("where, found", [
    ("best>0.5", "a c"), ("best>=0.5", "a b c"), ("best = 0.9", "a"), ("best==0.9", "a"),
    ("best!=0.9", "b broken c"), ("best<0.7", "b c"), ("best<=0.7", "b c"), ("best~0.9", "a"),
    ("stage=coarse", "b c"), ("stage>coarse", "a"), ("stage>refine-2", "a"),
    ("stage<final", "a b c"), ("verdict=pass", "a"), ("verdict>pass", "b"),
    ("verdict=", "broken c"), ("verdict!=", "a b"),
    ("state~unfinished", "c"), ("state=damaged", "broken"), ("error~DATA.json", "broken"),
    ("name<b", "a"), ("name~B", "b broken"), ("best_trial=coarse/4", "b"), ("trials>14", "a"),
    ("changed>2000", "a b broken c"), ("model.activation=relu", "b c"),
    ("model.hidden=50-20", "b c"),
    ("data.augment.flip=true", "b c"), ("train.learning_rate<1e-3", "a"),
    ("best.learning_rate>=0.06", "a c"), ("best.hidden!=", ""),
])  # fmt: skip
def test_where_keeps_what_it_says(folder, where, found):
    if where.startswith("changed"):
        assert set(names(folder, where)) >= {"a", "b", "c"}
    else:
        assert names(folder, where) == found.split()


def test_all_conditions_hold(folder):
    assert names(folder, "best>0.5", "model.activation=relu") == ["c"]


@pytest.mark.parametrize("call, said", [
    (lambda: Condition.parse("best"), "must be KEY OP VALUE"),
    (lambda: Condition.parse(">0.5"), "must be KEY OP VALUE"),
    (lambda: Condition.parse("bets>0.5"), 'did you mean "best"'),
    (lambda: Condition.parse("activation=relu"), 'did you mean "model.activation"'),
    (lambda: columns_of("name,model.activatoin"), 'did you mean "model.activation"'),
    (lambda: columns_of("name,"), "no such key"),
    (lambda: chosen([], (), "wrong-key"), "--sort wrong-key: no such key"),
])  # fmt: skip
def test_what_means_nothing_is_refused_with_what_there_is(call, said):
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        call()
    if "KEY OP" not in said:
        assert all(key in str(caught.value) for key in KEYS)


def test_a_number_is_compared_with_numbers_alone(folder):
    with pytest.raises(UsageError, match="--where best>much: best is a number, got much"):
        names(folder, "best>much")


def test_every_key_has_a_cell_and_every_key_of_the_config_is_known(folder):
    entry = Entry(RunStore(folder, "a"))
    assert entry.cell("best") == 0.9 and entry.cell("best_trial") == "refine-10/4"
    assert entry.cell("trials") == 28 and entry.cell("metric") == "val_accuracy"
    assert entry.cell("model.hidden") == "8" and entry.cell("search.sampler") is None
    assert {"model.activation", "search.coarse.trials", "search.space.learning_rate",
            "best.learning_rate", "seed"} < listing.all_keys()  # fmt: skip


# --- how they are written


def test_csv_has_a_row_per_run_and_numbers_stay_numbers(folder):
    text = listing.as_csv(chosen(runs(folder), (), "name"), None)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["a", "b", "broken", "c"]
    assert list(rows[0]) == list(KEYS)
    assert float(rows[0]["best"]) == 0.9 and rows[3]["verdict"] == ""


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2", "@sum", "\t=1", " =1"])
def test_no_text_is_a_formula_or_markup(name):
    class One:
        def cell(self, key):
            return name if key == "error" else -0.5

    text = listing.as_csv([One()], ["error", "best"])
    cell, number = next(csv.reader(io.StringIO(text.split("\n", 1)[1])))
    assert number == "-0.5"
    assert cell.lstrip(" \xa0")[0] == "'" or cell == "-2", "a number is no formula"


@pytest.mark.parametrize("name", [*NAMES, "a|b", "`x`", "[x](y)", "\\"])
def test_markdown_has_one_line_per_run_whatever_the_names(name):
    class One:
        def cell(self, key):
            return name

    lines = listing.as_markdown([One()], ["name", "error"]).splitlines()
    assert len(lines) == 3
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 3 or name == "\\"
    assert "<" not in lines[2] and "\x1b" not in lines[2]


def test_a_table_of_columns_fits_and_says_what_it_left_out(folder):
    found = chosen(runs(folder), (), "name")
    keys = ["name", "best", "model.activation", "model.hidden", "changed", "search.space"]
    text = shown(entries_view(found, keys), 60)
    assert max(map(len, text.splitlines())) <= 60
    assert "not shown in 60 columns: changed, search.space" in text
    line = next(line for line in text.splitlines() if line.startswith("  b "))
    assert line.split()[:4] == ["b", "0.5000", "relu", "50-20"]


# --- the command


def ls(folder, *words, **given):
    return CliRunner().invoke(app, ["ls", *words, "--runs-dir", str(folder)], **given)


def test_the_command_writes_what_was_asked_for(folder):
    same = ls(folder, "--format", "json").stdout
    assert ls(folder, "--json").stdout == same and len(json.loads(same)["runs"]) == 4
    some = ls(folder, "--json", "--columns", "name,best", "--sort", "-best", "--where", "best>0.5")
    assert json.loads(some.stdout) == {
        "runs": [{"name": "a", "best": 0.9}, {"name": "c", "best": 0.6}]
    }
    assert ls(folder, "--format", "csv").stdout.startswith("name,stage,")
    assert ls(folder, "--format", "markdown").stdout.startswith("| name | stage |")
    assert "damaged" in ls(folder).stdout and "damaged" in ls(folder, "--format", "table").stdout
    assert "none of the 4 runs is so" in ls(folder, "--where", "best>2").stdout
    assert "no runs yet" in ls(folder / "none").stdout


@pytest.mark.parametrize("words", [
    ("--sort", "x"), ("--columns", "x"), ("--where", "x"), ("--format", "x"),
    ("--json", "--format", "csv"),
])  # fmt: skip
def test_the_command_refuses_what_means_nothing(folder, words):
    found = ls(folder, *words)
    assert found.exit_code == 2 and not found.stdout and "Traceback" not in found.stderr


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"TERM": "xterm-256color"}])
@pytest.mark.parametrize("format_", ["table", "csv", "json", "markdown"])
def test_a_pipe_gets_no_escape_codes(folder, format_, environment):
    found = ls(folder, "--format", format_, env=environment)
    assert found.exit_code == 0 and "\x1b" not in found.stdout


# --- the shell's completion


def completed(line, **environment):
    words = line.split(" ")
    given = {"_HPSEARCH_COMPLETE": "complete_bash", "COMP_WORDS": line,
             "COMP_CWORD": str(len(words) - 1), **environment}  # fmt: skip
    return CliRunner().invoke(app, prog_name="hpsearch", env=given).stdout.split()


def test_runs_and_keys_are_completed(folder):
    where = {"HPSEARCH_RUNS_DIR": str(folder)}
    assert completed("hpsearch status b", **where) == ["b", "broken"]
    assert completed("hpsearch report di", **where) == ["digits"]
    assert completed(f"hpsearch status --runs-dir {folder} a") == ["a"]
    assert completed("hpsearch replay bro", **where) == ["broken"]
    assert completed("hpsearch ls --sort be") == ["best", "best_trial"]
    assert completed("hpsearch ls --columns name,ch") == ["name,changed"]
    assert completed("hpsearch ls --format m") == ["markdown"]
    assert complete_keys("-tr") == ["-trials", "-train"][:1]
    assert "model.activation" in complete_keys("model.")
    assert complete_columns("name,search.coarse.t") == ["name,search.coarse.trials"]
