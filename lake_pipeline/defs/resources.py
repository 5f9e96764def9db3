"""The lake as a Dagster resource: a thin coat that opens it when it is first used, once for each process.

Loading the code location must not connect to anything, so nothing here does until `open` is called.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import dagster as dg

from lake_pipeline.settings import Settings

if TYPE_CHECKING:
    from lake_pipeline.ingest.lake import Lake

LAKE = "lake"
"""The key of the resource, and so the name of the argument that takes it."""


class LakeResource:
    """Opens the lake of `settings` on first use and keeps it for the life of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._lake: Lake | None = None

    def open(self) -> Lake:
        """The open lake; the same one for every caller in this process, sensors and runs alike.

        Raises `SettingsError`, `LedgerUnavailable` or `LedgerOutdated`.
        """
        # Loads pyarrow and the PostgreSQL driver; the code location must load without waiting for them.
        from lake_pipeline.opening import connect_lake

        with self._lock:
            if self._lake is None:
                self._lake = connect_lake(self._settings)
            return self._lake


def lake_resource(settings: Settings) -> dg.ResourceDefinition:
    """The resource as Dagster shows it."""
    return dg.ResourceDefinition.hardcoded_resource(
        LakeResource(settings), description=f"The lake under {settings.root} and its ledger"
    )
