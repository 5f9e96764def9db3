"""Record a manifest together with the rewrites that it makes necessary.

look at the lake → remove rows of replaced versions, widen columns → record; if others published meanwhile, look again
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.errors import FilesMoved, VersionsMoved
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.usecases.publication.transaction import PublicationTransaction
from lake_pipeline.usecases.recovery.file_conflicts import retry_file_conflicts
from lake_pipeline.usecases.rewrites.remove_rows import RowRemoval
from lake_pipeline.usecases.rewrites.widen_columns import ColumnWidening, check_limit

HOLD_SECONDS = 30.0
"""How long others hold their commits for a later attempt, which only has what came since the one before."""


def record_with_rewrites(
    transaction: PublicationTransaction,
    manifest: Manifest,
    contract: Contract,
    evidence: Evidence | None = None,
    *,
    limit: int | None,
) -> int:
    """Pass the point of no return with `manifest`, completed; returns the contract version in force.

    Older versions that are replaced lose their rows in the same manifest. `limit` bounds the bytes that are rewritten
    to widen columns; None for no limit, and then integers may go to `_rescued`: a person asked for it. Raises what
    `ledger.publication.record_manifest` does: `FilesMoved` only after many attempts, `ContractMoved` also above the
    limit, and `WideningRefused`.
    """
    rewrites = _Rewrites(transaction, manifest, contract, limit)
    lake = transaction.lake

    def attempt(is_later: bool) -> int:
        completed = transaction.repeated(partial(rewrites.complete, hold_commits=is_later))
        return transaction.record(completed, contract, evidence, new_version=lake.new_version)

    try:
        return retry_file_conflicts(lake, f"Batch {transaction.claim.batch_id}", attempt)
    except FilesMoved as error:
        raise FilesMoved(
            "Other batches kept publishing files that this one has to rewrite first; it will be retried."
        ) from error


class _Rewrites:
    """Completes `manifest` with what must be rewritten at this moment."""

    def __init__(
        self, transaction: PublicationTransaction, manifest: Manifest, contract: Contract, limit: int | None
    ) -> None:
        self._transaction = transaction
        self._lake = transaction.lake
        self._manifest = manifest
        self._contract = contract
        self._limit = limit
        self._removal = RowRemoval(transaction, may_rescue=limit is None)
        self._widening = ColumnWidening(transaction, contract, may_rescue=limit is None)

    def complete(self, *, hold_commits: bool) -> Manifest:
        # In this order: whatever is published between two of these queries is then seen by the later ones, or by the
        # ledger.
        ledger = self._lake.ledger
        as_of = ledger.publication.last_commit()
        replaced = self._replaced_versions()
        in_force = ledger.contracts.latest()
        narrow = in_force.narrower_than(self._contract) if in_force else ()
        if in_force is None or not narrow or not (self._manifest.curated or self._manifest.as_of is not None):
            self._widening.update([])
            return self._without_replaced(replaced, None)
        ledger.publication.hold_commits(self._transaction.claim, seconds=HOLD_SECONDS if hold_commits else 0)
        since = min(column.since for column in narrow)
        files = ledger.curated.files_of_versions(since=since, until=in_force.version)
        check_limit(files, self._limit)
        # A file that loses rows is widened in the same rewrite.
        completed = self._without_replaced(replaced, self._contract)
        losing_rows = {part.key for part in completed.reduced}
        rewritten = self._widening.update([file for file in files if file.key not in losing_rows])
        return replace(completed, rewritten=rewritten, as_of=as_of)

    def _replaced_versions(self) -> tuple[int, ...]:
        """The older versions that this batch replaces. Raises `VersionsMoved` and `FilesMoved`."""
        verdict = self._lake.ledger.file_versions.decide(self._transaction.claim, self._lake.new_version)
        if verdict.withdrawn:
            raise VersionsMoved(
                "Another version of a file in this batch was registered meanwhile; the batch is claimed again."
            )
        if verdict.waits:
            raise FilesMoved("An older version of a file in this batch is being published at this moment.")
        return verdict.replaced(self._manifest)

    def _without_replaced(self, replaced: tuple[int, ...], contract: Contract | None) -> Manifest:
        """The manifest with the files that lose the rows of replaced versions; with the wider types of `contract`."""
        return replace(
            self._manifest,
            reduced=self._removal.curated_without(replaced, contract),
            reduced_quarantine=self._removal.quarantine_without(replaced),
            superseded=replaced,
        )
