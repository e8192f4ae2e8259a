"""Faults that a config or a file can have, as the shell shows them: exit code, verdict, words."""

from pathlib import Path

import numpy as np
import pytest
from test_cli import shell  # noqa: F401


def rows(count=300, seed=0):
    """13 features of 3 overlapping classes, (count, 13) and (count,)."""
    rng, y = np.random.default_rng(seed), np.arange(count) % 3
    return rng.standard_normal((count, 13)) + 1.5 * rng.standard_normal((3, 13))[y], y


def csv(name, x, y):
    """A table with the target last; the config beside it."""
    head = ",".join([*(f"f{k}" for k in range(x.shape[1])), "kind"])
    pairs = zip(x, y, strict=True)
    lines = (",".join([*(f"{v:.5g}" for v in row), "abc"[c]]) for row, c in pairs)
    Path(f"{name}.csv").write_text("\n".join([head, *lines]) + "\n")
    Path(f"{name}.yaml").write_text(f"data: {{source: csv, path: {name}.csv, target: kind}}\n")
    return f"{name}.yaml"


def raw_bytes():
    x, y = rows()
    x = 255 * (x - x.min()) / (x.max() - x.min())
    np.savez("raw.npz", x=x.astype(np.uint8), y=y)
    Path("raw.yaml").write_text(
        "data: {source: npz, path: raw.npz, preprocess: {center: none, scale: none}}\n"
    )
    return "raw.yaml"


def leaked():
    x, y = rows()
    return csv("leaked", np.column_stack([x, y]), y)


def shuffled():
    x, y = rows()
    return csv("shuffled", x, np.random.default_rng(1).permutation(y))


def uneven():
    """96 to 4."""
    x, y = rows(1200)
    kept = np.sort(np.append(np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:16]))
    return csv("uneven", x[kept], y[kept])


def copied():
    """A tenth of the validation rows stand in the training file."""
    x, y = rows(330)
    csv("held", np.concatenate([x[300:], x[:3]]), np.append(y[300:], y[:3]))
    return csv("copied", x[:300], y[:300]), "--set", "data.split.validation=held.csv"


def constant():
    x, y = rows()
    x[:, 4] = 7
    return csv("constant", x, y)


def digits(*settings):
    return lambda: ("digits", *(word for each in settings for word in ("--set", each)))


def table(*settings):
    def write():
        words = (word for each in settings for word in ("--set", each))
        return csv("table", *rows()), *words

    return write


FEW = ("data.split.validation=12", "search.coarse={trials: 6, epochs: 3}",
       "search.space={learning_rate: {log_uniform: [1e-2, 0.2]}}")  # fmt: skip
CONSTANT, ZERO = "model.init=constant", "model.init_scale=0"
SIGMOID = "model={activation: sigmoid, init: small, init_scale: 5}"
TIED = "trials lie within one standard error: their order is noise"
SCALE = "scale the inputs: data.preprocess.scale: standard"
SHOWN = {
    "shuffled labels": (shuffled, "data", 0, "label-signal", "do the labels belong to their rows"),
    "shuffled labels, later": (
        shuffled, "sweep", 0, "usable-rate", "nothing that holds elsewhere"),
    "raw bytes": (raw_bytes, "data", 0, "feature-scale", "neither in [-1, 1] nor standardised"),
    "raw bytes, later": (raw_bytes, "sanity", 1, "initial-loss", SCALE),
    "constant weights": (digits(CONSTANT), "sanity", 1, "symmetry", "model.init: kaiming"),
    "zero weights": (table(CONSTANT, ZERO), "sanity", 1, "symmetry", "it cannot learn"),
    "dead units": (digits("model.bias_init=-6"), "sanity", 1, "dead-units", "biases begin at -6"),
    "dead units of a table": (
        table("model.bias_init=-6"), "sanity", 1, "dead-units", "model.bias_init: 0"),
    "saturated units": (digits(SIGMOID), "sanity", 1, "saturated-units", "init: xavier"),
    "a rate of a million": (
        digits("train.learning_rate=1e6"), "sweep", 0, "usable-rate", "1e+06, diverges at step"),
    "a rate of a million, trained": (
        table("train.learning_rate=1e6"), "train", 1, "diverged", "divide the learning rate by 3"),
    "a decay of ten": (
        digits("train.weight_decay=10"), "sanity", 0, "regularization-raises-loss", "at 1e-4"),
    "a decay of ten, trained": (
        digits("train.weight_decay=10"), "train", 0, "overwhelming decay", "divide the weight"),
    "a leaked column": (leaked, "data", 0, "leakage", "f13 alone predicts 100.0% of 270 rows"),
    "96 to 4": (uneven, "data", 0, "class-balance", "always answering it is right 96.4%"),
    "copied rows": (copied, "data", 1, "duplicate-rows", "3 of 33 validation rows also occur"),
    "a constant column": (constant, "data", 0, "constant-features", "never vary in train: f4"),
    "few validation rows": (digits(FEW[0]), "data", 0, "split-statistics", "to ±14% only"),
    "few validation rows, searched": (digits(*FEW), "search", 0, "coarse", TIED),
    "few rows of a table, searched": (table(*FEW), "search", 0, "coarse", TIED),
}  # fmt: skip


@pytest.mark.parametrize("what", SHOWN)
def test_the_shell_shows_what_is_wrong(shell, what):  # noqa: F811
    """After the name of the check; warnings let pass, failures do not."""
    write, command, code, name, words = SHOWN[what]
    given = write()
    given = (given,) if isinstance(given, str) else given
    result = shell(command, *given, "--force")
    assert result.exit_code == code, result.output
    said = " ".join(result.stdout.split())
    assert words in said[said.index(name) :], result.stdout


@pytest.mark.parametrize("write, command", [(leaked, "data"), (uneven, "data")])
def test_a_warning_stops_the_strict(shell, write, command):  # noqa: F811
    assert shell(command, write(), "--strict").exit_code == 1
