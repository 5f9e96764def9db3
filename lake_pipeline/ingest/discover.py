"""Discovery: register every object version of the landing zones that is new, whoever told of it.

A listing is compared with the ledger as a whole, without a watermark, so a late or out-of-order name is found like any
other. An inventory or an event may tell of an object sooner or cheaper; the listing stays the safety net. Nothing is
claimed or converted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lake_pipeline.convert.placing import KeyPlacer
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.model.files import DiscoveredFile
from lake_pipeline.storage import zones
from lake_pipeline.storage.objects import ObjectInfo, ObjectStore


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """What was found. `new` of the `seen` files were registered, `known` were there before.

    `skipped` counts objects that are no raw files (hidden files, folder markers, other zones). `frozen` of the seen
    ones are in an archive storage class and wait in quarantine; `thawed` were, and are pending now.
    """

    seen: int
    new: int
    known: int
    new_bytes: int
    skipped: int
    frozen: int
    thawed: int


def discover(lake: Lake, on_progress: Callable[[int], None] | None = None) -> Discovery:
    """Register what the landing zones hold. `on_progress` is called with the number of objects seen so far.

    Idempotent; memory is bounded by a page. Raises `StorageUnavailable` or `LedgerUnavailable`; what was
    registered before stays registered.
    """
    return _register(lake, landing_objects(lake.store), on_progress, stands_now=True)


def register(lake: Lake, found: Iterable[ObjectInfo], on_progress: Callable[[int], None] | None = None) -> Discovery:
    """The same for objects that somebody else has listed, some time ago: an inventory, or events."""
    return _register(lake, found, on_progress, stands_now=False)


def _register(
    lake: Lake, found: Iterable[ObjectInfo], on_progress: Callable[[int], None] | None, *, stands_now: bool
) -> Discovery:
    sieve = _Sieve(lake, on_progress)
    registered = lake.ledger.register(sieve.files(found), stands_now=stands_now)
    return Discovery(
        seen=sieve.seen,
        new=registered.new,
        known=registered.known,
        new_bytes=registered.new_bytes,
        skipped=sieve.skipped,
        frozen=sieve.frozen,
        thawed=registered.thawed,
    )


def landing_objects(store: ObjectStore) -> Iterator[ObjectInfo]:
    """Every object of the landing zones, and what else lies in their folders; page by page, in no promised order."""
    for zone in (*store.folders(zones.YEAR_FOLDER), zones.HISTORY):
        yield from store.objects(zone)


class _Sieve:
    """Lets raw files of the landing zones through and counts what it meets."""

    def __init__(self, lake: Lake, on_progress: Callable[[int], None] | None) -> None:
        self._placer = KeyPlacer(lake.options.key_pattern)
        self._on_progress = on_progress
        self.seen = 0
        self.skipped = 0
        self.frozen = 0

    def files(self, found: Iterable[ObjectInfo]) -> Iterator[DiscoveredFile]:
        for info in found:
            lane = zones.lane_of(info.key)
            if lane is None or _is_hidden(info.key):
                self.skipped += 1
                continue
            self._count(info)
            yield DiscoveredFile(
                key=info.key,
                etag=info.etag,
                size=info.size,
                lane=lane,
                expected=self._placer.partition(info.key),
                frozen=info.frozen,
            )

    def _count(self, info: ObjectInfo) -> None:
        self.seen += 1
        self.frozen += info.frozen
        if self._on_progress and self.seen % 1000 == 0:
            self._on_progress(self.seen)


def _is_hidden(key: str) -> bool:
    """Names in `.` or `_` are markers and uploads in progress for every tool of this world (Hadoop, rsync)."""
    return key.endswith("/") or key.rsplit("/", 1)[-1].startswith((".", "_"))
