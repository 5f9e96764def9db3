"""The demo's landing zone on disk: made exactly once, whatever kills the making.

Every file is written aside and moved into place whole; a marker in the lake's home is written after the last
one. Until the marker stands nothing is ingested, so whoever comes next makes what is missing; once it stands
no file is made again, so nothing that was ingested comes back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from lake_pipeline.demo_data.files import file_bytes
from lake_pipeline.demo_data.plan import DemoCounts, PlannedFile, landing_zone_plan
from lake_pipeline.errors import PermanentError, SettingsError
from lake_pipeline.storage import zones

MARKER = "demo_landing_zone.json"
LOCK = "demo_landing_zone.lock"
STAGING = ".demo_staging"
"""Beside the zones: on the same file system as they are, and no zone itself."""


class LandingZoneTaken(PermanentError):
    """This lake holds something else than the demo, so the demo leaves it alone."""


def ensure_landing_zone(root: Path, home: Path) -> bool:
    """Make the demo's landing zone under `root` if it was never made; True where this call completed it.

    Raises `LandingZoneTaken` where `root` or `home` belong to another lake, and `SettingsError` where they
    can't be written.
    """
    _make_folder(home, "LAKE_HOME")
    _make_folder(root, "LAKE_ROOT")
    with FileLock(home / LOCK):
        if (home / MARKER).exists():
            _check_marker(root, home)
            return False
        plan = landing_zone_plan()
        _check_free(root, {file.key for file in plan})
        for file in plan:
            _place(root, file)
        shutil.rmtree(root / STAGING, ignore_errors=True)
        _write_marker(root, home, DemoCounts.of(plan))
        return True


def made_counts(home: Path) -> DemoCounts:
    """What the landing zone that was made for `home` holds. Raises `LandingZoneTaken` where none was made."""
    try:
        return DemoCounts(**json.loads((home / MARKER).read_bytes())["counts"])
    except FileNotFoundError:
        raise LandingZoneTaken(f"No demo was made in {home}: run `lake demo`.") from None


def _check_marker(root: Path, home: Path) -> None:
    made_for = Path(json.loads((home / MARKER).read_bytes())["root"])
    if made_for != root.resolve():
        raise LandingZoneTaken(
            f"The demo in {home} was made for the lake in {made_for}, and this one is in {root}: set LAKE_HOME to "
            "another directory as well."
        )
    if next(_files(root), None) is None:
        raise LandingZoneTaken(
            f"The files of the demo are gone from {root}, but its ledger in {home} still lists them. "
            f"Remove {home} too (`make clean-lake` removes both), then start again."
        )


def _check_free(root: Path, planned: set[str]) -> None:
    """A lake that somebody uses must never be mixed with made-up data."""
    for key in _files(root):
        if key not in planned:
            raise LandingZoneTaken(
                f"{root} already holds files that are not the demo's, the first is {key}. Set LAKE_ROOT and "
                "LAKE_HOME to directories of their own for the demo, or remove what is left of an older one."
            )


def _files(root: Path) -> Iterator[str]:
    """Keys of all files in the zones of the lake."""
    folders = [root / zone for zone in (zones.HISTORY, zones.CURATED, zones.ARCHIVE, zones.QUARANTINE)]
    folders += [entry for entry in root.iterdir() if zones.YEAR_FOLDER.fullmatch(entry.name + "/")]
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                yield (Path(parent) / name).relative_to(root).as_posix()


def _place(root: Path, file: PlannedFile) -> None:
    target, content = root / file.key, file_bytes(file)
    if target.is_file() and target.read_bytes() == content:
        return  # made by a call that was killed later on
    staged = root / STAGING / target.name
    staged.parent.mkdir(exist_ok=True)
    staged.write_bytes(content)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, target)


def _write_marker(root: Path, home: Path, counts: DemoCounts) -> None:
    staged = home / (MARKER + ".new")
    staged.write_text(json.dumps({"root": str(root.resolve()), "counts": asdict(counts)}, indent=2) + "\n")
    os.replace(staged, home / MARKER)


def _make_folder(folder: Path, setting: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "it can't be written")
    except OSError as error:
        raise SettingsError(setting, f"the directory {folder} can't be used: {error.strerror}") from error
