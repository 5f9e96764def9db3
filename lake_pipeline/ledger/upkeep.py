"""Upkeep: what keeps the ledger quick however much happened in it.

Nothing here changes what the ledger tells; leaving it out costs time, never truth.
"""

from __future__ import annotations

from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query

MOST_CHANGES = 20_000
"""Changes of the backlog that are summed up at each look: about 10 ms."""


class Upkeep(Database):
    """The part of the ledger that tidies up."""

    def fold_backlog(self, *, most: int = MOST_CHANGES) -> int:
        """Replace the changes of the backlog by their sums where there are more than `most`; returns what is left.

        0 where there was nothing to do. Cheap then, and harmless beside any other writer.
        """
        with self.transaction() as connection:
            until = connection.scalar(query("backlog_to_fold"), {"most": most})
            return connection.execute(query("fold_backlog"), {"until": until}).rowcount if until else 0
