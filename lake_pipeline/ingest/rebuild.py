"""Rebuilding: partitions are converted again from the originals of their files, and replaced in one publish.

    look at what is published → convert its originals → compare what lies outside → record → publish

Exactly the rows that were looked at are replaced; what others publish meanwhile stays. Originals are read from the
archive, or from the landing zone where they wait for it. Memory is bounded as in any conversion. A rebuild whose worker
is gone goes on where its engine run does.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.errors import (
    ContractMoved,
    FilesMoved,
    LakeError,
    LeaseLost,
    OutcomeUnknown,
    PermanentError,
    TransientError,
)
from lake_pipeline.ingest.converting import convert, forget_run
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.lease import Heartbeat
from lake_pipeline.ingest.publish import abort, roll_forward
from lake_pipeline.ingest.reconcile import adopt_run, recover, sweep_if_possible
from lake_pipeline.ingest.stripping import Stripping
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.ledger.replacing import REBUILD
from lake_pipeline.ledger.sources import Link, Source
from lake_pipeline.ledger.views import CuratedFile
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import CuratedPart, Manifest, Outcome, StrippedPart
from lake_pipeline.model.partitions import PartitionKey

log = logging.getLogger(__name__)

TRIES = 4
"""How often it begins again because others changed the contract, or replaced the same published files."""

TOLD = 5
"""Files or partitions that an error names."""


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What was replaced: `files` raw files were read, `rows` of `partitions` are now `curated_files` Parquet files."""

    batch_id: str
    partitions: tuple[PartitionKey, ...]
    files: int
    rows_before: int
    rows: int
    replaced_files: int
    curated_files: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What is published in the partitions at one moment, where it came from, and where else its sources have rows."""

    partitions: frozenset[PartitionKey]
    curated: tuple[CuratedFile, ...]
    sources: tuple[Source, ...]
    links: tuple[Link, ...]

    @property
    def stripped(self) -> tuple[StrippedPart, ...]:
        """All of these files, taken away."""
        rows: dict[str, Counter[int]] = {file.key: Counter() for file in self.curated}
        for link in self.links:
            if link.curated_key in rows:
                rows[link.curated_key][link.file_id] += link.rows
        return tuple(
            StrippedPart(key=file.key, replaces=file.etag, rows=0, removed_by_file=dict(rows[file.key]), object=None)
            for file in self.curated
        )

    def outside(self) -> Counter[tuple[int, PartitionKey]]:
        """Rows of the same raw files in other partitions, which stay as they are."""
        found: Counter[tuple[int, PartitionKey]] = Counter()
        for link in self.links:
            if link.partition not in self.partitions:
                found[link.file_id, link.partition] += link.rows
        return found


def rebuild(lake: Lake, partitions: Collection[PartitionKey], on_progress: Progress | None = None) -> Rebuilt | None:
    """Replace what is published in `partitions` by what their originals give now; None where nothing is published.

    Raises `PermanentError` where an original is gone or can't be converted any more, and where its records would now
    be in other partitions too: then nothing was changed. Else what an ingest raises.
    """
    for _ in range(TRIES):
        recover(lake)
        if same := [done for done in finish_rebuilds(lake) if set(done.partitions) == set(partitions)]:
            return same[-1]
        look = _look(lake, partitions)
        if not look.curated:
            return None
        claim = lake.ledger.open_empty(
            REBUILD,
            owner=this_owner(),
            lease_seconds=lake.lease_seconds,
            engine=lake.engine.name,
            partitions=partitions,
        )
        try:
            return _rebuild(lake, claim, look, on_progress)
        except (ContractMoved, FilesMoved) as error:
            log.info("Batch %s begins again: %s", claim.batch_id, error)
            moved = error
    raise moved


def finish_rebuilds(lake: Lake) -> list[Rebuilt]:
    """Go on with rebuilds whose workers are gone and whose engine runs are not; what came of them."""
    finished: list[Rebuilt] = []
    while adopted := adopt_run(lake, REBUILD):
        try:
            look = _look(lake, adopted.partitions)
            finished.append(_rebuild(lake, adopted.claim, look, None, adopted.run_id))
        except (LeaseLost, OutcomeUnknown):
            raise
        except LakeError as error:
            told = ", ".join(map(str, adopted.partitions[:TOLD]))
            log.warning("Batch %s, a rebuild of %s, was given up: %s", adopted.claim.batch_id, told, error)
    return finished


def published_partitions(lake: Lake, chosen: Iterable[str]) -> list[PartitionKey]:
    """The partitions that a person names: `2026-02-03|live`, a path with `year=…/mode=…`, or a day for all its modes.

    Raises `PermanentError` for anything else.
    """
    found: list[PartitionKey] = []
    for text in chosen:
        try:
            if "|" in text:
                found.append(PartitionKey.parse(text))
            elif "=" in text:
                found.append(PartitionKey.of_path(text.rstrip("/") + "/"))
            else:
                found += lake.ledger.partitions_of_day(text)
        except ValueError as error:
            raise PermanentError(f"{error}; a partition is 2026-02-03|live, or 2026-02-03 for all modes.") from error
    return sorted(set(found))


def _look(lake: Lake, partitions: Collection[PartitionKey]) -> _Look:
    curated = lake.ledger.curated_files(partitions)
    sources = lake.ledger.sources_of(partitions)
    links = lake.ledger.lineage_of([source.file.file_id for source in sources])
    return _Look(partitions=frozenset(partitions), curated=tuple(curated), sources=tuple(sources), links=tuple(links))


def _rebuild(lake: Lake, claim: Claim, look: _Look, on_progress: Progress | None, run_id: str | None = None) -> Rebuilt:
    """Convert and publish; with `run_id`, what an engine run converts already."""
    started = time.monotonic()
    with Heartbeat(lake.ledger, claim) as heartbeat:
        try:
            manifest = _convert_and_record(lake, claim, look, heartbeat, on_progress, run_id)
        except (LeaseLost, OutcomeUnknown):
            raise  # past the point of no return, or somebody else's business
        except Exception as error:
            lake.ledger.fail(claim, error, max_attempts=lake.max_attempts)
            sweep_if_possible(lake)
            raise
        except BaseException:
            lake.ledger.release(claim, reason="interrupted")
            sweep_if_possible(lake)
            raise
        roll_forward(lake, claim.batch_id, manifest)
    return Rebuilt(
        batch_id=claim.batch_id,
        partitions=tuple(sorted(look.partitions)),
        files=len(look.sources),
        rows_before=sum(file.rows for file in look.curated),
        rows=sum(part.rows for part in manifest.curated),
        replaced_files=len(look.curated),
        curated_files=len(manifest.curated),
        seconds=time.monotonic() - started,
    )


def _convert_and_record(
    lake: Lake, claim: Claim, look: _Look, heartbeat: Heartbeat, on_progress: Progress | None, run_id: str | None
) -> Manifest:
    report = convert(lake, claim, _request(lake, claim, look), on_progress, run_id)
    stripping = Stripping(lake, claim, heartbeat)
    try:
        _check_outcomes(lake, look, report)
        manifest = _only_inside(lake, look, report.manifest)
        # The conversion has put all of these aside again.
        old = stripping.unquarantined([source.file.file_id for source in look.sources])
        manifest = replace(manifest, unquarantined=old)
        heartbeat.check()
        lake.ledger.record_manifest(claim, manifest, report.contract)
    except OutcomeUnknown:
        raise  # perhaps it is recorded, and then its parts are needed
    except LeaseLost:
        # Whoever took the batch over may have taken its run over, and the parts with it: the ledger knows.
        stripping.forget()
        sweep_if_possible(lake)
        raise
    except BaseException:
        stripping.forget()
        forget_run(lake, claim)
        abort(lake.store, report.manifest)
        raise
    return manifest


def _request(lake: Lake, claim: Claim, look: _Look) -> ConversionRequest:
    contract = lake.ledger.contract() or Contract()
    return ConversionRequest(
        batch_id=claim.batch_id,
        files=tuple(source.file for source in look.sources),
        contract=contract,
        options=lake.options,
        # A column becomes wider by an ingest or by `lake contract widen`, which rewrite what is not rebuilt.
        widens_from=contract.version + 1,
    )


def _check_outcomes(lake: Lake, look: _Look, report: ConversionReport) -> None:
    """Raises unless every original was converted, and no other."""
    if {file.file_id for file in report.manifest.files} != {source.file.file_id for source in look.sources}:
        raise FilesMoved("Others published into these partitions, or took out of them, since the run began.")
    bad = [file for file in report.manifest.files if file.outcome is not Outcome.CONVERTED]
    if not bad:
        return
    if _look(lake, look.partitions).sources != look.sources:
        raise FilesMoved("Originals were moved to the archive meanwhile.")
    told = "; ".join(str(file.error) for file in bad[:TOLD])
    kind = TransientError if all(file.outcome is Outcome.FAILED for file in bad) else PermanentError
    raise kind(f"Nothing was rebuilt, because {len(bad)} originals can't be converted: {told}")


def _only_inside(lake: Lake, look: _Look, manifest: Manifest) -> Manifest:
    """What is published of the conversion. Rows in other partitions stand there already, and are given up here."""
    inside = tuple(part for part in manifest.curated if part.partition in look.partitions)
    others = [part for part in manifest.curated if part.partition not in look.partitions]
    _check_outside(look, others)
    for part in others:
        lake.store.abort(part.object)
    return replace(manifest, curated=inside, files=(), rebuilt=manifest.files, stripped=look.stripped)


def _check_outside(look: _Look, parts: Iterable[CuratedPart]) -> None:
    """Raises `PermanentError` where the files now have other rows in partitions that are not rebuilt."""
    found: Counter[tuple[int, PartitionKey]] = Counter()
    for part in parts:
        for file_id, rows in part.rows_by_file.items():
            found[file_id, part.partition] += rows
    before = look.outside()
    differing = sorted({partition for (_, partition) in (found - before) | (before - found)})
    if differing:
        shown = ", ".join(map(str, differing[:TOLD])) + (" …" if len(differing) > TOLD else "")
        raise PermanentError(
            f"Nothing was rebuilt: the same files now give other rows to {len(differing)} partitions beside the chosen "
            f"ones, so rows would be lost or doubled. Rebuild these with them: {shown}"
        )
