import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.report.charts import BARS, GAP, bar, ruler, sparkline
from hpsearch.report.grid import Column, cells, fitting
from hpsearch.report.text import counted, number, numbers, plain, share

few = settings(max_examples=50)
CURVES = st.lists(st.none() | st.floats(-1e9, 1e9) | st.just(math.nan) | st.just(math.inf))
PLACES = st.floats(-0.5, 1.5) | st.just(math.nan)


@few
@given(CURVES, st.integers(0, 50))
def test_a_sparkline_has_one_block_per_value_at_most_its_width(values, width):
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set(BARS + GAP)


def test_a_sparkline_runs_from_the_lowest_to_the_highest_block():
    assert sparkline([float(n) for n in range(8)], 8) == BARS
    assert sparkline([3.0, 1.0], 8) == BARS[-1] + BARS[0]


def test_a_longer_curve_is_averaged_down():
    assert sparkline([0, 8, 0, 0, 9, 9], 3) == sparkline([4, 0, 9], 3)
    assert sparkline([0, math.nan, 9, None, math.nan, None], 3) == BARS[0] + BARS[-1] + GAP


def test_gaps_and_constants_of_a_sparkline():
    assert sparkline([1.0, None, math.nan, 2.0, math.inf], 9) == BARS[0] + GAP * 2 + BARS[-1] + GAP
    assert sparkline([5.0, 5.0], 9) == BARS[3] * 2
    assert sparkline([None], 9) == GAP
    assert sparkline([], 9) == ""


def test_a_given_scale_is_kept():
    assert sparkline([0.5], 9, low=0, high=1) == BARS[4]
    assert sparkline([-1.0, 2.0], 9, low=0, high=1) == BARS[0] + BARS[-1]


@few
@given(st.lists(PLACES, max_size=5), st.none() | PLACES, st.integers(3, 60))
def test_a_ruler_is_as_wide_as_asked(places, best, width):
    text = ruler(places, best, width).plain
    assert len(text) == width
    assert (text[0], text[-1]) == ("├", "┤")
    assert text.count("█") == (best is not None and math.isfinite(best))


def test_a_ruler_shows_where_the_best_lie():
    assert ruler([0.0, 0.5, 1.0], 1.0, 12).plain == "├▪····▪···█┤"


@pytest.mark.parametrize(("side", "marked"), [("low", "├·"), ("high", "·┤")])
def test_a_flagged_edge_is_coloured(side, marked):
    text = ruler([], None, 12, side=side, style="yellow")
    assert [text.plain[s.start : s.end] for s in text.spans if s.style == "yellow"] == [marked]
    assert not ruler([], None, 12).spans


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.021349, "0.02135"), (3.4e-5, "3.4e-5"), (1e30, "1e30"), (None, "–"), (math.nan, "–"),
        (math.inf, "inf"), (True, "true"), (64, "64"), ((64, 32), "64-32"), ("relu", "relu"),
    ],
)  # fmt: skip
def test_a_number_has_four_digits(value, text):
    assert number(value) == text


def test_a_column_of_numbers_has_one_format():
    assert numbers([0.9, 0.85, None]) == ["0.9000", "0.8500", "–"]
    assert numbers([1e-4, 0.5, 0.0]) == ["1.00e-4", "5.00e-1", "0"]
    assert numbers([12.5, 1234.0]) == ["12.5", "1234.0"]
    assert numbers([0.005, 0.2]) == ["0.00500", "0.20000"]
    assert numbers([1, 20]) == ["1", "20"]
    assert numbers([math.inf, 2.5]) == ["inf", "2.500"]


@few
@given(st.text())
def test_plain_text_cannot_act(text):
    shown = plain(text)
    assert len(shown) == len(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2028\udcff" for c in shown)


def test_lines_and_tabs_become_spaces():
    assert plain("a\nb\tc\rd") == "a b c d"
    assert plain("x" * 30, 10) == "x" * 9 + "…"


@few
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 100))
def test_columns_that_fit_are_kept_in_order_of_their_rank(widths, width):
    columns = [Column("", cells(["x" * w]), rank=n) for n, w in enumerate(widths)]
    shown = fitting(columns, width)
    assert shown == columns[: len(shown)]
    assert len(shown) >= 1
    assert len(shown) == 1 or sum(widths[: len(shown)]) + 2 * (len(shown) - 1) <= width
    if len(shown) < len(columns):
        assert sum(widths[: len(shown) + 1]) + 2 * len(shown) > width


@pytest.mark.parametrize(
    "share, drawn", [(0, ""), (1e-9, "▏"), (0.5, "████"), (0.55, "████▍"), (9, "█" * 8)],
)
def test_a_bar_is_as_long_as_its_share(share, drawn):
    assert bar(share, 8) == drawn


@pytest.mark.parametrize(
    "value, text",
    [(1.0, "100.0%"), (1999 / 2000, ">99.9%"), (0.999, "99.9%"), (0.5, "50.0%"),
     (0.0005, "0.1%"), (1 / 3000, "<0.1%"), (0.0, "0.0%"), (float("nan"), "–"), (None, "–")],
)  # fmt: skip
def test_only_all_is_a_hundred_percent_and_only_none_is_none(value, text):
    assert share(value) == text


def test_one_is_not_many():
    found = [counted(n, "trial") for n in (0, 1, 2, 10_000)]
    assert found == ["0 trials", "1 trial", "2 trials", "10,000 trials"]
