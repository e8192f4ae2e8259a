"""Minibatches: every row once per epoch, in an order of (order seed, epoch) only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.data import minibatches, order


@given(st.integers(1, 300), st.integers(1, 400), st.integers(0, 2**53), st.integers(0, 100))
def test_an_epoch_visits_every_row_once(n, batch_size, seed, epoch):
    batches = list(minibatches(n, batch_size, seed, epoch))
    assert np.array_equal(np.concatenate(batches), order(n, seed, epoch))
    assert sorted(np.concatenate(batches)) == list(range(n))
    assert all(len(batch) == min(batch_size, n) for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_size


def test_the_order_depends_on_seed_and_epoch_alone():
    assert np.array_equal(order(100, 5, 2), order(100, 5, 2))
    orders = {tuple(order(100, seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


@pytest.mark.parametrize("n", [1, 7])
def test_a_batch_larger_than_the_data_is_the_data(n):
    assert [len(batch) for batch in minibatches(n, 100, 0, 0)] == [n]
