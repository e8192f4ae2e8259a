"""Mixed shapes: a search over widths and batch sizes against searches of one shape each."""

from benchmarks import measure  # first: it sets the threads  # isort: skip

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from benchmarks import searches

TARGET = 0.25
WIDTHS = (25, 50, 75, 100)
BATCHES = (50, 100)
MIXED = "mixed"

Shape = tuple[int, int]  # hidden width, batch size


def label(shape: Shape) -> str:
    return f"hidden {shape[0]}, batch {shape[1]}"


def counted(search: searches.Search, jobs: int | None) -> measure.Reading:
    """A mixed search's reading, with how many of its trials have which shape."""
    found = searches.searched(search, jobs=jobs)
    shapes = Counter((h["hidden"][0], h["batch_size"]) for h in found.hparams)
    return found.reading | {label(shape): float(n) for shape, n in shapes.items()}


def alone(search: searches.Search, shape: Shape) -> searches.Search:
    """As many trials, all of one shape."""
    return replace(search, hidden=(shape[0],), batch=shape[1])


def expected(mixed: Mapping[str, float], times: Mapping[Shape, float], trials: int) -> float:
    """Seconds of the mixed search if each trial took what it takes among its like."""
    return sum(mixed.get(label(shape), 0) * each / trials for shape, each in times.items())


def tables(
    search: searches.Search, shapes: Sequence[Shape], middle: dict[str, measure.Reading]
) -> list[measure.Table]:
    """Time per trial of every shape among its like, and what mixing them costs."""
    mixed = middle[MIXED]
    times = {shape: middle[label(shape)]["stage"] for shape in shapes}
    wanted = expected(mixed, times, search.trials)
    rows = [
        [label(s), f"{mixed.get(label(s), 0):.0f}", measure.seconds(t / search.trials)]
        for s, t in times.items()
    ]
    rows.append([MIXED, str(search.trials), measure.seconds(mixed["stage"] / search.trials)])
    loss = mixed["stage"] / wanted - 1
    note = (
        f"The mixed search took {measure.seconds(mixed['stage'])}; its trials, each among its"
        f" like, {measure.seconds(wanted)}: a loss of {loss:.0%} (target: below {TARGET:.0%})."
    )
    title = f"Mixed shapes: {search.trials} trials x {search.epochs} epochs on {search.dataset}"
    return [measure.Table(title, ["search", "trials in the mixed", "time per trial"], rows, note)]


def main(argv: Sequence[str]) -> int:
    parser = searches.options(measure.parser("mixed", __doc__ or ""), trials=(96, 32))
    parser.add_argument("--widths", nargs="+", type=int, default=list(WIDTHS))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--jobs", type=measure.positive, default=None, help="default: all cores")
    options = searches.complete(parser.parse_args(argv), trials=(96, 32))
    search = searches.asked(options)
    shapes = [(width, batch) for width in options.widths for batch in options.batches]
    space = {
        "hidden": {"choice": [[width] for width in options.widths]},
        "batch_size": {"choice": options.batches},
    }
    contenders = {MIXED: partial(counted, replace(search, space=space), options.jobs)}
    for shape in shapes:
        contenders[label(shape)] = partial(timed, alone(search, shape), options.jobs)
    readings = measure.alternate(contenders, options.rounds, say=measure.say)
    name = f"mixed-{search.dataset}"
    draw = partial(tables, search, shapes)
    measure.finish(measure.document(name, name, options, readings, draw), options.out)
    return 0


def timed(search: searches.Search, jobs: int | None) -> measure.Reading:
    return searches.searched(search, jobs=jobs).reading
