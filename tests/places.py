"""Where trials can be trained: every kind of executor, and both kinds of worker process."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hpsearch.executors import VARIABLE, Kind

FORKS, FRESH = "forks", "fresh interpreters"
PLACES = {
    Kind.IN_PROCESS.value: Kind.IN_PROCESS, Kind.THREADS.value: Kind.THREADS,
    FORKS: Kind.PROCESSES, FRESH: Kind.PROCESSES,
}  # fmt: skip
assert set(PLACES.values()) == set(Kind)


@contextmanager
def training_in(place: str) -> Iterator[None]:
    """All trials are trained there while it lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, PLACES[place])
        patch.setattr("hpsearch.workers.CAN_FORK", place == FORKS)
        yield
