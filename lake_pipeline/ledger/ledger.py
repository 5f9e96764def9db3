"""The ledger: the queue and the account of every raw file, in PostgreSQL.

This is the one class that the rest of the program uses. What it does is written in its parts: registering,
claims, versions, recovery, publishing, contracts, operating, upkeep, sources, snapshots, views, promises and auditing.
"""

from __future__ import annotations

from lake_pipeline.ledger.auditing import Auditing
from lake_pipeline.ledger.claims import Claiming
from lake_pipeline.ledger.contracts import Contracts
from lake_pipeline.ledger.operating import Operating
from lake_pipeline.ledger.promises import Promises
from lake_pipeline.ledger.publishing import Publishing
from lake_pipeline.ledger.recovery import Recovering
from lake_pipeline.ledger.registering import Registering
from lake_pipeline.ledger.snapshots import Snapshots
from lake_pipeline.ledger.sources import Sources
from lake_pipeline.ledger.upkeep import Upkeep
from lake_pipeline.ledger.versions import Versions
from lake_pipeline.ledger.views import Views


class Ledger(
    Registering,
    Claiming,
    Versions,
    Recovering,
    Publishing,
    Contracts,
    Operating,
    Upkeep,
    Sources,
    Snapshots,
    Views,
    Promises,
    Auditing,
):
    """The ledger at a PostgreSQL URL. It connects when first used; safe to share between threads.

    Every method may raise `LedgerUnavailable` (trying again may help; nothing was written), `OutcomeUnknown` (the
    connection broke during the commit of a write) and, at first use, `LedgerOutdated`.
    """
