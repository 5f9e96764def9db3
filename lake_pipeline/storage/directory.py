"""The object store on a local directory.

A pending object is a file in `.pending/` beside the zones; publishing is one atomic `os.replace` on the same
file system, so a reader of a zone sees an object whole or not at all. Data is flushed to disk before the
ledger hears of it, and the folder after the rename, so that a power cut can't undo what the ledger says.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from re import Pattern
from typing import BinaryIO

from lake_pipeline.errors import ObjectChanged, ObjectMissing, OutcomeUnknown, SettingsError, StorageUnavailable
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.objects import ObjectInfo
from lake_pipeline.storage.places import DirectoryPlace

PENDING = ".pending"


class DirectoryStore:
    """Objects as files under `root`, which is made if it is missing.

    The ETag of a file is its modification time and size: it changes with the content, survives a move, and
    costs no read. Raises `SettingsError` when `root` can't be used.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._root_text = os.fspath(self._root)
        self._pending = self._root / PENDING
        try:
            self._pending.mkdir(parents=True, exist_ok=True)
            next(self._root.iterdir(), None)
        except OSError as error:
            raise SettingsError("LAKE_ROOT", f"the directory {root} can't be used: {error.strerror}") from error

    @property
    def place(self) -> DirectoryPlace:
        return DirectoryPlace(path=self._root_text)

    @property
    def uri(self) -> str:
        return str(self._root)

    def path(self, key: str) -> Path:
        """The file of `key`. Raises ValueError for a key that would leave the root."""
        return Path(self._name(key))

    def _name(self, key: str) -> str:
        """The same as text: a `Path` costs more than opening the file does, and there are millions of files."""
        if not {"", ".", ".."}.isdisjoint(key.split("/")) or "\0" in key:
            raise ValueError(f"{key!r} is not a key")
        return f"{self._root_text}/{key}"

    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = self._root / prefix if prefix else self._root
        for entry in _walk(folder):
            key = os.path.relpath(entry.path, self._root).replace(os.sep, "/")
            if not key.startswith(PENDING + "/"):
                try:
                    yield _info(key, entry.stat(follow_symlinks=True))
                except FileNotFoundError:
                    continue  # moved between the listing and the look at it

    def folders(self, pattern: Pattern[str]) -> list[str]:
        names = (f"{entry.name}/" for entry in os.scandir(self._root) if entry.is_dir())
        return sorted(name for name in names if pattern.fullmatch(name))

    def stat(self, key: str) -> ObjectInfo | None:
        try:
            return _info(key, self.path(key).stat())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, key: str, *, etag: str | None = None, start: int = 0) -> BinaryIO:
        try:
            stream = open(self._name(key), "rb")  # noqa: SIM115 # the caller closes it
        except FileNotFoundError as error:
            raise ObjectMissing(key) from error
        except OSError as error:
            raise StorageUnavailable(f"{key} can't be read: {error.strerror}") from error
        found = _info(key, os.fstat(stream.fileno())).etag
        if etag is not None and found != etag:
            stream.close()
            raise ObjectChanged(key, etag, found)
        if start:
            stream.seek(start)
        return stream

    def put_pending(self, key: str) -> DirectoryWriter:
        self.path(key)
        # The key is in the token, so that a sweep can tell what an orphan was meant to be.
        token = f"{key}~{uuid.uuid4().hex[:12]}"
        return DirectoryWriter(self._pending, token, key)

    def publish(self, pending: PendingObject) -> None:
        target = self.path(pending.key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._pending / pending.token, target)
        except FileNotFoundError as error:
            found = self.stat(pending.key)
            if found is None or found.etag != pending.etag:
                raise OutcomeUnknown(
                    f"{pending.key} is neither pending nor published as it was written: somebody removed or "
                    "replaced it. Run `lake status` and look at the batch before anything else."
                ) from error
        except OSError as error:
            raise StorageUnavailable(f"{pending.key} can't be published: {error.strerror}") from error
        _flush_folder(target.parent)

    def abort(self, pending: PendingObject) -> None:
        _remove(self._pending / pending.token, pending.key)

    def pending(self) -> Iterator[PendingObject]:
        for entry in _walk(self._pending):
            token = os.path.relpath(entry.path, self._pending).replace(os.sep, "/")
            try:
                info = _info(token.rpartition("~")[0], entry.stat())
            except FileNotFoundError:
                continue  # published or aborted between the listing and the look at it
            yield PendingObject(key=info.key, token=token, size=info.size, etag=info.etag)

    def move(self, source: str, target: str, *, etag: str) -> None:
        found, moved = self.stat(source), self.stat(target)
        if found is None:
            if moved is None or moved.etag != etag:
                raise ObjectMissing(source)
            return
        if found.etag != etag:
            if moved is not None and moved.etag == etag:
                return  # moved before; what stands at the source now is a newer version
            raise ObjectChanged(source, etag, found.etag)
        path = self.path(target)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.path(source), path)
        except OSError as error:
            raise StorageUnavailable(f"{source} can't be moved to {target}: {error.strerror}") from error
        _flush_folder(path.parent)

    def copy(self, source: str, target: str, *, etag: str) -> None:
        made = self.stat(target)
        if made is not None and made.etag == etag:
            return
        # Under a name that nobody looks for, until it is known to be of this version.
        path, name = self.path(target), self._pending / f"{target}~{uuid.uuid4().hex[:12]}"
        try:
            name.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            _name_twice(self.path(source), name)
            found = _info(source, name.stat()).etag
            if found != etag:
                name.unlink()
                raise ObjectChanged(source, etag, found)
            os.replace(name, path)
        except FileNotFoundError as error:
            raise ObjectMissing(source) from error
        except OSError as error:
            raise StorageUnavailable(f"{source} can't be copied to {target}: {error.strerror}") from error
        _flush_folder(path.parent)

    def delete(self, key: str) -> None:
        _remove(self.path(key), key)


class DirectoryWriter:
    """A pending object being written as a temporary file. See `PendingWriter`."""

    def __init__(self, folder: Path, token: str, key: str) -> None:
        self._path = folder / token
        self._token = token
        self._key = key
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
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
        # On a full disk what is buffered can't be written, and nobody wants it any more.
        with suppress(OSError):
            self._file.close()
        _remove(self._path, self._key)


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key=key, etag=f"{status.st_mtime_ns:x}-{status.st_size:x}", size=status.st_size)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every file below `folder`, one open folder at a time for each level."""
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageUnavailable(f"{folder} can't be listed: {error.strerror}") from error
    with entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(Path(entry.path))
            elif entry.is_file():
                yield entry


def _name_twice(source: Path, name: Path) -> None:
    """The file under another name too: published files are replaced and never changed, so it costs no byte."""
    try:
        os.link(source, name)
    except FileNotFoundError:
        raise
    except OSError:
        # Some file systems have no second names. The copy keeps the time of the file, which is in its ETag.
        shutil.copy2(source, name)
        _flush_file(name)


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
