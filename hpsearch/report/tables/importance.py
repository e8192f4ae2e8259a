"""The hparams' shares of the importance, as a DataFrame."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hpsearch.report.tables.material import Material
from hpsearch.report.text import is_real

if TYPE_CHECKING:
    import pandas as pd


def shares(material: Material) -> "pd.DataFrame":
    """One row per stage and hparam, the last stage first and in it the most important hparam:
    stage, hparam, `share` (1 in all; PED-ANOVA). Stages of a single hparam, in which nothing
    can be compared, and those not judged yet have none.
    """
    import pandas as pd

    rows = [
        {"stage": document.stage, "hparam": name, "share": float(value)}
        for document in reversed(material.searches)
        for name, value in _sorted(document.importance)
        if len(document.importance) > 1
    ]
    return pd.DataFrame(rows, columns=["stage", "hparam", "share"])


def _sorted(importance: Mapping[str, Any]) -> list[tuple[str, float]]:
    real = [(name, value) for name, value in importance.items() if is_real(value)]
    return sorted(real, key=lambda item: -item[1])
