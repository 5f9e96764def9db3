"""Figures and targets: what was measured, what is wanted, and the table of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value. `wanted` is the most it may be, or the least where `more_is_better`; None for no target."""

    what: str
    value: float
    unit: str
    wanted: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.wanted is None:
            return None
        return self.value >= self.wanted if self.more_is_better else self.value <= self.wanted


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def figures_table(figures: Sequence[Figure]) -> Table:
    """The figures as text, with whether each target is met."""
    return [["", "measured", "wanted", "", "note"], *map(_row, figures)]


def _row(figure: Figure) -> list[str]:
    wanted = "" if figure.wanted is None else f"{'≥' if figure.more_is_better else '<'} {figure.wanted:,.4g}"
    met = "" if figure.met is None else "met" if figure.met else "NOT met"
    digits = 0 if figure.value >= 100 else 1
    return [figure.what, f"{figure.value:,.{digits}f} {figure.unit}", wanted, met, figure.note]
