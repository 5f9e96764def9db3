"""Whether only this user, or root, can change what a path leads to.

For files whose content is obeyed: machine code, passwords, locks. Nothing is created or changed here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MAX_LINKS = 40
"""As in Linux; more are a loop."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def distrust(path: Path) -> str | None:
    """The reason why another user can change what is at `path`, an absolute path; None if none can.

    Checks the path, each folder above it up to the root, and each link on the way. A folder that all can write to is
    accepted above `path` if it is sticky, like /tmp: there, nobody can replace what belongs to others. Raises `OSError`
    if there is nothing at the path.
    """
    current, pending, links = Path("/"), [*path.parts[1:]], 0
    reason = _reason(current, is_last=not pending)
    while pending and reason is None:
        name = pending.pop(0)
        current = current.parent if name == ".." else current / name
        reason = _reason(current, is_last=not pending)
        if reason is None and current.is_symlink():
            links += 1
            if links > _MAX_LINKS:
                return f"{path} has too many symbolic links"
            target = Path(os.readlink(current))
            current = Path("/") if target.is_absolute() else current.parent
            pending = [*(target.parts[1:] if target.is_absolute() else target.parts), *pending]
    return reason


def is_trusted(path: Path) -> bool:
    """Whether something is at `path` that only this user or root can change."""
    try:
        return distrust(path) is None
    except OSError:
        return False


def _reason(path: Path, *, is_last: bool) -> str | None:
    info = path.lstat()
    if info.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user (uid {info.st_uid})"
    is_sticky = stat.S_ISDIR(info.st_mode) and bool(info.st_mode & stat.S_ISVTX)
    if not info.st_mode & _OTHERS_WRITE or stat.S_ISLNK(info.st_mode) or (is_sticky and not is_last):
        return None
    return f"other users can write to {path} (mode {stat.S_IMODE(info.st_mode):o})"
