"""The whole of fsck: every step once, in the order in which one repair helps the next.

It only reads, unless `repair` is set; then it writes through the use cases that do the same every day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lake_pipeline.errors import LakeError
from lake_pipeline.ledger.audit import AuditedObject
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.fsck import originals, published, retained, unfinished
from lake_pipeline.usecases.fsck.commits import commits
from lake_pipeline.usecases.fsck.contents import FileCount, Reader
from lake_pipeline.usecases.fsck.external_sort import Sorter
from lake_pipeline.usecases.fsck.file_accounts import accounts
from lake_pipeline.usecases.fsck.findings import Finding
from lake_pipeline.usecases.fsck.snapshots import snapshots
from lake_pipeline.usecases.lake import Lake


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The options: `shallow` reads no data file, `repair` repairs what is safe."""

    lake: Lake
    shallow: bool = False
    repair: bool = False
    _expired: list[str] = field(default_factory=list, init=False)

    @property
    def expired(self) -> int:
        """Quarantine files that have expired, counted by the last `findings()`."""
        return len(self._expired)

    def findings(self) -> Iterator[Finding]:
        """Every inconsistency as it is found; with `repair`, those that need a rebuild come last.

        Raises `LedgerUnavailable` and `StorageUnavailable`.
        """
        later: list[Finding] = []
        for finding in self._steps():
            if self.repair and finding.partitions:
                later.append(finding)
            else:
                yield self._mended(finding) if self.repair and finding.mend else finding
        yield from self._rebuilt(later)

    def _steps(self) -> Iterator[Finding]:
        yield from unfinished.stuck_batches(self.lake)
        yield from unfinished.orphaned_pending(self.lake)
        yield from commits(self.lake, deep=not self.shallow)
        yield from originals.landing_zones(self.lake)
        yield from originals.archive(self.lake)
        yield from self._published()

    def _published(self) -> Iterator[Finding]:
        yield from snapshots(self.lake)
        yield from retained.retained(self.lake)
        if self.shallow:
            yield from published.curated(self.lake, _by_name)
            yield from published.quarantine(self.lake, _by_name, self._expired.append)
            yield from accounts(self.lake, None)
            return
        with Sorter[FileCount](lambda count: count.file_id) as file_counts:
            reader = Reader(self.lake, file_counts.add)
            yield from published.curated(self.lake, reader.curated)
            yield from published.quarantine(self.lake, reader.quarantine, self._expired.append)
            yield from accounts(self.lake, file_counts)

    def _mended(self, finding: Finding) -> Finding:
        assert finding.mend is not None, "only findings with a repair"
        try:
            finding.mend()
        except LakeError as error:
            return _unrepaired(finding, error)
        return replace(finding, mended=True)

    def _rebuilt(self, findings: list[Finding]) -> Iterator[Finding]:
        """After all steps: what was listed before a rebuild would look wrong after it."""
        errors: dict[PartitionKey, LakeError] = {}
        for partition in sorted({partition for finding in findings for partition in finding.partitions}):
            try:
                rebuild(self.lake, [partition])
            except LakeError as error:
                errors[partition] = error
        for finding in findings:
            refused = [errors[partition] for partition in finding.partitions if partition in errors]
            if refused:
                yield _unrepaired(finding, refused[0])
            elif any(finding.recheck()):
                yield replace(finding, text=f"{finding.text} Its partitions were rebuilt; the inconsistency remains.")
            else:
                yield replace(finding, mended=True)


def _unrepaired(finding: Finding, error: LakeError) -> Finding:
    return replace(finding, text=f"{finding.text} That did not work: {error}")


def _by_name(_: AuditedObject) -> Iterator[Finding]:
    """A shallow audit does not read an object that matches the ledger."""
    return iter(())
