"""What the stages conclude: healthy set-ups pass, broken ones fail where they should."""

from dataclasses import replace

import numpy as np
import pytest
from lecture import COARSE, REFINED

from hpsearch.cohort import tasks
from hpsearch.config.find import find
from hpsearch.config.load import load
from hpsearch.data import Dataset, Preprocess, Rows, Source, fit
from hpsearch.data import load as load_data
from hpsearch.nn import losses
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.stages import RECIPE, data, rounds, sanity, search
from hpsearch.stages.context import Context, Round, seed
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Curves, Status, TrialResult
from hpsearch.verdict import CheckDocument, SearchDocument


def config(tmp_path, *overrides):
    return load(find("digits", runs_dir=tmp_path, cwd=tmp_path), list(overrides))


def conclude(stage, context):
    """Plan, train and judge, as the runner does."""
    done: dict[int, TrialResult] = {}
    while specs := [s for s in stage.plan(context, list(done.values())) if s.id not in done]:
        for task in tasks(specs, jobs=1):
            done |= {r.id: r for r in train_cohort(task, context.data, Watch())}
    return stage.judge(context, [done[i] for i in sorted(done)])


def verdicts(document):
    return {check.name: str(check.verdict) for check in document.checks}


def altered(digits: Dataset, change, **preprocess) -> Dataset:
    """Digits with its training and validation inputs changed, and preprocessing fitted anew."""
    train = Rows(change(digits.train.gather().astype(np.float64)), digits.train.y)
    validation = Rows(change(digits.validation.gather().astype(np.float64)), digits.validation.y)
    wanted = {"center": "feature", "scale": "standard"} | preprocess
    fitted: Preprocess = fit(train, digits.image_shape, wanted["center"], wanted["scale"])
    return replace(digits, train=train, validation=validation, preprocess=fitted)


def small_table(folder) -> Dataset:
    """150 rows of 13 features on scales of their own, 3 overlapping classes."""
    rng, y = np.random.default_rng(5), np.arange(150) % 3
    x = rng.standard_normal((150, 13)) + 1.5 * rng.standard_normal((3, 13))[y]
    np.savez(folder / "table.npz", x=x * np.logspace(-1, 3, 13), y=y)
    return load_data(Source("npz", folder / "table.npz"), center="feature", scale="standard")


def test_stages_are_pure_and_plans_repeat(tmp_path, digits):
    sweep_document = CheckDocument("sweep", (), {"range": [1e-3, 1.0]})
    for stage in RECIPE:
        name = "refine-1" if stage.name == "refine" else stage.name
        context = Context(config(tmp_path), digits, name, {"sweep": sweep_document})
        assert stage.plan(context, []) == stage.plan(context, [])


# --- data


def test_audit_of_digits_passes_with_its_three_constant_pixels(tmp_path, digits):
    document = conclude(data.STAGE, Context(config(tmp_path), digits, "data"))
    assert set(verdicts(document).values()) == {"pass"}
    constant = next(c for c in document.checks if c.name == "constant-features")
    assert constant.value == 3


def _poisoned(x):
    x[3, 5] = np.nan
    return x


def _stretched(x):
    return x * np.logspace(-2, 3, x.shape[1])


@pytest.mark.parametrize(
    "check, expected, change, preprocess",
    [
        ("non-finite", "fail", _poisoned, {}),
        ("feature-scale", "warn", _stretched, {"center": "none", "scale": "none"}),
        ("feature-scale", "pass", _stretched, {}),
        ("feature-scale", "pass", np.copy, {"center": "mean-image", "scale": "channel"}),
        ("feature-scale", "warn", lambda x: 16 * x, {"center": "none", "scale": "none"}),
        ("feature-scale", "pass", lambda x: x / 16, {"center": "none", "scale": "none"}),
    ],
)
def test_audit_of_broken_inputs(tmp_path, digits, check, expected, change, preprocess):
    broken = altered(digits, change, **preprocess)
    document = conclude(data.STAGE, Context(config(tmp_path), broken, "data"))
    assert verdicts(document)[check] == expected


def test_audit_of_broken_labels_and_rows(tmp_path, digits):
    few = np.concatenate([np.flatnonzero(digits.train.y == 0), np.flatnonzero(digits.train.y)[:9]])
    lopsided = replace(digits, train=digits.train.part(few))
    found = verdicts(conclude(data.STAGE, Context(config(tmp_path), lopsided, "data")))
    assert found["class-balance"] == "warn" and found["labels"] == "fail"
    both = np.arange(20)
    leaked = replace(digits, validation=Rows(
        np.vstack([digits.validation.gather(), digits.train.gather()[both]]),
        np.concatenate([digits.validation.y, digits.train.y[both]]),
    ))  # fmt: skip
    found = verdicts(conclude(data.STAGE, Context(config(tmp_path), leaked, "data")))
    assert found["duplicate-rows"] == "fail"
    table = replace(digits, image_shape=None)
    found = verdicts(conclude(data.STAGE, Context(config(tmp_path), table, "data")))
    assert found["constant-features"] == "warn"


# --- sanity


def sane(tmp_path, dataset, *overrides):
    return verdicts(
        conclude(sanity.STAGE, Context(config(tmp_path, *overrides), dataset, "sanity"))
    )


def test_initial_loss_is_that_of_the_notes(tmp_path, digits):
    """Unit-variance inputs and He's initialisation: 3.13 +- 0.19 over 20 draws, not ln 10."""
    document = conclude(sanity.STAGE, Context(config(tmp_path), digits, "sanity"))
    check = next(c for c in document.checks if c.name == "initial-loss")
    assert check.value == pytest.approx(3.13, abs=0.25) and check.verdict == "pass"


@pytest.mark.parametrize(
    "override, failing",
    [
        ("model.init=constant", {"symmetry"}),
        ("model.bias_init=-60", {"dead-units", "symmetry", "zero-input-baseline"}),
        ("model.init_scale=30", {"initial-loss"}),
    ],
)
def test_sanity_of_a_broken_model(tmp_path, digits, override, failing):
    found = sane(tmp_path, digits, override)
    assert failing <= {name for name, verdict in found.items() if verdict == "fail"}


def test_zero_weights_have_no_gradient(tmp_path, digits):
    found = sane(tmp_path, digits, "model.init=constant", "model.init_scale=0")
    assert found["symmetry"] == "fail" and found["zero-input-baseline"] == "fail"


def test_sanity_of_unscaled_inputs(tmp_path, digits):
    raw = altered(digits, lambda x: x * 255 / 16, center="none", scale="none")
    assert sane(tmp_path, raw)["initial-loss"] == "fail"


def test_strong_decay_is_warned_of(tmp_path, digits):
    assert sane(tmp_path, digits, "train.weight_decay=10")["regularization-raises-loss"] == "warn"
    assert (
        sane(tmp_path, digits, "train.weight_decay=1e-4")["regularization-raises-loss"] == "pass"
    )


plain = losses.softmax_cross_entropy


def with_loss(monkeypatch, rows):
    """Another function in place of softmax and cross-entropy, wherever it is used."""

    def stand_in(logits, labels, smoothing=None, *, gradient=False):
        return rows(logits, labels, smoothing, gradient)

    softmax = losses.LOSSES["softmax"]
    monkeypatch.setitem(losses.LOSSES, "softmax", softmax._replace(rows=stand_in))


def test_labels_known_before_training_are_noticed(tmp_path, digits, monkeypatch):
    with_loss(monkeypatch, lambda logits, y, s, gradient: plain(logits, y) * 0.3)
    found = sane(tmp_path, digits)
    assert found["wiring"] == "fail" and found["initial-loss"] == "fail"


def test_a_summed_loss_is_diagnosed(tmp_path, digits, monkeypatch):
    with_loss(monkeypatch, lambda logits, y, s, gradient: plain(logits, y) * len(y))
    document = conclude(sanity.STAGE, Context(config(tmp_path), digits, "sanity"))
    wiring = next(c for c in document.checks if c.name == "wiring")
    assert wiring.verdict == "fail" and "summed" in wiring.message


def test_a_wrong_gradient_fails_the_gradient_check(tmp_path, digits, monkeypatch):
    relu = ACTIVATIONS["relu"]

    def wrong(grad, z, a, slope):
        grad *= 0.5 * (a > 0)
        return grad

    monkeypatch.setitem(ACTIVATIONS, "relu", relu._replace(backward=wrong))
    assert sane(tmp_path, digits)["gradient-check"] == "fail"


def test_a_net_that_ignores_its_inputs_is_caught(tmp_path, digits):
    blank = altered(digits, lambda x: np.zeros_like(x))
    assert sane(tmp_path, blank)["zero-input-baseline"] == "fail"


# --- search


def result(number, accuracy, *, stage="coarse", status=Status.DONE, hparams=None, curves=None):
    curves = curves or Curves(
        train_loss=[1.0], val_loss=[1.0], val_accuracy=[accuracy], val_balanced_accuracy=[accuracy]
    )
    return TrialResult(
        stage=stage, id=number, status=status, seed=0, hparams=hparams or {},
        metric="val_accuracy", curves=curves, losses=[(1, 2.3)], step=10, best_epoch=1,
    )  # fmt: skip


def lecture_results(table, stage):
    return [
        result(n, accuracy, stage=stage, hparams={"learning_rate": rate, "weight_decay": decay})
        for n, (accuracy, rate, decay) in enumerate(table)
    ]


@pytest.fixture
def lecture_context(tmp_path, digits):
    """The lecture's search, with a validation set of its size."""
    thousand = np.arange(1000) % len(digits.validation.y)
    dataset = replace(digits, validation=digits.validation.part(thousand))
    chosen = config(
        tmp_path,
        "search.space={learning_rate: {log_uniform: [1e-6, 1e-3]},"
        " weight_decay: {log_uniform: [1e-5, 1e5]}}",
    )
    return Context(chosen, dataset, "coarse")


def test_the_lectures_coarse_search_leads_beyond_its_own_refinement(lecture_context):
    """The trend points up, which the lecture saw one search later."""
    document = search.COARSE.judge(lecture_context, lecture_results(COARSE, "coarse"))
    assert document.next_space == {
        "learning_rate": {"log_uniform": [1e-4, 1e-2]},
        "weight_decay": {"log_uniform": [1e-4, 1.0]},
    }  # fmt: skip
    assert [(e.hparam, e.side, e.strength) for e in document.edges] == [
        ("learning_rate", "high", "warn")
    ]
    assert document.edges[0].evidence["trend"] >= 0.99
    assert not document.edges[0].evidence["best_on_edge"]
    assert document.best["value"] == 0.482 and document.verdict == "warn"
    assert set(document.reasons) == {"learning_rate", "weight_decay"}


def test_the_lectures_refined_search_is_warned_and_widened_upward(lecture_context):
    coarse = lecture_results(COARSE, "coarse")
    document = search.COARSE.judge(lecture_context, coarse)
    theirs = replace(document, next_space={
        "learning_rate": {"log_uniform": [1e-4, 1e-3]}, "weight_decay": {"log_uniform": [1e-4, 1]}
    })  # fmt: skip
    refine = replace(lecture_context, stage="refine-1", rounds=[Round(theirs, coarse)])
    refined = lecture_results(REFINED, "refine-1")
    judged = search.REFINE.judge(refine, refined)
    assert [(e.hparam, e.side, e.strength) for e in judged.edges] == [
        ("learning_rate", "high", "strong")
    ]
    assert judged.verdict == "warn"
    assert judged.importance == pytest.approx(
        {"learning_rate": 0.997, "weight_decay": 0.003}, abs=5e-4
    )
    assert judged.next_space["weight_decay"] == {"log_uniform": [1e-4, 1]}
    assert "does not matter here" in judged.reasons["weight_decay"]
    assert judged.best_of_n["meter"] == "10 more trials buy about 0.1 points"
    low, high = judged.next_space["learning_rate"]["log_uniform"]
    assert low >= 1e-4 and high == pytest.approx(1e-2)
    assert judged.edges[0].next == (low, high)
    after = replace(refine, stage="refine", rounds=[*refine.rounds, Round(judged, refined)])
    assert rounds.due(after)[0] == "refine-2"


def test_widening_stops_at_half_the_rate_that_diverges(lecture_context):
    sweep_document = CheckDocument("sweep", (), {"diverging": 3e-3, "range": None})
    context = replace(lecture_context, checks={"sweep": sweep_document})
    top = [(0.5, 9.9e-4, 1.0), (0.49, 8e-4, 1.0), (0.48, 9e-4, 1.0), (0.1, 1e-6, 1.0)]
    document = search.COARSE.judge(context, lecture_results(top, "coarse"))
    assert document.next_space["learning_rate"]["log_uniform"][1] == pytest.approx(1.5e-3)


def test_an_edge_where_training_diverges_is_one_of_stability(lecture_context):
    done = lecture_results([(0.5, 9.9e-4, 1.0), (0.4, 1e-4, 1.0), (0.3, 1e-5, 1.0)], "coarse")
    for decay, strength in ((1.0, "stability"), (1e4, "warn")):  # lost to the rate, or the decay
        hparams = {"learning_rate": 9.95e-4, "weight_decay": decay}
        lost = result(3, 0.0, status=Status.DIVERGED, hparams=hparams)
        document = search.COARSE.judge(lecture_context, [*done, lost])
        edges = [e.strength for e in document.edges if e.hparam == "learning_rate"]
        high = document.next_space["learning_rate"]["log_uniform"][1]
        assert edges == [strength] and (high <= 1e-3) == (strength == "stability")


def test_an_edge_beyond_which_was_worse_is_no_reason_to_widen(lecture_context):
    beyond = [(0.3, rate, 1.0) for rate in (7e-4, 8e-4, 9e-4)]
    coarse = lecture_results([*COARSE, *beyond], "coarse")
    document = search.COARSE.judge(lecture_context, coarse)
    narrower = replace(document, next_space={
        "learning_rate": {"log_uniform": [1e-4, 5e-4]}, "weight_decay": {"log_uniform": [1e-4, 1]}
    })  # fmt: skip
    refine = replace(lecture_context, stage="refine-1", rounds=[Round(narrower, coarse)])
    done = lecture_results([(0.5, 4.9e-4, 1e-2), (0.4, 2e-4, 1e-2), (0.3, 1e-4, 1e-2)], "refine-1")
    judged = search.REFINE.judge(refine, done)
    assert [e.strength for e in judged.edges] == ["info"]
    assert judged.next_space["learning_rate"]["log_uniform"][1] <= 5e-4


def test_a_search_that_beats_nothing_fails_and_so_does_one_where_all_diverge(lecture_context):
    chance = [(0.1 + 0.001 * n, 1e-6 * (n + 1), 1.0) for n in range(8)]
    assert (
        search.COARSE.judge(lecture_context, lecture_results(chance, "coarse")).verdict == "fail"
    )
    lost = [
        replace(r, status=Status.DIVERGED, best_epoch=None)
        for r in lecture_results(chance, "coarse")
    ]
    document = search.COARSE.judge(lecture_context, lost)
    assert document.verdict == "fail" and document.best is None and document.diverged == 8


def test_documents_survive_the_way_to_json_and_back(lecture_context):
    document = search.COARSE.judge(lecture_context, lecture_results(REFINED, "coarse"))
    assert SearchDocument.from_json(document.to_json()).to_json() == document.to_json()


def test_seeds_differ_by_run_stage_and_trial():
    seen = {seed(run, stage, n) for run in (0, 1) for stage in ("a", "b") for n in range(50)}
    assert len(seen) == 200 and max(seen) < 2**53
