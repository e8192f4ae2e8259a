"""The house: imports point down, files stay small, and what is written about it is true."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.config.find import bundled

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hpsearch"

# Lower floors first; modules on one floor do not know each other.
FLOORS = (
    ("inert",),
    ("errors", "blas", "strictjson", "seal"),
    ("atomic",),
    ("locking",),
    ("serving",),
    ("nn", "data", "search", "executors", "workers"),
    ("spec", "trial", "verdict", "config", "environment"),
    ("cohort", "lockstep", "reading", "prediction", "records"),
    ("recorder", "csvtables", "curves", "checkpoint", "live"),
    ("stages", "training", "store"),
    ("settings", "portable", "report", "progress", "dispatch", "pausing"),
    ("runner",),
    ("finishing", "exports", "doctor"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """The floor's name of a file: its top-level module or folder."""
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The floors' names that a file imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hpsearch"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [a.name.split(".") for a in node.names]
            found |= {parts[1] for parts in names if parts[0] == "hpsearch" and len(parts) > 1}
    return found & set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    here = module_of(path)
    if here == "__init__":
        assert imports(path) == set()
        return
    assert here in FLOOR, f"give {here} a floor in FLOORS"
    upward = {name for name in imports(path) - {here} if FLOOR[name] >= FLOOR[here]}
    assert not upward, f"{here} imports {upward} from its own floor or one above"


def test_the_page_its_plots_and_its_tables_know_nothing_of_the_terminal():
    said = "import sys, hpsearch.report.page; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_small_and_say_what_they_are(path):
    text = path.read_text("utf-8")
    assert text.count("\n") <= 300, "one thing, or two?"
    assert ast.get_docstring(ast.parse(text))


def test_only_the_store_writes_files_of_a_run():
    """`open(..., "w")`, write_text and the like stand in the modules whose work it is; in a run's
    folder that is `atomic`'s, and `locking`'s, whose file must stay the same file.
    """
    allowed = {"atomic.py", "locking.py", "options.py", "cache.py"}
    writing = re.compile(r"write_text|write_bytes|open\((?:[^()]*, )?\"(?:[wax]|r?b?\+)")
    found = {path.name for path in FILES if writing.search(path.read_text("utf-8"))}
    assert found <= allowed and {"atomic.py", "locking.py"} <= found


def test_every_promise_names_its_tests_and_its_figure():
    text = (ROOT / "docs" / "promises.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if re.match(r"\| \d", line)]
    rows = [line.strip("| ").split(" | ") for line in lines]
    assert [row[0] for row in rows] == [str(n) for n in range(1, 22)]
    for _, _, tests, figure in rows:
        named = re.findall(r"`(?:python )?(tests/[\w/]+\.py)(?:::(\w+))?[^`]*`", tests)
        assert named and re.search(r"\d", figure)
        for path, test in named:
            assert f"def {test}" in (ROOT / path).read_text("utf-8")


def _commands():
    return get_command(app).commands


def test_the_readme_names_every_command_and_no_other():
    readme = (ROOT / "README.md").read_text("utf-8")
    named = set(re.findall(r"^\| `hpsearch ([a-z]+)", readme, re.M))
    assert named == set(_commands())


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_command_has_help_and_every_option_too(name):
    command = _commands()[name]
    assert command.help and len(command.help) <= 64, "it is cut in the list of commands"
    for parameter in command.params:
        assert getattr(parameter, "help", None) or parameter.name in ("help", "directory")


def test_the_readme_shows_every_bundled_config_and_the_tree():
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in bundled():
        assert f"`{name}`" in readme, f"README does not name the config {name}"
    block = readme.split("```\nhpsearch/\n")[1].split("```")[0]
    tree = set(re.findall(r"^  (\w+(?:\.py|/)) ", block, re.M))
    listed = {p.name + ("/" if p.is_dir() else "") for p in PACKAGE.iterdir()}
    listed -= {"__init__.py", "__pycache__/", "configs/", "py.typed"}
    assert tree == listed


def test_the_readmes_way_to_predict_is_right(tmp_path, monkeypatch, digits, capsys):
    """Its code, run on the validation rows, is as right as the best trial says it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_RUNS_DIR")
    small = ["--set", "search.coarse={trials: 4, epochs: 3}", "--set", "model.hidden=[20, 10]"]
    found = CliRunner().invoke(app, ["search", "digits", "--json", *small])
    code = (ROOT / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    seen = {"rows": digits.validation.gather().astype(float)}
    exec(code.replace("runs/digits/refine-1", "runs/digits/coarse"), seen)
    right = seen["a"].argmax(axis=1) == digits.validation.y
    assert right.mean() == json.loads(found.stdout)["best"]["val_accuracy"]


def test_links_in_the_readme_lead_somewhere():
    readme = (ROOT / "README.md").read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        assert target.startswith("https://") or (ROOT / target).exists()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_config_begins_with_its_purpose_and_its_time(path):
    first = path.read_text("utf-8").splitlines()[0]
    assert first.startswith("# ") and re.search(r"\d+ (s|seconds|min|minutes)\b", first), first


def test_make_targets_are_the_ones_promised():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    assert {"help", "run", "test", "test-all", "test-oracle", "lint", "bench", "report"} <= targets
