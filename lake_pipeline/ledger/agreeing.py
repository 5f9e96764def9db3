"""Agreeing on the next contract: compare-and-set, what may not happen while a column widens, and the evidence.

All of it happens in the transaction that records a manifest, so that a contract and the files under it never part.
"""

from __future__ import annotations

import json

from sqlalchemy import Connection

from lake_pipeline.contract.contract import Column, Contract
from lake_pipeline.contract.evidence import MOST_PATHS, Evidence
from lake_pipeline.contract.paths import show_path
from lake_pipeline.contract.shapes import Shape
from lake_pipeline.contract.widening import wider
from lake_pipeline.errors import FilesMoved
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest


def latest_contract(connection: Connection) -> Contract | None:
    """The contract in force; None where there is none yet."""
    row = connection.execute(query("latest_contract")).one_or_none()
    return Contract.from_json(row.contract).with_version(row.version) if row else None


def one_at_a_time(connection: Connection) -> None:
    """Let no other batch record its manifest until this transaction ends."""
    connection.execute(query("lock_contract"))


def agree(connection: Connection, claim: Claim, manifest: Manifest, contract: Contract) -> int:
    """Compare-and-set: the version of the union of the contract in force and `contract`, which the parts have.

    After `one_at_a_time`. Raises `ContractMoved` where the parts do not fit the union, and `FilesMoved` where a column
    becomes wider while others publish it in its narrower type.
    """
    _pass_gates(connection, claim)
    latest = latest_contract(connection)
    union = contract if latest is None else latest.merged(contract)
    if latest is not None:
        _check_widening(connection, manifest, latest, latest.narrower_than(union))
        if union == latest:
            return latest.version
    version = 1 if latest is None else latest.version + 1
    text = json.dumps(union.with_version(version).to_json())
    connection.execute(query("add_contract"), {"version": version, "contract": text, "batch_id": claim.batch_id})
    return version


def _pass_gates(connection: Connection, claim: Claim) -> None:
    if connection.scalar(query("closed_gates"), {"batch_id": claim.batch_id}):
        raise FilesMoved("Another batch is about to record a wider column; this one is recorded after it.")


def _check_widening(connection: Connection, manifest: Manifest, latest: Contract, narrow: tuple[Column, ...]) -> None:
    """Raises `FilesMoved` unless `manifest` replaces each live file with a `narrow` column, and makes no other wide."""
    if not narrow:
        if manifest.rewritten or any(part.is_wider for part in manifest.stripped):
            raise FilesMoved("Another batch has made the column wider meanwhile.")
        return
    if manifest.as_of is None:
        raise FilesMoved("A column becomes wider, and nobody looked for the files that have it.")
    parts = [
        *({"key": part.object.key, "replaces": part.replaces, "rows": part.rows} for part in manifest.rewritten),
        *({"key": part.key, "replaces": part.replaces, "rows": part.rows_before} for part in manifest.stripped),
    ]
    found = connection.execute(
        query("in_the_way_of_widening"),
        {
            "parts": json.dumps(parts),
            "since": min(column.since for column in narrow),
            "version": latest.version,
            "as_of": manifest.as_of,
        },
    ).one()
    if found.publishing or found.unseen or found.replaceable != len(parts):
        raise FilesMoved("Other batches publish files in which the column is still narrow.")
    connection.execute(query("forget_widening"), {"paths": [show_path(each.path) for each in narrow]})


def add_evidence(connection: Connection, claim: Claim, evidence: Evidence, version: int) -> None:
    """Add what a batch saw, once: its transaction is the one that records its manifest."""
    rows = [
        {"path": path, "kind": kind, "rows": seen.rows, "first_file": seen.first, "last_file": seen.last}
        for (path, kind), seen in sorted(evidence.seen.items())
    ]
    if rows:
        values = {"seen": json.dumps(rows), "version": version, "most": 2 * MOST_PATHS}
        connection.execute(query("add_evidence"), values)
    known = wanted_widenings(connection) if evidence.wishes else {}
    for path, shape in sorted(evidence.wishes.items()):
        merged = wider(known[path], shape) if path in known else shape
        connection.execute(
            query("want_widening"),
            {"path": path, "shape": json.dumps(merged.to_json()), "batch_id": claim.batch_id},
        )


def wanted_widenings(connection: Connection) -> dict[str, Shape]:
    """Columns that wait to be widened: shown path → the shape that would hold what came."""
    rows = connection.execute(query("wanted_widenings"))
    return {row.path: Shape.from_json(row.shape) for row in rows}
