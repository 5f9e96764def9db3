"""`lake contract widen`: make one column wider on purpose, and rewrite however many published files that takes.

It is a batch of its own without raw files: claimed, fenced, recorded and rolled forward like any other. What it
writes is pending until its point of no return, so the store holds the rewritten files twice for that long.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from lake_pipeline.contract.contract import Column, Contract
from lake_pipeline.contract.paths import parse_path, show_path
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.contract.widening import all_doubles, integers, wider
from lake_pipeline.errors import ContractMoved, LakeError, LeaseLost, OutcomeUnknown, PermanentError
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.lease import Heartbeat
from lake_pipeline.ingest.publish import abort, roll_forward
from lake_pipeline.ingest.reconcile import recover, sweep_if_possible
from lake_pipeline.ingest.widening import Recording
from lake_pipeline.ledger.claims import WIDEN
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest

log = logging.getLogger(__name__)

TRIES = 20
"""How often it begins again because another batch changed the contract; what fits the new one is rewritten anew."""


@dataclass(frozen=True, kw_only=True)
class Widened:
    """What a widening did to a column: its types as text, and the files and rows that were rewritten for it."""

    batch_id: str
    column: str
    path: str
    before: str
    after: str
    contract_version: int
    files: int
    rows: int


def widen_column(lake: Lake, shown: str) -> Widened:
    """Make the column at the JSON path `shown` hold fractions.

    Raises `PermanentError` where there is nothing to widen there, else what an ingest raises. When it is stopped
    before its point of no return nothing has happened; after it, whoever comes next goes on.
    """
    recover(lake)
    for _ in range(TRIES):
        contract, column, seen = _wanted(lake, shown)
        widened = contract.widened([column.path], seen)
        claim = lake.ledger.open_empty(WIDEN, owner=this_owner(), lease_seconds=lake.lease_seconds)
        try:
            return _rewrite(lake, claim, column, widened)
        except ContractMoved as error:
            moved = error
            log.info("The contract was changed meanwhile, beginning again: %s", error)
    raise moved


def _rewrite(lake: Lake, claim: Claim, column: Column, contract: Contract) -> Widened:
    with Heartbeat(lake.ledger, claim) as heartbeat:
        # Its look at the lake comes before anything is recorded; that there will be one is what makes it a widening.
        manifest = Manifest(curated=(), quarantine=(), files=(), as_of=0)
        recording = Recording(lake, claim, heartbeat, manifest, contract, limit=None)
        try:
            version = recording.record()
        except (LeaseLost, OutcomeUnknown):
            raise
        except BaseException as error:
            # Once it is given back nothing of it will ever be published.
            lake.ledger.release(claim, reason=str(error) if isinstance(error, LakeError) else "interrupted")
            abort(lake.store, recording.manifest)
            sweep_if_possible(lake)
            raise
        roll_forward(lake, claim.batch_id, recording.manifest)
    after = next(each for each in contract.columns if each.path == column.path)
    return Widened(
        batch_id=claim.batch_id,
        column=column.name,
        path=show_path(column.path),
        before=str(column.type),
        after=str(after.type),
        contract_version=version,
        files=len(recording.manifest.rewritten),
        rows=sum(part.rows for part in recording.manifest.rewritten),
    )


def _wanted(lake: Lake, shown: str) -> tuple[Contract, Column, Shape]:
    """The contract in force, the column at the path, and a record shape with what it should hold."""
    contract = lake.ledger.contract()
    column = _column(contract, shown)
    assert contract is not None, "a column has a contract"
    shape = lake.ledger.wanted_widenings().get(show_path(column.path)) or _doubles(column)
    if wider(column.shape, shape) is column.shape:
        raise PermanentError(f"{shown} is {column.type} and holds fractions already; there is nothing to widen.")
    for key in reversed(column.path):
        shape = Shape(Kind.STRUCT, {key: shape})
    return contract, column, shape


def _column(contract: Contract | None, shown: str) -> Column:
    if contract is None:
        raise PermanentError("There is no contract yet: run `lake discover`, then `lake ingest`.")
    for column in contract.columns:
        if shown in (show_path(column.path), column.name):
            return column
    try:
        parse_path(shown)
    except ValueError as error:
        raise PermanentError(str(error)) from error
    raise PermanentError(f"No column comes from {shown}. `lake contract show` lists the columns and their JSON paths.")


def _doubles(column: Column) -> Shape:
    """What a column becomes that met no fractions yet: clear where there is one integer to widen in it."""
    found = len(list(integers(column.shape)))
    if found > 1:
        raise PermanentError(
            f"{show_path(column.path)} is {column.type} and holds {found} kinds of integers. Which of them become "
            "doubles is told by the fractions that come, and none came yet."
        )
    return all_doubles(column.shape)
