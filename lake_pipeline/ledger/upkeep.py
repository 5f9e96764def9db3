"""Upkeep: maintenance that keeps queries fast as the ledger grows.

Nothing here changes what a query returns; without it they get slower.
"""

from __future__ import annotations

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query

MAX_CHANGES = 20_000
"""Changes of the backlog that each query sums up, at most: about 10 ms."""


class Upkeep(Component):
    """Maintenance of the ledger."""

    def fold_backlog(self, *, most: int = MAX_CHANGES) -> int:
        """Replace the changes of the backlog by their sums if there are more than `most`; returns the rows left.

        0 if there was nothing to do. Safe with concurrent writers.
        """
        with self._database.transaction() as connection:
            until = connection.scalar(query("backlog_to_fold"), {"most": most})
            return connection.execute(query("fold_backlog"), {"until": until}).rowcount if until else 0
