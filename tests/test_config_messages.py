import random
import re

import pytest
from mutants import typos

from hpsearch.config.find import Found
from hpsearch.config.keys import key_meant
from hpsearch.config.load import load
from hpsearch.config.schema import SEARCHABLE, Config, Search
from hpsearch.config.suggest import distance
from hpsearch.config.written import Override
from hpsearch.errors import ConfigError
from hpsearch.search.space import KINDS


@pytest.fixture
def errors(tmp_path):
    """The lines of the error that loading a config ends in."""

    def lines(text, overrides=()):
        path = tmp_path / "x.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load(Found(path, "x", tmp_path, "x.yaml"), overrides)
        return str(caught.value).split("\n")

    return lines


TYPOS = typos()
NAME = (
    "name: must be at most 64 letters, digits, '.', '_' or '-', the first a letter or digit, got "
)
SOURCES = "digits, spiral, csv, npz, idx, cifar10, images"
TOP, SEARCH = ", ".join(Config.model_fields), ", ".join(Search.model_fields)
SPACE = ", ".join(SEARCHABLE)
ONE_KIND = f"must be one distribution ({', '.join(KINDS)}), for example {{log_uniform: [1e-4, 1]}}"
KIND_LIST = f"(allowed: {', '.join(KINDS)})"

# The caret stands before what the message must point at.
WORDS = "must be none, flip, shift2 (pixels), flip+shift2 or {flip: true, shift: 2}"
FAULTS = {
    "search:\n  coarse: {trials: ^0}": "search.coarse.trials: must be at least 1, got 0",
    "train: {learning_rate: ^0}": "train.learning_rate: must be above 0, got 0",
    "train: {learning_rate: ^1e400}": "train.learning_rate: must be a finite number, got .inf",
    "train: {learning_rate: ^1e40}": "train.learning_rate: must be at most 1e+30, got 1.0e+40",
    "train: {momentum: ^1.0}": "train.momentum: must be below 1, got 1.0",
    "train: {momentum: ^.nan}": "train.momentum: must be a finite number, got .nan",
    "train: {batch_size: ^'5'}": 'train.batch_size: must be a whole number, got "5"',
    "train: {batch_size: ^5.0}": "train.batch_size: must be a whole number, got 5.0",
    "train: {batch_size: ^true}": "train.batch_size: must be a whole number, got true",
    "train: {weight_decay: ^no}": 'train.weight_decay: must be a number, got "no"',
    "train:^": "train: must be a mapping of keys, got null",
    "train: ^[1]": "train: must be a mapping of keys, got [1]",
    "^- 1": "must be a mapping of keys, such as seed: 0, got a list",
    "name: ^5": f"{NAME}5",
    "name: ^../x": f'{NAME}"../x"',
    "data: {path: ^5}": "data.path: must be text, got 5",
    "data: {path: ^''}": 'data.path: must not be empty, got ""',
    "data: {source: ^csv}": "data.source: csv needs a file or folder: set data.path",
    "data: {path: x, source: ^csw}": f"data.source: must be one of {SOURCES}, "
    'got "csw": did you mean "csv"?',
    "data: {split: {validation: ^1.5}}": "data.split.validation: must be a fraction between 0 "
    "and 1, a number of rows, or a file or folder, got 1.5",
    "data: {split: {test: ^-1}}": "data.split.test: must be 0 for none, a fraction below 1, "
    "a number of rows, or a file or folder, got -1",
    "data: {drop: [a, ^true]}": "data.drop[1]: must be a column: its name, or its number, "
    "got true",
    "data: {preprocess: {whiten: ^zsa}}": "data.preprocess.whiten: must be one of none, pca, zca, "
    'got "zsa": did you mean "zca"?',
    "data: {augment: ^5}": "data.augment: must be a mapping of keys, got 5",
    "data: {augment: ^flop}": f'data.augment: {WORDS}, got "flop"',
    "data: {augment: {shift: ^-1}}": "data.augment.shift: must be at least 0, got -1",
    "data: {augment: {^flipp: true}}": 'data.augment: unknown key "flipp": did you mean "flip"? '
    "(allowed: flip, shift)",
    "model: {dropout: ^1.0}": "model.dropout: must be below 1, got 1.0",
    "model: {hidden: [50, ^0]}": "model.hidden[1]: must be at least 1, got 0",
    "model: {hidden: ^0}": "model.hidden: must be at least 1, got 0",
    "model: {hidden: ^a}": 'model.hidden: must be a list, got "a"',
    "sweep: {learning_rates: ^[]}": "sweep.learning_rates: must not be empty, got []",
    "sweep: {learning_rates: [^0]}": "sweep.learning_rates[0]: must be above 0, got 0",
    "sweep: {ramp: {enabled: ^0}}": "sweep.ramp.enabled: must be true or false, got 0",
    "sweep: {ramp: {low: 1, high: ^1}}": "sweep.ramp.high: must be above low, 1, got 1",
    "search: {budget: {seconds: ^0}}": "search.budget.seconds: must be above 0, got 0",
    "search: {budget: {trial_epochs: ^0.5}}": "search.budget.trial_epochs: must be a whole number,"
    " got 0.5",
    "search: {round: ^refine}": "search.round: must be coarse, refine-1, refine-2, ..., "
    'got "refine"',
    "search: {space: ^5}": "search.space: must be a mapping of keys, got 5",
    "^tain: 1": f'unknown key "tain": did you mean "train"? (allowed: {TOP})',
    "search: {^epochs: 5}": 'search: unknown key "epochs": did you mean "search.coarse.epochs"? '
    f"(allowed: {SEARCH})",
    "final: {^'a\\b': 1}": 'final: unknown key "a\\\\b" (allowed: top, seeds)',
    "a: 1\n^a: 2": '"a" is given twice, first at x.yaml:1:1: keep one',
    "^1: 2": "a key must be text, got 1",
}
SPACE_FAULTS = {
    "^learnig_rate: {uniform: [1, 2]}": 'unknown key "learnig_rate": did you mean '
    f'"learning_rate"? (allowed: {SPACE})',
    "^train.momentum: {uniform: [0, 0.5]}": 'unknown key "train.momentum": did you mean '
    f'"momentum"? (allowed: {SPACE})',
    "^epochs: {choice: [5, 9]}": '"epochs" cannot be searched: it is search.coarse.epochs and '
    "refine.epochs",
    "momentum: ^0.5": f"momentum: {ONE_KIND}, got 0.5",
    "momentum: ^{unifrom: [0, 1]}": 'momentum: unknown distribution "unifrom": did you mean '
    f'"uniform"? {KIND_LIST}',
    "momentum: ^{uniform: [0, .5], a: 1}": f"momentum: {ONE_KIND}, "
    "got {uniform: [0, 0.5], a: 1}",
    "momentum: ^{uniform: [0, .5], rol: nuisance}": 'momentum: unknown key "rol": did you mean '
    '"role"?',
    "momentum: {uniform: [0, .5], role: ^scientifc}": "momentum.role: must be one of scientific, "
    'nuisance, got "scientifc": did you mean "scientific"?',
    "momentum: {uniform: [0, .5], role: ^null}": "momentum.role: must be one of scientific, "
    "nuisance, got null",
    "momentum: {uniform: [0.5, ^1]}": "momentum.uniform[1]: must be below 1, got 1",
    "momentum: {uniform: ^[0.5]}": "momentum.uniform: must be two bounds, [low, high], got [0.5]",
    "momentum: {uniform: ^[]}": "momentum.uniform: must be two bounds, [low, high], got []",
    "momentum: {uniform: ^[.5, .5]}": "momentum.uniform: the bounds must differ, got [0.5, 0.5]",
    "learning_rate: {log_uniform: [^0, 1]}": "learning_rate.log_uniform[0]: must be above 0, "
    "got 0",
    "learning_rate: {uniform: [^0, 1]}": "learning_rate.uniform[0]: must be above 0, got 0",
    "learning_rate: {zero_or_log_uniform: ^{bounds: [1, 2]}}": "learning_rate."
    "zero_or_log_uniform: must be above 0, got 0.0",
    "weight_decay: {zero_or_log_uniform: {bounds: [1, 2], ^zro: 0}}": "weight_decay."
    'zero_or_log_uniform: unknown key "zro": did you mean "zero"? (allowed: bounds, zero)',
    "weight_decay: {zero_or_log_uniform: ^{zero: 0}}": "weight_decay.zero_or_log_uniform: bounds "
    "must be given, got {zero: 0}",
    "batch_size: {log_uniform: ^[10, 100]}": "batch_size.log_uniform: batch_size must be a whole "
    "number: use int_uniform, int_log_uniform or choice",
    "hidden: {int_uniform: [^0, 100]}": "hidden.int_uniform[0]: must be at least 1, got 0",
    "hidden: {choice: [5, [50, ^0]]}": "hidden.choice[1][1]: must be at least 1, got 0",
    "hidden: {choice: [5, ^x]}": 'hidden.choice[1]: must be a list, got "x"',
    "init: {uniform: ^[1, 2]}": "init.uniform: init is chosen by its name: use choice",
    "optimizer: {choice: [sgd, ^adagrda]}": "optimizer.choice[1]: must be one of sgd, momentum, "
    'nesterov, adagrad, rmsprop, adam, adamw, got "adagrda": did you mean "adagrad"?',
    "activation: {choice: [relu, ^tahn]}": "activation.choice[1]: must be one of relu, "
    "leaky_relu, prelu, elu, selu, gelu, maxout, tanh, sigmoid, "
    'got "tahn": did you mean "tanh"?',
    "init_scale: {choice: [^{a: 1}]}": "init_scale.choice[0]: must be a number, got {a: 1}",
    "dropout: {uniform: [0, ^1.5]}": "dropout.uniform[1]: must be below 1, got 1.5",
    "augment: {choice: [none, ^flop]}": f'augment.choice[1]: {WORDS}, got "flop"',
    "augment: {choice: [^shift2+flip]}": f'augment.choice[0]: {WORDS}, got "shift2+flip"',
    "augment: {choice: [^shift1001]}": "augment.choice[0]: must be at most 1000, "
    'got "shift1001"',
    "augment: {choice: [none, {flip: ^2}]}": "augment.choice[1].flip: must be true or false, "
    "got 2",
    "augment: {choice: [none, {shift: ^-1}]}": "augment.choice[1].shift: must be at least 0, "
    "got -1",
    "augment: {choice: [{^flpi: true}]}": 'augment.choice[0]: unknown key "flpi": did you mean '
    '"flip"? (allowed: flip, shift)',
    "augment: {choice: [^5]}": "augment.choice[0]: must be a mapping of keys, got 5",
    "augment: {uniform: ^[0, 4]}": "augment.uniform: augment is chosen by its name: use choice",
    "dropout: {uniform: [0, 0.5], when: {augment: {shift: ^x}}}": "dropout.when.augment.shift: "
    'must be a whole number, got "x"',
}
IN_SPACE = {
    f"search:\n  space:\n    {text}": "search.space" + (": " if text[0] == "^" else ".") + said
    for text, said in SPACE_FAULTS.items()
}


@pytest.mark.parametrize("marked", FAULTS | IN_SPACE)
def test_a_fault_is_one_line_with_place_rule_and_value(marked, errors):
    before, _, after = marked.partition("^")
    lines = before.split("\n")
    said = (FAULTS | IN_SPACE)[marked]
    assert errors(before + after) == [f"x.yaml:{len(lines)}:{len(lines[-1]) + 1}: {said}"]


@pytest.mark.parametrize(
    "train, search, key, why",
    [
        ("optimizer: adam", "", "momentum", "no optimizer of this search (adam)"),
        ("optimizer: rmsprop", "", "beta1", "no optimizer of this search (rmsprop)"),
        ("", "", "decay_factor", "no schedule of this search (constant)"),
        ("schedule: step", "", "pct_start", "no schedule of this search (step, constant)"),
        ("schedule: step", "schedule: {choice: [cosine]}, ", "decay_epochs",
         "no schedule of this search (cosine)"),
        ("loss: hinge", "", "label_smoothing", "no loss of this search (hinge)"),
        ("", "", "slope", "no activation of this search (relu)"),
    ],
)  # fmt: skip
def test_a_searched_key_that_nothing_reads_is_refused(train, search, key, why, errors):
    before = f"search: {{space: {{{search}{key}: "
    lines = errors(f"train: {{{train}}}\n{before}{{uniform: [0.5, 0.9]}}}}}}")
    where = f"x.yaml:2:{len(before) + 1}: search.space.{key}"
    fix = f"set {'model' if key == 'slope' else 'train'}.{why.split()[1]}"
    assert lines == [f"{where}: is read by {why}: {fix}"]


ONE_ROW = "must be at least 2 where model.normalization is batch: one row has no variance, got 1"
LOSSES_DIFFER = "val_loss of different losses cannot be compared: set val_accuracy"


@pytest.mark.parametrize(
    "text, said",
    [
        ("model: {normalization: batch}\ntrain: {batch_size: ^1}", f"train.batch_size: {ONE_ROW}"),
        ("train: {batch_size: ^1}\nsearch: {space: {normalization: {choice: [none, batch]}}}",
         f"train.batch_size: {ONE_ROW}"),
        ("model: {normalization: batch}\nsearch: {space: {batch_size: ^{choice: [32, 1]}}}",
         f"search.space.batch_size: {ONE_ROW}"),
        ("model: {normalization: batch}\nsearch: {space: {batch_size: ^{int_uniform: [1, 9]}}}",
         f"search.space.batch_size: {ONE_ROW}"),
        ("search: {metric: ^val_loss, space: {loss: {choice: [softmax, hinge]}}}",
         f"search.metric: {LOSSES_DIFFER}"),
    ],
)  # fmt: skip
def test_values_that_do_not_go_together_are_refused(text, said, errors):
    before, _, after = text.partition("^")
    lines = before.split("\n")
    assert errors(before + after) == [f"x.yaml:{len(lines)}:{len(lines[-1]) + 1}: {said}"]


@pytest.mark.parametrize(
    "text",
    [
        "model: {normalization: layer}\ntrain: {batch_size: 1}",
        "model: {normalization: batch}\nsearch: {space: {batch_size: {int_uniform: [2, 9]}}}",
        "search: {metric: val_loss, space: {loss: {choice: [hinge]}}}",
        "search: {metric: val_accuracy, space: {loss: {choice: [softmax, hinge]}}}",
    ],
)
def test_values_that_go_together_are_taken(text, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert load(Found(path, "x", tmp_path, "x.yaml"), ())


@pytest.mark.parametrize(
    "train, search, key",
    [
        ("optimizer: rmsprop", "", "beta2"),
        ("", "optimizer: {choice: [sgd, adamw]}, ", "beta1"),
        ("schedule: one_cycle", "", "pct_start"),
        ("schedule: inverse", "", "decay_factor"),
        ("", "", "warmup_epochs"),
        ("", "loss: {choice: [hinge, softmax]}, ", "label_smoothing"),
        ("", "activation: {choice: [relu, elu]}, ", "slope"),
    ],
)
def test_a_searched_key_that_something_reads_is_taken(train, search, key, tmp_path):
    path = tmp_path / "x.yaml"
    space = f"{search}{key}: {{uniform: [0.5, 0.9]}}"
    path.write_text(f"train: {{{train}}}\nsearch: {{space: {{{space}}}}}")
    assert key in load(Found(path, "x", tmp_path, "x.yaml"), ()).search.space


def test_all_faults_at_once_in_the_order_of_the_file(errors):
    text = (
        "seed: -1\nsearch:\n  space: {momentum: {uniform: [0, 2]}}\n  epochs: 1\nfinal: {top: 0}"
    )
    lines = errors(text, ["train.lr=1", Override("--run", "name", "a/b")])
    assert [line.split(": ")[0] for line in lines] == [
        "x.yaml:1:7", "x.yaml:3:35", "x.yaml:4:3", "x.yaml:5:14", "--set train.lr=1", "--run",
    ]  # fmt: skip


@pytest.mark.timeout(30)
def test_very_many_faults_are_counted(errors):
    lines = errors("".join(f"key{number}: 1\n" for number in range(4000)))
    assert (len(lines), lines[-1]) == (51, "... and 3950 more")


def test_a_long_value_is_cut_and_no_message_has_a_line_break(errors):
    (line,) = errors(f'train: {{optimizer: "{"ab " * 200}\\n"}}')
    assert len(line) < 200
    assert line.endswith("...")
    assert line.isprintable()


@pytest.mark.parametrize("kind", TYPOS)
def test_at_least_95_of_100_typos_are_understood(kind):
    sample = random.Random(0).sample(TYPOS[kind], 300)
    assert sum(typo.understood for typo in sample) >= 0.98 * len(sample)


@pytest.mark.parametrize(
    ("word", "level", "meant"),
    [
        ("lr", ("train",), "learning_rate"),
        ("Learning-Rate", ("train",), "learning_rate"),
        ("learning_rate", (), "train.learning_rate"),
        ("learning_rate", ("search",), "search.space.learning_rate"),
        ("epoch", ("search",), "search.coarse.epochs"),
        ("split", (), "data.split"),
        ("seeds", (), "seed"),
        ("foo", ("data", "split"), None),
        ("qqqq", (), None),
    ],
)
def test_the_key_that_was_meant(word, level, meant):
    assert key_meant(word, level) == meant


@pytest.mark.parametrize(
    ("word", "other", "edits"),
    [
        ("abcd", "abcd", 0),
        ("abcd", "acbd", 1),
        ("abcd", "abd", 1),
        ("abcd", "xbcx", 2),
        ("ca", "abc", 3),
        ("x" * 40, "a", 99),
    ],
)
def test_edits_are_counted(word, other, edits):
    assert distance(word, other) == edits


@pytest.mark.parametrize("text", ["a: [", "a: &b 1", "\ta: 1", "a: !!int x", "[" * 99])
def test_faults_of_yaml_are_located_too(text, errors):
    (line,) = errors(text)
    assert re.match(r"x\.yaml:\d+:\d+: ", line)
