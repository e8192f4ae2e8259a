"""The samplers, all of them: what they draw, where it lies, and that nothing else decides it."""

import io
import math
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from test_runner import contents, runner
from test_search import SPACES
from test_stages import config, result

from hpsearch.commands.rehearsal import rehearse
from hpsearch.config.schema import SEARCHABLE
from hpsearch.errors import ConfigError
from hpsearch.search.conditions import applying
from hpsearch.search.samplers import POINTS, SAMPLERS, Place, halton, sobol, tpe
from hpsearch.search.samplers.grid import grid
from hpsearch.search.space import parse_space
from hpsearch.settings import search_settings
from hpsearch.stages import search
from hpsearch.stages.context import Context, Round, seed
from hpsearch.trial import Status
from hpsearch.verdict import SearchDocument

ALWAYS = {
    "uniform": 0.913008273227693, "log_uniform": 0.2845795470187362, "int_uniform": 5,
    "int_log_uniform": 3, "zero_or_log_uniform": 0.0005314054480075524, "choice": 4,
}  # fmt: skip
MIXED = (
    "search.space={learning_rate: {log_uniform: [1e-4, 1]}, optimizer: {choice: [sgd, momentum]},"
    " momentum: {one_minus_log_uniform: [0.5, 0.999], when: {optimizer: momentum}},"
    " weight_decay: {zero_or_log_uniform: {bounds: [1e-6, 1e-2], zero: 0.3}},"
    " batch_size: {int_log_uniform: [10, 100]}, warmup_epochs: {int_uniform: [0, 3]}}"
)
LISTS = (
    "search.space={learning_rate: {choice: [0.1, 0.01]}, optimizer: {choice: [sgd, momentum]},"
    " hidden: {choice: [[10], [20]], when: {optimizer: sgd}}}"
)  # six settings


def stub(space, settings, told, *, count, seed):
    """In place of Optuna: draws that depend on all that they may depend on."""
    known = [(sorted(one.hparams.items()), one.score) for one in told]
    state = zlib.crc32(repr([seed, known]).encode())
    drawn = (POINTS["random"](space, Place(n, state + n, 0)) for n in range(count))
    return [applying(space, values, settings) for values in drawn]


@pytest.fixture(params=SAMPLERS)
def context(request, tmp_path, digits, monkeypatch):
    """A context of a search with each sampler in turn; Optuna is not asked."""
    monkeypatch.setattr(tpe, "propose", stub)
    monkeypatch.setattr(tpe, "require", lambda: None)

    def make(*overrides, stage="coarse", **given):
        chosen = config(tmp_path, f"search.sampler={request.param}", *overrides)
        return Context(chosen, digits, stage, **given)

    return make


def trained(spec, accuracy=0.5):
    """A result that depends on the hparams."""
    rate = spec.hparams.get("learning_rate", 0.1)
    found = result(spec.id, accuracy + 0.1 * math.sin(9 * rate), hparams=spec.hparams)
    return replace(found, status=Status.DIVERGED) if rate > 0.5 else found


def all_trials(context, done=()):
    """Plans until no more is wanted, as the runner does; each batch arrives backwards."""
    done, plans = {r.id: r for r in done}, []
    while specs := search.plan(context, [done[n] for n in sorted(done)]):
        assert not done.keys() & {spec.id for spec in specs}
        plans.append(len(specs))
        done |= {spec.id: trained(spec) for spec in reversed(specs)}
    return [done[n] for n in sorted(done)], plans


# --- what all have in common


def test_draws_lie_inside_and_only_what_applies_is_drawn(context):
    chosen = context(MIXED, "search.coarse.trials=200")
    trials, _ = all_trials(chosen)
    space = chosen.config.search.space
    assert [r.id for r in trials] == list(range(len(trials))) and len(trials) > 90
    assert all(("momentum" in r.hparams) == (r.hparams["optimizer"] == "momentum") for r in trials)
    for name in ("learning_rate", "momentum", "weight_decay", "batch_size", "warmup_epochs"):
        low, high = space[name].bounds
        values = [r.hparams[name] for r in trials if r.hparams.get(name)]
        assert all(low <= value <= high for value in values)
        if chosen.config.search.sampler != "grid":  # which has few points of each
            assert max(map(space[name].position, values)) > 0.9
            assert min(map(space[name].position, values)) < 0.4  # 0 is left out
    specs = [search.spec_of(chosen, r.id, r.hparams) for r in trials]
    assert {s.rates.momentum for s in specs if s.optimizer == "sgd"} == {0.9}, "the config's"


def test_more_trials_keep_the_first_ones(context, digits):
    few, many = (context(MIXED, f"search.coarse.trials={n}") for n in (25, 40))
    first, second = all_trials(few)[0], all_trials(many)[0]
    if few.config.search.sampler != "grid":
        assert second[:25] == first
        return
    old, new = (search_settings(c.config, "coarse", digits, {}) for c in (few, many))
    assert (old["search.coarse.trials"], new["search.coarse.trials"]) == (25, 40)


def test_an_interruption_changes_no_trial(context):
    chosen = context(MIXED, "search.coarse.trials=35")
    whole, plans = all_trials(chosen)
    assert plans == ([10, 10, 10, 5] if chosen.config.search.sampler == "tpe" else [len(whole)])
    for kept in ([], [1], [0, 3, 17], range(10), range(5, 25), range(33)):
        if chosen.config.search.sampler == "tpe":
            kept = [n for n in kept if n < 10 or len(kept) > 19]
        done = [r for r in whole if r.id in set(kept)]
        assert all_trials(chosen, done)[0] == whole


def test_seed_and_stage_decide(context):
    given = {"rounds": [], "stage": "refine-1"}
    plans = [
        [repr(s.hparams) for s in search.plan(c, [])]
        for c in (
            context(MIXED), context(MIXED, "seed=1"),
            context(MIXED, "search.round=refine-1", **given),
        )
    ]  # fmt: skip
    assert plans[0] != plans[1] and plans[0] != plans[2] and plans[1] != plans[2]


def test_every_setting_of_a_finite_space_is_tried_once(context):
    chosen = context(LISTS, "search.coarse.trials=50")
    trials, _ = all_trials(chosen)
    assert len({repr(r.hparams) for r in trials}) == len(trials) == 6
    assert search.opening(chosen, {}).trials == 6
    document = search.judge(chosen, trials)
    source = "grid" if chosen.config.search.sampler == "grid" else "space"
    assert document.trials == 6 and f"the {source} has 6 settings, each tried" in document.message
    some = all_trials(context(LISTS, "search.coarse.trials=4"))[0]
    assert len({repr(r.hparams) for r in some}) == 4
    if chosen.config.search.sampler != "grid":
        assert some == trials[:4]
        enough = search.judge(context(LISTS, "search.coarse.trials=6"), trials)
        assert "settings" not in enough.message


def test_what_is_carried_over_is_not_drawn_again(context):
    first = context(LISTS)
    carried = [{"learning_rate": 0.1, "optimizer": "sgd", "hidden": [20]}]
    document = SearchDocument("refine-1", None, 6, space=search.opening(first, {}).space,
                              carried=carried)  # fmt: skip
    again = context(LISTS, stage="refine-1", opened=document)
    trials, _ = all_trials(again)
    assert trials[0].hparams == carried[0]
    keys = {repr({k: list(v) if isinstance(v, tuple) else v for k, v in r.hparams.items()})
            for r in trials}  # fmt: skip
    assert len(trials) == len(keys) == 6


def test_the_best_of_a_conditional_space_are_carried_over(context):
    chosen = context(MIXED, "search.coarse.trials=40", "search.refine.trials=40")
    trials, _ = all_trials(chosen)
    judged = search.judge(chosen, trials)
    judged = replace(judged, next_space=judged.space)
    after = context(MIXED, "search.refine.trials=40", stage="refine-1",
                    rounds=[Round(judged, trials)])  # fmt: skip
    best = search.ranking(trials)[:3]
    assert search.opening(after, {}).carried == [r.hparams for r in best]
    assert [s.hparams for s in search.plan(after, [])][:3] == [r.hparams for r in best]


# --- points


@pytest.mark.parametrize("name", POINTS)
def test_an_hparam_at_the_end_of_the_space_leaves_the_other_draws(name):
    space = parse_space(SPACES)
    fewer = dict(list(space.items())[:4])
    for number in range(20):
        place = Place(number, 100 + number, 7)
        whole = POINTS[name](space, place)
        assert POINTS[name](fewer, place) == {key: whole[key] for key in fewer}


def test_random_draws_are_those_of_a_stream_of_the_seed_and_the_name():
    whole = POINTS["random"](parse_space(SPACES), Place(0, 7, 1))
    assert whole == POINTS["random"](parse_space(dict(reversed(SPACES.items()))), Place(5, 7, 2))
    assert {name: whole[name] for name in ALWAYS} == ALWAYS, "to the bit, as they always were"


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("kind", SPACES)
def test_draws_are_distributed_as_the_kind_says(name, kind):
    """The empirical distribution of 512 draws beside that of 20,000 of the kind's own."""
    space = parse_space({"first": {"uniform": [0, 1]}, "x": SPACES[kind]})
    drawn = [POINTS[name](space, Place(n, seed(0, "s", n), 3))["x"] for n in range(512)]
    rng = np.random.default_rng(0)
    own = [space["x"].sample(rng) for _ in range(20000)]
    if kind == "choice":
        drawn, own = ([SPACES[kind]["choice"].index(list(v) if isinstance(v, tuple) else v)
                       for v in values] for values in (drawn, own))  # fmt: skip
    at = np.unique(own)
    gaps = np.searchsorted(np.sort(drawn), at, "right") / 512
    gaps = gaps - np.searchsorted(np.sort(own), at, "right") / 20000
    assert np.abs(gaps).max() < (0.072 if name == "random" else 0.02)


@pytest.mark.parametrize("kind", SPACES)
def test_the_share_of_a_value_leads_back_to_it(kind):
    space = parse_space({"x": SPACES[kind]})["x"]
    values = [space.at(share) for share in np.linspace(0, 1, 41)]
    if kind != "choice":
        shares = [space.share(value) for value in values]
        assert shares == sorted(shares) and all(0 <= share <= 1 for share in shares)
        assert [space.at(share) for share in shares] == pytest.approx(values, rel=1e-9)


def l2_star(points):
    """The L2 star discrepancy of points (N, D) in the unit cube (Warnock 1972)."""
    n, d = points.shape
    one = np.prod((1 - points**2) / 2, axis=1).sum()
    two = np.prod(1 - np.maximum(points[:, None], points[None]), axis=2).sum()
    return math.sqrt(3.0**-d - 2 / n * one + two / n**2)


def cube(name, size, dimensions, stage_seed):
    space = parse_space({f"x{d}": {"uniform": [0, 1]} for d in range(dimensions)})
    drawn = [POINTS[name](space, Place(n, seed(stage_seed, "s", n), stage_seed)).values()
             for n in range(size)]  # fmt: skip
    return np.array([list(values) for values in drawn])


@pytest.mark.parametrize("size", [32, 128])
@pytest.mark.parametrize("dimensions", [2, 3, 5])
def test_low_discrepancy_is_lower(size, dimensions):
    mean = {
        name: np.mean([l2_star(cube(name, size, dimensions, s)) for s in range(8)])
        for name in POINTS
    }
    assert mean["halton"] < 0.75 * mean["random"] and mean["sobol"] < 0.75 * mean["random"]


@pytest.mark.parametrize("stage_seed", range(3))
def test_sobol_points_are_one_in_each_cell(stage_seed):
    """All 32 dimensions for themselves; the first two in every partition into 64 boxes."""
    points = cube("sobol", 64, sobol.DIMENSIONS, stage_seed)
    assert (np.sort(np.floor(64 * points), axis=0) == np.arange(64)[:, None]).all()
    for bits in range(7):
        boxes = np.floor(points[:, 0] * 2**bits) * 2 ** (6 - bits)
        boxes += np.floor(points[:, 1] * 2 ** (6 - bits))
        assert len(set(boxes)) == 64


@pytest.mark.parametrize("stage_seed", range(3))
@pytest.mark.parametrize("dimension, base", [(0, 2), (1, 3), (3, 7)])
def test_halton_points_are_one_in_each_cell(stage_seed, dimension, base):
    points = cube("halton", base**2, 4, stage_seed)[:, dimension]
    assert sorted(np.floor(points * base**2)) == list(range(base**2))


def test_scrambling_depends_on_the_seed_and_is_fair():
    """Over seeds, any point is uniform: each half of the range is as likely as the other."""
    for name in ("halton", "sobol"):
        firsts = np.array([cube(name, 2, 3, s) for s in range(400)])
        assert (np.abs((firsts < 0.5).mean(axis=0) - 0.5) < 0.09).all()
        assert np.abs(firsts.mean(axis=0) - 0.5).max() < 0.06


def test_scrambling_a_bit_changes_half_of_those_below_it():
    """The first two points differ in their first bit alone."""
    pairs = [(sobol.scrambled(0, 0, 977 * s), sobol.scrambled(1, 0, 977 * s)) for s in range(200)]
    assert all((one ^ other) >> 31 for one, other in pairs)
    assert 12 < np.mean([(one ^ other).bit_count() - 1 for one, other in pairs]) < 19


def test_there_is_a_dimension_for_every_key():
    assert len(SEARCHABLE) <= sobol.DIMENSIONS
    assert [halton.prime(n) for n in range(6)] == [2, 3, 5, 7, 11, 13]


# --- the grid


@pytest.mark.parametrize(
    "trials, counts", [(1, (1, 1, 3)), (12, (2, 2, 3)), (27, (3, 3, 3)), (36, (4, 3, 3))]
)
def test_the_grid_has_as_many_points_of_each_range_as_the_trials_allow(trials, counts):
    space = parse_space({
        "x": {"log_uniform": [1e-3, 1]}, "y": {"uniform": [0, 6]}, "z": {"choice": [1, 2, 3]},
    })  # fmt: skip
    lists = {name: kind.choice for name, kind in grid(space, trials).items()}
    assert tuple(map(len, lists.values())) == counts
    if counts[0] == 4:
        assert lists["x"] == pytest.approx([1e-3, 1e-2, 1e-1, 1]) and lists["y"] == [0, 3, 6]


def test_the_grid_of_whole_numbers_and_of_zero():
    space = parse_space({
        "x": {"int_uniform": [2, 4]},
        "y": {"zero_or_log_uniform": {"bounds": [1e-4, 1e-2], "zero": 0.5}},
    })  # fmt: skip
    lists = {name: kind.choice for name, kind in grid(space, 14).items()}
    assert lists["x"] == [2, 3, 4] and lists["y"] == pytest.approx([0, 1e-4, 1e-3, 1e-2])


# --- tpe


def test_a_batch_is_told_what_was_before_it_and_in_order(tmp_path, digits, monkeypatch):
    seen = []

    def spy(space, settings, told, **given):
        seen.append(([one.score for one in told], given))
        return stub(space, settings, told, **given)

    monkeypatch.setattr(tpe, "propose", spy)
    chosen = config(tmp_path, MIXED, "search.sampler=tpe", "search.coarse.trials=25")
    trials, _ = all_trials(Context(chosen, digits, "coarse"))
    scores = [-math.inf if r.status is Status.DIVERGED else r.score for r in trials]
    assert [told for told, _ in seen] == [scores[:10], scores[:20]] and -math.inf in scores
    assert [given["count"] for _, given in seen] == [10, 5]
    assert seen[0][1]["seed"] != seen[1][1]["seed"]


def test_where_optuna_is_missing_it_is_said_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    work = runner(tmp_path, "search.sampler=tpe")
    for start in (lambda: next(work.run()), lambda: work.search("coarse")):
        with pytest.raises(ConfigError, match=r"sampler: tpe needs Optuna.*hpsearch\[optuna\]"):
            start()
    assert not list(tmp_path.rglob("*.json"))


# --- runs


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_that_was_cut_off_leaves_the_same_files(sampler, tmp_path, monkeypatch):
    monkeypatch.setattr(tpe, "propose", stub)
    monkeypatch.setattr(tpe, "require", lambda: None)
    given = (MIXED, f"search.sampler={sampler}", "search.coarse={trials: 24, epochs: 1}")
    whole, cut = (runner(tmp_path / name, *given) for name in ("whole", "cut"))
    trials = whole.search("coarse").trials
    assert len(whole.view.trials) == trials > 10
    cut.search("coarse")
    for number in (3, *range(12, trials)):
        cut.store.trial_path("coarse", number).unlink()
    again = runner(tmp_path / "cut", *given)
    again.search("coarse")
    assert len(again.view.trials) == trials - 11
    assert contents(again.store.folder) == contents(whole.store.folder)


@pytest.mark.parametrize("sampler, known", [("tpe", 10), ("sobol", 25)])
def test_a_rehearsal_knows_all_that_can_be_known(sampler, known, tmp_path, monkeypatch):
    monkeypatch.setattr(tpe, "propose", stub)
    monkeypatch.setattr(tpe, "require", lambda: None)
    given = (MIXED, f"search.sampler={sampler}", "search.coarse={trials: 25, epochs: 2}")
    work = runner(tmp_path, *given)
    found = rehearse(work, "coarse")
    assert (len(found.specs), found.trials, found.trial_epochs) == (known, 25, 50)
    assert "25 trials to train, 50 trial-epochs" in shown(found) and "momentum" in shown(found)
    assert ("... and 15 that depend on what these show" in shown(found)) == (sampler == "tpe")
    work.search("coarse")
    for number in (3, 12, 20):
        work.store.trial_path("coarse", number).unlink()
    left = rehearse(runner(tmp_path, *given), "coarse")
    assert (left.trials, left.trial_epochs) == (3, 6)
    assert [s.id for s in left.specs] == ([3] if sampler == "tpe" else [3, 12, 20])


def test_a_rehearsal_of_a_finite_space_says_how_many_settings_it_has(tmp_path):
    found = rehearse(runner(tmp_path, LISTS, "search.coarse={trials: 25, epochs: 2}"), "coarse")
    assert found.to_json()["trials_to_train"] == len(found.specs) == 6
    assert "the space has 6 settings, each tried once, not 25" in shown(found)


def shown(found):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(found.view())
    return console.export_text()
