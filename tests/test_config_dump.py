
import re

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hpsearch.config.dump import dump, flow
from hpsearch.config.find import Found
from hpsearch.config.keys import LEVELS
from hpsearch.config.load import load
from hpsearch.config.schema import Config
from hpsearch.errors import ConfigError


@pytest.fixture
def read(tmp_path):
    """Loads a config from its text."""
    path = tmp_path / "x.yaml"

    def reading(text):
        path.write_text(text)
        return load(found_at(path))

    return reading


rates = st.floats(1e-12, 1e12)
bounds = st.tuples(rates, rates).filter(lambda pair: pair[0] != pair[1]).map(list)
whole = st.tuples(st.integers(1, 99), st.integers(100, 999)).map(list)
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)
awkward = st.sampled_from(["no", "1e-4", "null", "0x1", "~", "- a", "a: b", "# c", "12:30", "é"])
columns = texts | awkward | st.integers()
SPACES = {
    "learning_rate": bounds.map(lambda b: {"log_uniform": b}),
    "weight_decay": bounds.map(lambda b: {"zero_or_log_uniform": {"bounds": b, "zero": 0.25}}),
    "init_scale": bounds.map(lambda b: {"uniform": b}),
    "batch_size": whole.map(lambda b: {"int_log_uniform": b}),
    "hidden": st.lists(
        st.integers(1, 99) | st.lists(st.integers(1, 99), max_size=4), min_size=1
    ).map(lambda items: {"choice": items, "role": "scientific"}),
    "activation": st.just({"choice": ["relu", "tanh"]}),
    "augment": st.lists(
        st.sampled_from(["none", "flip", "shift3", "flip+shift12", {"flip": True, "shift": 2}]),
        min_size=1,
    ).map(lambda items: {"choice": items}),
    "momentum": st.sampled_from(["momentum", ["sgd", "momentum"]]).map(
        lambda names: {"one_minus_log_uniform": [0.5, 0.999], "when": {"optimizer": names}}
    ),
}
shares = st.none() | st.integers(1, 10**9) | st.floats(0.001, 0.999)
CONFIGS = {
    "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    "seed": st.integers(0, 2**53),
    "data": st.fixed_dictionaries({}, optional={
        "target": columns, "drop": st.lists(columns),
        "split": st.fixed_dictionaries({"validation": shares, "test": shares | st.just(0)}),
        "path": texts.map(lambda text: f"/{text.strip('/') or 'x'}"),
    }),
    "model": st.fixed_dictionaries({}, optional={
        "hidden": st.lists(st.integers(1, 65536), max_size=3), "init_scale": st.none() | rates,
        "activation": st.sampled_from(["relu", "tanh", "sigmoid"]),
    }),
    "train": st.fixed_dictionaries({}, optional={
        "learning_rate": rates | st.integers(1, 9), "momentum": st.floats(0, 1, exclude_max=True),
        "epsilon": st.floats(1e-30, 1e30),
    }),
    "sweep": st.fixed_dictionaries({"learning_rates": st.lists(rates, min_size=1, max_size=9)}),
    "search": st.fixed_dictionaries({
        "space": st.fixed_dictionaries({}, optional=SPACES),
        "round": st.sampled_from(["coarse", "refine-1", "refine-20"]),
    }),
}  # fmt: skip


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.fixed_dictionaries({}, optional=CONFIGS))
def test_a_dumped_config_is_read_back_equal(read, values):
    try:
        config = read(flow(values))
    except ConfigError as error:  # a value that is right by itself, but that nothing would read
        assume("read by" not in str(error))
        raise
    text = dump(config)
    assert read(text) == config
    assert dump(read(text)) == text


def test_a_dump_is_complete_in_order_and_one_key_per_line():
    text = dump(Config())
    for level, keys in LEVELS.items():
        indent = "  " * len(level)
        found = re.findall(rf"^{indent}(\w+):", text, re.MULTILINE)
        if level[-1:] not in (("space",), ("halving",)):  # a mapping of its own, and null
            assert " ".join(keys) in " ".join(found)
    assert yaml.safe_load(text)["train"]["epsilon"] == 1e-8  # a number to other readers as well


def test_reasons_stand_on_the_line_of_their_key(read):
    config = read("search: {space: {learning_rate: {log_uniform: [1e-4, 1]}}}")
    text = dump(config, comments={"search.space.learning_rate": "best\nat the\x1b edge"})
    line = "    learning_rate: {log_uniform: [0.0001, 1.0]}  # best at the edge\n"
    assert line in text
    assert read(text) == config


def found_at(path):
    return Found(path, "x", path.parent, path.name)
