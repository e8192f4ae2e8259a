"""One thread and the fastest kernel, before NumPy is there; and a record of what came of it."""

import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cli import process
from test_runner import runner
from typer.testing import CliRunner

from hpsearch import blas
from hpsearch.cli import app
from hpsearch.environment import PACKAGES, about, environment, other_kernel

ALL = "fpu sse2 avx avx2 fma avx512f avx512dq avx512cd avx512bw avx512vl"
CORE = """processor\t: 0
vendor_id\t: {vendor}
cpu family\t: {family}
model\t\t: 17
model name\t: a processor: with a colon
flags\t\t: {flags}
bogomips\t: 4600.00

"""
ARM = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics
CPU implementer\t: 0x41

"""


def cpuinfo(vendor="AuthenticAMD", flags=ALL, family=26):
    return 2 * CORE.format(vendor=vendor, flags=flags, family=family)


# --- the choice, a function of two texts


def test_amd_with_avx512_is_told():
    assert blas.kernel_for(cpuinfo(), {}) == "SKYLAKEX"


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "nonsense", ARM, cpuinfo(vendor="GenuineIntel"), cpuinfo(vendor="HygonGenuine"),
     cpuinfo(flags="fpu sse2 avx avx2 fma"), cpuinfo(flags="")],
)  # fmt: skip
def test_anything_else_is_left_to_openblas(text):
    assert blas.kernel_for(text, {}) is None


@pytest.mark.parametrize("flag", sorted(blas.AVX512))
def test_every_flag_is_needed(flag):
    without = " ".join(name for name in ALL.split() if name != flag)
    assert blas.kernel_for(cpuinfo(flags=without), {}) is None


@pytest.mark.parametrize("value", ["HASWELL", "SKYLAKEX", "", "0"])
def test_what_the_user_set_stays(value):
    assert blas.kernel_for(cpuinfo(), {"OPENBLAS_CORETYPE": value}) is None


@given(st.text())
def test_any_text_will_do(text):
    assert blas.kernel_for(text, {}) in (None, "SKYLAKEX")


# --- what comes of it, in a process of its own


def choose(tmp_path, text, first="", **env):
    """The record of a process that finds `text` in /proc/cpuinfo, and its kernel."""
    fake = tmp_path / "cpuinfo"
    fake.write_text(text)
    code = (
        f"{first}\n"
        "import json, pathlib\n"
        "from hpsearch import blas\n"
        f"blas.CPUINFO = pathlib.Path({str(fake)!r})\n"
        "blas.prepare()\n"
        "import numpy\n"
        "print(json.dumps(blas.record()))"
    )
    steering = ("OPENBLAS_", "OMP_", "MKL_", "VECLIB_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(steering)}
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], env={**kept, "PYTHONPATH": path, **env},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def kernel_of(record):
    return record["libraries"][0]["architecture"]


runs_avx512 = pytest.mark.skipif(
    blas.AVX512 - set(re.findall(r"\w+", blas._cpuinfo())) != set()
    or environment()["blas"]["libraries"][0]["internal_api"] != "openblas",
    reason="needs a processor with AVX-512, and OpenBLAS",
)


@runs_avx512
def test_the_kernel_takes_effect(tmp_path):
    ours = choose(tmp_path, cpuinfo())
    assert kernel_of(ours) == "SkylakeX"
    assert ours["settings"]["OPENBLAS_CORETYPE"] == {"value": "SKYLAKEX", "by": "hpsearch"}
    theirs = choose(tmp_path, cpuinfo(), OPENBLAS_CORETYPE="HASWELL")
    assert kernel_of(theirs) == "Haswell"
    assert theirs["settings"]["OPENBLAS_CORETYPE"] == {"value": "HASWELL", "by": "user"}


def test_elsewhere_nothing_is_set_but_the_threads(tmp_path):
    record = choose(tmp_path, cpuinfo(vendor="GenuineIntel"), OPENBLAS_NUM_THREADS="7")
    assert "OPENBLAS_CORETYPE" not in record["settings"] and "note" not in record
    assert set(record["settings"]) == set(blas.THREAD_VARIABLES)
    for setting in record["settings"].values():
        assert setting == {"value": "1", "by": "hpsearch"}
    assert {library["num_threads"] for library in record["libraries"]} == {1}


def test_after_numpy_nothing_is_set_and_the_record_says_so(tmp_path):
    record = choose(tmp_path, cpuinfo(), first="import numpy", OPENBLAS_NUM_THREADS="1")
    assert record["settings"] == {"OPENBLAS_NUM_THREADS": {"value": "1", "by": "user"}}
    assert "before" in record["note"]


def test_a_machine_without_cpuinfo(monkeypatch, tmp_path):
    monkeypatch.setattr(blas, "CPUINFO", tmp_path / "missing")
    assert blas._cpuinfo() == ""


# --- the record


def test_version_alone_is_one_line_and_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['hpsearch', '--version']\n"
        "from hpsearch.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'pandas', 'pydantic', 'threadpoolctl'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = out.stdout.splitlines()
    assert re.fullmatch(r"hpsearch \d+\.\d+\.\d+", first) and second == "[]"


def test_version_with_json_is_one_document_in_either_order():
    documents = []
    for words in (("--version", "--json"), ("--json", "--version")):
        out, errors = process(*words).communicate(timeout=60)
        assert errors == ""
        documents.append(json.loads(out))
    one, two = documents
    assert one == two
    assert {"hpsearch", "python", "numpy", "packages", "blas", "machine", "cores",
            "executor"} <= set(one)  # fmt: skip
    assert one["python"] == platform.python_version() and one["cores"] >= 1
    assert one["blas"]["settings"]["OPENBLAS_NUM_THREADS"]["by"] == "hpsearch"
    assert {library["num_threads"] for library in one["blas"]["libraries"]} == {1}


def test_the_executor_asked_for_is_in_it(monkeypatch):
    assert about()["executor"] == "chosen by the work"
    monkeypatch.setenv("HPSEARCH_EXECUTOR", "threads")
    assert about()["executor"] == "threads"
    monkeypatch.setenv("HPSEARCH_EXECUTOR", "carrots")
    refused = process("--version", "--json")
    assert "got carrots" in refused.communicate(timeout=60)[1] and refused.returncode == 2


def test_json_alone_goes_after_the_command():
    assert CliRunner().invoke(app, ["--json"]).exit_code == 2
    refused = CliRunner().invoke(app, ["--json", "schema"])
    assert refused.exit_code == 2 and "after the command" in refused.stderr


def test_no_words_at_all_show_the_help():
    assert "sanity" in CliRunner().invoke(app, []).output


def test_every_dependency_is_in_the_record():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["images"]]
    assert {re.split(r"[<>=\[ ]", name)[0] for name in needed} <= set(PACKAGES)


def test_another_kernel_is_said_where_trials_are_finished(tmp_path):
    def library(kernel, threads=1):
        return {"internal_api": "openblas", "version": "0.3.31", "architecture": kernel,
                "num_threads": threads}  # fmt: skip

    def facts(*kernels):
        return {"blas": {"libraries": [library(kernel) for kernel in kernels], "settings": {}}}

    assert other_kernel(facts("Haswell"), facts("Haswell")) is None
    assert other_kernel({}, facts("Haswell")) is None
    assert other_kernel({"blas": "?"}, facts("Haswell")) is None
    said = other_kernel({"blas": [library("Haswell")]}, facts("SkylakeX"))
    assert "0.3.31 Haswell, here it is openblas 0.3.31 SkylakeX" in said
    assert other_kernel(facts("Haswell"), facts("Haswell", "Zen"))


def test_a_search_taken_up_under_another_kernel_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPSEARCH_RUNS_DIR", str(tmp_path / "runs"))
    work = runner(tmp_path / "runs")
    work.search("coarse")
    words = ["search", "digits", "--json"]
    assert "last bits" not in CliRunner().invoke(app, words).stderr
    path = work.store.folder / "run.json"
    record = json.loads(path.read_text())
    record.pop("checksum", None)
    record["blas"]["libraries"][0]["architecture"] = "Nehalem"
    path.write_text(json.dumps(record))
    said = [line for line in CliRunner().invoke(app, words).stderr.splitlines()
            if "last bits" in line]  # fmt: skip
    assert len(said) == 1 and "Nehalem" in said[0]
