"""Discovery: register every new object version in the landing zones.

A listing is compared with the whole ledger, without a watermark, so it also finds late or out-of-order names. An
inventory or an event may report an object sooner or cheaper; the listing remains the safety net. Nothing is claimed or
converted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lake_pipeline.convert.partition.assign import KeyParser
from lake_pipeline.model.files import DiscoveredFile
from lake_pipeline.model.skipped import SkippedEntry, SkipReason
from lake_pipeline.storage import zones
from lake_pipeline.storage.object_store import ListingReport, ObjectInfo, ObjectStore
from lake_pipeline.usecases.discovery.settling import OnWait, Settling
from lake_pipeline.usecases.discovery.skips import Skips, with_valid_keys
from lake_pipeline.usecases.lake import Lake


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The counts of registered objects, wherever they were listed. `new` of the `seen` files had no row before.

    `frozen` files are in an archived storage class and wait in quarantine; `thawed` ones could not be read before and
    are pending now. `young` files were changed less than LAKE_MIN_AGE_SECONDS ago and are left to the next listing.
    `skipped_by_reason` counts entries that are not raw files or can't be read. `problems` are the first of those that
    can't be read, `examples` a few of the others (hidden files, folder markers, other zones).
    """

    seen: int
    new: int
    new_bytes: int
    frozen: int
    thawed: int
    young: int = 0
    skipped_by_reason: Mapping[SkipReason, int] = field(default_factory=dict)
    problems: tuple[SkippedEntry, ...] = ()
    examples: tuple[SkippedEntry, ...] = ()

    @property
    def unreadable(self) -> int:
        """Skipped entries that a person has to look at; all of them, also those that are not in `problems`."""
        return sum(count for reason, count in self.skipped_by_reason.items() if reason.is_problem)


@dataclass(frozen=True, kw_only=True)
class Discovery(Registered):
    """The counts of a discovery. `known` files were registered before; `skipped` counts all skipped entries."""

    known: int
    skipped: int


def discover(lake: Lake, on_progress: Callable[[int], None] | None = None, on_wait: OnWait | None = None) -> Discovery:
    """Register the objects in the landing zones. `on_progress` is called with the number of objects seen so far.

    Waits until files that were just changed are old enough, if that takes seconds; `on_wait` is called before that.
    Idempotent; memory is bounded by a page. Raises `StorageUnavailable` or `LedgerUnavailable`; what was
    registered before stays registered.
    """
    skips = Skips()
    settling = Settling(lake.store, lake.min_age_seconds, on_wait)
    raw_file_filter = _RawFileFilter(lake, skips, on_progress)
    objects = raw_file_filter.raw(landing_objects(lake.store, skips.report))
    return _register(lake, raw_file_filter, settling.settled(objects), settling)


def register(lake: Lake, objects: Iterable[ObjectInfo], on_progress: Callable[[int], None] | None = None) -> Discovery:
    """The same for objects that were listed elsewhere and earlier: by an inventory or by events."""
    skips = Skips()
    raw_file_filter = _RawFileFilter(lake, skips, on_progress)
    return _register(lake, raw_file_filter, raw_file_filter.raw(with_valid_keys(objects, skips.report)), None)


def _register(
    lake: Lake, raw_file_filter: _RawFileFilter, objects: Iterable[ObjectInfo], settling: Settling | None
) -> Discovery:
    """With `settling` the objects come from a complete listing of this moment."""
    is_listing, skips = settling is not None, raw_file_filter.skips
    registered = lake.ledger.files.register(raw_file_filter.files(objects), listed_now=is_listing)
    if is_listing or skips.problems:
        lake.ledger.skipped.record(skips.problems, is_complete=is_listing)
    return Discovery(
        seen=raw_file_filter.seen,
        new=registered.new,
        known=registered.known,
        new_bytes=registered.new_bytes,
        skipped=skips.counts.total(),
        frozen=raw_file_filter.frozen,
        thawed=registered.restored,
        young=settling.young if settling else 0,
        skipped_by_reason=dict(skips.counts),
        problems=tuple(skips.problems),
        examples=tuple(skips.examples),
    )


def landing_objects(store: ObjectStore, report: ListingReport) -> Iterator[ObjectInfo]:
    """Every object in the folders of the landing zones whose key can be registered; page by page, in no particular
    order."""
    for zone in (*store.folders(zones.YEAR_FOLDER), zones.HISTORY):
        yield from with_valid_keys(store.objects(zone, report), report)


class _RawFileFilter:
    """Picks the raw files of the landing zones, and counts them. The others are in `skips`."""

    def __init__(self, lake: Lake, skips: Skips, on_progress: Callable[[int], None] | None) -> None:
        self.skips = skips
        self._key_filter = lake.key_filter
        self._key_parser = KeyParser(lake.options.key_pattern)
        self._on_progress = on_progress
        self.seen = 0
        self.frozen = 0

    def raw(self, objects: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """The objects that are raw files."""
        for info in objects:
            reason = self._skip_reason(info)
            if reason is None:
                yield info
            else:
                self.skips.report.skip(info.key, reason)

    def files(self, objects: Iterable[ObjectInfo]) -> Iterator[DiscoveredFile]:
        """What the ledger registers of raw files."""
        for info in objects:
            self._count(info)
            lane = zones.lane_of(info.origin or info.key)
            assert lane is not None, "a raw file is in a landing zone"
            yield DiscoveredFile(
                key=info.key,
                etag=info.etag,
                size=info.size,
                lane=lane,
                expected=self._key_parser.partition(info.key),
                needs_restore=info.needs_restore,
            )

    def _skip_reason(self, info: ObjectInfo) -> SkipReason | None:
        if zones.lane_of(info.origin or info.key) is None:
            return SkipReason.OUTSIDE
        if info.key.endswith("/"):
            return SkipReason.FOLDER_MARKER
        return self._key_filter.skip_reason(info.key)

    def _count(self, info: ObjectInfo) -> None:
        self.seen += 1
        self.frozen += info.needs_restore
        if self._on_progress and self.seen % 1000 == 0:
            self._on_progress(self.seen)
