"""Augmentation that is searched: a trial with its own trains as if all had it."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_final import finisher
from test_runner import contents, runner
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.cohort import Task, tasks
from hpsearch.config.schema import Augment, Config
from hpsearch.config.searchable import augments
from hpsearch.errors import ConfigError, Stopped
from hpsearch.prediction import Predictor
from hpsearch.search.samplers import SAMPLERS
from hpsearch.stages import search
from hpsearch.stages.context import Context
from hpsearch.training import Watch, train_cohort

WORDS = ["none", "flip", "shift1", "flip+shift2"]
WRITTEN = ["none", {"flip": True}, {"shift": 1}, {"flip": True, "shift": 2}]
OVER = "search.space.augment={choice: [none, {flip: true}, {shift: 1}, {flip: true, shift: 2}]}"
ONE_RATE = "search.space.learning_rate={log_uniform: [0.01, 0.1]}"


def searching(values, **data):
    """A config whose augmentation is one of `values`."""
    space = {"learning_rate": {"log_uniform": [0.01, 0.1]}, "augment": {"choice": values}}
    coarse = {"trials": 20, "epochs": 2}
    return Config.model_validate(
        {"data": data, "model": {"hidden": [9]}, "search": {"space": space, "coarse": coarse}}
    )


@given(st.booleans(), st.integers(0, 1000))
def test_a_word_and_a_mapping_say_the_same(flip, shift):
    section = Augment(flip=flip, shift=shift)
    written = {"shift": shift, "flip": flip}
    for form in (section.word, written):
        assert Config.model_validate({"data": {"augment": form}}).data.augment == section
    config = searching([written])
    assert config.search.space["augment"].choice == [section.word]
    assert config.augment_with({"augment": section.word}) == section
    assert config == searching([section.word])


def test_what_a_trial_does_not_say_the_data_section_says():
    config = searching(WRITTEN, augment="shift3")
    assert config.augment_with({}).word == config.configured["augment"] == "shift3"
    assert config.augment_with({"augment": "none"}) == Augment()
    assert [tried.word for _, tried in augments(config)] == WORDS


@pytest.fixture(scope="module")
def planned(digits):
    return search.plan(Context(searching(WRITTEN), digits, "coarse"), [])


def test_a_searched_value_trains_bit_for_bit_as_if_all_had_it(digits, planned):
    assert {spec.hparams["augment"] for spec in planned} == set(WORDS)
    losses = {}
    for spec in planned:
        word = spec.hparams["augment"]
        alone = Config.model_validate({"data": {"augment": word}, "model": {"hidden": [9]},
                                       "search": {"coarse": {"epochs": 2}}})  # fmt: skip
        rate = {"learning_rate": spec.hparams["learning_rate"]}
        as_all = search.spec_of(Context(alone, digits, "coarse"), spec.id, rate)
        one, other = (train_cohort(Task((s,)), digits, Watch())[0] for s in (spec, as_all))
        assert one.curves == other.curves and one.losses == other.losses
        assert (one.weights == other.weights).all()
        losses[word] = one.losses
    assert len({str(each) for each in losses.values()}) == len(WORDS)


def test_a_cohort_is_of_one_augmentation_and_changes_no_bit(digits, planned):
    cohorts = tasks(planned, jobs=1)
    assert len(cohorts) == len(WORDS)
    for task in cohorts:
        assert len({spec.hparams["augment"] for spec in task.specs}) == 1
        together = train_cohort(task, digits, Watch())
        alone = [train_cohort(Task((spec,)), digits, Watch())[0] for spec in task.specs]
        assert [r.curves for r in together] == [r.curves for r in alone]


def test_a_condition_asks_for_an_augmentation_in_either_form(digits):
    config = searching(WORDS).model_dump()
    config["search"]["space"]["dropout"] = {
        "uniform": [0, 0.3], "when": {"augment": ["none", {"flip": True}]},
    }  # fmt: skip
    specs = search.plan(Context(Config.model_validate(config), digits, "coarse"), [])
    has = {(spec.hparams["augment"], "dropout" in spec.hparams) for spec in specs}
    assert has == {("none", True), ("flip", True), ("shift1", False), ("flip+shift2", False)}


@pytest.mark.parametrize(
    ("set_", "applies"), [("flip", True), ({"flip": True}, True), ("none", False)]
)
def test_a_condition_may_ask_for_the_one_that_all_have(digits, set_, applies):
    values = searching(WORDS, augment=set_).model_dump()
    values["search"]["space"] = {"learning_rate": {"log_uniform": [0.01, 0.1]},
                                 "dropout": {"uniform": [0, 0.3], "when": {"augment": "flip"}}}
    specs = search.plan(Context(Config.model_validate(values), digits, "coarse"), [])
    assert all(("dropout" in spec.hparams) == applies for spec in specs)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "tpe"])
def test_every_sampler_draws_it_and_no_trial_twice(sampler, digits):
    values = searching(WRITTEN).model_dump()
    values["search"] |= {"sampler": sampler, "space": {
        "augment": {"choice": WRITTEN}, "hidden": {"choice": [5, 7]},
        "learning_rate": {"choice": [0.1]},
    }}  # fmt: skip
    specs = search.plan(Context(Config.model_validate(values), digits, "coarse"), [])
    drawn = {(spec.hparams["augment"], spec.hparams["hidden"]) for spec in specs}
    assert len(drawn) == len(specs) == 8


def test_interrupted_and_taken_up_it_ends_with_the_same_files(tmp_path):
    whole = runner(tmp_path / "whole", OVER, jobs=2)
    whole.search("coarse")
    whole.search("refine-1")
    cut = runner(tmp_path / "cut", OVER)
    seen = cut.view.trial

    def stop_after_three(result):
        seen(result)
        if len(cut.view.trials) == 3:
            cut.watch.stop.set()

    cut.view.trial = stop_after_three
    with pytest.raises(Stopped):
        cut.search("coarse")
    assert 0 < len(cut.store.results("coarse")) < 9
    runner(tmp_path / "cut", OVER).search("coarse")
    following = tmp_path / "cut/digits/coarse/next.yaml"
    assert "augment: {choice: [none, flip, shift1, flip+shift2]}" in following.read_text()
    runner(tmp_path / "cut", OVER).search("refine-1")
    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")


def test_where_it_is_searched_the_data_section_may_change_and_else_not(tmp_path):
    def changed(name, *overrides):
        runner(tmp_path / name, *overrides, "data.augment=shift1").search("coarse")
        return runner(tmp_path / name, *overrides, "data.augment=flip")

    again = changed("searched", OVER)
    again.search("coarse")
    assert again.view.begun == []
    fixed = "search.space={learning_rate: {log_uniform: [1e-3, 0.5]}}"
    following = runner(tmp_path / "searched", OVER, fixed, "search.round=refine-1",
                       "data.augment=flip")  # fmt: skip
    following.search("refine-1")
    assert all("augment" not in r.hparams for r in following.store.results("refine-1"))
    for name, more in (("all", ()), ("some", (OVER[:-1] + ", when: {optimizer: sgd}}",
                        "search.space.optimizer={choice: [sgd, momentum]}"))):  # fmt: skip
        with pytest.raises(ConfigError, match="or its augmentation"):
            changed(name, *more).search("coarse")


def test_a_command_refuses_what_cannot_be_altered_before_anything_trains(tmp_path):
    config = tmp_path / "x.yaml"
    for source, value, said in (
        ("spiral", "flip", "choice[1]: must be none for a table"),
        ("digits", "{shift: 8}", "choice[1].shift: must be below the 8 pixels of an image, got 8"),
    ):
        config.write_text(
            f"data: {{source: {source}}}\n"
            f"search: {{space: {{augment: {{choice: [none, {value}]}}}}}}\n"
        )
        found = CliRunner().invoke(app, ["run", str(config), "--runs-dir", str(tmp_path / "r")])
        assert found.exit_code == 2 and f"search.space.augment.{said}" in found.stderr
    assert not list(tmp_path.glob("r/*/*.json"))


def test_a_trial_is_replayed_and_two_are_told_apart(tmp_path):
    config = tmp_path / "x.yaml"
    config.write_text(
        "name: x\nmodel: {hidden: [9]}\nsearch:\n  coarse: {trials: 6, epochs: 1}\n"
        "  space: {learning_rate: {choice: [0.1]}, augment: {choice: [none, flip, shift2]}}\n"
    )
    runs = ["--runs-dir", str(tmp_path / "runs")]
    assert CliRunner().invoke(app, ["search", str(config), *runs]).exit_code == 0
    rows = (tmp_path / "runs/x/coarse/trials.csv").read_text().splitlines()
    place = rows[0].split(",").index("augment")
    drawn = [row.split(",")[place] for row in rows[1:]]
    assert set(drawn) == {"none", "flip", "shift2"}
    for number in range(len(drawn)):
        found = CliRunner().invoke(app, ["replay", "x", f"coarse/{number}", *runs])
        assert found.exit_code == 0 and found.stdout.startswith("match: all "), found.output
    pair = [f"x:coarse/{drawn.index(word)}" for word in ("flip", "shift2")]
    said = CliRunner().invoke(app, ["diff", *pair, *runs]).stdout
    assert ["data.augment", "flip", "shift2"] in [line.split() for line in said.splitlines()]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A run to the end, in which some of the retrained trials flip and some do not."""
    root = tmp_path_factory.mktemp("ended") / "runs"
    few = ("search.space.augment={choice: [none, flip]}", ONE_RATE, "final={top: 6, seeds: 1}")
    work = finisher(root, *few, jobs=2)
    work.search("coarse")
    return work, work.final()


def by_hand(data, path, rows, *, flip):
    """What one net of a single hidden layer answers."""
    with np.load(path) as file:
        net = dict(file)
    wide, hidden, classes = (int(size) for size in net["sizes"])
    w1, w2, b1, b2 = np.split(
        net["weights"], np.cumsum([hidden * wide, classes * hidden, hidden])
    )
    total = 0.0
    for images in [rows, rows.reshape(-1, 8, 8)[:, :, ::-1].reshape(-1, 64)][: 1 + flip]:
        x = (images - data.preprocess.shift) * data.preprocess.factor
        z = np.maximum(x @ w1.reshape(hidden, wide).T + b1, 0) @ w2.reshape(classes, hidden).T + b2
        total = total + np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return total / (1 + flip)


def test_each_net_is_asked_about_flips_as_its_own_training_was(ended):
    work, document = ended
    candidates = {c["ids"][0]: c["hparams"]["augment"] == "flip" for c in document.candidates}
    assert set(candidates.values()) == {True, False}
    every = work._predictor(list(candidates))
    assert [member.flip for member in every.members] == list(candidates.values())
    rows = work.data.test.gather().astype(float)
    folder = work.store.folder / "final/nets"
    answers = [by_hand(work.data, folder / f"{number:05d}.npz", rows, flip=flip)
               for number, flip in candidates.items()]  # fmt: skip
    assert np.allclose(every.probabilities(rows), np.mean(answers, axis=0), atol=1e-5)
    plain = np.mean([by_hand(work.data, folder / f"{number:05d}.npz", rows, flip=False)
                     for number in candidates], axis=0)  # fmt: skip
    assert not np.allclose(every.probabilities(rows), plain, atol=1e-3)


def test_the_saved_ensemble_keeps_each_nets_flips(ended):
    work, document = ended
    flips = {c["ids"][0]: c["hparams"]["augment"] == "flip" for c in document.candidates}
    saved = Predictor.read(work.store.folder / "models/best.npz")
    assert [member.flip for member in saved.members] == [flips[n] for n in document.members]
    test, answers = work.data.test, saved.probabilities(work.data.test.gather())
    assert (answers.argmax(axis=1) == test.y).mean() == document.test["accuracy"]


def test_so_many_nets_at_a_time_answer_the_same(ended):
    work, document = ended
    every, x = work._predictor([c["ids"][0] for c in document.candidates]), work.data.test.gather()
    one, three = (every.plain(x, jobs=jobs) for jobs in (1, 3))
    assert (one == three).all()
    assert (every.flipped(x, one) == every.flipped(x, one, jobs=3)).all()


def test_a_model_with_one_flip_for_all_is_still_read(ended, tmp_path):
    work, document = ended
    every = work._predictor([c["ids"][0] for c in document.candidates])
    arrays = every.arrays()
    old = {name: array for name, array in arrays.items() if not name.startswith("flip")}
    for flip in (True, False):
        np.savez(tmp_path / "old.npz", **old, flip=np.array(flip))
        members = Predictor.read(tmp_path / "old.npz").members
        assert [m.flip for m in members] == [flip] * len(every.members)
    np.savez(tmp_path / "new.npz", **arrays)
    assert [m.flip for m in Predictor.read(tmp_path / "new.npz").members] == [
        m.flip for m in every.members
    ]
