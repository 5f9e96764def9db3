"""Contracts: the versions that were agreed on, the evidence behind them, and what a widening has to know.

How a new version comes about is in `agreeing`; here it is looked at, and the gate for a widening is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.shapes import Shape
from lake_pipeline.errors import LeaseLost
from lake_pipeline.ledger.agreeing import latest_contract, wanted_widenings
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.views import CuratedFile, curated_file
from lake_pipeline.model.claims import Claim


@dataclass(frozen=True, kw_only=True)
class ContractStep:
    """One version in the history: when it came, and the batch (of which kind) that brought it."""

    contract: Contract
    at: datetime
    batch_id: str
    batch_kind: str


@dataclass(frozen=True, kw_only=True)
class PathEvidence:
    """Values of one kind at one path: in how many published rows, and in which files and versions first and last.

    The keys are None where the file is not in the ledger.
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


class Contracts(Database):
    """The part of the ledger that knows what a row is, was, and what was seen."""

    def contract(self) -> Contract | None:
        """The contract in force; None until the first batch with rows has passed its point of no return."""
        with self.transaction() as connection:
            return latest_contract(connection)

    def contract_of_version(self, version: int) -> Contract | None:
        """The contract of that number, or None."""
        with self.transaction() as connection:
            row = connection.execute(query("contract_of_version"), {"version": version}).one_or_none()
        return Contract.from_json(row.contract).with_version(row.version) if row else None

    def contract_history(self) -> list[ContractStep]:
        """Every version, oldest first."""
        with self.transaction() as connection:
            return [
                ContractStep(
                    contract=Contract.from_json(row.contract).with_version(row.version),
                    at=row.created_at,
                    batch_id=row.batch_id,
                    batch_kind=row.kind,
                )
                for row in connection.execute(query("contract_versions"))
            ]

    def contract_version_of_batch(self, batch_id: str) -> int | None:
        """The number of the version that a batch brought, if it brought one."""
        with self.transaction() as connection:
            version: int | None = connection.scalar(query("contract_version_of_batch"), {"batch_id": batch_id})
        return version

    def evidence(self) -> list[PathEvidence]:
        """What was seen, in the order in which it came; of one path the most frequent kind first."""
        with self.transaction() as connection:
            return [PathEvidence(**row._mapping) for row in connection.execute(query("evidence"))]

    def wanted_widenings(self) -> dict[str, Shape]:
        """Columns that met fractions and wait for `lake contract widen`: shown path → the shape that holds both."""
        with self.transaction() as connection:
            return wanted_widenings(connection)

    def set_gate(self, claim: Claim, *, seconds: float) -> None:
        """Tell that the batch rewrites published files; with `seconds` others wait so long before they record.

        Raises `LeaseLost`.
        """
        fence = {"batch_id": claim.batch_id, "owner": claim.owner}
        with self.transaction() as connection:
            if connection.execute(query("set_gate"), {**fence, "seconds": seconds}).rowcount != 1:
                raise LeaseLost(claim.batch_id)

    def someone_rewrites(self) -> bool:
        """Whether a batch that is not over may have pending objects under the keys of published files."""
        with self.transaction() as connection:
            return bool(connection.scalar(query("someone_rewrites")))

    def last_commit(self) -> int:
        """The number of the newest lake commit; 0 before the first."""
        with self.transaction() as connection:
            number: int = connection.scalar(query("last_commit"))
        return number

    def curated_files_of_versions(self, *, since: int, until: int) -> list[CuratedFile]:
        """The Parquet files that readers see and that were published under those contract versions, both included."""
        with self.transaction() as connection:
            rows = connection.execute(query("live_curated_files_of_versions"), {"since": since, "until": until})
            return [curated_file(row) for row in rows]

    def live_bytes_by_version(self, *, least: int) -> dict[int, int]:
        """Bytes that readers see, by the contract version they were published under.

        A file of fewer bytes counts as `least`.
        """
        with self.transaction() as connection:
            rows = connection.execute(query("live_bytes_by_version"), {"least": least})
            return {row.contract_version: row.bytes for row in rows}
