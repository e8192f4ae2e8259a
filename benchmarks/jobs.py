"""Scaling: the search stage with one job and with two, by every kind of worker."""

from benchmarks import measure  # first: it sets the threads  # isort: skip

from collections.abc import Sequence
from functools import partial

from benchmarks import searches

TARGET = 1.8


def tables(
    search: searches.Search, jobs: int, middle: dict[str, measure.Reading]
) -> list[measure.Table]:
    """The stage's time with one job and with more, and the ratio."""
    rows = []
    for kind in searches.EXECUTORS:
        alone, shared = middle[label(kind, 1)], middle[label(kind, jobs)]
        rows.append([
            kind, measure.seconds(alone["stage"]), measure.seconds(shared["stage"]),
            measure.ratio(alone["stage"] / shared["stage"]),
            measure.ratio(alone["whole"] / shared["whole"]),
        ])  # fmt: skip
    columns = ["workers", "1 job", f"{jobs} jobs", "scaling, stage", "scaling, whole command"]
    title = f"Jobs: {search.trials} trials x {search.epochs} epochs on {search.dataset}"
    return [measure.Table(title, columns, rows, f"Target: {TARGET:g}x with two jobs.")]


def label(kind: str, jobs: int) -> str:
    return f"{kind}, jobs {jobs}"


def timed(search: searches.Search, kind: str, jobs: int) -> measure.Reading:
    extra = searches.EXECUTORS[kind]
    return searches.searched(search, jobs=jobs, extra=extra).reading


def main(argv: Sequence[str]) -> int:
    parser = searches.options(measure.parser("jobs", __doc__ or ""), trials=(200, 32))
    parser.add_argument("--jobs", type=measure.positive, default=2, help="against one")
    options = searches.complete(parser.parse_args(argv), trials=(200, 32))
    search = searches.asked(options)
    contenders = {
        label(kind, jobs): partial(timed, search, kind, jobs)
        for kind in searches.EXECUTORS
        for jobs in (1, options.jobs)
    }
    readings = measure.alternate(contenders, options.rounds, say=measure.say)
    name = f"jobs-{search.dataset}"
    draw = partial(tables, search, options.jobs)
    measure.finish(measure.document(name, name, options, readings, draw), options.out)
    return 0
