"""The audit's numbers against slow, plain counts of the same."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.data import Rows, Source, audit, load


@pytest.fixture(scope="module")
def digits():
    return load(Source("digits"), center="feature", scale="standard")


def rows_of(x):
    return Rows(x, np.zeros(len(x), np.int64))


def test_non_finite_cells_are_counted_and_the_first_is_placed():
    x = np.zeros((600, 3))
    assert audit.non_finite(rows_of(x)) == audit.NonFinite(0, None)
    x[555, 1], x[300, 2], x[301, 0] = np.nan, np.inf, -np.inf
    assert audit.non_finite(rows_of(x)) == audit.NonFinite(3, (300, 2))
    assert audit.non_finite(rows_of(np.ones((4, 2), np.uint8))).count == 0


def test_feature_statistics_are_those_of_what_the_network_sees(digits):
    seen = digits.batch(digits.train, slice(None)).astype(np.float64)
    found = audit.feature_statistics(digits)
    assert np.allclose(found.mean, seen.mean(axis=0), atol=1e-9)
    assert np.allclose(found.sd, seen.std(axis=0), atol=1e-9)
    assert np.array_equal(found.min, seen.min(axis=0))
    assert np.array_equal(found.max, seen.max(axis=0))


def test_feature_statistics_show_raw_numbers_where_nothing_is_done(digits):
    raw = load(Source("digits"), center="none", scale="none")
    assert audit.feature_statistics(raw).max.max() == 16


def test_constant_features(digits):
    x = digits.validation.gather().copy()
    x[[0, 5], 0] += 1
    changed = replace(digits, validation=Rows(x, digits.validation.y))
    for dataset, otherwise in ((digits, 0), (changed, 2)):
        found = audit.constant_features(dataset)
        assert {0, 32, 39} <= set(found.in_train)
        assert dict(zip(found.in_train, found.otherwise, strict=True))[0] == otherwise


def test_class_counts(digits):
    total = sum(
        audit.class_counts(rows, 10) for rows in (digits.train, digits.validation, digits.test)
    )
    assert total.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert audit.class_counts(Rows(np.ones((1, 1)), np.array([1])), 4).tolist() == [0, 1, 0, 0]


row_sets = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), min_size=1)


@given(row_sets, row_sets, st.sampled_from([np.uint8, np.float32, np.float64]))
def test_duplicates_as_counted_by_hand(train, validation, dtype):
    parts = [
        Rows(np.array([row[:2] for row in rows], dtype), np.array([row[2] for row in rows]))
        for rows in (train, validation)
    ]
    everything = train + validation
    conflicting = [
        row for row in everything if any(o[:2] == row[:2] and o[2] != row[2] for o in everything)
    ]
    found = audit.duplicates(*parts)
    assert found.leaked == sum(row in train for row in validation)
    assert found.conflicting == len(conflicting)
    assert found.points == len({row[:2] for row in conflicting})


def test_both_zeros_are_one_number():
    plus, minus = (Rows(np.array([[zero, 1.0]]), np.array([0])) for zero in (0.0, -0.0))
    assert audit.duplicates(plus, minus).leaked == 1


def test_preview_is_the_first_batch(digits):
    shown = audit.preview(digits, 3)
    assert np.array_equal(shown.values, digits.batch(digits.train, np.arange(3)))
    assert shown.classes == tuple(str(k) for k in digits.train.y[:3])
