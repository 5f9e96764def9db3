"""Opens the store of a location: in commands, Spark tasks and Glue jobs."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.location import DirectoryLocation, Location, S3Location
from lake_pipeline.storage.object_store import ObjectStore


def open_store(location: Location) -> ObjectStore:
    """The store at `location`. Sends no request to S3. Raises `SettingsError` if a directory can't be used."""
    match location:
        case DirectoryLocation():
            return DirectoryStore(Path(location.path), follow_links=location.follow_links)
        case S3Location():
            # The AWS SDK takes a third of a second to load, and a lake in a directory does not need it.
            from lake_pipeline.storage.s3.store import S3Store

            return S3Store(location)
        case _:
            assert_never(location)
