"""The parts that every use case works with, put together once by `lake_pipeline.opening`."""

from __future__ import annotations

from dataclasses import dataclass

from lake_pipeline.convert.request import ConversionOptions, Engine
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.files import NewVersion
from lake_pipeline.storage.objects import ObjectStore

REQUESTS_AT_ONCE = 16
"""Objects that are published or archived at the same time. A request to S3 takes 20 to 100 ms, nearly all of it
waiting, so this is 160 to 800 requests a second; S3 takes 3,500 writes a second below one prefix."""


@dataclass(frozen=True, kw_only=True)
class Lake:
    """An open lake. `batch_files` and `batch_bytes` (as stored) bound one batch, `lease_seconds` one claim.

    `rewrite_bytes` bounds the published bytes that a batch rewrites because a column becomes wider. `new_version` is
    what becomes of a file whose key comes again with other content. `quarantine_days` after they were written,
    quarantined records may be deleted by the store; None for never. Checks warn above `quarantine_warning`, the share
    of a partition's records that are quarantined, below `usual_share` of the rows that its weekday usually has, and of
    files that wait for longer than `fresh_hours`.
    """

    store: ObjectStore
    ledger: Ledger
    engine: Engine
    options: ConversionOptions
    batch_files: int = 1000
    batch_bytes: int = 2 << 30
    lease_seconds: int = 600
    max_attempts: int = 5
    rewrite_bytes: int = 1 << 30
    new_version: NewVersion = NewVersion.REPLACE
    quarantine_days: int | None = None
    quarantine_warning: float = 0.01
    usual_share: float = 0.5
    fresh_hours: float = 24.0
