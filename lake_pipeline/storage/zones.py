"""The zones of the lake: which part of the key space is for what.

Landing zones are the only keys that discovery reads; everything else is written by the pipeline.
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
"""Published files that left the curated zone and that a snapshot holds."""

CODE = "glue/code/"
"""What a Glue job runs, below a folder for each content."""

RUNS = "glue/runs/"
"""What Glue runs are asked, and their reports, by batch."""

WEEKLY_KEY = re.compile(r"\d{4}/week\d{2}/.+")
YEAR_FOLDER = re.compile(r"\d{4}/")
"""Weekly drops land under `YYYY/weekXX/`; the store is asked for these year folders."""

MAX_NAME_BYTES = 870
"""The longest key that is archived under its own name: 1,024 bytes of S3, less the root's prefix (100), the zone and
what tells versions apart."""

PARQUET = ".parquet"

CURATED_NAME = "json_parsed_parquet"
"""The table's name for readers, and the asset's name in Dagster."""


def lane_of(key: str) -> Lane | None:
    """The lane of a landing-zone key; None where the key is not in a landing zone."""
    if key.startswith(HISTORY) and len(key) > len(HISTORY):
        return Lane.HISTORY
    return Lane.WEEKLY if WEEKLY_KEY.fullmatch(key) else None


def curated_key(partition: PartitionKey, name: str) -> str:
    """The key of a curated file: `json_parsed_parquet/year=…/month=…/day=…/mode=…/NAME`."""
    return f"{CURATED}{partition.path}/{name}"


def retained_key(key: str, etag: str) -> str:
    """Where the version `etag` of the curated file at `key` is kept: its place with the version behind its name.

    The folders stay, so that a reader of these files finds the partition in them too.
    """
    name = key.removeprefix(CURATED).removesuffix(PARQUET)
    return f"{RETAINED}{name}~{sha256(etag.encode()).hexdigest()[:16]}{PARQUET}"


def curated_key_of(retained: str) -> str:
    """The key that a retained file had in the curated zone."""
    return f"{CURATED}{retained.removeprefix(RETAINED).rpartition('~')[0]}{PARQUET}"


def quarantine_key(batch_id: str, name: str) -> str:
    """The key of a quarantine file of one batch."""
    return f"{QUARANTINE}batch={batch_id}/{name}"


def archive_key(key: str) -> str:
    """Where the original at `key` goes after it was published. A key that leaves no room for the name of the zone is
    cut and ends in a hash of the whole, so that no two originals meet."""
    raw = key.encode("utf-8", "surrogatepass")
    if len(raw) <= MAX_NAME_BYTES:
        return ARCHIVE + key
    ending = f"~{sha256(raw).hexdigest()[:32]}"
    return ARCHIVE + raw[: MAX_NAME_BYTES - len(ending)].decode("utf-8", "ignore") + ending
