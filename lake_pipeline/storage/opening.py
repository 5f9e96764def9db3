"""Opening a store from its place: in the command, in a Spark task and in a Glue job alike."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.places import DirectoryPlace, Place, S3Place


def open_store(place: Place) -> ObjectStore:
    """The store at `place`. Raises `SettingsError` where it can't be used; S3 is first asked when it is used."""
    match place:
        case DirectoryPlace():
            return DirectoryStore(Path(place.path))
        case S3Place():
            # The AWS SDK takes a third of a second to load, and a laptop's lake does without.
            from lake_pipeline.storage.s3 import S3Store

            return S3Store(place)
        case _:
            assert_never(place)
