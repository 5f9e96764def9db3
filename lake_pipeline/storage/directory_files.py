"""Opening and looking up one file of a directory: regular files only, reached without a link, and unchanged.

Whoever can write into a landing zone may replace a file at any time: by a link to a file that only this process may
read, by a pipe that blocks it, or by more content. So a file is checked after it is opened, and after each read.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import signal
import stat
from typing import Any

from lake_pipeline.errors import LakeError, ObjectChanged, ObjectMissing, ObjectUnreadable
from lake_pipeline.storage.file_errors import reading_error

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK_UP = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC


def file_etag(status: os.stat_result) -> str:
    """The ETag of a file: its modification time and size."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def regular_status(path: str) -> os.stat_result | None:
    """The status of the regular file at `path`, an absolute path without links; None if there is none."""
    try:
        handle = os.open(path, _LOOK_UP)
    except OSError:
        # Not opened for another reason: what can't be looked up raises here.
        return _status_by_name(path)
    try:
        status = os.fstat(handle)
        return status if stat.S_ISREG(status.st_mode) and _is_direct(handle, path) else None
    finally:
        os.close(handle)


def _status_by_name(path: str) -> os.stat_result | None:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if stat.S_ISREG(status.st_mode) and _has_direct_parent(path) else None


def has_writer(path: str) -> bool:
    """Whether a program of this machine has the file open for writing. False if the file system can't say.

    Linux grants a read lease on a file only if there is none; other programs hold it up for microseconds.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        handle = os.open(path, _READ)
    except OSError:
        return False
    try:
        # A program that opens the file meanwhile ends the lease with a signal, which by default would end this process.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(handle)
    return False


class LandedFile(io.FileIO):
    """The regular file at `path`, whose object has `key`. Every read raises `ObjectChanged` if the file has changed.

    The constructor raises `ObjectMissing`, `ObjectUnreadable`, `StorageUnavailable`, and `ObjectChanged` if there is a
    link or special file, or if `etag` is given and the file has another one.
    """

    def __init__(self, path: str, key: str, etag: str | None) -> None:
        self._key = key
        handle = _opened(path, key)
        try:
            self._etag = _checked(handle, path, key, etag)
        except BaseException:
            os.close(handle)
            raise
        super().__init__(handle, "rb")

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        self._check()
        return count

    def readall(self) -> bytes:
        data = super().readall()
        self._check()
        return data

    def _check(self) -> None:
        current = file_etag(os.fstat(self.fileno()))
        if current != self._etag:
            raise ObjectChanged(self._key, self._etag, current)


def _opened(path: str, key: str) -> int:
    try:
        return os.open(path, _READ)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectMissing(key) from error
    except OSError as error:
        raise _opening_error(path, key, error) from error


def _opening_error(path: str, key: str, error: OSError) -> LakeError:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return ObjectChanged(key, "a file", _kind(mode))
    return reading_error(key, error)


def _checked(handle: int, path: str, key: str, etag: str | None) -> str:
    """The ETag of the opened file."""
    status = os.fstat(handle)
    if stat.S_ISDIR(status.st_mode):
        raise ObjectUnreadable(key, "it is a folder now")
    if not stat.S_ISREG(status.st_mode):
        raise ObjectChanged(key, etag or "a file", _kind(status.st_mode))
    if not _is_direct(handle, path):
        raise ObjectChanged(key, etag or "a file", "a file behind a link")
    current = file_etag(status)
    if etag is not None and current != etag:
        raise ObjectChanged(key, etag, current)
    return current


def _is_direct(handle: int, path: str) -> bool:
    """Whether no folder on the path of the opened file is a link. The kernel knows the path of an open file, which
    takes a fraction of the time of looking at each folder."""
    try:
        if os.readlink(f"/proc/self/fd/{handle}") == path:
            return True
    except OSError:
        pass  # no Linux, or no /proc
    return _has_direct_parent(path)


def _has_direct_parent(path: str) -> bool:
    parent = os.path.dirname(path)
    return os.path.realpath(parent) == parent


def _kind(mode: int) -> str:
    return "a link" if stat.S_ISLNK(mode) else "a pipe, socket or device"
