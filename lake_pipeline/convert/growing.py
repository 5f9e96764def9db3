"""The contract of one conversion while it runs: it grows by what is new, and becomes wider where that is allowed."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import LONGEST_PATH
from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.shapes import Shape
from lake_pipeline.contract.widening import wider


class GrowingContract:
    """Shared by the threads of a conversion. It only ever grows.

    Columns older than the contract version `widens_from` keep their type: too many published files have them.
    `widenings` counts how often it became wider: rows that were converted before have the narrower type. `wishes`
    are the columns that had to stay narrow: shown path → the shape that would hold what came.
    """

    def __init__(self, contract: Contract, widens_from: int = 0) -> None:
        self._lock = threading.Lock()
        self._widens_from = widens_from
        self.current = contract
        self.widenings = 0
        self.wishes: dict[str, Shape] = {}

    def grow(self, seen: Shape) -> Contract:
        """Add what is new in `seen`; returns the contract that is current then."""
        with self._lock:
            grown = self.current.grown(seen)
            wanted = grown.widenings(seen)
            self.current = self._widened(grown, wanted, seen) if wanted else grown
            return self.current

    def _widened(self, contract: Contract, wanted: Mapping[Path, Shape], seen: Shape) -> Contract:
        allowed = [path for path in wanted if contract.since(path) >= self._widens_from]
        for path in wanted.keys() - set(allowed):
            shown = show_path(path)
            if len(shown) <= LONGEST_PATH:
                self.wishes[shown] = wider(self.wishes.get(shown, wanted[path]), wanted[path])
        self.widenings += bool(allowed)
        return contract.widened(allowed, seen)
