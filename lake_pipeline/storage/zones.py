"""The zones of the lake: which keys are for what.

Discovery reads the landing zones only; the pipeline writes all other zones.
"""

from __future__ import annotations

import re
from hashlib import sha256

from lake_pipeline.model.files import Lane
from lake_pipeline.model.partitions import PartitionKey

HISTORY = "all_historical_files/"
CURATED = "json_parsed_parquet/"
ARCHIVE = "raw-json-data-processed/"
QUARANTINE = "quarantine/"
RETAINED = "retained/"
"""Published files that left the curated zone and are kept for a snapshot."""

IDENTITY = "_lake.json"
"""The identity of the lake: an object in the root, in no zone."""

COMMITS = "_commits/"
"""One object for each manifest, in the order in which they were recorded: what `lake recover` replays."""

SNAPSHOTS = "_snapshots/"
"""One object for each snapshot: its selection and files, for a ledger that is rebuilt."""

ORPHANS = "_orphans/"
"""Files that `lake recover` found in the curated or quarantine zone and no manifest explains."""

CODE = "glue/code/"
"""The code of Glue jobs, in one folder per content hash."""

RUNS = "glue/runs/"
"""Requests to Glue runs and their reports, by batch."""

WEEKLY_KEY = re.compile(r"\d{4}/week\d{2}/.+")
YEAR_FOLDER = re.compile(r"\d{4}/")
"""Weekly drops land under `YYYY/weekXX/`; discovery lists these year folders."""

MAX_FILE_NAME_BYTES = 255
"""The longest name of a file or folder on the usual file systems."""

MAX_NAME_BYTES = 870
"""The longest key that is archived under its own name: the 1,024 bytes of S3, less the root's prefix (100), the zone
and the suffix of a version."""

NAME_CONFLICTS = "_name-conflicts/"
"""The folder of the archive for originals whose own place is taken: by a folder of the same name, or by a file that has
the name of one of its folders."""

PARQUET = ".parquet"

_COMMIT_KEY = re.compile(r"_commits/(\d{12})\.json\.gz")

CURATED_NAME = "json_parsed_parquet"
"""The name of the table for readers, and of the asset in Dagster."""


def lane_of(key: str) -> Lane | None:
    """The lane of a key in a landing zone; None for any other key."""
    if key.startswith(HISTORY) and len(key) > len(HISTORY):
        return Lane.HISTORY
    return Lane.WEEKLY if WEEKLY_KEY.fullmatch(key) else None


def is_landing_folder(key: str) -> bool:
    """Whether discovery lists the folder or file `key`, or a folder that it is in."""
    return f"{key}/".startswith(HISTORY) or YEAR_FOLDER.match(f"{key}/") is not None


def is_pipeline_zone(key: str) -> bool:
    """Whether the pipeline itself writes below the top-level folder of `key`. Hidden ones count, too."""
    return key.startswith((".", "_", CURATED, ARCHIVE, QUARANTINE, RETAINED, "glue/"))


def curated_key(partition: PartitionKey, name: str) -> str:
    """The key of a curated file: `json_parsed_parquet/year=…/month=…/day=…/mode=…/NAME`."""
    return f"{CURATED}{partition.path}/{name}"


def retained_key(key: str, etag: str) -> str:
    """The key under which the version `etag` of the curated file at `key` is retained.

    It has the same folders, so that a reader finds the partition in them, and a hash of the version after the name.
    """
    name = key.removeprefix(CURATED).removesuffix(PARQUET)
    return f"{RETAINED}{name}~{sha256(etag.encode()).hexdigest()[:16]}{PARQUET}"


def curated_key_of(retained: str) -> str:
    """The key that a retained file had in the curated zone."""
    return f"{CURATED}{retained.removeprefix(RETAINED).rpartition('~')[0]}{PARQUET}"


def commit_key(number: int) -> str:
    """The key of the object with the manifest `number`, from 1. Keys sort like numbers."""
    return f"{COMMITS}{number:012}.json.gz"


def number_of_commit(key: str) -> int | None:
    """The number in a key made by `commit_key`; None for any other key."""
    match = _COMMIT_KEY.fullmatch(key)
    return int(match.group(1)) if match else None


def snapshot_key(name: str) -> str:
    """The key of the object of a snapshot."""
    return f"{SNAPSHOTS}{name}.json.gz"


def quarantine_key(batch_id: str, name: str) -> str:
    """The key of a quarantine file of one batch."""
    return f"{QUARANTINE}batch={batch_id}/{name}"


def archive_key(key: str, suffix: str = "") -> str:
    """The key under which the original at `key` is archived after its publication; `suffix` tells versions apart.

    What is too long for the archive zone, or for a file name, is cut and ends in a hash of the whole key, so that no
    two originals collide.
    """
    raw = key.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_NAME_BYTES:
        return f"{ARCHIVE}{_cut(raw, MAX_NAME_BYTES - _HASH_CHARACTERS - 1)}~{_hash(raw)}{suffix}"
    name = f"{key}{suffix}"
    folder, slash, last = name.rpartition("/")
    if len(last.encode("utf-8", "surrogatepass")) <= MAX_FILE_NAME_BYTES:
        return ARCHIVE + name
    cut = _cut(last.encode("utf-8", "surrogatepass"), MAX_FILE_NAME_BYTES - _HASH_CHARACTERS - 1)
    return f"{ARCHIVE}{folder}{slash}{cut}~{_hash(name.encode('utf-8', 'surrogatepass'))}"


def conflicting_archive_key(archive_key: str) -> str:
    """The key of an original that can't be archived at `archive_key`, where a file or folder is in its way.

    It is the same name in a folder that no other original uses.
    """
    folder = _hash(archive_key.encode("utf-8", "surrogatepass"))
    return f"{ARCHIVE}{NAME_CONFLICTS}{folder}/{archive_key.removeprefix(ARCHIVE)}"


def planned_archive_key(key: str) -> str:
    """The inverse of `conflicting_archive_key`; any other key of the archive is returned itself."""
    conflicts = f"{ARCHIVE}{NAME_CONFLICTS}"
    return f"{ARCHIVE}{key.removeprefix(conflicts).partition('/')[2]}" if key.startswith(conflicts) else key


_HASH_CHARACTERS = 32


def _hash(raw: bytes) -> str:
    return sha256(raw).hexdigest()[:_HASH_CHARACTERS]


def _cut(raw: bytes, size: int) -> str:
    return raw[:size].decode("utf-8", "ignore")
