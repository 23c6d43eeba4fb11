"""Numbers and findings in words, for the template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

LEARNED = ("dev_em", "em", "accuracy", "overlap@5", "loss")


def number(value: float | None, unit: str = "", digits: int | None = None) -> str:
    """A value with its unit: 66.7 %, 3.2 passages, 0.8312; – where there is none."""
    if value is None:
        return "–"
    if unit == "%":
        return f"{value:.{1 if digits is None else digits}f} %"
    shown = f"{value:.{(2 if unit else 3) if digits is None else digits}f}"
    return f"{shown} {unit}".strip()


def points(value: float, unit: str = "") -> str:
    """A difference, with its sign; differences of shares are percentage points."""
    sign = "−" if value < 0 else "+"
    return f"{sign}{number(abs(value), '' if unit == '%' else unit, 1 if unit == '%' else None)}"


def span(interval: tuple[float, float] | None, unit: str = "") -> str:
    """An interval: 61.7 – 71.4."""
    if interval is None:
        return ""
    digits = 1 if unit == "%" else 3
    low, high = (f"{value:.{digits}f}".replace("-", "−") for value in interval)
    return f"{low} – {high}"


def probability(value: float) -> str:
    """A p-value: p < 0.001, p = 0.034."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def duration(seconds: float | None) -> str:
    """42 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def learning_metric(rows: Sequence[dict[str, Any]]) -> str:
    """Of the models' evaluations, the metric to draw by step."""
    names = [name for row in rows for line in row["evaluations"] for name in line if name != "step"]
    return next((name for name in LEARNED if name in names), names[0] if names else "")


FILTERS: dict[str, Callable[..., str]] = {
    "number": number,
    "points": points,
    "span": span,
    "probability": probability,
    "duration": duration,
    "learning_metric": learning_metric,
}
TESTS: dict[str, Callable[..., bool]] = {"in_first": lambda name: name != "F1" and not name.startswith("gold-R@")}
"""What stands in the first table of metrics; the others are in the second."""
