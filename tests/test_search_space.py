"""Conditions, finite spaces and the limits of keys; what is wrong with a space, in words."""

from itertools import islice, product

import numpy as np
import pytest
from test_stages import config

from hpsearch.config.find import Found
from hpsearch.config.limits import limits
from hpsearch.config.load import dump, load
from hpsearch.config.schema import SEARCHABLE
from hpsearch.errors import ConfigError
from hpsearch.search.combinations import Combinations, lists_of, shuffled
from hpsearch.search.conditions import applying, cycle
from hpsearch.search.space import parse_space, write_space
from hpsearch.search.zoom import narrow, widen

SETTINGS = {"optimizer": "sgd", "momentum": 0.9, "schedule": "step", "hidden": (50,)}
CHAIN = parse_space({
    "momentum": {"uniform": [0.5, 0.9], "when": {"optimizer": ["momentum", "nesterov"]}},
    "optimizer": {"choice": ["sgd", "momentum", "adam"], "when": {"hidden": [[50], [20, 20]]}},
    "hidden": {"choice": [50, [20, 20], 10]},
    "beta1": {"uniform": [0.5, 0.9], "when": {"schedule": "step", "optimizer": "adam"}},
})  # fmt: skip


@pytest.mark.parametrize(
    "optimizer, hidden, names",
    [
        ("sgd", 50, {"optimizer", "hidden"}),
        ("momentum", 50, {"optimizer", "hidden", "momentum"}),
        ("momentum", (20, 20), {"optimizer", "hidden", "momentum"}),
        ("adam", 50, {"optimizer", "hidden", "beta1"}),
        ("adam", 10, {"hidden"}),  # the configured sgd it is
    ],
)
def test_what_applies_is_asked_of_the_trials_own_settings(optimizer, hidden, names):
    values = {"momentum": 0.7, "optimizer": optimizer, "hidden": hidden, "beta1": 0.6}
    found = applying(CHAIN, values, SETTINGS)
    assert found == {name: value for name, value in values.items() if name in names}
    assert list(found) == [name for name in CHAIN if name in names], "in the order of the space"
    other = applying(CHAIN, values, SETTINGS | {"optimizer": "nesterov", "schedule": "cosine"})
    assert ("momentum" in other) == (hidden == 10 or optimizer == "momentum")
    assert "beta1" not in other


def test_a_condition_is_written_as_it_was_read_and_kept_by_other_bounds(tmp_path):
    kind = CHAIN["momentum"]
    assert parse_space(write_space(CHAIN)) == CHAIN
    assert kind.with_bounds(0.6, 0.7).when == kind.when
    assert write_space(parse_space({"x": {"uniform": [0, 1]}})) == {"x": {"uniform": [0.0, 1.0]}}
    space = "{optimizer: {choice: [sgd, momentum]}, momentum: {one_minus_log_uniform: [0.5, 0.99],"
    written = config(tmp_path, f"search.space={space} when: {{optimizer: momentum}}}}}}")
    path = tmp_path / "again.yaml"
    path.write_text(dump(written))
    assert load(Found(path, "again", tmp_path, "again.yaml"), ()).search == written.search


def test_circles_are_found():
    def space(**asked):
        return parse_space(
            {name: {"choice": ["a"], "when": {other: "a"}} for name, other in asked.items()}
        )

    assert cycle(space(a="b", b="c", c="d")) == []
    assert set(cycle(space(a="b", b="c", c="a"))) == {"a", "b", "c"}


# --- finite spaces


@pytest.mark.parametrize("size", [1, 2, 3, 10, 257])
def test_a_shuffle_has_every_number_once_and_any_first(size):
    assert sorted(shuffled(size, 3)) == list(range(size))
    firsts = np.bincount([next(shuffled(size, seed)) for seed in range(200 * min(size, 10))])
    assert size > 10 or firsts.min() > 130


def test_the_start_of_a_shuffle_of_very_many_costs_nothing():
    size = 1000**20
    first = list(islice(shuffled(size, 0), 1000))
    assert len(set(first)) == 1000 and max(first) < size


FINITE = {
    "lists": {
        "a": {"choice": [1, 2, 2]}, "b": {"choice": ["x", [5]]}, "c": {"int_uniform": [1, 3]},
    },
    "conditions": {
        "a": {"choice": ["x", "y", "z"]},
        "b": {"choice": [1, 2], "when": {"a": ["y", "z"]}},
        "c": {"choice": [1, 2, 3, 4], "when": {"b": 2}},
        "d": {"choice": [1, 2, 3], "when": {"e": 1}},
    },
}  # fmt: skip


@pytest.mark.parametrize("which", FINITE)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_finite_space_has_every_setting_once(which, seed):
    space, settings = parse_space(FINITE[which]), {"b": 2, "e": 0}
    lists = lists_of(space)
    found = Combinations(space, lists, settings, seed)
    every = {
        repr(applying(space, dict(zip(space, values, strict=True)), settings))
        for values in product(*lists.values())
    }
    drawn = list(found)
    assert sorted(map(repr, drawn)) == sorted(every) and found.total == len(every)
    assert all(hparams in found for hparams in drawn)
    assert {**drawn[0], "a": 7} not in found and {"a": drawn[0]["a"], "d": 1} not in found
    assert list(Combinations(space, lists, settings, seed)) == drawn
    assert list(Combinations(space, lists, settings, seed + 1)) != drawn


def test_ranges_are_not_finite():
    for kind in ({"uniform": [0, 1]}, {"int_uniform": [0, 5000]}, {"int_log_uniform": [1, 9]}):
        assert lists_of(parse_space({"a": {"choice": [1]}, "b": kind})) is None


# --- limits


@pytest.mark.parametrize(
    "key, bound, old, confined",
    [
        ("learning_rate", 1e-9, 1e-3, 1e-9), ("learning_rate", -0.1, 0.1, 0.05),
        ("momentum", 1.2, 0.9, 0.95), ("momentum", -0.5, 0.1, 0.0), ("momentum", 0.97, 0.9, 0.97),
        ("dropout", 1.0, 0.5, 0.75), ("decay_factor", 1.5, 0.5, 1.0),
        ("weight_decay", -1.0, 1.0, 0.0), ("patience", 0, 5, 1), ("slope", -1, 0.2, 0.0),
        ("hidden", 70000, 60000, 65536), ("batch_size", 0, 10, 1), ("bias_init", -9.0, 1.0, -9.0),
    ],
)  # fmt: skip
def test_a_bound_goes_no_further_than_its_keys_limit(key, bound, old, confined):
    assert limits(key).confine(bound, old) == pytest.approx(confined)


@pytest.mark.parametrize("key", SEARCHABLE)
@pytest.mark.parametrize("value", [-1e31, -1.0, 0.0, 0.5, 0.999, 1.0, 2.0, 65537.0, 1e31])
def test_limits_are_those_of_the_schema(key, value):
    taken = []
    for form in (value, int(value)):
        try:
            SEARCHABLE[key].model_validate({key: form})
            taken.append(form)
        except ValueError:
            pass
    assert all(limits(key).admits(form) for form in taken)
    numeric = limits(key).low > -np.inf or limits(key).high < np.inf
    if numeric and value in (-1.0, 0.0, 1.0, 2.0, 65537.0):
        assert bool(taken) == limits(key).admits(value)


# --- what is wrong with a condition


@pytest.mark.parametrize(
    "space, said",
    [
        ("momentum: {uniform: [0.5, 0.9], when: {^optimiser: sgd}}",
         'momentum.when: unknown key "optimiser": did you mean "optimizer"?'),
        ("momentum: {uniform: [0.5, 0.9], when: {optimizer: [sgd, ^mometum]}}",
         "momentum.when.optimizer[1]: must be one of sgd, "),
        ("momentum: {uniform: [0.5, 0.9], when: {optimizer: ^mometum}}",
         "momentum.when.optimizer: must be one of sgd, "),
        ("momentum: {uniform: [0.5, 0.9], when: ^{}}", "momentum.when: must "),
        ("momentum: {uniform: [0.5, 0.9], when: ^5}", "momentum.when: must be a mapping"),
        ("{optimizer: {choice: [sgd, adam]}, beta1: {uniform: [0.5, 0.9], when: {optimizer: "
         "^adamw}}}", "beta1.when.optimizer: never holds: optimizer is one of sgd, adam in this"),
        ("{dropout: {uniform: [0, 0.5]}, hidden: {choice: [[5]], when: {dropout: ^0.5}}}",
         "hidden.when.dropout: never holds: dropout is drawn from 0 .. 0.5; ask for single"),
        ("{loss: {choice: [softmax], when: ^{optimizer: sgd}}, optimizer: {choice: [sgd, adam], "
         "when: {loss: softmax}}}", "loss.when: the conditions go in a circle: loss -> optimizer"),
        ("{optimizer: {choice: [sgd, adam, momentum]}, momentum: ^{uniform: [0.5, 0.9], when: "
         "{optimizer: adam}}}", "momentum: is read by no optimizer of this search (adam)"),
        ("^{when: {optimizer: sgd}}", "must"),
    ],
)  # fmt: skip
def test_a_condition_that_cannot_be_meant_is_refused(space, said, tmp_path):
    written = space if space.startswith("{") or space.startswith("^") else f"{{{space}}}"
    if space.startswith("^"):
        written = f"{{momentum: {space}}}"
    before, _, after = f"search: {{space: {written}}}".partition("^")
    path = tmp_path / "x.yaml"
    path.write_text(before + after)
    with pytest.raises(ConfigError) as caught:
        load(Found(path, "x", tmp_path, "x.yaml"), ())
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"x.yaml:1:{len(before) + 1}: search.space.") and said in line


@pytest.mark.parametrize(
    "space",
    [
        "{optimizer: {choice: [sgd, momentum]}, momentum: {uniform: [0.5, 0.9], when: {optimizer: "
        "[momentum, nesterov]}}}",
        "{momentum: {uniform: [0.5, 0.9], when: {optimizer: [sgd]}}}",  # configured: never drawn
        "{weight_decay: {zero_or_log_uniform: {bounds: [1e-5, 1]}}, dropout: {uniform: [0, 0.5], "
        "when: {weight_decay: 0}}}",
        "{warmup_epochs: {int_uniform: [0, 5]}, dropout: {uniform: [0, 0.5], when: "
        "{warmup_epochs: [1, 2]}}}",
    ],
)
def test_a_condition_that_may_hold_is_taken(space, tmp_path):
    taken = config(tmp_path, f"search.space={space}").search.space
    assert any(kind.when for kind in taken.values())


def test_a_condition_that_is_null_is_none(tmp_path):
    space = "{learning_rate: {log_uniform: [1e-3, 1], when: null}}"
    assert config(tmp_path, f"search.space={space}").search.space["learning_rate"].when is None


# --- momenta


def test_momenta_are_thought_of_as_the_steps_that_they_average():
    kind = parse_space({"x": {"one_minus_log_uniform": [0.9, 0.9999]}})["x"]
    assert [kind.position(v) for v in (0.9, 0.99, 0.999)] == pytest.approx([0, 1 / 3, 2 / 3])
    assert [kind.placed(p) for p in (0, 1 / 3, 1)] == pytest.approx([0.9, 0.99, 0.9999])
    assert kind.rounded(0.99987654) == 0.999877
    assert widen(kind, kind, "high").bounds == pytest.approx((0.9, 0.99999))
    assert narrow(kind, [0.991, 0.995], whole_decades=True).bounds == pytest.approx((0.99, 0.999))
