"""Figures, their targets, and the table of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value. `target` is its maximum, or its minimum if `more_is_better`; None for no target."""

    what: str
    value: float
    unit: str
    target: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.more_is_better else self.value <= self.target


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least the ratio `share` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def figures_table(figures: Sequence[Figure]) -> Table:
    """The figures as text, with the targets and whether they are met."""
    return [["", "measured", "target", "", "note"], *map(_row, figures)]


def _row(figure: Figure) -> list[str]:
    target = "" if figure.target is None else f"{'≥' if figure.more_is_better else '<'} {figure.target:,.4g}"
    met = "" if figure.met is None else "met" if figure.met else "NOT met"
    digits = 0 if figure.value >= 100 else 1
    return [figure.what, f"{figure.value:,.{digits}f} {figure.unit}", target, met, figure.note]
