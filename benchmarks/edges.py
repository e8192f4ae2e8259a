"""How often edges are flagged, rightly and falsely, in simulated searches."""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hpsearch.search.edges import Side
from hpsearch.search.evidence import Trials, evidence
from hpsearch.search.space import Space, parse_space
from hpsearch.trial import standard_error

SEARCHES = 2000
CHANCE = 0.1
SEED_SD = 0.004  # of a trial's accuracy, from one seed to the next
COUNTED = {
    "strong": "false strong", "flagged": "false warn or strong", "detected": "detected",
    "named": "as strong",
}  # fmt: skip
KEYS = {"inside": ("strong", "flagged"), "outside": tuple(COUNTED)}
TRIALS = {"inside": (22, 35, 50, 70, 100), "outside": (50,)}


class Surface(NamedTuple):
    """Accuracy over log10 of the rate: `peak`, flat for `flat` decades to both sides of `optimum`,
    then falling with the square of the distance, `steeper` times as fast above; from `cliff` on
    training diverges.
    """

    optimum: float
    flat: float
    peak: float
    bend: float
    steeper: float
    cliff: float

    def __call__(self, rates: np.ndarray) -> np.ndarray:
        beyond = np.maximum(np.abs(rates - self.optimum) - self.flat, 0)
        bend = np.where(rates > self.optimum, self.bend * self.steeper, self.bend)
        return self.peak - bend * beyond**2


class Search(NamedTuple):
    """A simulated search: its space, the completed trials, and the side where the optimum lies
    outside of the range.
    """

    space: Space
    trials: Trials
    side: Side | None


def surface(rng: np.random.Generator, optimum: float, flat: float) -> Surface:
    cliff = optimum + flat + rng.uniform(0.5, 1.5) if rng.random() < 0.7 else np.inf
    return Surface(
        optimum, flat, rng.choice([0.5, 0.95]), rng.uniform(0.08, 0.3), rng.uniform(1, 3), cliff
    )


def search(where: str, rows: int, trials: int, hparams: int, rng: np.random.Generator) -> Search:
    """A range of 1 to 5 decades of rates, with the optimum in the middle 70 % of it or 0.25 to 1.5
    decades beyond a bound; the other hparams do nothing.
    """
    low = -5.0
    high = low + rng.uniform(1, 5)
    flat = rng.choice([0.0, rng.uniform(0.2, 0.5)])
    side: Side | None = None
    optimum = rng.uniform(low + 0.15 * (high - low), high - 0.15 * (high - low))
    if where == "outside":
        side, away = rng.choice(["low", "high"]), rng.uniform(0.25, 1.5) + flat
        optimum = high + away if side == "high" else low - away
    response = surface(rng, optimum, flat)
    rates = rng.uniform(low, high, trials)
    rates = rates[rates < response.cliff]
    space = {"rate": {"log_uniform": [10**low, 10 ** min(high, response.cliff)]}}
    space |= {f"other{n}": {"log_uniform": [1e-6, 1.0]} for n in range(hparams - 1)}
    others = rng.uniform(-6, 0, (len(rates), hparams - 1))
    scores, errors = scored(response(rates), rows, rng)
    order = np.argsort(-scores, kind="stable")
    values = 10 ** np.column_stack([rates, others])[order]
    given = [dict(zip(space, map(float, row), strict=True)) for row in values]
    return Search(parse_space(space), Trials(given, scores[order], errors[order]), side)


def scored(
    means: np.ndarray, rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Accuracies on so many validation rows and their standard errors; where none beats chance
    by three of these, what the loss fell by, which knows no floor.
    """
    p = np.clip(np.maximum(means, CHANCE) + SEED_SD * rng.standard_normal(len(means)), 0, 1)
    scores = rng.binomial(rows, p) / rows
    if scores.max(initial=0) > CHANCE + 3 * standard_error(CHANCE, rows):
        return scores, np.array([standard_error(score, rows) for score in scores])
    return means + 0.01 * rng.standard_normal(len(means)), np.zeros(len(means))


def counted(
    where: str, rows: int, trials: Sequence[int], *, options: tuple[int, int]
) -> Counter[str]:
    """Over so many searches (of so many hparams): those with a false `strong`, with any false
    flag but info, and the detected ones; where fewer than 5 trials complete they are `lost`.
    """
    searches, hparams = options
    found: Counter[str] = Counter(dict.fromkeys(("lost", *COUNTED), 0))
    for number in range(searches):
        rng = np.random.default_rng([number, rows, hparams, where == "outside"])
        made = search(where, rows, int(rng.choice(trials)), hparams, rng)
        if len(made.trials.scores) < 5:
            found["lost"] += 1
            continue
        said = evidence(made.space, made.trials, _stream)
        flags = {(n, side): s for n, e in said.items() for side, s in e.flagged() if s != "info"}
        true = flags.pop(("rate", made.side), None) if made.side else None
        found["strong"] += "strong" in flags.values()
        found["flagged"] += bool(flags)
        found["detected"] += true is not None
        found["named"] += true == "strong"
    return found


def _stream(name: str) -> np.random.Generator:
    return np.random.default_rng([7, *name.encode()])


def share(counts: measure.Reading, key: str) -> str:
    return f"{100 * counts[key] / (counts['searches'] - counts['lost']):.1f} %"


def tables(found: dict[str, measure.Reading]) -> list[measure.Table]:
    rows = [
        [*who.split(": "), f"{counts['lost']:.0f}",
         *(share(counts, key) if key in KEYS[who.split(":")[0]] else "-" for key in COUNTED)]
        for who, counts in found.items()
    ]  # fmt: skip
    columns = ["optimum", "validation rows", "trials", "lost", *COUNTED.values()]
    note = (
        "Lost: fewer than five trials complete, the rest diverges. False: any side of any hparam,"
        " but the right one where the optimum is outside. Detected: that is flagged, warn or"
        " strong."
    )
    return [measure.Table("Edges flagged in simulated searches", columns, rows, note)]


def main(argv: Sequence[str]) -> int:
    parser = measure.parser("edges", __doc__ or "", rounds=1)
    parser.add_argument("--searches", type=measure.positive, default=SEARCHES)
    parser.add_argument("--hparams", type=measure.positive, default=2, help="one is the rate")
    options = parser.parse_args(argv)
    readings = {}
    for where, trials in TRIALS.items():
        for rows in (180, 1000):
            started = time.perf_counter()
            counts = counted(where, rows, trials, options=(options.searches, options.hparams))
            name = f"{where}: {rows}: {'-'.join(map(str, sorted({min(trials), max(trials)})))}"
            readings[name] = [{"searches": options.searches, **counts}]
            measure.say(f"{name}: {time.perf_counter() - started:.0f} s")
    named = f"edges-{options.hparams}"
    result = measure.document(named, f"{named} hparams", options, readings, tables)
    basis = f"{options.searches} simulated searches a row, those lost among them"
    measure.finish(result | {"basis": basis}, options.out)
    return 0
