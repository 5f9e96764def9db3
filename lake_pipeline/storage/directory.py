"""The object store on a local directory.

A pending object is a file in `.pending/`; publishing is one atomic `os.replace` on the same file system, so a reader of
a zone sees a complete object or none. Data is flushed to disk before the ledger records it, and the folder after the
rename, so that a power failure can't undo what the ledger has recorded.
"""

from __future__ import annotations

import glob
import io
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from re import Pattern
from typing import BinaryIO

from lake_pipeline.errors import (
    KeyTaken,
    ObjectChanged,
    ObjectMissing,
    ObjectUnreadable,
    OutcomeUnknown,
    SettingsError,
    StorageUnavailable,
)
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.directory_files import LandedFile, file_etag, has_writer, regular_status
from lake_pipeline.storage.directory_walk import DirectoryWalk
from lake_pipeline.storage.location import DirectoryLocation
from lake_pipeline.storage.object_store import ListingReport, ObjectInfo

PENDING = ".pending"


class DirectoryStore:
    """Objects are regular files under `root`, which may be missing: only `create_root` creates it.

    The ETag of a file is its modification time and size: it changes with the content, survives a move, and needs no
    read. No link below `root` is followed; with `follow_links` a listing with a report also lists the targets of links,
    under their own keys. Raises `SettingsError` if `root` exists and can't be used.
    """

    def __init__(self, root: Path, *, follow_links: bool = False) -> None:
        self._follow_links = follow_links
        self._root = root.resolve()
        self._root_text = os.fspath(self._root)
        self._pending = self._root / PENDING
        try:
            next(self._root.iterdir(), None)
        except FileNotFoundError:
            pass  # a new lake, or a volume that is not mounted: the ledger knows which
        except OSError as error:
            raise _unusable(root, error) from error

    def create_root(self) -> None:
        try:
            self._pending.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self._root, error) from error

    @property
    def location(self) -> DirectoryLocation:
        return DirectoryLocation(path=self._root_text, follow_links=self._follow_links)

    @property
    def uri(self) -> str:
        return str(self._root)

    def probe(self) -> None:
        try:
            next(self._root.iterdir(), None)
        except OSError as error:
            raise StorageUnavailable(
                f"LAKE_ROOT: the directory {self._root} can't be listed: {error.strerror}. Is it mounted?"
            ) from error

    def path(self, key: str) -> Path:
        """The file of `key`. Raises ValueError for a key outside the root."""
        return Path(self._path_text(key))

    def _path_text(self, key: str) -> str:
        """The path as text: making a `Path` takes longer than opening the file, and there are millions of files."""
        if not {"", ".", ".."}.isdisjoint(key.split("/")) or "\0" in key:
            raise ValueError(f"{key!r} is not a valid key")
        return f"{self._root_text}/{key}"

    def objects(self, prefix: str, report: ListingReport | None = None) -> Iterator[ObjectInfo]:
        walk = DirectoryWalk(root=self._root_text, report=report, follow_links=self._follow_links)
        for file in walk.files(prefix):
            if not file.key.startswith(PENDING + "/"):
                yield _info(file.key, file.status, file.origin)

    def folders(self, pattern: Pattern[str]) -> list[str]:
        try:
            names = [f"{entry.name}/" for entry in os.scandir(self._root) if entry.is_dir()]
        except OSError as error:
            raise StorageUnavailable(f"{self._root} can't be listed: {error.strerror}") from error
        return sorted(name for name in names if pattern.fullmatch(name))

    def stat(self, key: str) -> ObjectInfo | None:
        try:
            status = regular_status(self._path_text(key))
        except OSError as error:
            raise StorageUnavailable(f"{key} can't be looked up: {error.strerror}") from error
        return None if status is None else _info(key, status)

    def open(self, key: str, *, etag: str | None = None, start: int = 0) -> BinaryIO:
        stream = io.BufferedReader(LandedFile(self._path_text(key), key, etag))
        if start:
            stream.seek(start)
        return stream

    def put_pending(self, key: str) -> DirectoryWriter:
        self.path(key)
        # The token contains the key, so that a sweep knows the key of an abandoned file.
        token = f"{key}~{uuid.uuid4().hex[:12]}"
        return DirectoryWriter(self._root, token, key)

    def publish(self, pending: PendingObject) -> None:
        target, source = self.path(pending.key), self._pending / pending.token
        try:
            if source.exists():
                _make_folder(target.parent, self._root)
            os.replace(source, target)
        except FileNotFoundError as error:
            published = self.stat(pending.key)
            if published is None or published.etag != pending.etag:
                raise OutcomeUnknown(
                    f"{pending.key} is neither pending nor published as it was written: it was removed or replaced "
                    "by something else. Run `lake status` and check the batch before anything else."
                ) from error
        except OSError as error:
            raise StorageUnavailable(f"{pending.key} can't be published: {error.strerror}") from error
        _flush_folder(target.parent)

    def abort(self, pending: PendingObject) -> None:
        _remove(self._pending / pending.token, pending.key)

    def pending(self) -> Iterator[PendingObject]:
        for file in DirectoryWalk(root=self._root_text).files(f"{PENDING}/"):
            token = file.key.removeprefix(f"{PENDING}/")
            info = _info(token.rpartition("~")[0], file.status)
            yield PendingObject(key=info.key, token=token, size=info.size, etag=info.etag)

    def move(self, source: str, target: str, *, etag: str) -> None:
        original, moved = self.stat(source), self.stat(target)
        if original is None:
            if moved is None or moved.etag != etag:
                raise ObjectMissing(source)
            return
        if original.etag != etag:
            if moved is not None and moved.etag == etag:
                return  # moved before; the source is a newer version
            raise ObjectChanged(source, etag, original.etag)
        if has_writer(self._path_text(source)):
            raise ObjectUnreadable(source, "a program still has it open for writing")
        path = self.path(target)
        try:
            _make_folder(path.parent, self._root)
            os.replace(self.path(source), path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise KeyTaken(target) from error
        except OSError as error:
            raise StorageUnavailable(f"{source} can't be moved to {target}: {error.strerror}") from error
        _flush_folder(path.parent)
        self._check_moved(source, target, etag)

    def _check_moved(self, source: str, target: str, etag: str) -> None:
        """Move a file back that was changed after its version was checked: the next listing registers it."""
        moved = self.stat(target)
        if moved is None or moved.etag == etag:
            return
        with suppress(OSError):  # there is a newer file already
            os.link(self.path(target), self.path(source))
            self.path(target).unlink()
        raise ObjectChanged(source, etag, moved.etag)

    def copy(self, source: str, target: str, *, etag: str) -> None:
        existing = self.stat(target)
        if existing is not None and existing.etag == etag:
            return
        # A pending file until its version is checked: the source may be replaced at any time.
        path, draft = self.path(target), self._pending / f"{target}~{uuid.uuid4().hex[:12]}"
        try:
            _make_folder(draft.parent, self._root)
            _make_folder(path.parent, self._root)
            _link_or_copy(self.path(source), draft)
            draft_etag = _info(source, draft.stat()).etag
            if draft_etag != etag:
                draft.unlink()
                raise ObjectChanged(source, etag, draft_etag)
            os.replace(draft, path)
        except FileNotFoundError as error:
            raise ObjectMissing(source) from error
        except OSError as error:
            raise StorageUnavailable(f"{source} can't be copied to {target}: {error.strerror}") from error
        _flush_folder(path.parent)

    def delete(self, key: str) -> None:
        _remove(self.path(key), key)

    def create(self, key: str, data: bytes) -> bool:
        writer = self.put_pending(key)
        try:
            writer.write(data)
            draft = self._pending / writer.finish().token
            _make_folder(self.path(key).parent, self._root)
            created = _link_or_create(draft, self.path(key))
            # Also the drafts of calls that were killed: no other call would remove them.
            for leftover in draft.parent.glob(f"{glob.escape(self.path(key).name)}~*"):
                leftover.unlink(missing_ok=True)
        except OSError as error:
            raise StorageUnavailable(f"{key} can't be created in {self._root}: {error.strerror}") from error
        finally:
            writer.discard()
        _flush_folder(self.path(key).parent)
        return created


class DirectoryWriter:
    """A `PendingWriter` that writes a temporary file."""

    def __init__(self, root: Path, token: str, key: str) -> None:
        self._path = root / PENDING / token
        self._token = token
        self._key = key
        try:
            _make_folder(self._path.parent, root)
            self._file = self._path.open("xb")
        except OSError as error:
            raise StorageUnavailable(f"{key} can't be written: {error.strerror}") from error

    def write(self, data: bytes | memoryview, /) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            raise StorageUnavailable(f"{self._key} can't be written: {error.strerror}") from error

    def finish(self) -> PendingObject:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            status = os.fstat(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise StorageUnavailable(f"{self._key} can't be written: {error.strerror}") from error
        info = _info(self._key, status)
        return PendingObject(key=self._key, token=self._token, size=info.size, etag=info.etag)

    def discard(self) -> None:
        # On a full disk the buffered data can't be written, and it is no longer needed.
        with suppress(OSError):
            self._file.close()
        _remove(self._path, self._key)


def _info(key: str, status: os.stat_result, origin: str | None = None) -> ObjectInfo:
    return ObjectInfo(key=key, etag=file_etag(status), size=status.st_size, modified=status.st_mtime, origin=origin)


def _make_folder(folder: Path, root: Path) -> None:
    """Create `folder` below `root`, but never `root` itself: a volume that is not mounted must stay empty.

    Raises FileNotFoundError if `root` is missing.
    """
    if folder == root:
        return
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        if folder.parent == root:
            raise
        _make_folder(folder.parent, root)
        folder.mkdir(exist_ok=True)


def _link_or_create(draft: Path, target: Path) -> bool:
    """Give the complete file `draft` the name `target`, unless that exists. Raises OSError."""
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    except FileNotFoundError:
        # Another call that created it has removed all drafts.
        if target.exists():
            return False
        raise
    except OSError:
        # Some file systems have no hard links. If this is interrupted, the file is damaged and is reported as such.
        try:
            with target.open("xb") as file:
                file.write(draft.read_bytes())
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return False
    return True


def _unusable(root: Path, error: OSError) -> SettingsError:
    return SettingsError("LAKE_ROOT", f"the directory {root} can't be used: {error.strerror}")


def _link_or_copy(source: Path, target: Path) -> None:
    """A hard link, which needs no space: files are replaced and never changed in place."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Some file systems have no hard links. The copy keeps the modification time, which is part of the ETag.
        shutil.copy2(source, target)
        _flush_file(target)


def _flush_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path, key: str) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageUnavailable(f"{key} can't be removed: {error.strerror}") from error


def _flush_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageUnavailable(f"{folder} can't be flushed to the disk: {error.strerror}") from error
