"""Forgetting: a raw file's rows leave the lake everywhere, in one publish, and it stays forgotten.

The original is not touched, wherever it stands; the ledger remembers the version, so a listing never brings it back.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from lake_pipeline.contract.contract import Contract
from lake_pipeline.errors import FilesMoved, LakeError, LeaseLost, OutcomeUnknown, PermanentError, SnapshotsHold
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.lease import Heartbeat
from lake_pipeline.ingest.publish import roll_forward
from lake_pipeline.ingest.reconcile import finish_publications, recover, sweep_if_possible
from lake_pipeline.ingest.stripping import Stripping
from lake_pipeline.ingest.widening import pauses
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.ledger.replacing import FORGET
from lake_pipeline.ledger.sources import Link, Source
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.model.states import FileState

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """The versions of one key, or the one of an id, and where their published rows stand."""

    versions: tuple[Source, ...]
    links: tuple[Link, ...]

    @property
    def rows(self) -> int:
        return sum(link.rows for link in self.links)


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What was taken out: `before` is the lineage as it was; `rewritten` and `deleted` count curated files."""

    batch_id: str
    before: Lineage
    rewritten: int
    deleted: int


def lineage(lake: Lake, file: str) -> Lineage:
    """Where the rows of `file` (a key, or an id as in `_file_id`) stand.

    Raises `PermanentError` for a file that the ledger does not know.
    """
    versions = lake.ledger.versions_of(file)
    if not versions:
        raise PermanentError(f"The ledger knows no file {file!r}: give its key as it landed, or its _file_id.")
    links = lake.ledger.lineage_of([version.file.file_id for version in versions])
    return Lineage(versions=tuple(versions), links=tuple(links))


def forget(lake: Lake, file: str) -> Forgotten:
    """Take the rows of every version of `file` out of the published files; the versions become SUPERSEDED.

    Raises `SnapshotsHold` where snapshots hold some of them, also of versions that were replaced; `PermanentError` for
    a file that is unknown, forgotten already or being processed at this moment; else what an ingest raises. When it is
    stopped before its point of no return nothing has happened; after it, whoever comes next goes on.
    """
    recover(lake)
    before = lineage(lake, file)
    _refuse_held(lake, file, before)
    file_ids = _forgettable(before, file)
    claim = lake.ledger.open_empty(FORGET, owner=this_owner(), lease_seconds=lake.lease_seconds)
    with Heartbeat(lake.ledger, claim) as heartbeat:
        try:
            manifest = _record(lake, claim, heartbeat, file_ids)
        except (LeaseLost, OutcomeUnknown):
            raise
        except LakeError as error:
            lake.ledger.fail(claim, error, max_attempts=lake.max_attempts)
            sweep_if_possible(lake)
            raise
        roll_forward(lake, claim.batch_id, manifest)
    return Forgotten(
        batch_id=claim.batch_id,
        before=before,
        rewritten=sum(part.object is not None for part in manifest.stripped),
        deleted=sum(part.object is None for part in manifest.stripped),
    )


def _record(lake: Lake, claim: Claim, heartbeat: Heartbeat, file_ids: tuple[int, ...]) -> Manifest:
    stripping = Stripping(lake, claim, heartbeat)
    contract = lake.ledger.contract() or Contract()
    for pause in pauses():
        try:
            stripped = stripping.without(file_ids)
            manifest = Manifest(
                curated=(),
                quarantine=(),
                files=(),
                stripped=stripped,
                unquarantined=stripping.unquarantined(file_ids),
                superseded=file_ids,
            )
            heartbeat.check()
            lake.ledger.record_manifest(claim, manifest, contract)
            return manifest
        except FilesMoved as error:
            moved = error
            log.info("Batch %s waits: %s", claim.batch_id, error)
            time.sleep(pause)
            finish_publications(lake)
        except OutcomeUnknown:
            raise  # perhaps it is recorded, and then its parts are needed
        except BaseException:
            stripping.forget()
            raise
    stripping.forget()
    raise FilesMoved(f"Nothing was forgotten: others kept working on the same files. Try again. ({moved})")


def _refuse_held(lake: Lake, file: str, before: Lineage) -> None:
    """Rows that a snapshot holds stay readable, so the file would not be forgotten: a person decides."""
    held = lake.ledger.snapshots_with([version.file.file_id for version in before.versions])
    if held:
        raise SnapshotsHold(file, held)


def _forgettable(before: Lineage, file: str) -> tuple[int, ...]:
    left = [version for version in before.versions if version.state is not FileState.SUPERSEDED]
    if not left:
        raise PermanentError(f"{file} has no rows in the lake: it was replaced or forgotten before.")
    if any(version.state is FileState.PROCESSING for version in left):
        raise PermanentError(
            f"{file} is being processed at this moment. Wait until it is done, or take it from its worker with "
            "`lake release`, and forget it then."
        )
    return tuple(version.file.file_id for version in left)
