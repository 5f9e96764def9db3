"""The parts that every use case works with. `lake_pipeline.composition` creates them from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from lake_pipeline.convert.request import ConversionOptions, Engine
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model import defaults
from lake_pipeline.model.files import NewVersion
from lake_pipeline.model.key_filter import KeyFilter
from lake_pipeline.storage.object_store import ObjectStore


@dataclass(frozen=True, kw_only=True)
class Lake:
    """An open lake. `batch_files` and `batch_bytes` (as stored) bound one batch, `lease_seconds` one claim.

    `rewrite_bytes` bounds the published bytes that a batch rewrites to widen columns. `new_version` decides what to do
    if a key is uploaded again with different content. The store may delete quarantined records after
    `quarantine_days`; None for never. Checks warn if more than the ratio `quarantine_warning` of a partition's records
    are quarantined. They also warn if it has less than the ratio `usual_share` of the usual rows of its weekday, or if
    files wait for longer than `fresh_hours`. A listing leaves out files that were changed less than `min_age_seconds`
    ago. Discovery registers the files that `key_filter` lets pass.
    """

    store: ObjectStore
    ledger: Ledger
    engine: Engine
    options: ConversionOptions
    batch_files: int = defaults.BATCH_FILES
    batch_bytes: int = defaults.BATCH_BYTES
    lease_seconds: int = defaults.LEASE_SECONDS
    max_attempts: int = defaults.MAX_ATTEMPTS
    rewrite_bytes: int = defaults.REWRITE_BYTES
    new_version: NewVersion = NewVersion.REPLACE
    quarantine_days: int | None = None
    quarantine_warning: float = defaults.QUARANTINE_WARNING
    usual_share: float = defaults.USUAL_SHARE
    fresh_hours: float = defaults.FRESH_HOURS
    min_age_seconds: float = 0.0
    key_filter: KeyFilter = field(default_factory=KeyFilter)
