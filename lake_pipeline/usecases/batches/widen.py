"""`lake contract widen`: make one column wider on purpose, and rewrite as many data files as that takes.

It is a batch without raw files: claimed, fenced, recorded and rolled forward like any other. Until its point of no
return the rewritten files are pending, so the store holds them twice for that long.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from lake_pipeline.contract.contract import Column, Contract
from lake_pipeline.contract.paths import parse_path, show_path
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.contract.widening import all_doubles, integers, wider
from lake_pipeline.errors import ContractMoved, PermanentError
from lake_pipeline.ledger.claims import WIDEN
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.transaction import PublicationTransaction
from lake_pipeline.usecases.recovery.reconcile import recover
from lake_pipeline.usecases.rewrites.record import record_with_rewrites

log = logging.getLogger(__name__)

MAX_WIDENING_ATTEMPTS = 20
"""How often a widening restarts because another batch changed the contract."""


@dataclass(frozen=True, kw_only=True)
class WidenResult:
    """The types of the column before and after, as text, and the data files and rows that were rewritten for it.

    `rescued` rows got their first value in `_rescued`, an integer that no double holds.
    """

    batch_id: str
    column: str
    path: str
    before: str
    after: str
    contract_version: int
    files: int
    rows: int
    rescued: int


def widen_column(lake: Lake, path_text: str) -> WidenResult:
    """Make the column at the JSON path `shown` hold fractions.

    Raises `PermanentError` if there is nothing to widen at that path, otherwise what an ingest raises. If it is
    interrupted before its point of no return, nothing has changed; after it, the next worker finishes it.
    """
    recover(lake)
    for _ in range(MAX_WIDENING_ATTEMPTS):
        contract, column, shape = _requested(lake, path_text)
        try:
            return _widen(lake, column, contract.widened([column.path], shape))
        except ContractMoved as error:
            conflict = error
            log.info("Another batch changed the contract; the widening restarts: %s", error)
    raise conflict


def _widen(lake: Lake, column: Column, contract: Contract) -> WidenResult:
    claim = lake.ledger.claims.open_empty(WIDEN, owner=this_owner(), lease_seconds=lake.lease_seconds)
    with PublicationTransaction(lake, claim) as transaction:
        # That `as_of` is set makes it a widening; recording sets it to the last commit that was looked at.
        manifest = Manifest(curated=(), quarantine=(), files=(), as_of=0)
        version = record_with_rewrites(transaction, manifest, contract, limit=None)
        transaction.roll_forward()
    rewritten = transaction.manifest.rewritten
    after = next(candidate for candidate in contract.columns if candidate.path == column.path)
    return WidenResult(
        batch_id=claim.batch_id,
        column=column.name,
        path=show_path(column.path),
        before=str(column.type),
        after=str(after.type),
        contract_version=version,
        files=len(rewritten),
        rows=sum(part.rows for part in rewritten),
        rescued=sum(sum(part.rescued_by_file.values()) for part in rewritten),
    )


def _requested(lake: Lake, path_text: str) -> tuple[Contract, Column, Shape]:
    """The contract in force, the column at the path, and a record shape with what it should hold."""
    contract = lake.ledger.contracts.latest()
    column = _column(contract, path_text)
    assert contract is not None, "a column has a contract"
    shape = lake.ledger.contracts.requested_widenings().get(show_path(column.path)) or _doubles(column)
    if wider(column.shape, shape) is column.shape:
        raise PermanentError(f"{path_text} is {column.type} and holds fractions already; there is nothing to widen.")
    for key in reversed(column.path):
        shape = Shape(Kind.STRUCT, {key: shape})
    return contract, column, shape


def _column(contract: Contract | None, path_text: str) -> Column:
    if contract is None:
        raise PermanentError("There is no contract yet: run `lake discover`, then `lake ingest`.")
    for column in contract.columns:
        if path_text in (show_path(column.path), column.name):
            return column
    try:
        parse_path(path_text)
    except ValueError as error:
        raise PermanentError(str(error)) from error
    raise PermanentError(
        f"No column comes from {path_text}. `lake contract show` lists the columns and their JSON paths."
    )


def _doubles(column: Column) -> Shape:
    """The wider shape of a column without fractions so far: unambiguous if it contains one integer."""
    count = len(list(integers(column.shape)))
    if count > 1:
        raise PermanentError(
            f"{show_path(column.path)} is {column.type} and holds {count} kinds of integers. The first fractions "
            "decide which of them become doubles, and none came yet."
        )
    return all_doubles(column.shape)
