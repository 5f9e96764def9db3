"""A claim: the right of one worker to process some files while its lease lasts."""

from __future__ import annotations

from dataclasses import dataclass

from lake_pipeline.model.files import RawFile


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Files held by one worker. `batch_id` is the fencing token: every later write to the ledger names it."""

    batch_id: str
    owner: str
    files: tuple[RawFile, ...]
    lease_seconds: int

    @property
    def size(self) -> int:
        """Bytes of all files as stored."""
        return sum(file.size for file in self.files)
