"""The scientific hparams of all stages, as one DataFrame."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import ISOLATED, isolated_rows
from hpsearch.report.text import is_real, number, plain

if TYPE_CHECKING:
    import pandas as pd


def isolated_of_all(material: Material) -> "pd.DataFrame":
    """One row per stage and value of a scientific hparam, the last stage first: stage, the
    value's `name_`, then as in `stages.isolated`.
    """
    import pandas as pd

    rows = [
        {"stage": document.stage, "name_": value_name(row), **row}
        for document in reversed(material.searches)
        for row in isolated_rows(document)
    ]
    return pd.DataFrame(rows, columns=["stage", "name_", *ISOLATED])


def value_name(row: Mapping[str, Any]) -> str:
    """A value as the other tables have it, or the part of a range."""
    if row["value"] is None and is_real(row["low"]):
        return f"{number(row['low'], 3)} .. {number(row['high'], 3)}"
    return plain(number(row["value"]), 24)
