"""Publishing: from the point of no return, when the manifest is in the ledger, to the archived originals.

Everything after that point is idempotent, because whoever comes next may have to do it again. Whether the objects
themselves are visible is the caller's business.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.errors import LeaseLost
from lake_pipeline.ledger.accounting import check_manifest
from lake_pipeline.ledger.agreeing import add_evidence, agree, latest_contract, one_at_a_time
from lake_pipeline.ledger.committing import add_commit
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.replacing import FORGET, reserve, settle_replaced
from lake_pipeline.ledger.settling import after_publish, lock_files, plain_text, settle
from lake_pipeline.ledger.snapshots import refuse_held
from lake_pipeline.ledger.versions import check_versions
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.files import NewVersion
from lake_pipeline.model.manifest import FileOutcome, Manifest, QuarantinePart
from lake_pipeline.model.states import BatchState


@dataclass(frozen=True, kw_only=True)
class ArchiveTask:
    """Move the version `etag` of `key` to `archive_key`."""

    file_id: int
    key: str
    etag: str
    archive_key: str


class Publishing(Database):
    """The part of the ledger that makes a conversion count."""

    def record_manifest(
        self,
        claim: Claim,
        manifest: Manifest,
        contract: Contract,
        evidence: Evidence | None = None,
        *,
        new_version: NewVersion = NewVersion.APPEND,
    ) -> int:
        """Pass the point of no return; returns the contract version in force, 0 where none was ever stored.

        `contract` is what the parts were written with; what it adds becomes the next version. `evidence` is added
        to that of all batches before; `new_version` is what becomes of other versions of its files. Raises
        `LeaseLost`, `ContractMoved`, `FilesMoved`, `VersionsMoved` and `SnapshotsHold`, and then nothing was written;
        ValueError for a manifest whose account is wrong. After `OutcomeUnknown` the pending objects must stay:
        `batch_states` tells whether they will be published.
        """
        check_manifest(claim, manifest)
        with self.transaction() as connection:
            kind = self._hold(connection, claim)
            one_at_a_time(connection)
            check_versions(connection, claim, manifest, new_version)
            reserve(connection, claim, kind, manifest)
            if kind == FORGET:
                refuse_held(connection, manifest.superseded)
            version = self._contract_for(connection, claim, manifest, contract)
            if evidence is not None and manifest.curated:
                add_evidence(connection, claim, evidence, version)
            recorded = connection.execute(
                query("record_manifest"),
                {
                    "batch_id": claim.batch_id,
                    "owner": claim.owner,
                    "manifest": json.dumps(_with_plain_texts(manifest).to_json()),
                    "contract_version": version,
                },
            )
            if recorded.rowcount != 1:
                raise LeaseLost(claim.batch_id)
        return version

    def _contract_for(self, connection: Connection, claim: Claim, manifest: Manifest, contract: Contract) -> int:
        if manifest.curated or manifest.as_of is not None:
            return agree(connection, claim, manifest, contract)
        # A batch that publishes no row has no say in what a row is.
        latest = latest_contract(connection)
        return latest.version if latest else 0

    def _hold(self, connection: Connection, claim: Claim) -> str:
        """Lock the claim and tell its kind. Raises `LeaseLost` unless it still holds exactly its files."""
        kind: str | None = connection.scalar(query("hold_claim"), {"batch_id": claim.batch_id, "owner": claim.owner})
        if kind is None:
            raise LeaseLost(claim.batch_id)
        held = connection.scalars(query("ids_of_claim"), {"batch_id": claim.batch_id})
        if set(held) != {file.file_id for file in claim.files}:
            raise LeaseLost(claim.batch_id)
        return kind

    def finish_publish(self, batch_id: str, *, max_attempts: int) -> bool:
        """Settle a batch whose objects are all visible; False when that was done before.

        Each file goes where its outcome says: CONVERTED to SUCCEEDED and to the archive's queue, REFUSED to
        QUARANTINED, FAILED to its next attempt, or to QUARANTINED when it was tried `max_attempts` times.
        Raises `LeaseLost` for a batch that never passed its point of no return.
        """
        with self.transaction() as connection:
            batch = connection.execute(query("batch_to_finish"), {"batch_id": batch_id}).one_or_none()
            if batch is not None and batch.state == BatchState.PUBLISHED:
                return False
            if batch is None or batch.state != BatchState.PUBLISHING:
                raise LeaseLost(batch_id)
            manifest = Manifest.from_json(batch.manifest)
            self._settle_files(connection, batch_id, manifest, max_attempts)
            if manifest.curated or manifest.rewritten or manifest.stripped:
                add_commit(connection, batch_id, manifest, batch.contract_version)
            settle_replaced(connection, batch_id, batch.kind, manifest)
            self._add_quarantine(connection, batch_id, manifest.quarantine)
            self._finish_batch(connection, batch_id, manifest.files)
        return True

    def _settle_files(self, connection: Connection, batch_id: str, manifest: Manifest, max_attempts: int) -> None:
        outcomes = {outcome.file_id: outcome for outcome in manifest.files}
        held = lock_files(connection, batch_id)
        if outcomes.keys() != {file.file_id for file in held}:
            raise LeaseLost(batch_id)
        settlements = [after_publish(file, outcomes[file.file_id], max_attempts=max_attempts) for file in held]
        settle(connection, batch_id, settlements)

    def _add_quarantine(self, connection: Connection, batch_id: str, parts: Collection[QuarantinePart]) -> None:
        rows = [
            {"key": part.object.key, "rows": part.rows, "size": part.object.size, "etag": part.object.etag}
            for part in parts
        ]
        connection.execute(query("add_quarantine_files"), {"batch_id": batch_id, "parts": json.dumps(rows)})

    def _finish_batch(self, connection: Connection, batch_id: str, files: Collection[FileOutcome]) -> None:
        finished = connection.execute(
            query("finish_batch"),
            {
                "batch_id": batch_id,
                "rows_read": sum(file.read for file in files),
                "rows_published": sum(file.published for file in files),
                "rows_quarantined": sum(file.quarantined for file in files),
                "rows_rescued": sum(file.rescued for file in files),
            },
        )
        if finished.rowcount != 1:
            raise LeaseLost(batch_id)

    def awaiting_archive(self, *, limit: int, batch_id: str | None = None) -> list[ArchiveTask]:
        """At most `limit` published originals that were not moved yet, of one batch if it is named."""
        with self.transaction() as connection:
            if batch_id is None:
                rows = connection.execute(query("awaiting_archive"), {"limit": limit})
            else:
                rows = connection.execute(query("awaiting_archive_of_batch"), {"limit": limit, "batch_id": batch_id})
            return [
                ArchiveTask(file_id=row.file_id, key=row.s3_key, etag=row.etag, archive_key=row.archive_key)
                for row in rows
            ]

    def archived(self, file_ids: Collection[int]) -> None:
        """Note that these originals were moved. Noting it again is harmless."""
        if file_ids:
            with self.transaction() as connection:
                connection.execute(query("mark_archived"), {"file_ids": sorted(file_ids)})


def _with_plain_texts(manifest: Manifest) -> Manifest:
    files = (replace(file, reason=plain_text(file.reason), error=plain_text(file.error)) for file in manifest.files)
    return replace(manifest, files=tuple(files))
