"""Types of options for numbers and names of scores. What cannot make sense is a usage error before any work."""

from __future__ import annotations

import math
from typing import Any

import click

MOST = 2**31 - 1
"""The largest count: what FAISS, Lucene and PyTorch take as a size."""
LARGEST_SEED = 2**32 - 1


def _refuse_misread(
    kind: click.ParamType[Any], value: Any, word: str, param: click.Parameter | None, ctx: click.Context | None
) -> None:
    """Fail for text that Python reads as a number and other tools do not: `1_0`, and digits of other scripts."""
    from fidtools.data.number_text import number_of

    try:
        number_of(str(value))
    except ValueError:
        kind.fail(f"{value!r} is not a valid {word}.", param, ctx)


class Count(click.IntRange):
    """An integer of at least `min`; help shows no upper bound, which is far beyond what makes sense."""

    name = "integer"

    def __init__(self, min: int = 1, most: int = MOST) -> None:
        super().__init__(min=min)
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The integer. Fails for one that is too small or too large."""
        _refuse_misread(self, value, "integer", param, ctx)
        number = super().convert(value, param, ctx)
        if number > self.most:
            self.fail(f"{number} is too large: at most {self.most:,}.", param, ctx)
        return number


class Number(click.FloatRange):
    """A finite number between `min` and `max`; `most` is an upper bound that help does not show."""

    name = "number"

    def __init__(
        self, min: float | None = None, max: float | None = None, *, open_ends: str = "", most: float = 1e9
    ) -> None:
        super().__init__(min, max, min_open="min" in open_ends, max_open="max" in open_ends)
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Fails for NaN, infinity and one outside the range."""
        _refuse_misread(self, value, "number", param, ctx)
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        if abs(number) > self.most:
            self.fail(f"{value} is too large: at most {self.most:g}.", param, ctx)
        return number

    def _describe_range(self) -> str:
        return "" if self.min is None and self.max is None else super()._describe_range()


class ScoreName(click.types.StringParamType):
    """The name of a score, by which `--teacher` can name it later."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name. Fails for one that `--teacher` would read as something else."""
        text = super().convert(value, param, ctx)
        if not text or text != text.strip() or {"=", ","} & set(text):
            self.fail(f"{text!r}: must be a name without `=`, `,` and blanks around it, for --teacher.", param, ctx)
        from fidtools.data.records import TAKEN

        if text in TAKEN:
            self.fail(f"{text!r}: the name of {TAKEN[text]}; take another.", param, ctx)
        return text


score_name = ScoreName()
positive = Count()
non_negative = Count(min=0)
size = Count(most=1 << 14)
"""Of vectors and hidden states: beyond it a single matrix takes gigabytes."""
tokens = Count(most=1 << 20)
above_zero = Number(min=1e-6)
"""For what something is divided by."""
share = Number(0, 1)
gigabytes = Number(min=0.01, most=1e6)
seed = Count(min=0, most=LARGEST_SEED)
