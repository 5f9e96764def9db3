"""Publication: from the point of no return, when the manifest is in the ledger, to the finished batch.

Everything after that point is idempotent, because another worker may have to repeat it. Making the objects visible is
the task of the caller.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.errors import LeaseLost
from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.contract_agreement import (
    add_evidence,
    agree_on_contract,
    latest_contract,
    serialize_manifests,
)
from lake_pipeline.ledger.file_versions import check_versions
from lake_pipeline.ledger.finish import finish_batch
from lake_pipeline.ledger.manifest_checks import check_manifest
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.replacement import FORGET, check_superseded, reserve
from lake_pipeline.ledger.settlement import plain_text
from lake_pipeline.ledger.snapshots import refuse_retained
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.files import NewVersion
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.model.states import BatchState


class Publication(Component):
    """Records manifests and finishes batches."""

    def record_manifest(
        self,
        claim: Claim,
        manifest: Manifest,
        contract: Contract,
        evidence: Evidence | None = None,
        *,
        new_version: NewVersion = NewVersion.APPEND,
    ) -> int:
        """Pass the point of no return; returns the contract version in force, 0 if there is none yet.

        `contract` is the one that the parts were written with; what it adds becomes the next version. `evidence` is
        added to that of earlier batches; `new_version` is the policy for other versions of the files. Raises
        `LeaseLost`, `ContractMoved`, `FilesMoved`, `VersionsMoved` or `RetainedBySnapshots` if nothing was written, and
        ValueError for a manifest with a wrong account. After `OutcomeUnknown` the pending objects must be kept:
        `batch_states` shows whether they will be published.
        """
        check_manifest(claim, manifest)
        with self._database.transaction() as connection:
            kind = self._lock(connection, claim)
            serialize_manifests(connection)
            check_versions(connection, claim, manifest, new_version)
            reserve(connection, claim.batch_id, kind, manifest)
            check_superseded(connection, claim.batch_id, manifest)
            if kind == FORGET:
                refuse_retained(connection, manifest.superseded)
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
                    "evidence": json.dumps(evidence.to_json()) if evidence and manifest.curated else None,
                },
            )
            if recorded.rowcount != 1:
                raise LeaseLost(claim.batch_id)
        return version

    def _contract_for(self, connection: Connection, claim: Claim, manifest: Manifest, contract: Contract) -> int:
        if manifest.curated or manifest.as_of is not None:
            return agree_on_contract(connection, claim, manifest, contract)
        # A batch that publishes no rows does not change the contract.
        latest = latest_contract(connection)
        return latest.version if latest else 0

    def _lock(self, connection: Connection, claim: Claim) -> str:
        """Lock the claim and return its kind. Raises `LeaseLost` unless it still holds exactly its files."""
        kind: str | None = connection.scalar(query("lock_claim"), {"batch_id": claim.batch_id, "owner": claim.owner})
        if kind is None:
            raise LeaseLost(claim.batch_id)
        held_ids = connection.scalars(query("ids_of_claim"), {"batch_id": claim.batch_id})
        if set(held_ids) != {file.file_id for file in claim.files}:
            raise LeaseLost(claim.batch_id)
        return kind

    def finish(self, batch_id: str, *, max_attempts: int) -> bool:
        """Finish a batch whose objects are all visible; False if it was finished before.

        A CONVERTED file becomes SUCCEEDED and waits for the archive. A REFUSED one becomes QUARANTINED. A FAILED one
        waits for its next attempt, or becomes QUARANTINED after `max_attempts`. Raises `LeaseLost` for a batch that
        never passed its point of no return.
        """
        with self._database.transaction() as connection:
            return finish_batch(connection, batch_id, max_attempts=max_attempts)

    def hold_commits(self, claim: Claim, *, seconds: float) -> None:
        """Mark that the batch rewrites published files, and hold the manifests of other batches for `seconds`.

        Raises `LeaseLost`.
        """
        fence = {"batch_id": claim.batch_id, "owner": claim.owner}
        with self._database.transaction() as connection:
            if connection.execute(query("hold_commits"), {**fence, "seconds": seconds}).rowcount != 1:
                raise LeaseLost(claim.batch_id)

    def rewrite_in_progress(self) -> bool:
        """Whether an unfinished batch may have pending objects with the keys of published files."""
        with self._database.transaction() as connection:
            return bool(connection.scalar(query("rewrite_in_progress")))

    def last_commit(self) -> int:
        """The number of the newest commit; 0 before the first one."""
        with self._database.transaction() as connection:
            number: int = connection.scalar(query("last_commit"))
        return number

    def batch_states(self, batch_ids: Collection[str]) -> dict[str, BatchState]:
        """The states of the batches that exist, by id."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("batch_states"), {"batch_ids": list(batch_ids)})
            return {row.batch_id: BatchState(row.state) for row in rows}


def _with_plain_texts(manifest: Manifest) -> Manifest:
    files = (replace(file, reason=plain_text(file.reason), error=plain_text(file.error)) for file in manifest.files)
    return replace(manifest, files=tuple(files))
