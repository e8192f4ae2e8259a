"""Configs that somebody got wrong, or made to do harm: each is read, or refused with its place."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import mutants
import pytest
from typer.testing import CliRunner

from hpsearch.cli import app


def test_2000_mutants_are_read_or_refused_with_place_rule_and_value(tmp_path):
    kinds = Counter()
    for number in range(2000):
        outcome = mutants.tried(mutants.mutant(number).content, tmp_path / "x.yaml")
        assert not outcome.fault or outcome.fault == "slow", (number, outcome)
        kinds[outcome.kind] += 1
    assert kinds["accepted"] > 200 and kinds["refused"] > 1000


def test_a_mutant_is_a_function_of_its_number():
    assert mutants.mutant(7) == mutants.mutant(7)
    assert len({mutants.mutant(number).content for number in range(50)}) > 45


def test_every_way_to_mutate_is_used():
    used = {edit for number in range(1000) for edit in mutants.mutant(number).edits}
    ways = mutants.TREE_EDITS + mutants.TEXT_EDITS + mutants.BYTE_EDITS
    assert used == {edit.__name__ for edit in ways}


@pytest.mark.parametrize(
    "line", ["y.yaml:1:1: a: must be 1, got 2", "x.yaml:3:1: a: must be 1, got 2",
             "x.yaml:1:9: a: must be 1, got 2", "x.yaml:1:1: a: wrong, got 2",
             "x.yaml:1:1: a: must be 1", "x.yaml:1:1: a: must be 1, got \x1b", "oh"],
)  # fmt: skip
def test_a_message_that_lacks_something_is_a_fault(line):
    assert mutants._unfit(line, b"a: 2\n", "x.yaml")
    assert not mutants._unfit("x.yaml:1:4: a: must be 1, got 2", b"a: 2\n", "x.yaml")


LAUGHS = b"".join(b"a%d: &a%d [" % (n, n) + b"*a%d," % (n - 1) * 99 + b"]\n" for n in range(1, 99))
BOMBS = {
    "size": b"a: " + b"x" * 2**22,
    "lines": b"- 1\n" * 2**20,
    "depth": b"[" * 2**20,
    "mappings": b"{a: " * 2**18,
    "comment": b"#" * 2**20 + b"\na: 1",
    "nodes": b"[" + b"1," * (2**19 - 1) + b"]",
    "keys": b"".join(b"k%d: 1\n" % n for n in range(80_000)),
    "equal keys": b"a: 1\n" * 2**17,
    "aliases": b"a0: &a0 [1]\n" + LAUGHS,
    "merges": b"a: &a {b: 1}\n" + b"c: {<<: *a}\n" * 9999,
    "digits": b"seed: " + b"9" * 2**19,
    "hexadecimal": b"seed: 0x" + b"f" * 2**19,
    "exponent": b"seed: 1e" + b"9" * 2**19,
    "long key": b"k" * 2**19 + b": 1",
    "long scalar": b"name: " + b"x" * 2**19,
    "backslashes": b'name: "' + b"\\\\" * 2**18 + b'"',
    "documents": b"---\n" * 2**18,
    "questions": b"? " * 2**18,
    "dashes": b"- " * 2**18,
    "anchors": b"&a " * 2**18,
    "tags": b"!a " * 2**18,
}
LOADED = """
import resource, sys, time
from pathlib import Path

from hpsearch.config.find import Found
from hpsearch.config.load import load
from hpsearch.errors import ConfigError
folder = Path(sys.argv[1])
bomb = Found(folder / "x.yaml", "x", folder, "x.yaml")
(folder / "x.yaml").write_text("seed: -1")
for path in [bomb.path, *folder.glob("*.bomb")]:
    text = path.read_bytes()[: 2**20].decode()
    for given in (Found(path, "x", folder, "x.yaml"), f"a={text}"):
        if path is not bomb.path:  # what it takes to read an error once is known by now
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + 64 * 2**20, resource.RLIM_INFINITY))
        start, said = time.process_time(), ""
        try:
            load(given) if isinstance(given, Found) else load(bomb, [given])
        except ConfigError as error:
            said = str(error)
        print(path.stem, len(said), f"{time.process_time() - start:.3f}", sep=",")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_bombs_are_refused_before_they_cost_anything(tmp_path):
    for name, content in BOMBS.items():
        (tmp_path / f"{name}.bomb").write_bytes(content)
    child = subprocess.run(
        [sys.executable, "-c", LOADED, tmp_path], capture_output=True, text=True, timeout=240
    )
    assert child.returncode == 0, child.stderr
    lines = [line.split(",") for line in child.stdout.splitlines()]
    assert len(lines) == 2 * (1 + len(BOMBS))
    for name, said, seconds in lines:
        assert 0 < int(said) < 1000, name
        assert float(seconds) < 1, name


def test_what_is_accepted_does_not_break_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = (f"{n * 0.1},{n % 7},{'uv'[n % 2]}\n" for n in range(60))
    (tmp_path / "table.csv").write_text("a,b,y\n" + "".join(rows))
    codes, number = Counter(), 0
    while codes["search", 0] < 4:
        number += 1
        if mutants.tried(mutants.mutant(number).content, tmp_path / "x.yaml").kind != "accepted":
            continue
        for words in (["data"], ["search", "--dry-run", "--stage", "coarse"]):
            few = ["--set", "search.coarse={trials: 3, epochs: 1}", "--jobs", "1"]
            result = CliRunner().invoke(app, [*words, "x.yaml", "--force", *few])
            assert result.exit_code in (0, 1, 2), (number, result.output)
            codes[words[0], result.exit_code] += 1
    assert codes["data", 0] >= 4
