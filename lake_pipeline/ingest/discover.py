"""Discovery: list the landing zones page by page and register every object version that is new.

There is no watermark: every listing is compared with the ledger as a whole, so a late or out-of-order name is
found like any other. Nothing is claimed or converted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lake_pipeline.convert.placing import KeyPlacer
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.model.files import DiscoveredFile
from lake_pipeline.storage import zones
from lake_pipeline.storage.objects import ObjectInfo, ObjectStore


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """What a listing found. `new` of the `seen` files were registered, `known` were there before.

    `skipped` counts objects in the landing zones that are no raw files (hidden files, folder markers).
    """

    seen: int
    new: int
    known: int
    new_bytes: int
    skipped: int


def discover(lake: Lake, on_progress: Callable[[int], None] | None = None) -> Discovery:
    """Register what the landing zones hold. `on_progress` is called with the number of objects seen so far.

    Idempotent; memory is bounded by a page. Raises `StorageUnavailable` or `LedgerUnavailable`; what was
    registered before stays registered.
    """
    listing = _Listing(lake, on_progress)
    registered = lake.ledger.register(listing.files())
    return Discovery(
        seen=listing.seen,
        new=registered.new,
        known=registered.known,
        new_bytes=registered.new_bytes,
        skipped=listing.skipped,
    )


def landing_objects(store: ObjectStore) -> Iterator[ObjectInfo]:
    """Every object of the landing zones, and what else lies in their folders; page by page, in no promised order."""
    for zone in (*store.folders(zones.YEAR_FOLDER), zones.HISTORY):
        yield from store.objects(zone)


class _Listing:
    """Walks the landing zones and counts what it meets."""

    def __init__(self, lake: Lake, on_progress: Callable[[int], None] | None) -> None:
        self._store = lake.store
        self._placer = KeyPlacer(lake.options.key_pattern)
        self._on_progress = on_progress
        self.seen = 0
        self.skipped = 0

    def files(self) -> Iterator[DiscoveredFile]:
        for info in landing_objects(self._store):
            lane = zones.lane_of(info.key)
            if lane is None or _is_hidden(info.key):
                self.skipped += 1
                continue
            self._count()
            expected = self._placer.partition(info.key)
            yield DiscoveredFile(key=info.key, etag=info.etag, size=info.size, lane=lane, expected=expected)

    def _count(self) -> None:
        self.seen += 1
        if self._on_progress and self.seen % 1000 == 0:
            self._on_progress(self.seen)


def _is_hidden(key: str) -> bool:
    """Names in `.` or `_` are markers and uploads in progress for every tool of this world (Hadoop, rsync)."""
    return key.endswith("/") or key.rsplit("/", 1)[-1].startswith((".", "_"))
