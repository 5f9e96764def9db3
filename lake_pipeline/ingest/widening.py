"""Widening: a batch whose contract makes a column wider rewrites the published files that have it in the old type.

    look → rewrite what is narrow, as pending objects → record; when others published meanwhile, look again

All files must be readable together at every commit, so the rewritten ones are part of the batch's manifest: they
are published, committed and rolled forward with it. Bounded by `LAKE_REWRITE_BYTES`; above it a column keeps its
type, fractions are rescued, and the wish is kept for `lake contract widen`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.convert.rewriting import rewrite
from lake_pipeline.errors import ContractMoved, FilesMoved, LakeError, ObjectChanged, ObjectMissing, VersionsMoved
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.lease import Heartbeat
from lake_pipeline.ingest.reconcile import finish_publications
from lake_pipeline.ingest.stripping import Stripping
from lake_pipeline.ledger.views import CuratedFile
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest, RewrittenPart

log = logging.getLogger(__name__)

LEAST_BYTES = 1_000_000
"""A smaller file counts as one of this size: opening, flushing and publishing it takes as long."""

ROUNDS = 40
"""Looks at the lake before a batch gives up, with pauses up to `LONGEST_PAUSE` between: more than a minute."""

LONGEST_PAUSE = 2.0

GATE_SECONDS = 30.0
"""How long others wait for the second and every later look. They only have what came since the look before."""


def widens_from(lake: Lake, contract: Contract | None) -> int:
    """The oldest contract version whose columns may become wider beside a batch: less than the limit has them."""
    if contract is None:
        return 0
    total = 0
    by_version = lake.ledger.live_bytes_by_version(least=LEAST_BYTES)
    for version in sorted(by_version, reverse=True):
        total += by_version[version]
        if total > lake.rewrite_bytes:
            return version + 1
    return 0


class Recording:
    """Passes the point of no return with one manifest, and with whatever its contract makes necessary to rewrite.

    `limit` bounds the bytes that are rewritten; None for none.
    """

    def __init__(
        self, lake: Lake, claim: Claim, heartbeat: Heartbeat, manifest: Manifest, contract: Contract, limit: int | None
    ) -> None:
        self._lake = lake
        self._claim = claim
        self._heartbeat = heartbeat
        self._limit = limit
        self._contract = contract
        self._lock = threading.Lock()
        self._parts: dict[tuple[str, str], RewrittenPart | None] = {}
        self._bare = manifest
        self._stripping = Stripping(lake, claim, heartbeat)
        self.manifest = manifest

    def record(self, evidence: Evidence | None = None) -> int:
        """Record `manifest`, completed; returns the contract version in force.

        Older versions that give way are taken out of the published files in the same manifest. Raises what
        `Ledger.record_manifest` does: `FilesMoved` after many looks only, and `ContractMoved` also where
        more than the limit would be rewritten. `manifest` then has everything that must be aborted.
        """
        for pause in pauses():
            try:
                self._complete(closed=pause > 0)
                self._heartbeat.check()
                return self._lake.ledger.record_manifest(
                    self._claim, self.manifest, self._contract, evidence, new_version=self._lake.new_version
                )
            except FilesMoved as error:
                log.info("Batch %s waits: %s", self._claim.batch_id, error)
                time.sleep(pause)
                finish_publications(self._lake)
        raise FilesMoved("Other batches kept publishing files that this one has to rewrite first; it is tried again.")

    def _complete(self, *, closed: bool) -> None:
        """Bring `rewritten` and `as_of` up to date with what is published at this moment."""
        # In this order: whatever comes between two of these looks is then seen by the later ones, or by the ledger.
        as_of = self._lake.ledger.last_commit()
        replaced = self._replaced()
        in_force = self._lake.ledger.contract()
        narrow = in_force.narrower_than(self._contract) if in_force else ()
        if in_force is None or not narrow or not (self._bare.curated or self._bare.as_of is not None):
            self._forget(list(self._parts))
            self._take_out(replaced, None)
            return
        self._lake.ledger.set_gate(self._claim, seconds=GATE_SECONDS if closed else 0)
        since = min(column.since for column in narrow)
        files = self._lake.ledger.curated_files_of_versions(since=since, until=in_force.version)
        self._check_limit(files)
        # A file that loses rows becomes wider in the same go.
        self._take_out(replaced, self._contract)
        stripped = {part.key for part in self.manifest.stripped}
        files = [file for file in files if file.key not in stripped]
        try:
            self._rewrite(files)
        finally:
            live = {(file.key, file.etag) for file in files}
            self._forget([known for known in self._parts if known not in live])
            rewritten = tuple(part for part in self._parts.values() if part is not None)
            self.manifest = replace(self.manifest, rewritten=rewritten, as_of=as_of)

    def _replaced(self) -> tuple[int, ...]:
        """The older versions that give way to what this batch publishes. Raises `VersionsMoved` and `FilesMoved`."""
        verdict = self._lake.ledger.judge_versions(self._claim, self._lake.new_version)
        if verdict.steps_back:
            raise VersionsMoved("Another version of a file in this batch came meanwhile; it is claimed again.")
        if verdict.waits:
            raise FilesMoved("An older version of a file in this batch is being published at this moment.")
        return verdict.replaced(self._bare)

    def _take_out(self, replaced: tuple[int, ...], contract: Contract | None) -> None:
        """Complete the manifest with the published files that hold rows of replaced versions, without them; with the
        wider types of `contract`."""
        try:
            stripped = self._stripping.without(replaced, contract)
            unquarantined = self._stripping.unquarantined(replaced)
        except BaseException:
            self._stripping.forget()
            self.manifest = self._bare
            raise
        self.manifest = replace(self._bare, stripped=stripped, unquarantined=unquarantined, superseded=replaced)

    def _check_limit(self, files: list[CuratedFile]) -> None:
        size = sum(max(file.size, LEAST_BYTES) for file in files)
        if self._limit is not None and size > self._limit:
            raise ContractMoved(f"A wider column takes rewriting {size} bytes, more than LAKE_REWRITE_BYTES.")

    def _rewrite(self, files: list[CuratedFile]) -> None:
        new = [file for file in files if (file.key, file.etag) not in self._parts]
        if new:
            log.info("Batch %s: looking into %d published files for narrow columns", self._claim.batch_id, len(new))
        with ThreadPoolExecutor(self._lake.options.workers, thread_name_prefix="rewrite") as pool:
            for _ in pool.map(self._rewrite_one, new):
                self._heartbeat.check()

    def _rewrite_one(self, file: CuratedFile) -> None:
        try:
            part = rewrite(self._lake.store, file.key, file.etag, self._contract)
        except (ObjectChanged, ObjectMissing) as error:
            raise FilesMoved(f"{file.key} is being replaced by another batch. ({error})") from error
        with self._lock:
            self._parts[file.key, file.etag] = part

    def _forget(self, gone: list[tuple[str, str]]) -> None:
        for known in gone:
            part = self._parts.pop(known)
            try:
                if part is not None:
                    self._lake.store.abort(part.object)
            except LakeError as error:
                log.warning("%s could not be aborted: %s", known[0], error)


def pauses() -> Iterator[float]:
    """No pause after the first look, for it may have been too early by a moment; longer ones after the next."""
    yield 0.0
    for number in range(ROUNDS - 1):
        yield min(LONGEST_PAUSE, 0.05 * 2.0**number)
