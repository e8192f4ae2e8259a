import math
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.config import yaml12
from hpsearch.config.dump import flow
from hpsearch.config.yaml12 import Mark, Spot, read
from hpsearch.errors import ConfigError

INF = math.inf

SCALARS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None, "nULL": "nULL",
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "tRUE": "tRUE",
    "no": "no", "No": "No", "off": "off", "on": "on", "yes": "yes", "y": "y", "n": "n",
    "0": 0, "-0": 0, "+7": 7, "010": 10, "0o10": 8, "0x1F": 31, "0b1": "0b1", "-0x1": "-0x1",
    "1_000": "1_000", "12:30": "12:30", "12:30:45": "12:30:45", "2024-01-01": "2024-01-01",
    "1e-4": 1e-4, "1.0e-4": 1e-4, "1e+4": 1e4, "1E4": 1e4, ".5": 0.5, "5.": 5.0, "-.5": -0.5,
    "1e400": INF, ".inf": INF, "+.INF": INF, "-.Inf": -INF, "inf": "inf", "nan": "nan",
    "1.2.3": "1.2.3", "e4": "e4", ".": ".", "=": "=", "<<": "<<", "x y": "x y", "'5'": "5",
    '"null"': "null", "١": "١",
}  # fmt: skip

REFUSED = {
    "a: 1\nb: 2\na: 3": ("3:1", '"a" is given twice, first at x.yaml:1:1'),
    "{a: 1, a: 2}": ("1:8", "twice"),
    "s:\n  1: x": ("2:3", "a key must be text, got 1"),
    "~: x": ("1:1", "a key must be text, got ~"),
    "[a]: x": ("1:1", "a key must be text, got a list or mapping"),
    "on: x\ntrue: y": ("2:1", "a key must be text, got true"),
    "a: &x 1": ("1:4", 'anchor "&x": anchors are not read: leave it out'),
    "a: [*x]": ("1:5", 'alias "*x": aliases are not read'),
    "a: !!python/object/apply:os.system [x]": ("1:4", 'tag "!!python/object/apply:os.system"'),
    "a: !!str 5": ("1:4", 'tag "!!str"'),
    "a: !mine 5": ("1:4", 'tag "!mine"'),
    "a: 1\n---\nb: 2": ("2:1", "must be one document, a second one begins: leave it out"),
    "[" * 60: ("1:51", "must be nested at most 50 levels deep"),
    "[" * 100_000: ("1:51", "must be nested at most 50 levels deep"),
    "{a: " * 60: ("1:201", "must be nested at most 50 levels deep"),
    "a: [" + "1," * 30_000: ("1:", "must have at most 10,000 values, got more"),
    "a: " + "7" * 5000: ("1:4", "must have at most 400 digits, got 5,000"),
    "a: 0x" + "f" * 5000: ("1:4", "digits"),
    "a: 1." + "0" * 5000: ("1:4", "digits"),
    "a: x\x00y": ("1:5", "U+0000"),
    "a: \x1b[31m": ("1:4", "U+001B"),
    "a: \ud800": ("1:4", "U+D800"),
    'a: "\\0"': ("1:4", "control character"),
    'a: "\\e[31m"': ("1:4", "control character"),
    "a:\n\tb: 1": ("2:1", "a tab cannot indent: use spaces"),
    "a: [1, 2\n\n": ("1:9", "not YAML: while parsing a flow sequence"),
    "a: b: c": ("1:5", "mapping values are not allowed"),
    "a: 'x": ("1:6", "unexpected end of stream"),
    "a: @x": ("1:4", "cannot start any token"),
    "a: 1\n b: 2": ("2:3", "mapping values are not allowed"),
    "x" * 2**20 + "y": ("1:1", "must have at most 1,048,576 bytes, got more"),
    b"a: 1\nb: \xff": ("2:4", "not UTF-8 (byte 0xff)"),
    b"\xef\xbb\xbf{a: 1": ("1:6", "not YAML"),
    b"\xef\xbb\xbfa: \xff": ("1:4", "not UTF-8 (byte 0xff)"),
    "a: 1".encode("utf-16"): ("1:1", "not UTF-8"),
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_mean_what_yaml_1_2_says(text):
    value = read(f"key: {text}\n", "x.yaml").value["key"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


@pytest.mark.parametrize("text", (".nan", ".NaN", ".NAN"))
def test_not_a_number(text):
    assert math.isnan(read(text, "x.yaml").value)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:20]))
def test_what_is_refused_is_refused_with_its_place_at_once(text):
    place, message = REFUSED[text]
    with pytest.raises(ConfigError) as caught:
        read(text, "x.yaml")
    assert str(caught.value).startswith(f"x.yaml:{place}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_place_of_every_key_and_value():
    document = read("a: 1\nb:\n  - x\n  - {c: 2}\n", "x.yaml")
    assert document.value == {"a": 1, "b": ["x", {"c": 2}]}
    assert document.marks == {
        (): Mark(Spot(1, 1), Spot(1, 1)),
        ("a",): Mark(Spot(1, 1), Spot(1, 4)),
        ("b",): Mark(Spot(2, 1), Spot(3, 3)),
        ("b", 0): Mark(Spot(3, 5), Spot(3, 5)),
        ("b", 1): Mark(Spot(4, 5), Spot(4, 5)),
        ("b", 1, "c"): Mark(Spot(4, 6), Spot(4, 9)),
    }


@pytest.mark.parametrize("text", ("", "# only a comment\n", "---\n...\n", b"\xef\xbb\xbf"))
def test_an_empty_document_is_nothing(text):
    assert read(text, "x.yaml").value is None


def test_a_byte_order_mark_is_passed_over():
    document = read(b"\xef\xbb\xbfa: 1", "x.yaml")
    assert document.value == {"a": 1}
    assert document.marks["a",].key == Spot(1, 1)


def test_pyyaml_itself_stays_as_it_was():
    before = {name: len(rules) for name, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
    read("a: [1e-4, no, 12:30]", "x.yaml")
    after = {name: len(rules) for name, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
    assert before == after
    assert yaml.safe_load("a: no") == {"a": False}


@pytest.mark.parametrize("text", ["a: [1e-4, no]\nb: {c: ~}", "a: 'x", "[" * 200, "a: !x 1"])
def test_the_loader_in_pure_python_reads_the_same(text, monkeypatch):
    def outcome():
        try:
            return read(text, "x.yaml")
        except ConfigError as error:
            return str(error).split(":")[:3]

    fast = outcome()
    monkeypatch.setattr(yaml12, "LOADER", yaml.SafeLoader)
    assert outcome() == fast


texts = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\n\t\"'\\:# ")
)
numbers = st.integers() | st.floats(allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.sampled_from([*SCALARS]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None)
@given(plain)
def test_what_is_written_is_read_back(value):
    round_trip(value)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(plain)
def test_10000_values_that_are_written_are_read_back(value):
    round_trip(value)


def round_trip(value):
    back = read(f"a: {flow(value)}\n", "x.yaml").value["a"]
    assert back == value
    assert repr(back) == repr(value)  # 1, 1.0 and True are equal


@settings(max_examples=200, deadline=None)
@given(numbers | st.sampled_from([key for key in SCALARS if key]))
def test_yaml_1_1_reads_our_numbers_and_texts_alike(value):
    assert repr(yaml.safe_load(f"a: {flow(value)}")["a"]) == repr(value)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40))
def test_any_text_at_all_is_read_or_refused(text):
    try:
        read(text, "x.yaml")
    except ConfigError as error:
        assert str(error).startswith("x.yaml:")


def test_a_large_integer_never_reaches_pythons_limit():
    digits = "9" * yaml12.MAX_DIGITS
    assert len(digits) < sys.get_int_max_str_digits()
    assert read(digits, "x.yaml").value == int(digits)
