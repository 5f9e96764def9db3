"""The whole of fsck: one look at everything, in the order in which mending one thing helps the next.

It reads; it writes only where `repair` is asked for, and then only through the use cases that do the same every day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lake_pipeline.errors import LakeError
from lake_pipeline.ingest.fsck import originals, published, retained, unfinished
from lake_pipeline.ingest.fsck.accounts import accounts
from lake_pipeline.ingest.fsck.contents import Reader, Share
from lake_pipeline.ingest.fsck.findings import Finding
from lake_pipeline.ingest.fsck.ordering import Sorter
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.rebuild import rebuild
from lake_pipeline.ledger.auditing import AuditedObject
from lake_pipeline.model.partitions import PartitionKey


@dataclass(frozen=True, kw_only=True)
class Audit:
    """How to look: `shallow` reads no published file, `repair` mends what is safe."""

    lake: Lake
    shallow: bool = False
    repair: bool = False
    _expired: list[str] = field(default_factory=list, init=False)

    @property
    def expired(self) -> int:
        """Files of quarantined records that were there to expire and are gone, of the look that was made."""
        return len(self._expired)

    def findings(self) -> Iterator[Finding]:
        """Everything that is wrong, as it is found; what a rebuild mends comes last where that is asked for.

        Raises `LedgerUnavailable` and `StorageUnavailable`.
        """
        later: list[Finding] = []
        for finding in self._look():
            if self.repair and finding.partitions:
                later.append(finding)
            else:
                yield self._mended(finding) if self.repair and finding.mend else finding
        yield from self._rebuilt(later)

    def _look(self) -> Iterator[Finding]:
        yield from unfinished.stuck_batches(self.lake)
        yield from unfinished.orphaned_pending(self.lake)
        yield from originals.landing_zones(self.lake)
        yield from originals.archive(self.lake)
        yield from self._look_at_published()

    def _look_at_published(self) -> Iterator[Finding]:
        yield from retained.retained(self.lake)
        if self.shallow:
            yield from published.curated(self.lake, _by_name)
            yield from published.quarantine(self.lake, _by_name, self._expired.append)
            yield from accounts(self.lake, None)
            return
        with Sorter[Share](lambda share: share.file_id) as shares:
            reader = Reader(self.lake, shares.add)
            yield from published.curated(self.lake, reader.curated)
            yield from published.quarantine(self.lake, reader.quarantine, self._expired.append)
            yield from accounts(self.lake, shares)

    def _mended(self, finding: Finding) -> Finding:
        assert finding.mend is not None, "only what can be mended is"
        try:
            finding.mend()
        except LakeError as error:
            return _in_vain(finding, error)
        return replace(finding, mended=True)

    def _rebuilt(self, findings: list[Finding]) -> Iterator[Finding]:
        """Not while looking: what was listed before a rebuild would look wrong after it."""
        errors: dict[PartitionKey, LakeError] = {}
        for partition in sorted({partition for finding in findings for partition in finding.partitions}):
            try:
                rebuild(self.lake, [partition])
            except LakeError as error:
                errors[partition] = error
        for finding in findings:
            refused = [errors[partition] for partition in finding.partitions if partition in errors]
            if refused:
                yield _in_vain(finding, refused[0])
            elif any(finding.look_again()):
                yield replace(finding, text=f"{finding.text} They were rebuilt, and that did not mend it.")
            else:
                yield replace(finding, mended=True)


def _in_vain(finding: Finding, error: LakeError) -> Finding:
    return replace(finding, text=f"{finding.text} That did not work: {error}")


def _by_name(_: AuditedObject) -> Iterator[Finding]:
    """A shallow look ends where an object is there as the ledger knows it."""
    return iter(())
