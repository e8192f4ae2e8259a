"""No cell of a table is a formula, and no number is changed."""

import csv
import io
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report_samples import diverged, settings, trial

from hpsearch.commands.predicting import Answers
from hpsearch.csvtables import curves_csv, neutral, trials_csv
from hpsearch.data.unlabelled import Unlabelled

PAYLOADS = (
    "=1+1", "=cmd|' /C calc'!A0", "=HYPERLINK(\"http://x.example\",\"look\")", "+1+1", "-2+3",
    "-cmd|x", "@SUM(1+1)*cmd|' /C calc'!A0", "\t=1+1", "\r=1+1", "\n=1+1", "  =1+1",
    "\u00a0=1+1", "\u3000@x", "\u200b=1+1", "\ufeff=1+1", "\x00=1+1", "\uff1d1+1", "\uff0b1+1",
    "\uff0d1+1", "\uff20SUM(1)", "\ufe66x", "x;=1+1", "x\t=1+1", "x\n=1+1",
    "x\r\n \u00a0+cmd|x", "=-0.5", "\u202e=x", "-", "+", "\x1b=x", "\t", "DDE;@x", "-inf",
)  # fmt: skip
HARMLESS = ("relu", "a=b", "flip+shift2", "x-y", "e@f", "50-60", "'=1", "loss not finite; 3", "")
NUMBERS = ("-0.5", "+1", "-1", "1e-05", "-1.5E+300", "0", "-3.")


def begins_a_formula(cell):
    """Told in another way than by the code: no text of a cell, or of a part of it that another
    separator makes a cell, may begin with a sign once what cannot be seen is taken away.
    """
    sign = re.compile(r"[\s\x00-\x20\x1b\u00a0\u200b\u202e\u3000\ufeff]*[=+\-@＝＋－＠﹦]")
    begins = cell.startswith(("\t", "\r", "\n"))
    return begins or any(sign.match(part) for part in re.split(r"[;\t\r\n]", cell))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_formula_is_text(payload):
    assert not begins_a_formula(neutral(payload))
    assert neutral(payload).replace("'", "") == payload.replace("'", ""), "nothing is lost"


@pytest.mark.parametrize("text", [*HARMLESS, *NUMBERS])
def test_what_is_none_stays_as_it_is(text):
    assert neutral(text) == text


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_table_holds_one(payload):
    results = [
        trial(0, [0.5], **{**settings(0.1), "activation": payload}),
        diverged(1, reason=payload, stage=payload, **{payload: 0.5}),
    ]
    rows = Unlabelled(np.zeros((1, 1)), [payload], "image")
    tables = [
        *trials_csv(results, stage=True), *curves_csv(results, stage=True),
        Answers((payload, "b"), rows, np.array([[0.75, 0.25]])).to_csv(),
    ]  # fmt: skip
    for table in tables:
        cells = [cell for row in csv.reader(io.StringIO(table, newline="")) for cell in row]
        assert not [c for c in cells if begins_a_formula(c) and c not in NUMBERS], table
    assert "\x1b" not in tables[-1] and "\u202e" not in tables[-1], "it goes to the terminal"


@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_every_number_is_read_back_exactly(numbers):
    results = [trial(n, [0.5], rate=x, weight_decay=-0.5) for n, x in enumerate(numbers)]
    text = "".join(trials_csv(results, stage=True))
    read = pd.read_csv(io.StringIO(text))
    finite = [x if math.isfinite(x) else math.nan for x in numbers]
    np.testing.assert_array_equal(read.rate.to_numpy(float), finite)
    assert (read.weight_decay == -0.5).all() and (read.stage == "coarse").all()


def test_a_table_of_several_stages_is_each_ones_table_with_its_name():
    results = [trial(0, [0.5, 0.6], rate=1.0), diverged(0, stage="refine-1", rate=2.0)]
    for table in (trials_csv, curves_csv):
        head, *rows = "".join(table(results, stage=True)).splitlines()
        alone = "".join(table(results)).splitlines()
        assert head == f"stage,{alone[0]}"
        assert [row.partition(",")[2] for row in rows] == alone[1:]
        assert rows[0].startswith("coarse,")
