"""The demo's landing zone on disk: written exactly once, even if the process is killed.

Every file is written to a staging directory and then moved. A marker in the lake's home is written after the last one.
Without the marker nothing is ingested, and the next call writes the missing files. With it no file is written again, so
ingested files do not return.
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
"""Next to the zones: on the same file system, but not a zone itself."""


class LandingZoneConflict(PermanentError):
    """This lake has other files than those of the demo, so the demo does not change it."""


def ensure_landing_zone(root: Path, home: Path) -> bool:
    """Write the demo's landing zone under `root`, unless that was done before. True if this call completed it.

    Raises `LandingZoneConflict` if `root` or `home` belong to another lake, and `SettingsError` if they are not
    writable.
    """
    _make_folder(home, "LAKE_HOME")
    with FileLock(home / LOCK):
        if has_landing_zone(home):
            _check_marker(root, home)
            return False
        _make_folder(root, "LAKE_ROOT")
        plan = landing_zone_plan()
        _check_free(root, {file.key for file in plan})
        for file in plan:
            _write_file(root, file)
        shutil.rmtree(root / STAGING, ignore_errors=True)
        _write_marker(root, home, DemoCounts.of(plan))
        return True


def has_landing_zone(home: Path) -> bool:
    """Whether the demo's landing zone for `home` is complete: then `ensure_landing_zone` writes nothing."""
    return (home / MARKER).exists()


def expected_counts(home: Path) -> DemoCounts:
    """The counts of the landing zone for `home`. Raises `LandingZoneConflict` if there is none."""
    try:
        return DemoCounts(**json.loads((home / MARKER).read_bytes())["counts"])
    except FileNotFoundError:
        raise LandingZoneConflict(f"There is no demo in {home}: run `lake demo`.") from None


def _check_marker(root: Path, home: Path) -> None:
    made_for = Path(json.loads((home / MARKER).read_bytes())["root"])
    if made_for != root.resolve():
        raise LandingZoneConflict(
            f"The demo in {home} belongs to the lake in {made_for}, but this lake is in {root}: set LAKE_HOME to "
            "another directory too."
        )
    if next(_files(root), None) is None:
        raise LandingZoneConflict(
            f"The files of the demo are gone from {root}, but its ledger in {home} still lists them. "
            f"Remove {home} too (`make clean-lake` removes both), then start again."
        )


def _check_free(root: Path, planned: set[str]) -> None:
    """A lake with real data must never be mixed with generated data."""
    for key in _files(root):
        if key not in planned:
            raise LandingZoneConflict(
                f"{root} already has files that do not belong to the demo, the first is {key}. Set LAKE_ROOT "
                "and LAKE_HOME to separate directories for the demo, or remove the files of an older demo."
            )


def _files(root: Path) -> Iterator[str]:
    """Keys of all files in the zones of the lake."""
    folders = [root / zone for zone in (zones.HISTORY, zones.CURATED, zones.ARCHIVE, zones.QUARANTINE)]
    folders += [entry for entry in root.glob("*") if zones.YEAR_FOLDER.fullmatch(entry.name + "/")]
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                yield (Path(parent) / name).relative_to(root).as_posix()


def _write_file(root: Path, file: PlannedFile) -> None:
    target, content = root / file.key, file_bytes(file)
    if target.is_file() and target.read_bytes() == content:
        return  # written by an earlier call that was killed
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
            raise PermissionError(13, "it is not writable")
    except OSError as error:
        raise SettingsError(setting, f"the directory {folder} can't be used: {error.strerror}") from error
