"""The ledger: the queue and the account of every raw file, in PostgreSQL.

`Ledger` is the one class that the rest of the program opens. Each of its attributes is a component in a module of its
own, and all of them share one `Database`. No query belongs here.
"""

from __future__ import annotations

from lake_pipeline.ledger.archive import Archive
from lake_pipeline.ledger.audit import Audit
from lake_pipeline.ledger.claims import Claims
from lake_pipeline.ledger.commit_log import CommitLog
from lake_pipeline.ledger.connection import ConnectionOptions, Database
from lake_pipeline.ledger.contracts import Contracts
from lake_pipeline.ledger.curated import Curated
from lake_pipeline.ledger.expected_rows import ExpectedRows
from lake_pipeline.ledger.file_versions import FileVersions
from lake_pipeline.ledger.files import Files
from lake_pipeline.ledger.identity import Identity
from lake_pipeline.ledger.lineage import Lineage
from lake_pipeline.ledger.operations import Operations
from lake_pipeline.ledger.outages import Outages
from lake_pipeline.ledger.publication import Publication
from lake_pipeline.ledger.recovery import Recovery
from lake_pipeline.ledger.replay import Replay
from lake_pipeline.ledger.skipped import Skipped
from lake_pipeline.ledger.snapshots import Snapshots
from lake_pipeline.ledger.transfer import Transfer
from lake_pipeline.ledger.upkeep import Upkeep
from lake_pipeline.ledger.views import Views


class Ledger:
    """The ledger at a PostgreSQL URL. It connects when first used; safe to share between threads.

    Every method of a component may raise `LedgerUnavailable` (nothing was written; retrying may help),
    `OutcomeUnknown` (the connection broke during the commit of a write) and, at first use, `LedgerOutdated`.
    """

    def __init__(self, url: str, options: ConnectionOptions | None = None, *, location: str | None = None) -> None:
        """`location` says where the ledger is, for messages; by default the address of its database."""
        self.database = Database(url, options)
        self.location = location or self.database.address
        self.identity = Identity(self.database)
        # From landing to publication.
        self.files = Files(self.database)
        self.skipped = Skipped(self.database)
        self.claims = Claims(self.database)
        self.file_versions = FileVersions(self.database)
        self.publication = Publication(self.database)
        self.commit_log = CommitLog(self.database)
        self.archive = Archive(self.database)
        self.recovery = Recovery(self.database)
        self.replay = Replay(self.database)
        self.outages = Outages(self.database)
        # The curated table.
        self.contracts = Contracts(self.database)
        self.curated = Curated(self.database)
        self.lineage = Lineage(self.database)
        self.snapshots = Snapshots(self.database)
        # What people, sensors and checks use.
        self.views = Views(self.database)
        self.expected_rows = ExpectedRows(self.database)
        self.operations = Operations(self.database)
        self.audit = Audit(self.database)
        self.upkeep = Upkeep(self.database)
        self.transfer = Transfer(self.database)

    def close(self) -> None:
        """Close every connection. Using the ledger again opens new ones."""
        self.database.close()
