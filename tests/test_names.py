"""Whatever a run is called, nothing of it lies outside the runs folder, and what cannot be written
there is told.
"""

import errno
import io
import os
import sys

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hpsearch.atomic import write_atomically
from hpsearch.cli import app
from hpsearch.commands.comparing import compare
from hpsearch.commands.options import fail
from hpsearch.commands.predicting import predict
from hpsearch.config.dump import flow
from hpsearch.config.find import Found, is_run_name
from hpsearch.config.load import load
from hpsearch.config.written import Override
from hpsearch.errors import ConfigError, HostError, UsageError
from hpsearch.store import RunStore

NASTY = [
    "", ".", "..", "../x", "../../x", "/x", "//x", "x/..", "x/../../y", "a/b", "a\\b", "..\\x",
    "C:", "C:\\x", "\\\\x\\y", "CON", "NUL", "nul.txt", "x\x00y", "x\ny", "x\x1b[2Jy",
    "x" * 64, "x" * 65, "x" * 300, "x" * 100_000, "é", "😀", "\u202ex", "\udc80", "-x", "--force",
    "-", "--", "~", "~/x", ".lock", ".hidden", "_x", "x ", " x", "x.", "x.yaml", "$HOME", "`id`",
    "$(id)", "x;id", "a|b", "*", "?", "[x]", "%2e%2e", "..%2fx", "\uff0e\uff0e", "．．／x",
    "x\u0338", "con.json", "0", "00",
]  # fmt: skip
LETTERS = st.sampled_from([*"./\\~-_ :*?%\x00\n\x1b", "é", "😀", "x", "A", "0", "..", "../"])
NAMES = st.sampled_from(NASTY) | st.lists(LETTERS, max_size=12).map("".join) | st.text(max_size=80)


def everything(folder):
    return set(folder.rglob("*"))


def refused(work, *arguments, **named):
    with pytest.raises((ConfigError, UsageError)) as caught:
        work(*arguments, **named)
    return bool(str(caught.value))


def stays_inside(name, folder):
    """A run of that name is written where runs are, or refused; no command looks elsewhere."""
    runs, config = folder / "in" / "runs", folder / "in" / "x.yaml"
    runs.mkdir(parents=True, exist_ok=True)
    before = everything(folder)
    for text, overrides in (("", [Override("--run", "name", name)]), (f"name: {flow(name)}", ())):
        config.write_text(text, errors="surrogatepass")
        found = Found(config, "x", folder, "x.yaml")
        try:
            store = RunStore(runs, load(found, overrides).name)
        except ConfigError:
            assert not is_run_name(name)
            continue
        assert is_run_name(name) and store.folder.resolve().parent == runs.resolve()
        with store.writing():
            assert everything(folder) - before == {config, store.folder, store.folder / ".lock"}
        config.unlink()
    config.unlink(missing_ok=True)
    assert refused(compare, name, name, runs_dir=runs)
    assert refused(predict, name, "x.csv", runs_dir=runs)
    assert everything(folder) == before


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    (folder / "config.yaml").write_text("seed: 1")  # as of a run that `in/..` would be
    return folder


@pytest.mark.parametrize("name", NASTY, ids=lambda name: repr(name[:9]))
def test_a_nasty_name_stays_inside(name, folder):
    stays_inside(name, folder)


@settings(max_examples=300)
@given(NAMES)
def test_any_name_stays_inside(folder, name):
    stays_inside(name, folder)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(NAMES)
def test_10000_names_stay_inside(folder, name):
    stays_inside(name, folder)


@pytest.mark.parametrize("name", ["", "..", "../x", "/x", "a/b", "x\x00y", "x" * 65, "😀", "-x"])
@pytest.mark.parametrize("command", ["data", "status", "report", "replay", "diff", "predict"])
def test_commands_refuse_such_a_name(name, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    words = {
        "replay": ["--", name, "coarse/1"], "diff": ["--", name, name],
        "predict": ["--", name, "x"],
    }.get(command, [f"--run={name}"])  # fmt: skip
    result = CliRunner().invoke(app, [command, *words])
    assert result.exit_code == 2, (result.output, result.exception)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("inner", ["", "coarse"])
def test_nothing_is_written_through_a_link_that_leads_out(inner, tmp_path):
    runs, outside = tmp_path / "runs", tmp_path / "outside"
    outside.mkdir()
    (runs / "digits" / inner).parent.mkdir(parents=True)
    (runs / "digits" / inner).symlink_to(outside)
    words = ["data", "digits", "--runs-dir", str(runs), "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3 and "is a link to" in result.output
    assert not any(outside.iterdir())


def test_a_run_that_is_a_loop_of_links_is_no_bug(tmp_path):
    loop = tmp_path / "digits"
    loop.symlink_to("digits")
    words = ["data", "digits", "--runs-dir", str(tmp_path), "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3 and str(loop) in result.output


@pytest.mark.parametrize(("number", "fix"), [(errno.ENOSPC, "room"), (errno.EMFILE, "--jobs")])
def test_a_file_that_cannot_be_written_is_told_with_what_helps(tmp_path, monkeypatch, number, fix):
    def fails(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(HostError, match=f"a: cannot be written: .*{fix}"):
        write_atomically(tmp_path / "a", b"1")


def test_the_exit_code_tells_even_where_stderr_takes_nothing(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys, "stderr", Full())
    with pytest.raises(typer.Exit) as ended:
        fail("the data are gone", 3)
    assert ended.value.exit_code == 3


def test_the_runs_folder_itself_may_be_a_link_and_so_may_runs_within_it(tmp_path):
    (tmp_path / "large").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "large")
    (tmp_path / "large" / "other").mkdir()
    (tmp_path / "large" / "x").symlink_to("other")
    with RunStore(tmp_path / "runs", "x").writing():
        assert (tmp_path / "large" / "other" / ".lock").exists()
