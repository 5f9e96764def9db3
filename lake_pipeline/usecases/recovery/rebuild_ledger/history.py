"""The history in the store: the commit objects in the order of their numbers, and what they say about each object.

Commits are read with several requests in flight. What they say is sorted on disk, so memory is bounded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Self

from lake_pipeline.errors import PermanentError
from lake_pipeline.model.commit import Commit, CommittedFile
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS, ObjectStore
from lake_pipeline.storage.zones import COMMITS, CURATED, QUARANTINE, commit_key, number_of_commit
from lake_pipeline.usecases.fsck.external_sort import Sorter
from lake_pipeline.usecases.publication.commit_objects import read_commit

WINDOW = 4 * CONCURRENT_REQUESTS
"""Commits in memory at a time: a few megabytes."""

PUBLISHED_ZONES = (CURATED, QUARANTINE)
"""The zones of the objects that commits publish."""


@dataclass(frozen=True, kw_only=True)
class PublishedObject:
    """What the commit `number` says about the data file or quarantine file at `key`.

    `etag` and `size` are those of the object it publishes, `token` its pending object; `etag` is None if the commit
    deletes the file. `partitions` are those whose rebuild restores it, `age_from` the time of the commit (ISO 8601).
    """

    key: str
    number: int
    size: int
    etag: str | None
    token: str
    partitions: tuple[PartitionKey, ...]
    age_from: str


@dataclass(frozen=True, kw_only=True)
class Original:
    """A raw file that a commit converted, and the key of its original in the archive."""

    file_id: int
    key: str
    etag: str
    size: int
    archive_key: str


class History:
    """Everything that the commits say, sorted for a merge with a listing. Each list can be read once.

    `pending` has the keys and token ids of all pending objects, and `explained` those that a commit publishes.
    `last_rewrite` is the number of the last commit that replaces or removes something; later ones only add. Closed by
    `with`.
    """

    def __init__(self, commits: Iterable[Commit], pending: Collection[tuple[str, str]]) -> None:
        self.explained: set[tuple[str, str]] = set()
        self.last_rewrite = 0
        self._pending = pending
        self._files = ExitStack()
        self._published = {
            zone: self._files.enter_context(Sorter[PublishedObject](lambda item: (item.key, item.number)))
            for zone in PUBLISHED_ZONES
        }
        self._by_archive_key = self._files.enter_context(Sorter[Original](lambda item: item.archive_key))
        self._by_key = self._files.enter_context(Sorter[CommittedFile](lambda item: item.key))
        for commit in commits:
            self._add(commit)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def published(self, zone: str) -> Iterator[PublishedObject]:
        """What the commits say about the objects of a zone, by key and number."""
        return iter(self._published[zone])

    def originals(self) -> Iterator[Original]:
        """The originals of converted files, by archive key."""
        return iter(self._by_archive_key)

    def raw_files(self) -> Iterator[CommittedFile]:
        """Every raw file of every commit, by key. A file is in each commit that names it."""
        return iter(self._by_key)

    def _add(self, commit: Commit) -> None:
        if not only_adds(commit.manifest):
            self.last_rewrite = commit.number
        for item in _published(commit):
            self._published[CURATED if item.key.startswith(CURATED) else QUARANTINE].add(item)
            if (pending := (item.key, token_id(item.token))) in self._pending:
                self.explained.add(pending)
        for file in commit.files:
            self._by_key.add(file)
            if file.archive_key is not None:
                self._by_archive_key.add(
                    Original(
                        file_id=file.file_id,
                        key=file.key,
                        etag=file.etag,
                        size=file.size,
                        archive_key=file.archive_key,
                    )
                )


def only_adds(manifest: Manifest) -> bool:
    """Whether a batch replaces and removes nothing."""
    return not (
        manifest.rewritten or manifest.reduced or manifest.reduced_quarantine or manifest.superseded or manifest.rebuilt
    )


def numbers_in(store: ObjectStore) -> range:
    """The numbers of the commits in the store, from 1. Raises `PermanentError` if one of them is missing."""
    numbers = {number_of_commit(info.key) for info in store.objects(COMMITS)} - {None}
    last = max((number for number in numbers if number is not None), default=0)
    for number in range(1, last + 1):
        if number not in numbers:
            raise PermanentError(
                f"{commit_key(number)} is missing, and later commits build on it. Restore this object, for "
                "example from an older version in the bucket, then run `lake recover` again."
            )
    return range(1, last + 1)


def commits_of(store: ObjectStore, numbers: Sequence[int]) -> Iterator[Commit]:
    """The commits with these numbers, in their order. Raises what `read_commit` does."""
    remaining = iter(numbers)
    with ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="commits") as pool:
        while window := list(islice(remaining, WINDOW)):
            yield from pool.map(partial(read_commit, store), window)


def token_id(token: str) -> str:
    """The part of a pending object's token that a listing of pending objects has: on S3 the id of the upload."""
    return token.partition("|")[0]


def has_pending(manifest: Manifest, pending: Collection[tuple[str, str]]) -> bool:
    """Whether one of its objects is still pending; `pending` has the keys and token ids of all pending objects."""
    return any((made.key, token_id(made.token)) in pending for made in manifest.objects)


def _published(commit: Commit) -> Iterator[PublishedObject]:
    manifest = commit.manifest
    inside = manifest.partitions
    for made in manifest.objects:
        partitions = (PartitionKey.of_path(made.key),) if made.key.startswith(CURATED) else inside
        yield PublishedObject(
            key=made.key,
            number=commit.number,
            size=made.size,
            etag=made.etag,
            token=made.token,
            partitions=partitions,
            age_from=commit.created_at,
        )
    for key in manifest.deleted:
        yield PublishedObject(
            key=key, number=commit.number, size=0, etag=None, token="", partitions=(), age_from=commit.created_at
        )
