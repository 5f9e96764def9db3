"""Folders outside of LAKE_HOME, in /var/tmp, for a server that runs as `nobody` and can't enter a closed home.

They hold data, or a copy of the programs. Each has the path of its home, or of the original programs, in a file, so
that `remove_orphans` can tell which are still needed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from lake_pipeline.errors import SettingsError
from lake_pipeline.escaping.shell import shell_word
from lake_pipeline.ledger.embedded.private_files import read_private, write_private
from lake_pipeline.model.trusted_paths import distrust, is_trusted

PUBLIC = Path("/var/tmp")
"""A folder that every user can enter and that survives a reboot."""

PREFIX = "lake_pipeline-"
PROGRAMS = f"{PREFIX}programs-"

DATA = "data"
NOTE = "postgres.place"
"""The file of a home with the path of its data."""

ORIGIN = "home"
"""The file with the path of the home to which a folder belongs."""

ORPHAN_DAYS = 90
"""How long a folder without a home is kept after its last use: the home may be on a disk that is not mounted now."""

_MAX_NAMES = 20
"""Names that are tried for a copy of the programs, as other users can take names in /var/tmp."""


def new_data(home: Path) -> Path:
    """A path for the data of `home`, in a new folder that only root can write to."""
    # A new folder for each home, so that a home that is deleted and created again does not have the old data.
    folder = Path(tempfile.mkdtemp(prefix=_name(home), dir=PUBLIC))
    folder.chmod(0o711)
    write_private(folder / ORIGIN, str(home))
    return folder / DATA


def _name(home: Path) -> str:
    return f"{PREFIX}{hashlib.sha256(bytes(home)).hexdigest()[:12]}-"


def claim_data(data: Path, home: Path) -> None:
    """Note that `home` uses `data`, also after it was moved.

    Raises `SettingsError` if others can change the folder, and if another home uses it: `home` is a copy of that one.
    """
    folder = data.parent
    if not folder.exists():
        return
    if reason := distrust(folder):
        raise SettingsError("LAKE_HOME", f"its database is in {data}, but {reason}")
    origin = _origin(folder)
    if origin == home:
        return
    if origin is not None and _uses(origin, folder) and not origin.samefile(home):
        raise _copied(home, origin, folder)
    write_private(folder / ORIGIN, str(home))


def _copied(home: Path, origin: Path, folder: Path) -> SettingsError:
    """Two servers would stop each other, and two lakes would share one ledger."""
    copy = folder.with_name(f"{_name(home)}copy")
    commands = f"cp -a {folder} {copy} && printf {copy / DATA} > {shell_word(str(home / NOTE))}"
    return SettingsError(
        "LAKE_HOME",
        f"{home} is a copy of {origin}, and both would use the database in {folder / DATA}. Stop all commands of "
        f"{origin}, then copy the database too: `{commands}`",
    )


def copied_programs(installed: Path) -> Path:
    """A copy of the programs and their libraries that every user can run: 30 MB, created once.

    `installed` is a folder in their package. Raises `SettingsError` if other users took all names.
    """
    stamp = f"{installed}:{(installed / 'bin/postgres').stat().st_mtime_ns}"
    name = f"{PROGRAMS}{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    for number in range(_MAX_NAMES):
        target = PUBLIC / (f"{name}-{number}" if number else name)
        if not os.path.lexists(target):
            _copy(installed, target)
        if is_trusted(target):
            os.utime(target)
            return target / installed.parent.name / installed.name
    raise SettingsError("LAKE_LEDGER_URL", f"not set, and the server's programs can't be copied: {distrust(target)}")


def remove_orphans() -> list[Path]:
    """Remove folders of this user that no home refers to, that no process uses, and that were not used for long."""
    orphans = list(_orphans())
    for folder in orphans:
        shutil.rmtree(folder, ignore_errors=True)
    return orphans


def _orphans() -> Iterator[Path]:
    for folder in PUBLIC.glob(f"{PREFIX}*"):
        with suppress(OSError, SettingsError):
            info = folder.lstat()
            is_ours = stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and is_trusted(folder)
            if is_ours and _is_old(folder) and not _is_needed(folder) and not _is_in_use(folder):
                yield folder


def _is_old(folder: Path) -> bool:
    """The server writes these files when it starts and when it stops."""
    paths = (folder, folder / DATA / "postmaster.opts", folder / DATA / "global" / "pg_control")
    last_use = max(path.lstat().st_mtime for path in paths if os.path.lexists(path))
    return last_use < time.time() - ORPHAN_DAYS * 86_400


def _is_needed(folder: Path) -> bool:
    """Whether its home refers to the folder, or may do so: a folder without a note of its home is never removed."""
    if folder.name.startswith(PROGRAMS):
        return False  # it is copied again if needed
    home = _origin(folder)
    if home is None:
        return True
    return _uses(home, folder)


def _uses(home: Path, folder: Path) -> bool:
    """Whether the note of `home` names the data in `folder`."""
    try:
        return Path(read_private(home / NOTE)) == folder / DATA
    except (FileNotFoundError, NotADirectoryError):
        return False


def _is_in_use(folder: Path) -> bool:
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended
            if any(Path(path).is_relative_to(folder) for path in (process.cwd(), process.exe()) if path):
                return True
    return False


def _origin(folder: Path) -> Path | None:
    try:
        return Path(read_private(folder / ORIGIN))
    except FileNotFoundError:
        return None


def _copy(installed: Path, target: Path) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=PUBLIC))
    package = installed.parent
    shutil.copytree(installed, draft / package.name / installed.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    _make_readable(draft)
    try:
        draft.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(draft)


def _make_readable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
