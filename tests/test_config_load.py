import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.config.dump import dump
from hpsearch.config.find import Found, bundled, find, run_name
from hpsearch.config.keys import LEVELS
from hpsearch.config.load import load
from hpsearch.config.schema import SEARCHABLE, Config
from hpsearch.config.template import LISTED, json_schema, source_of, template
from hpsearch.config.written import Override
from hpsearch.errors import ConfigError, HostError
from hpsearch.search.space import LogUniform

BUNDLED = ["cifar10", "cifar10-best", "csv", "digits", "lecture", "spiral"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a config and gives what `find` would."""
    monkeypatch.chdir(tmp_path)

    def written(text, name="x.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return find(name, runs_dir=Path("runs"), cwd=tmp_path)

    return written


def test_set_takes_the_same_yaml(write):
    config = load(
        write("search: {space: {momentum: {uniform: [0, 0.5]}}}"),
        ["search.space.learning_rate={log_uniform: [1, 1e-4]}", "model.hidden=[10, 20]",
         "train.batch_size=010", "data={source: csv, path: x.csv, target: no}",
         Override("--seed", "seed", 7)],
    )  # fmt: skip
    assert config.search.space["learning_rate"] == LogUniform(log_uniform=(1e-4, 1.0))
    assert set(config.search.space) == {"momentum", "learning_rate"}
    assert (config.model.hidden, config.train.batch_size) == ((10, 20), 10)
    assert (config.data.target, config.seed) == ("no", 7)


def test_set_replaces_a_whole_mapping_and_the_last_wins(write):
    found = write("search: {coarse: {trials: 7, epochs: 9}}")
    coarse = load(found, ["search.coarse={trials: 1}", "search.coarse.trials=2"]).search.coarse
    assert (coarse.trials, coarse.epochs) == (2, 5)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed", "--set seed: must be KEY=VALUE, for example train.momentum=0.9"),
        ("=1", "--set =1: must be KEY=VALUE, for example train.momentum=0.9"),
        ("seed.x=1", "--set seed.x=1: seed is not a mapping of keys"),
        ("train.momentum=2", "--set train.momentum=2: train.momentum: must be below 1, got 2"),
        ("train.=2", '--set train.=2: train: unknown key ""'),
        ("train={lr: 1}", '--set train={lr: 1}: train: unknown key "lr": did you mean'),
        ("model.init=[", "--set model.init=[:1:2: not YAML"),
    ],
)  # fmt: skip
def test_faults_of_set_name_the_option(override, line, write):
    with pytest.raises(ConfigError) as caught:
        load(write("seed: 0"), [override])
    assert str(caught.value).startswith(line)


# Names, paths and the look-up


@pytest.mark.parametrize(
    ("file", "name"),
    [("mine.yaml", "mine"), ("my data ü.yml", "my-data-"), ("dir one/hpsearch.yaml", "dir-one"),
     ("_.yaml", "run")],
)  # fmt: skip
def test_the_name_comes_from_the_file_unless_written(file, name, write):
    assert load(write("seed: 1", file)).name == name
    assert load(write("name: other", file)).name == "other"


@given(st.text(max_size=80))
def test_any_folder_gives_a_valid_name(folder):
    assert Config(name=run_name(folder)).name


def test_paths_are_absolute_and_start_where_they_were_written(write, tmp_path):
    found = write(
        "data: {source: csv, path: ../d/t.csv, split: {validation: v.csv, test: /t.csv}}",
        "c/x.yaml",
    )
    data = load(found).data
    assert data.path == str(tmp_path / "d/t.csv")
    assert data.split.validation == str(tmp_path / "c/v.csv")
    assert data.split.test == "/t.csv"
    data = load(found, ["data.path=u.csv", "data.split={validation: w.csv}"]).data
    assert data.path == str(tmp_path / "u.csv")
    assert data.split.validation == str(tmp_path / "w.csv")
    assert load(found, ["data={source: csv, path: y.csv}"]).data.path == str(tmp_path / "y.csv")
    assert load(found, ["data.path=~/y.csv"]).data.path == str(Path.home() / "y.csv")


def test_a_resolved_config_means_the_same_anywhere(write):
    config = load(write("data: {source: csv, path: t.csv}", "here/x.yaml"))
    assert load(write(dump(config), "far/away/config.yaml")) == config


def test_path_then_run_then_bundled(write, tmp_path):
    def taken(config):
        found = find(config, runs_dir=Path("runs"), cwd=tmp_path)
        return found.shown, found.name, found.note

    write("seed: 1", "a.yaml")
    write("seed: 2", "runs/digits/config.yaml")
    write("seed: 2", "runs/a.yaml/config.yaml")
    write("seed: 3", "digits")
    assert taken("a.yaml") == ("a.yaml", "a", "")
    assert taken("digits") == ("runs/digits/config.yaml", "digits", "")
    other = find("digits", runs_dir=Path("runs"), cwd=tmp_path, fresh=True)
    assert other.path == bundled()["digits"], "for another run the bundled one"
    again = find("a.yaml", runs_dir=Path("runs"), cwd=tmp_path, fresh=True)
    assert again.shown == "a.yaml"
    assert taken("./a.yaml") == ("./a.yaml", "a", "")
    assert taken("spiral") == (str(bundled()["spiral"]), "spiral", "")
    assert taken(None)[2].endswith("taking the bundled config digits")
    write("seed: 4", "hpsearch.yaml")
    shown, name, note = taken(None)
    assert (shown, name) == ("hpsearch.yaml", run_name(tmp_path.name))
    assert note.endswith("taking ./hpsearch.yaml")


@pytest.mark.parametrize(
    "config", ["spirl", "mynet.yaml", "../runs/mine", "..", "mine/..", "a\0b", "x" * 5000, "", "-"]
)
def test_what_cannot_be_found_lists_what_can(config, write, tmp_path):
    write("seed: 0", "runs/mine/config.yaml")
    write("seed: 0", "mynet2.yaml")
    with pytest.raises(ConfigError) as caught:
        find(config, runs_dir=Path("runs"), cwd=tmp_path)
    message = str(caught.value)
    assert f"bundled configs: {', '.join(bundled())}; runs in runs: mine" in message
    assert message.isprintable()
    meant = {"spirl": "spiral", "mynet.yaml": "mynet2.yaml"}.get(config)
    assert ("did you mean" in message) == bool(meant)
    assert meant is None or f'did you mean "{meant}"?' in message


def test_a_file_that_cannot_be_read_is_the_machines_fault(tmp_path):
    with pytest.raises(HostError, match=r"gone\.yaml: cannot be read: No such file"):
        load(Found(tmp_path / "gone.yaml", "gone", tmp_path, "gone.yaml"))


# Bundled configs, the template and the editor's schema


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_config_loads_and_says_what_for(name):
    assert sorted(bundled()) == BUNDLED
    text = bundled()[name].read_text()
    assert re.match(r"# [A-Z].{20,}; .+\.\n", text)
    config = load(find(name, runs_dir=Path("runs"), cwd=Path.cwd()))
    assert config.name == name
    assert {"learning_rate", "weight_decay"} <= set(config.search.space)


def test_the_lectures_search():
    config = load(find("lecture", runs_dir=Path("runs"), cwd=Path.cwd()))
    bounds = {key: kind.bounds for key, kind in config.search.space.items()}
    assert bounds == {"learning_rate": (1e-6, 1e-3), "weight_decay": (1e-5, 1e5)}
    train = config.train
    assert (train.optimizer, train.schedule, train.decay_factor) == ("sgd", "step", 0.9)
    assert (config.model.init, config.model.init_scale) == ("small", 1e-4)


def test_the_template_is_the_schemas_defaults(write):
    text = template("my net")
    assert text.startswith("# yaml-language-server: $schema=hpsearch.schema.json\n# ")
    assert load(write(text, "hpsearch.yaml")) == Config(name="my-net")
    for section, keys in LISTED.items():
        assert set(keys) <= set(LEVELS[tuple(section.split("."))])


def test_the_template_of_a_table(write, tmp_path):
    text = template("x", data=Path("a b/t.csv"), target="no")
    data = load(write(text)).data
    assert (data.source, data.path) == ("csv", str(tmp_path / "a b/t.csv"))
    assert data.target == "no"


def test_the_templates_example_of_a_space_is_one(write):
    text = template("x").replace("  space: {}", "  # none").replace("  # space:", "  space:")
    text = re.sub(r"^  #   ", "    ", text, flags=re.MULTILINE)
    assert set(load(write(text)).search.space) == {"learning_rate", "weight_decay", "hidden"}


def test_the_source_by_the_look_of_the_data(tmp_path):
    files = {"c": "data_batch_1", "i": "train-images-idx3-ubyte.gz", "p": "x", "n": "x.npy"}
    for folder, file in files.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).touch()
    places = ("c", "i", "p", "n", "t.csv", "t.NPZ", "n/x.npy")
    named = {name: source_of(tmp_path / name) for name in places}
    assert list(named.values()) == ["cifar10", "idx", "images", "npz", "csv", "npz", "npz"]


def test_the_editors_schema_describes_every_key():
    schema = json_schema()
    json.dumps(schema, allow_nan=False)
    sections = [schema, *(d for d in schema["$defs"].values() if d["title"] in SECTIONS)]
    for section in sections:
        assert section["description"]
        for key, about in section["properties"].items():
            assert "$ref" in about or about.get("description"), key
    assert set(schema["$defs"]["Search"]["properties"]["space"]["properties"]) == set(SEARCHABLE)
    assert "relu" in schema["$defs"]["Model"]["properties"]["activation"]["enum"]


SECTIONS = {level[-1].capitalize() for level in LEVELS if level} - {"Space"}
