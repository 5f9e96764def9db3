"""Errors of the operating system while a raw file is read: whether they are the file's, or those of its file system."""

from __future__ import annotations

import errno

from lake_pipeline.errors import LakeError, ObjectUnreadable, StorageUnavailable

_OUTAGES = frozenset(
    {
        # The file system is gone: an unmounted or unreachable share.
        errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN,
        errno.ENETUNREACH, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ESHUTDOWN,
        # This machine is at a limit.
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT,
    }
)  # fmt: skip


def reading_error(key: str, error: OSError) -> LakeError:
    """`StorageUnavailable` if no other file could be read either, else `ObjectUnreadable`."""
    problem = error.strerror or type(error).__name__
    if error.errno in _OUTAGES:
        return StorageUnavailable(f"{key} can't be read: {problem}")
    return ObjectUnreadable(key, problem)
