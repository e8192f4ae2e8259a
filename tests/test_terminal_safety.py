"""Whatever a name, a file or an error says, the terminal shows it and does nothing of it."""

import csv
import io
import json
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text
from test_report_samples import hostile_run
from typer.main import get_command
from typer.testing import CliRunner

from hpsearch import cli
from hpsearch.cli import app
from hpsearch.commands import options, showing
from hpsearch.commands.completing import complete_runs
from hpsearch.commands.predicting import Answers
from hpsearch.data.unlabelled import Unlabelled
from hpsearch.errors import UsageError
from hpsearch.inert import inert, plain
from hpsearch.progress import TerminalDisplay
from hpsearch.report.console import Terminal
from hpsearch.strictjson import dumps
from hpsearch.verdict import Check, CheckDocument, Verdict

NASTY = (
    "\x1b[31mred", "\x1b[2J", "\x1b[1A\x1b[2Kspoofed", "\x1b]0;title\x07", "\x1b]52;c;cm0K\x07",
    "\x1b]8;;http://x.example\x1b\\link\x1b]8;;\x1b\\", "\x1bP1$r\x1b\\", "\x1bc", "\x1b",
    "\x1b[6n", "\x9b31m", "\x9d0;title\x9c", "\x90x\x9c", "\x84\x85\x8d", "\x07",
    "\x08\x08\x08", "\x0b\x0c", "\x0e\x0f", "\x7f\x7f", "\x00", "a\x00b", "a\rb", "a\nb",
    "a\tb", "\r\n\r\n",
    "\u202eevil", "\u202d\u202c", "\u2066x\u2069", "\u200fx", "\u061cx", "\u2028line", "\u2029par",
    "\u200b\u200c\u2060", "\ufeffbom", "\xad", "\udcff\udc80", "\U000e0001\U000e0041", "\ufff9x",
    "[/red]", "[bold]x", "[link=http://x.example]x[/link]", "[", "[/]", "\\[", ":smile:",
    "[@click=x]y", "e\u0301\u0301\u0301" * 9, "\U0001f469\u200d\U0001f4bb", "漢字" * 40,
    "x" * 3000, "%s%n{0}{x}", "", " ", "\u3000",
)  # fmt: skip
WORDS = [text for text in NASTY if "\x00" not in text and text.strip()]  # arguments can be these
FEW = ("".join(WORDS), *WORDS[:2], *WORDS[5:11], "[/red]", "\u202eevil", "\udcff", "a\nb")
STYLE = re.compile(r"\x1b\[[0-9;]*m")  # what a view's own colours are made of


def acts(text):
    """The characters of an output that do something else than to be seen."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return sorted({hex(ord(c)) for c in text if c != "\n" and unicodedata.category(c) in kinds})


def shell(*words):
    found = CliRunner().invoke(app, [*words])
    assert found.exit_code in (0, 1, 2, 3), (words, found.output)
    assert not acts(found.stdout + found.stderr), words
    return found


@settings(max_examples=50)
@given(st.text())
def test_inert_text_has_its_lines_and_its_length_and_nothing_that_acts(text):
    assert not acts(inert(text)) and len(inert(text)) == len(text)
    assert inert(text).count("\n") == text.count("\n")
    assert not acts(plain(text)) and "\n" not in plain(text)
    assert all(a == b or acts(b) for a, b in zip(inert(text), text, strict=True))


@settings(max_examples=50)
@given(st.text())
def test_json_says_the_same_and_nothing_acts(text):
    assert json.loads(dumps({text: [text]})) == {text: [text]}
    assert not acts(dumps({text: [text]}))


# --- views and progress


@pytest.mark.parametrize("width", [20, 100])
def test_a_terminal_shows_text_that_a_view_forgot_to_make_plain(width):
    for text in NASTY:
        file = io.StringIO()
        console = Terminal(file=file, force_terminal=True, width=width, color_system="truecolor")
        console.print(text, Text(text, "red"), [text])
        assert not acts(STYLE.sub("", file.getvalue())), ascii(text)


def test_pipes_and_no_color_have_no_escape_at_all(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    Terminal(file=file, force_terminal=True, color_system=None).print(*NASTY)
    monkeypatch.delenv("FORCE_COLOR")
    for text in NASTY:
        showing.show(Text(f"{text}|", "red"))
    assert not acts(file.getvalue()) and not acts(capsys.readouterr().out)


@pytest.mark.parametrize("live", [False, True])
def test_progress_and_notes_are_text(live):
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=live, color_system="truecolor", width=80)
    view = TerminalDisplay(console, quiet=False)
    for text in NASTY:
        view.say(text)
        view.begin(text, 3, 10)
        view.end(CheckDocument(text, (Check(text, Verdict.WARN, text, text, text, text),)))
    view.close()
    cursor = re.compile(r"\x1b\[(\?25[hl]|\d*[AK]|2K|1A)|\r")  # a live bar's own
    assert not acts(cursor.sub("", STYLE.sub("", file.getvalue())))


@pytest.mark.parametrize("text", NASTY)
def test_errors_and_lines_are_text(text, capsys, monkeypatch):
    for code in (1, 2, 3, 4):
        with pytest.raises(options.typer.Exit):
            options.fail(f"{text}: must be another, got {text}", code)

    def broken():
        raise UsageError(text)

    with pytest.raises(options.typer.Exit):
        options.guarded(broken, debug=True)
    showing.tell(f"next: {text}")
    showing.emit(options.Options(json=True), {text: text}, "")
    answers = Answers((text, "b"), Unlabelled(np.zeros((1, 1)), [text], "image"), np.eye(2)[:1])
    showing.tell(answers.to_csv())
    told = capsys.readouterr()
    assert not acts(told.out + told.err)


# --- the command line


@pytest.mark.parametrize("words", [
    ["report", "{}"], ["status", "{}"], ["ls", "--sort={}"], ["diff", "{}", "b"],
    ["diff", "{}:coarse/1", "b:{}"], ["replay", "digits", "{}"], ["predict", "{}", "{}"],
    ["predict", "digits", "{}"], ["train", "--trial", "{}"], ["data", "--run", "{}"],
    ["data", "--set", "{}"], ["data", "--set", "{}=1"], ["data", "--set", "seed={}"],
    ["data", "--set", "search.space={{activation: {{choice: ['{}']}}}}"], ["{}"],
    ["data", "--{}"], ["ls", "{}"],
    ["search", "--stage", "{}"], ["data", "--seed", "{}"], ["init", "--data", "{}"], ["--{}"],
    ["init", "x", "--target", "{}"], ["export", "{}", "--to", "csv"],
    ["status", "--runs-dir", "{}"], ["export", "x", "--to", "{}"],
    ["data", "--set", "data={{source: csv, path: '{}', target: x}}"],
], ids=" ".join)  # fmt: skip
def test_what_is_typed_is_quoted_as_text(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for text in FEW:
        shell(*(word.format(text) for word in words))


@pytest.mark.parametrize("text", ["\x1b[31m\x9b2J", "\u202e\u2066", "[/red]", "all"], ids=ascii)
def test_a_hostile_run_is_shown(tmp_path, monkeypatch, text):
    """Its hparams, choices, classes, features, reasons and checks are all `text`."""
    monkeypatch.chdir(tmp_path)
    hostile_run(tmp_path / "runs", FEW[0] if text == "all" else text)
    for words in (["report", "r"], ["report", "r", "--json"], ["status", "r"], ["ls"]):
        shell(*words)
    assert shell("export", "r", "--to", "csv").exit_code == 0


def test_names_of_files_columns_and_classes_are_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [name for name in WORDS if "\udcff" not in name]
    rows = [[n + k for k in range(len(names))] + [names[n % 3]] for n in range(60)]
    for place in ("t.csv", "\x1b[31m\x9b\u202e.csv"):
        with Path(place).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[*names, "y"], *rows])
        shell("data", "--set", f"data={{source: csv, path: {json.dumps(place)}, target: y}}")
        shell("data", "--set", f"data={{source: csv, path: {json.dumps(place)}, target: z}}")
        shell("init", place[:-4] + "d", "--data", place, "--target", "y")
    for text in ("\x1b[31m", "\x9b31m", "\u202ex", "[red]", "\udcff"):
        Path(f"{text}.yaml").write_text("data: {source: digits}\nmodle: {}\n")
        assert shell("data", f"{text}.yaml").exit_code == 2
        Path(f"{text}.yaml").write_text("data: {source: digits}\n")
        shell("data", f"{text}.yaml")


def test_completion_offers_no_name_that_acts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("fine", "\x1b[31mx", "a\nb"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").touch()
    context = typer.Context(get_command(app), resilient_parsing=True)
    found = complete_runs(context, "")
    assert [n for n in found if n in ("fine", "\x1b[31mx", "a\nb")] == ["fine"]
    shell("ls")


def test_the_console_script_says_so_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hpsearch", "data", "--\x1b[31m\u202e"])
    monkeypatch.setattr(cli.signal, "signal", lambda *given: None)  # this process goes on
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert "No such option" in told.err and not acts(told.out + told.err)
