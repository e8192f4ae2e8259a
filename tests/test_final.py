"""The recipe's end: winners trained again, one chosen, the test set read once."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from test_runner import SMALL, Seen, contents
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.config.find import bundled, find
from hpsearch.config.load import load
from hpsearch.data import Source
from hpsearch.data import load as load_data
from hpsearch.errors import GateError, Stopped
from hpsearch.finishing import Finisher
from hpsearch.prediction import Predictor
from hpsearch.stages import final
from hpsearch.store import RunStore
from hpsearch.training import Watch
from hpsearch.trial import Curves, Status, TrialResult

FEW = ("final={top: 3, seeds: 2}", "search.refine={trials: 10, epochs: 3, rounds: 1}")


def finisher(root, *overrides, data=None, jobs=1, **flags):
    found = find(str(bundled()["digits"]), runs_dir=root, cwd=root.parent)
    config = load(found, [*SMALL, *FEW, *overrides])

    def read():
        return data or load_data(Source("digits"), center="feature", scale="standard")

    store = RunStore(root, config.name)
    return Finisher(config, store, Seen(), load=read, jobs=jobs, watch=Watch(), **flags)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A run whose searches are done."""
    root = tmp_path_factory.mktemp("searched") / "runs"
    work = finisher(root)
    work.search("coarse")
    work.search("refine-1")
    return root


@pytest.fixture
def root(searched, tmp_path):
    return shutil.copytree(searched, tmp_path / "own")


def test_the_best_over_all_stages_are_trained_again_with_seeds_and_orders_of_their_own(root):
    work = finisher(root)
    document = work.final()
    every = [r for s in ("coarse", "refine-1") for r in work.store.results(s)]
    values = sorted({(r.value, str(r.hparams)) for r in every}, reverse=True)
    assert document.candidates[0]["value"] == values[0][0]
    hparams = [c["hparams"] for c in document.candidates]
    assert len(hparams) == 3 and all(hparams.count(each) == 1 for each in hparams)
    specs = final.plan(work.context("final"), document)
    assert len({spec.seed for spec in specs}) == 6
    assert len({spec.order_seed for spec in specs}) == 2
    assert not {spec.seed for spec in specs} & {r.seed for r in every}
    assert work.config.seed not in {spec.order_seed for spec in specs}
    epochs = {"coarse": 2, "refine-1": 3}
    for candidate in document.candidates:
        again = [work.store.result("final", n) for n in candidate["ids"]]
        assert {r.epochs for r in again} == {epochs[candidate["stage"]]}
        values = [r.value for r in again]
        assert candidate["mean"] == pytest.approx(sum(values) / 2)
        assert candidate["sd"] == pytest.approx(abs(values[0] - values[1]) / math.sqrt(2))
    first = document.candidates[0]
    assert document.optimism == pytest.approx(first["value"] - first["mean"])


def test_a_trial_carried_over_counts_once_as_the_better_of_the_two(searched):
    work = finisher(searched, "final={top: 100, seeds: 1}")
    coarse, refined = (work.store.results(stage) for stage in ("coarse", "refine-1"))
    both = [r for r in refined if r.hparams in [c.hparams for c in coarse]]
    done = [r for r in [*coarse, *refined] if r.status is Status.DONE]
    found = [result for _, result in final.candidates(work.context("final"))]
    assert both and len(found) == len(done) - len(both)
    for again in both:
        first = next(c for c in coarse if c.hparams == again.hparams)
        kept = next(r for r in found if r.hparams == again.hparams)
        assert kept.rank[:2] == max(first.rank[:2], again.rank[:2])


def test_the_candidates_are_the_same_where_a_search_was_interrupted(tmp_path):
    root, listed = tmp_path / "runs", "{learning_rate: {log_uniform: [0.01, 1]}, hidden: {choice: "
    few = (f"search.space={listed}[[8], [8, 8]]}}}}", "final={top: 100, seeds: 1}")
    work = finisher(root, *few)
    work.search("coarse")
    work.search("refine-1")
    found = [result.hparams for _, result in final.candidates(work.context("final"))]
    work.store.trial_path("refine-1", 0).unlink()
    resumed = finisher(root, *few)
    resumed.search("refine-1")
    again = final.candidates(resumed.context("final"))
    assert [result.hparams for _, result in again] == found


def test_lost_nets_are_trained_again_to_the_same_model(root):
    work = finisher(root)
    document = work.final()
    model, before = root / "digits/models/best.npz", work.store.arrays("models/best")
    model.unlink()
    shutil.rmtree(root / "digits/final")
    again = finisher(root)
    assert again.final().to_json() == document.to_json()
    after = again.store.arrays("models/best")
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_a_pruned_trial_is_no_candidate(searched):
    context = finisher(searched, "final={top: 100, seeds: 1}").context("final")
    best = final.candidates(context)[0][1].hparams
    pruned = [
        replace(round_, results=[replace(r, status=Status.PRUNED) if r.hparams == best else r
                                 for r in round_.results])
        for round_ in context.rounds
    ]  # fmt: skip
    found = [result.hparams for _, result in final.candidates(replace(context, rounds=pruned))]
    assert found and best not in found


def test_the_saved_model_gives_the_stored_test_accuracy_and_a_plain_sum_gives_it_too(root):
    work = finisher(root)
    document = work.final()
    rows = work.data.test
    saved = Predictor.read(work.store.folder / "models/best.npz")
    answers = saved.probabilities(rows.gather())
    assert (answers.argmax(axis=1) == rows.y).mean() == document.test["accuracy"]
    assert len(saved.members) == len(document.members)
    assert np.allclose(answers.sum(axis=1), 1)
    total = 0.0
    for number in document.members:
        with np.load(work.store.folder / f"final/nets/{number:05d}.npz") as file:
            net = dict(file)
        wide, hidden, classes = (int(size) for size in net["sizes"])
        ends = np.cumsum([hidden * wide, classes * hidden, hidden])
        w1, w2, b1, b2 = np.split(net["weights"], ends)
        x = (rows.gather() - net["shift"]) * net["factor"]
        z = np.maximum(x @ w1.reshape(hidden, wide).T + b1, 0) @ w2.reshape(classes, hidden).T + b2
        total = total + np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert np.allclose(total / len(document.members), answers, atol=1e-5)


def test_a_second_call_reads_nothing_and_another_choice_is_refused_unless_forced(root):
    first = finisher(root).final()
    path = root / "digits/final.json"
    stored = path.read_bytes()
    again = finisher(root)
    assert again.final().to_json() == first.to_json()
    assert json.loads(stored).items() >= first.to_json().items()
    assert again.view.begun == [] and not again.refused
    other = finisher(root, "final={top: 2, seeds: 2}")
    assert other.final().to_json() == first.to_json() and other.refused
    assert path.read_bytes() == stored and other.view.begun == []
    forced = finisher(root, "final={top: 2, seeds: 2}", force=True).final()
    assert [each["test"] for each in forced.earlier] == [json.loads(stored)["test"]]
    assert len(json.loads(path.read_text())["earlier"]) == 1
    kept = finisher(root, "final={top: 2, seeds: 2}")
    assert kept.final().to_json() == forced.to_json() and not kept.refused


def test_a_forced_choice_that_is_interrupted_leaves_the_lock_closed(root):
    tested = finisher(root).final().test
    forced = finisher(root, "final={top: 2, seeds: 4}", force=True)
    forced.view = Halting(forced.watch, 1)
    with pytest.raises(Stopped):
        forced.final()
    other = finisher(root, "final={top: 2, seeds: 1}")
    assert other.final().test is None and other.refused
    taken_up = finisher(root, "final={top: 2, seeds: 4}").final()
    assert [each["test"] for each in taken_up.earlier] == [tested] and taken_up.test


def test_a_lost_model_is_saved_again(root):
    finisher(root).final()
    path = root / "digits/models/best.npz"
    before = Predictor.read(path)
    path.unlink()
    finisher(root).final()
    x = np.linspace(0, 16, 128).reshape(2, 64)
    assert (Predictor.read(path).probabilities(x) == before.probabilities(x)).all()


def test_lost_mistakes_are_written_again_without_training(root):
    finisher(root).final()
    path = root / "digits/final/mistakes.npz"
    before, model = path.read_bytes(), (root / "digits/models/best.npz").read_bytes()
    path.unlink()
    shutil.rmtree(root / "digits/final/nets")
    again = finisher(root)
    again.final()
    assert path.read_bytes() == before and again.view.begun == []
    assert (root / "digits/models/best.npz").read_bytes() == model


class Halting(Seen):
    """A view that stops the work after so many trials."""

    def __init__(self, watch, after):
        super().__init__()
        self.watch, self.after = watch, after

    def trial(self, result):
        super().trial(result)
        if len(self.trials) == self.after:
            self.watch.stop.set()


def test_interrupted_and_taken_up_it_ends_with_the_same_files(root, tmp_path):
    other = shutil.copytree(root, tmp_path / "other")
    finisher(root, jobs=2).final()
    halted = finisher(other)
    halted.view = Halting(halted.watch, 1)
    with pytest.raises(Stopped):
        halted.final()
    done = len(halted.store.results("final"))
    assert 0 < done < 6
    resumed = finisher(other)
    resumed.final()
    assert sum(n for _, n in resumed.view.begun) == 6 - done
    assert contents(root) == contents(other)
    for name in ("models/best.npz", "final/mistakes.npz", "final/nets/00003.npz"):
        assert (root / "digits" / name).read_bytes() == (other / "digits" / name).read_bytes()


def test_without_a_test_set_it_says_so(root, tmp_path):
    data = load_data(Source("digits", test=0), center="feature", scale="standard")
    work = finisher(tmp_path / "none", data=data)
    work.search("coarse")
    document = work.final()
    assert document.test is None and document.winner is not None and document.predictors
    more = finisher(tmp_path / "none", "final={top: 2, seeds: 2}", data=data)
    assert len(more.final().candidates) == 2 and not more.refused  # nothing was read


def test_without_a_search_it_refuses(tmp_path):
    with pytest.raises(GateError, match="no trial of a search"):
        finisher(tmp_path / "runs").final()


def test_flips_at_test_time_where_training_flipped(tmp_path, digits):
    data = replace(digits, image_shape=(8, 8, 1))
    work = finisher(tmp_path / "runs", "data.augment=flip", data=data)
    work.search("coarse")
    test = work.final().test
    saved = Predictor.read(work.store.folder / "models/best.npz")
    assert all(member.flip for member in saved.members) and saved.image_shape == (8, 8, 1)
    x = digits.test.gather()
    mirrored = x.reshape(-1, 8, 8)[:, :, ::-1].reshape(-1, 64)
    unflipped = [replace(member, flip=False) for member in saved.members]
    both, plain = saved.probabilities(x), replace(saved, members=unflipped)
    assert np.allclose(both, (plain.probabilities(x) + plain.probabilities(mirrored)) / 2)
    assert np.allclose(both, saved.probabilities(mirrored)) and (both != plain).any()
    for name, members in (("one_net", unflipped), ("one_net_flipped", saved.members)):
        own = [replace(saved, members=[member]).probabilities(x) for member in members[:2]]
        right = [(answers.argmax(axis=1) == digits.test.y).mean() for answers in own]
        assert test[name] == np.mean(right)
    assert test["one_net"] != test["one_net_flipped"]


@pytest.mark.parametrize("activation", ["relu", "prelu", "maxout"])
@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_every_kind_of_net_is_saved_with_all_it_needs(tmp_path, activation, normalization):
    kinds = f"model={{hidden: [9, 7], activation: {activation}, normalization: {normalization}}}"
    fewer = ("search.coarse={trials: 2, epochs: 1}", "final={top: 1, seeds: 1}", kinds)
    white = load_data(Source("digits"), center="feature", scale="standard", whiten="zca")
    work = finisher(tmp_path / "runs", *fewer, data=white, force=True)
    work.search("coarse")
    document = work.final()
    if document.winner is None:
        pytest.fail("nothing finished")
    rows = work.data.validation
    answers = Predictor.read(work.store.folder / "models/best.npz").probabilities(rows.gather())
    right = (answers.argmax(axis=1) == rows.y).mean()
    assert right == pytest.approx(document.candidates[0]["values"][0], abs=1.5 / len(rows))


def result(number, value, status=Status.DONE):
    curves = Curves(train_loss=[1.0], val_accuracy=[value], val_loss=[1 - value])
    return TrialResult("final", number, status, number, {}, "val_accuracy", curves, [], 1, 1)


def judged(work, means, **changes):
    """The choice among candidates with these means; `changes` are a list per key."""
    document = final.opening(work.context("final"), None, 0)
    listed = [
        {**c, "params": 100, "learning_rate": 0.1, "weight_decay": 0.0,
         **{key: values[n] for key, values in changes.items()}}
        for n, c in enumerate(document.candidates)
    ]  # fmt: skip
    document = replace(document, candidates=listed)
    done = [
        result(i, mean) for c, mean in zip(listed, means, strict=True) for i in c["ids"]
    ]
    return final.judge(work.context("final"), document, done)


def test_ties_go_to_the_simpler_and_clear_winners_win(searched):
    work = finisher(searched)
    close, clear = [0.90, 0.901, 0.9005], [0.90, 0.98, 0.5]
    assert judged(work, close, params=[90, 100, 100]).winner == 0
    assert judged(work, close, learning_rate=[0.1, 0.1, 0.01]).winner == 2
    assert judged(work, close, weight_decay=[0.0, 0.0, 1e-3]).winner == 2
    assert judged(work, close, params=[100, 100, 90], learning_rate=[1e-9, 0.1, 0.1]).winner == 2
    assert judged(work, clear, params=[90, 100, 80]).winner == 1


def test_a_winner_that_is_no_clearer_above_chance_than_luck_is_warned_of(searched):
    """Of 180 rows in ten classes 10.6 % need no learning; three standard errors are 6.9 %."""
    work = finisher(searched)
    for value, verdict in ((0.16, "warn"), (0.19, "pass")):
        found = judged(work, [value] * 3)
        assert found.verdict == verdict
        assert ("not three standard errors above" in found.message) == (verdict == "warn")


def test_one_that_diverges_with_a_fresh_seed_is_not_chosen(searched):
    work = finisher(searched)
    document = final.opening(work.context("final"), None, 0)
    done = [result(i, 0.9) for i in range(6)]
    done[0] = result(0, 0.99, Status.DIVERGED)
    done[1] = result(1, 0.99)
    found = final.judge(work.context("final"), document, done)
    assert found.winner != 0 and found.verdict == "warn" and "1 of 6" in found.message
    lost = [replace(each, status=Status.DIVERGED) for each in done]
    assert final.judge(work.context("final"), document, lost).verdict == "fail"


@pytest.mark.parametrize(
    ("right", "rows", "low", "high"),
    [(0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662), (10, 10, 0.7225, 1.0)],
)
def test_wilsons_interval(right, rows, low, high):
    """81 of 263 is Newcombe's (1998) example; 0 of 10 ends at z^2 / (n + z^2)."""
    assert final.wilson(right / rows, rows) == pytest.approx((low, high), abs=5e-5)


def test_the_command_shows_the_stored_result_and_fails_where_it_refuses(tmp_path):
    small = ["--set", "search.coarse={trials: 4, epochs: 2}", "--runs-dir", str(tmp_path / "r")]
    final_ = ["final", "digits", *small, "--set"]
    assert CliRunner().invoke(app, ["search", "digits", *small]).exit_code == 0
    first = CliRunner().invoke(app, [*final_, "final={top: 2, seeds: 2}"])
    assert first.exit_code == 0 and "test accuracy" in first.stdout
    other = CliRunner().invoke(app, [*final_, "final={top: 1, seeds: 2}"])
    assert other.exit_code == 1 and other.stdout == first.stdout and "--force" in other.stderr
    forced = CliRunner().invoke(app, [*final_, "final={top: 1, seeds: 2}", "--force"])
    assert forced.exit_code == 0 and "has been read 2 times" in forced.stdout
