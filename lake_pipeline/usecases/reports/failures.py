"""The line that a command shows for an error of the machine: disk, permissions, memory, limits, a program's fault.

Errors that the lake raises on purpose (`LakeError`) have their own message. Nothing is handled or retried here.
"""

from __future__ import annotations

import errno
import resource

WRITABLE = "LAKE_ROOT and LAKE_HOME choose the folders of the lake, TMPDIR that of temporary files"

_NEXT_STEPS = {
    errno.ENOSPC: "Free space on that disk, then run the command again",
    errno.EDQUOT: "Free space in that quota, then run the command again",
    errno.EFBIG: "Raise the limit for the size of a file (`ulimit -f`), then run the command again",
    errno.EACCES: f"Give this user the rights, or choose another folder: {WRITABLE}",
    errno.EPERM: f"Give this user the rights, or choose another folder: {WRITABLE}",
    errno.EROFS: f"Choose a folder that can be written: {WRITABLE}",
    errno.ENOENT: f"Create it, or choose another folder: {WRITABLE}",
    errno.ENOTDIR: f"Choose another folder: {WRITABLE}",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n`), then run the command again",
    errno.ENFILE: "Too many files are open on this machine: stop other programs, then run the command again",
    errno.ENOMEM: "Lower LAKE_WORKERS or LAKE_MEMORY_BYTES, or give the process more memory (`ulimit -v`)",
    errno.EAGAIN: "Lower LAKE_WORKERS, or raise the limit of processes (`ulimit -u`)",
    errno.EIO: "Check the disk and its mount, then run the command again",
    errno.ESTALE: "Mount the file system again, then run the command again",
}

_AGAIN = "Check it, then run the command again"

_NO_MEMORY = f"Not enough memory. {_NEXT_STEPS[errno.ENOMEM]}; docs/conversion.md says how much it needs."


def failure_text(error: Exception) -> str:
    """One line: what happened, where, and what to do."""
    if isinstance(error, MemoryError) or _is_short_of_address_space(error):
        return _NO_MEMORY
    if _is_of_threads(error):
        return f"The system starts no more threads. {_NEXT_STEPS[errno.EAGAIN]}."
    if isinstance(error, OSError):
        return _of_system(error)
    problem = " ".join(str(error).split())
    return (
        f"Unexpected {type(error).__name__}: {problem}. Nothing is lost: the ledger has the state of every file, and "
        "the next command continues. This is a fault of the program; `lake -v` with the same command shows where."
    )


def _is_short_of_address_space(error: Exception) -> bool:
    """Whether a process with a limit for its addresses (`ulimit -v`) can't load a library or start a thread."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return False
    is_loading = isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno is None)
    return is_loading or _is_of_threads(error)


def _is_of_threads(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and "start new thread" in str(error)


def _of_system(error: OSError) -> str:
    named = ", ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    problem = error.strerror or " ".join(str(error).split()) or type(error).__name__
    where = f"{named}: {problem}" if named else problem
    return f"{where}. {_NEXT_STEPS.get(error.errno or 0, _AGAIN)}."
