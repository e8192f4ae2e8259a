"""Every JSON written or printed is JSON to every reader, whatever became of the training."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.strictjson import dumps

SMALL = """
name: small
data: {source: spiral}
model: {hidden: [4]}
search:
  space: {learning_rate: {log_uniform: [%s]}}
  coarse: {trials: 4, epochs: 2}
  refine: {trials: 3, epochs: 2, rounds: 1}
final: {top: 2, seeds: 2}
overfit: {epochs: 3, longer: 1}
sweep: {iterations: 20}
"""
RATES = {"healthy": "1e-2, 1", "diverging": "1e20, 1e30"}
NODE = """
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
let bad = 0;
for (const [name, text] of texts)
  try { JSON.parse(text); } catch (error) { bad++; console.log(name, error.message); }
console.log(texts.length, bad);
"""


def strictly(text):
    """What a reader makes of it that takes no NaN, no Infinity and no key twice."""

    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    def pairs(found):
        assert len(dict(found)) == len(found), "a key twice"
        return dict(found)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=pairs)


@pytest.fixture(scope="module", params=RATES)
def written(request, tmp_path_factory):
    """Every JSON of a whole run, by its file or the command that printed it."""
    folder = tmp_path_factory.mktemp(request.param)
    config, runs = folder / "small.yaml", ["--runs-dir", str(folder / "runs")]
    config.write_text(SMALL % RATES[request.param])
    np.save(folder / "x.npy", np.zeros((3, 2)))
    found = {}
    healthy = request.param == "healthy"
    commands = [
        *(["data"], ["sanity"], ["overfit"], ["sweep"], ["search", "--dry-run"], ["search"]),
        *(["run"], ["run"], ["final"], ["train"], ["status"], ["report"]),
    ]
    words = [[name, str(config), "--force", "--jobs", "1", *rest] for name, *rest in commands]
    words += [["ls"], ["schema"], ["diff", "small", "small"]]
    words += [["diff", "small:coarse/0", "small:coarse/1"], ["replay", "small", "coarse/0"]]
    words += [["predict", "small", str(folder / "x.npy")]] if healthy else []
    for number, each in enumerate(words):
        result = CliRunner().invoke(app, [*each, "--json", "--quiet", *runs])
        assert result.exit_code in ((0, 1) if healthy else (0, 1, 2)), (each, result.output)
        if result.stdout:
            found[f"{number} {each[0]}"] = result.stdout
    files = (folder / "runs").rglob("*.json")
    return found | {str(path.relative_to(folder)): path.read_text("utf-8") for path in files}


def test_all_of_a_run_is_strict_json(written):
    stages = {"data", "sanity", "overfit", "sweep", "coarse", "final"}
    assert len(written) >= 30
    for name, text in written.items():
        assert strictly(text) is not None, name
        stages -= {name.split("/")[2].removesuffix(".json")} if name[0] == "r" else set()
    assert stages <= {"final"}


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node")
def test_all_of_a_run_is_json_to_javascript(written):
    given = json.dumps(list(written.items()))
    done = subprocess.run(["node", "-e", NODE], input=given, capture_output=True, text=True)
    assert done.stdout == f"{len(written)} 0\n", done.stdout + done.stderr


def test_what_diverged_has_nulls_for_what_is_no_number(written):
    trials = [strictly(text) for name, text in written.items() if "/trials/" in name]
    diverged = [trial for trial in trials if trial["status"] == "diverged"]
    assert len(trials) >= 7
    assert len(diverged) >= 5 or not diverged
    assert all("null" in dumps(trial) for trial in diverged)


ODD = [np.float64("nan"), np.float64("inf"), float("-inf"), "\ud800", "\u2028", -0.0, 5e-324]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ODD),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_is_given_becomes_strict_json(value):
    text = dumps(value)
    strictly(text)
    assert text.encode()


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', '{"a": 1, "a": 2}', ""])
def test_the_strict_reader_is_strict(text):
    with pytest.raises((ValueError, AssertionError)):
        strictly(text)
