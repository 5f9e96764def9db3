"""The files below a folder, without ever following a link, and what else is there.

A link is listed only if links may be followed; then its target is listed, under the target's own key, so that no file
has two keys. Opening files is up to `directory_files`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from lake_pipeline.errors import StorageUnavailable
from lake_pipeline.model.skipped import SkipReason, name_problem
from lake_pipeline.storage.object_store import ListingReport
from lake_pipeline.storage.zones import is_landing_folder, is_pipeline_zone


@dataclass(frozen=True, kw_only=True)
class WalkedFile:
    """A regular file. `origin` is the key of the link that led to it, with the rest of its key; else None."""

    key: str
    status: os.stat_result
    origin: str | None = None


@dataclass(frozen=True)
class _Folder:
    """A folder to list: its path, its key with a final slash ("" for the root), and the same as reached by links."""

    path: str
    key: str
    origin: str | None = None


@dataclass(kw_only=True)
class DirectoryWalk:
    """One walk through folders of the directory `root`, which is an absolute path without links.

    Without a `report` everything that is not a regular file is left out silently, and a folder that can't be listed
    raises `StorageUnavailable`. With one, both are reported and the walk goes on.
    """

    root: str
    report: ListingReport | None = None
    follow_links: bool = False
    _folders: list[_Folder] = field(default_factory=list, init=False)

    def files(self, prefix: str) -> Iterator[WalkedFile]:
        """Every regular file below `prefix`, a folder ending in `/`, or empty for all. One directory handle is open at
        a time, and only folders that are not listed yet are in memory.
        """
        path = f"{self.root}/{prefix}".rstrip("/") or "/"
        if self.report is not None and os.path.realpath(path) != path:
            yield from self._linked(path, prefix.rstrip("/"))
        else:
            self._folders.append(_Folder(path, prefix))
        while self._folders:
            yield from self._files_in(self._folders.pop())

    def _files_in(self, folder: _Folder) -> Iterator[WalkedFile]:
        try:
            with os.scandir(folder.path) as entries:
                for entry in entries:
                    yield from self._files_of(entry, folder)
        except FileNotFoundError:
            return
        except OSError as error:
            self._unlisted(folder, error)

    def _files_of(self, entry: os.DirEntry[str], folder: _Folder) -> Iterator[WalkedFile]:
        key = folder.key + entry.name
        if entry.is_dir(follow_symlinks=False):
            self._enter(entry, folder)
        elif entry.is_symlink():
            yield from self._linked(entry.path, key)
        elif not entry.is_file(follow_symlinks=False):
            self._skip(key, SkipReason.SPECIAL_FILE)
        else:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                return  # moved after the directory was read
            if stat.S_ISREG(status.st_mode):
                origin = None if folder.origin is None else folder.origin + entry.name
                yield WalkedFile(key=key, status=status, origin=origin)

    def _enter(self, entry: os.DirEntry[str], folder: _Folder) -> None:
        key = f"{folder.key}{entry.name}/"
        problem = name_problem(key) if self.report else None
        if problem:
            # Once, and not for each file below it.
            self._skip(key, SkipReason.INVALID_NAME, problem)
            return
        origin = None if folder.origin is None else f"{folder.origin}{entry.name}/"
        self._folders.append(_Folder(entry.path, key, origin))

    def _linked(self, path: str, key: str) -> Iterator[WalkedFile]:
        """The target of a link, if it may be followed."""
        if self.report is None:
            return
        if not self.follow_links:
            self._skip(key, SkipReason.LINK, "a link, which is not followed (LAKE_FOLLOW_LINKS)")
            return
        target = os.path.realpath(path)
        problem = self._target_problem(target)
        if problem:
            self._skip(key, SkipReason.LINK, f"a link, which is not followed: {problem}")
        elif target not in self.report.followed:
            self.report.followed.add(target)
            yield from self._target(target, key)

    def _target_problem(self, target: str) -> str | None:
        if not target.startswith(f"{self.root}/"):
            return "its target is outside LAKE_ROOT"
        relative = target[len(self.root) + 1 :]
        if is_pipeline_zone(f"{relative}/"):
            return "its target is in a folder that the pipeline writes"
        if is_landing_folder(f"{relative}/"):
            return "its target is in a landing zone and is read there"
        return None

    def _target(self, target: str, origin: str) -> Iterator[WalkedFile]:
        key = target[len(self.root) + 1 :]
        try:
            status = os.lstat(target)
        except OSError:
            # Usually the target was read and archived before.
            self._skip(origin, SkipReason.HIDDEN, "a link without a target")
            return
        if stat.S_ISDIR(status.st_mode):
            self._folders.append(_Folder(target, f"{key}/", f"{origin}/"))
        elif stat.S_ISREG(status.st_mode):
            yield WalkedFile(key=key, status=status, origin=origin)
        else:
            self._skip(origin, SkipReason.SPECIAL_FILE)

    def _unlisted(self, folder: _Folder, error: OSError) -> None:
        problem = error.strerror or type(error).__name__
        if self.report is None:
            if isinstance(error, NotADirectoryError):
                return
            raise StorageUnavailable(f"{folder.path} can't be listed: {problem}") from error
        self._skip(folder.key, SkipReason.UNREADABLE_FOLDER, f"the folder can't be listed: {problem}")

    def _skip(self, key: str, reason: SkipReason, detail: str = "") -> None:
        if self.report is None:
            return
        self.report.skip(key, reason, detail)
