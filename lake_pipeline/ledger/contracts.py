"""Contracts: their versions, the evidence for them, and the columns that should become wider.

Read-only. New versions are made in `contract_agreement`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.shapes import Shape
from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.contract_agreement import latest_contract, lossy_widenings, requested_widenings
from lake_pipeline.ledger.queries import query


@dataclass(frozen=True, kw_only=True)
class ContractStep:
    """One version in the history: its time, and the batch that introduced it, with its kind."""

    contract: Contract
    at: datetime
    batch_id: str
    batch_kind: str


@dataclass(frozen=True, kw_only=True)
class PathEvidence:
    """Values of one kind at one path: the number of published rows, and the first and last file and version.

    A key is None if the file is not in the ledger.
    """

    path: str
    kind: str
    rows: int
    first_key: str | None
    last_key: str | None
    first_version: int
    last_version: int
    first_seen_at: datetime
    last_seen_at: datetime


class Contracts(Component):
    """Contract versions and evidence."""

    def latest(self) -> Contract | None:
        """The contract in force; None until a batch with rows has passed its point of no return."""
        with self._database.transaction() as connection:
            return latest_contract(connection)

    def version(self, version: int) -> Contract | None:
        """The contract with that number, or None."""
        with self._database.transaction() as connection:
            row = connection.execute(query("contract_of_version"), {"version": version}).one_or_none()
        return Contract.from_json(row.contract).with_version(row.version) if row else None

    def history(self) -> list[ContractStep]:
        """Every version, oldest first."""
        with self._database.transaction() as connection:
            return [
                ContractStep(
                    contract=Contract.from_json(row.contract).with_version(row.version),
                    at=row.created_at,
                    batch_id=row.batch_id,
                    batch_kind=row.kind,
                )
                for row in connection.execute(query("contract_versions"))
            ]

    def version_of_batch(self, batch_id: str) -> int | None:
        """The version that a batch introduced, if any."""
        with self._database.transaction() as connection:
            version: int | None = connection.scalar(query("contract_version_of_batch"), {"batch_id": batch_id})
        return version

    def evidence(self) -> list[PathEvidence]:
        """Evidence in the order of first appearance; for each path the most frequent kind first."""
        with self._database.transaction() as connection:
            return [PathEvidence(**row._mapping) for row in connection.execute(query("evidence"))]

    def requested_widenings(self) -> dict[str, Shape]:
        """Columns that received fractions and wait for `lake contract widen`: path text → shape that fits both."""
        with self._database.transaction() as connection:
            return requested_widenings(connection)

    def lossy_widenings(self) -> frozenset[str]:
        """Those of them that would take integers beyond 2^53 out of the column: path texts."""
        with self._database.transaction() as connection:
            return lossy_widenings(connection)
