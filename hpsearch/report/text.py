"""How values become text. What comes from a config, a file or an error is shown, never obeyed."""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hpsearch.inert import plain
from hpsearch.verdict import Verdict

__all__ = [
    "MISSING", "SIGNS", "accuracy", "counted", "duration", "is_real", "metric", "number",
    "numbers", "plain", "settings", "share",
]  # fmt: skip

SIGNS = {Verdict.PASS: "✓", Verdict.WARN: "!", Verdict.FAIL: "✗"}
MISSING = "–"


def number(value: Any, digits: int = 4) -> str:
    """One value, a float to so many significant digits: 0.0213, 3.4e-5, 64-32 for a tuple."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _short(f"{value:.{digits}g}")
    if isinstance(value, list | tuple):
        return "-".join(number(item) for item in value)
    return plain(value, 40)


def _short(text: str) -> str:
    """1e-05 as 1e-5."""
    if "e" not in text:
        return text
    return re.sub(r"e([+-])0*(?=\d)", lambda m: "e-" if m[1] == "-" else "e", text)


def numbers(values: Sequence[Any]) -> list[str]:
    """A column of values in one format, so that right-aligned digits stand below each other."""
    sizes = [abs(v) for v in values if is_real(v) and v]
    if not any(isinstance(v, float) for v in values) or not sizes:
        return [number(v) for v in values]
    if min(sizes) < 0.001 or max(sizes) >= 1e5:
        return [_short(f"{v:.2e}") if is_real(v) and v else number(v) for v in values]
    places = _places(min(sizes), max(sizes))
    return [f"{v:.{places}f}" if is_real(v) else number(v) for v in values]


def _places(least: float, most: float) -> int:
    """Decimals that leave four digits of the largest and, if there is room, three of the least."""
    wanted = max(3 - math.floor(math.log10(most)), 2 - math.floor(math.log10(least)), 0)
    return min(wanted, 5 if most < 1 else 4)


def is_real(value: Any) -> bool:
    """Whether it is a finite number, also as a float."""
    there = isinstance(value, int | float) and not isinstance(value, bool)
    return there and -sys.float_info.max <= value <= sys.float_info.max


def share(value: Any) -> str:
    """A fraction as a percentage: 100.0% is all of it, and 0.0% none."""
    if not is_real(value):
        return MISSING
    if 0 < value < 0.0005:
        return "<0.1%"
    return ">99.9%" if 0.9995 <= value < 1 else f"{value:.1%}"


def counted(count: int, noun: str) -> str:
    """1 trial, 2 trials, 10,000 trials."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def accuracy(value: Any) -> str:
    return f"{value:.4f}" if is_real(value) else MISSING


def metric(name: str, value: Any) -> str:
    """A metric's value: four decimals of an accuracy, four digits of a loss."""
    return number(value) if name.endswith("loss") else accuracy(value)


def settings(hparams: Mapping[str, Any]) -> str:
    """Hparams in one line."""
    return ", ".join(f"{plain(name, 40)} {number(value)}" for name, value in hparams.items())


def duration(seconds: float) -> str:
    """About how long: under 1 s, 4 s, 3 min, 1 h 20 min."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
