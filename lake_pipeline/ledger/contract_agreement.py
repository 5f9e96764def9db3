"""Agreement on the next contract: compare-and-set, conflicts with a widening, and evidence.

All of it is part of the transaction that records a manifest, so a contract and the files written with it never differ.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from lake_pipeline.contract.contract import Column, Contract
from lake_pipeline.contract.evidence import MAX_PATHS, Evidence
from lake_pipeline.contract.paths import show_path
from lake_pipeline.contract.shapes import Shape
from lake_pipeline.contract.widening import wider
from lake_pipeline.errors import FilesMoved
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest


def latest_contract(connection: Connection) -> Contract | None:
    """The contract in force; None if there is none yet."""
    row = connection.execute(query("latest_contract")).one_or_none()
    return Contract.from_json(row.contract).with_version(row.version) if row else None


def serialize_manifests(connection: Connection) -> None:
    """Block other batches from recording a manifest until this transaction ends."""
    connection.execute(query("lock_contract"))


def agree_on_contract(connection: Connection, claim: Claim, manifest: Manifest, contract: Contract) -> int:
    """Compare-and-set: returns the version of the union of the contract in force and `contract`, that of the parts.

    Call `serialize_manifests` first. Raises `ContractMoved` if the parts do not fit the union, and `FilesMoved` if a
    column becomes wider while other batches publish its narrower type.
    """
    _check_held_commits(connection, claim)
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


def _check_held_commits(connection: Connection, claim: Claim) -> None:
    if connection.scalar(query("commits_held"), {"batch_id": claim.batch_id}):
        raise FilesMoved("Another batch is about to record a wider column; this batch has to wait for it.")


def _check_widening(connection: Connection, manifest: Manifest, latest: Contract, narrow: tuple[Column, ...]) -> None:
    """Raises `FilesMoved` unless `manifest` replaces exactly the live files that have a `narrow` column."""
    if not narrow:
        if manifest.rewritten or any(part.is_wider for part in manifest.reduced):
            raise FilesMoved("Another batch has widened the column in the meantime.")
        return
    if manifest.as_of is None:
        raise FilesMoved("A column becomes wider, but the published files that have it were not looked up.")
    parts = [
        *({"key": part.object.key, "replaces": part.replaces, "rows": part.rows} for part in manifest.rewritten),
        *({"key": part.key, "replaces": part.replaces, "rows": part.rows_before} for part in manifest.reduced),
    ]
    conflicts = connection.execute(
        query("widening_conflicts"),
        {
            "parts": json.dumps(parts),
            "since": min(column.since for column in narrow),
            "version": latest.version,
            "as_of": manifest.as_of,
        },
    ).one()
    if conflicts.publishing or conflicts.unseen or conflicts.replaceable != len(parts):
        raise FilesMoved("Other batches publish files in which the column still has its narrower type.")
    end_requested_widenings(connection, narrow)


def end_requested_widenings(connection: Connection, columns: Collection[Column]) -> None:
    """Remove the requests for columns that become wider."""
    connection.execute(query("remove_requested_widenings"), {"paths": [show_path(column.path) for column in columns]})


def add_evidence(connection: Connection, claim: Claim, evidence: Evidence, version: int) -> None:
    """Add the evidence of a batch. It counts once, because the same transaction records the manifest."""
    rows = [
        {"path": path, "kind": kind, "rows": seen.rows, "first_file": seen.first, "last_file": seen.last}
        for (path, kind), seen in sorted(evidence.seen.items())
    ]
    if rows:
        values = {"seen": json.dumps(rows), "version": version, "most": 2 * MAX_PATHS}
        connection.execute(query("add_evidence"), values)
    requested = requested_widenings(connection) if evidence.wanted_widenings else {}
    for path, shape in sorted(evidence.wanted_widenings.items()):
        merged = wider(requested[path], shape) if path in requested else shape
        connection.execute(
            query("request_widening"),
            {
                "path": path,
                "shape": json.dumps(merged.to_json()),
                "is_lossy": path in evidence.lossy_widenings,
                "batch_id": claim.batch_id,
            },
        )


def requested_widenings(connection: Connection) -> dict[str, Shape]:
    """Columns that wait to be widened: path text → shape that fits all values."""
    return {row.path: Shape.from_json(row.shape) for row in _requests(connection)}


def lossy_widenings(connection: Connection) -> frozenset[str]:
    """Those of the requested widenings that would round integers in the column."""
    return frozenset(row.path for row in _requests(connection) if row.is_lossy)


def _requests(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(query("requested_widenings")).all()
