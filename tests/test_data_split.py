"""The split: a partition, of the sizes asked for, fair to every class, decided by the seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.data import split
from hpsearch.errors import DataError

counts = st.lists(st.integers(1, 60), min_size=2, max_size=8)
shares = st.one_of(st.integers(0, 60), st.floats(0.01, 0.6))


def size(share, n):
    return share if isinstance(share, int) else max(1, round(share * n))


@given(counts, shares, shares, st.integers(0, 2**53))
def test_split_is_a_fair_partition_or_an_error(counts, validation, test, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    wanted = size(validation, len(y)), size(test, len(y))
    if sum(wanted) > len(y) - len(counts):
        with pytest.raises(DataError, match=r"data\.split: .*can be held out"):
            split(y, validation, test, seed)
        return
    parts = split(y, validation, test, seed)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(y)))
    assert (len(parts[1]), len(parts[2])) == wanted
    assert np.bincount(y[parts[0]], minlength=len(counts)).min() >= 1


@given(st.lists(st.integers(20, 80), min_size=2, max_size=6), st.floats(0.05, 0.4))
def test_every_class_gives_its_share_to_within_one_row(counts, share):
    y = np.repeat(np.arange(len(counts)), counts)
    for part in split(y, share, share, seed=3)[1:]:
        quota = len(part) * np.array(counts) / len(y)
        assert np.abs(np.bincount(y[part], minlength=len(counts)) - quota).max() < 1


def test_the_seed_decides():
    y = np.arange(200) % 4
    one, again, other = (split(y, 0.1, 0.1, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_first_rows_of_each_part_are_a_fair_sample():
    y = np.repeat(np.arange(5), 400)
    for part in split(y, 0.3, 0.3, seed=0):
        assert np.bincount(y[part[:200]], minlength=5).min() > 15


def test_nothing_held_out_is_a_permutation():
    train, validation, test = split(np.arange(30) % 3, 0, 0, seed=0)
    assert len(validation) == len(test) == 0 and sorted(train) == list(range(30))


@pytest.mark.parametrize("share", [-1, -0.5, 1.5])
def test_shares_that_mean_nothing(share):
    with pytest.raises(DataError, match=r"data\.split\.validation: must be a fraction"):
        split(np.arange(30) % 3, share, 0, seed=0)


def test_a_class_of_one_row_stays_in_train():
    y = np.repeat([0, 1], [1, 60])
    train, validation, _ = split(y, 40, 0, seed=0)
    assert 0 in y[train] and len(validation) == 40
