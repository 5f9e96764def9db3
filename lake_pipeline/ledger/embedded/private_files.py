"""Files of the embedded server that no other user may read, change or lock: creating, checking and opening them.

A file is checked after it was opened, so it can't be exchanged in between. Which files there are is in `home`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from lake_pipeline.errors import SettingsError

SETTING = "LAKE_HOME"

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""A planted link is an error, and a planted pipe does not block."""


def make_private_folder(folder: Path) -> None:
    """Create a folder that only this user can enter. Raises `SettingsError` if it belongs to another user."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        info = folder.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
            raise _refusal(folder, "is not a folder of this user") from None
        folder.chmod(0o700)


def open_private(path: Path, flags: int) -> int:
    """An open file with the mode 0600, created if `flags` say so.

    Raises `SettingsError` if it belongs to another user or is no regular file, `FileNotFoundError` and other `OSError`.
    """
    handle = _opened(path, flags)
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise _refusal(path, "is no regular file")
        if info.st_uid not in (0, os.geteuid()):
            raise _refusal(path, f"belongs to another user (uid {info.st_uid})")
        if info.st_uid == os.geteuid() and stat.S_IMODE(info.st_mode) != 0o600:
            os.fchmod(handle, 0o600)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | _FLAGS, 0o600)
    except PermissionError:
        raise _refusal(path, "can't be opened by this user") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refusal(path, "is a symbolic link") from None
        if error.errno == errno.ENXIO:
            raise _refusal(path, "is no regular file") from None
        raise


def read_private(path: Path) -> str:
    """The text of a file. Raises `OSError`, and `SettingsError` if another user wrote it."""
    with open(open_private(path, os.O_RDONLY), encoding="utf-8") as file:
        return file.read()


def write_private(path: Path, text: str) -> None:
    """Write a file atomically; nobody else can read it at any time."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with open(open_private(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def take_lock(path: Path, kind: int) -> int | None:
    """An open file that holds the lock (`fcntl.LOCK_SH`, `LOCK_EX`, with `LOCK_NB` or not); None if it is taken."""
    handle = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, kind)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _refusal(path: Path, problem: str) -> SettingsError:
    return SettingsError(
        SETTING, f"{path} {problem}. Remove it if you know where it comes from, or use another {SETTING}"
    )
