"""All resources. `lake` is a thin wrapper that opens the lake on first use, once per process.

Loading the code location must not connect to anything, so nothing here connects before `open` is called.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from lake_pipeline.settings import Settings

if TYPE_CHECKING:
    from lake_pipeline.usecases.lake import Lake

LAKE = "lake"
"""The key of the resource, and so the name of the argument that receives it."""


class LakeResource:
    """Opens the lake of `settings` on first use and keeps it for the life of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._lake: Lake | None = None

    def open(self) -> Lake:
        """The open lake, after a check of its identity; the same one for every caller in this process.

        Raises `LakeNotThere` or `LakeMismatch`, and what `open_for_reading` raises.
        """
        from lake_pipeline.usecases.identity.check import check_identity

        lake = self.open_for_reading()
        check_identity(lake)
        return lake

    def open_for_reading(self) -> Lake:
        """The same without the check, for callers that only read the ledger.

        Raises `SettingsError`, `LedgerUnavailable` or `LedgerOutdated`.
        """
        # Imported here because it loads pyarrow and the PostgreSQL driver, which would slow down loading definitions.
        from lake_pipeline.composition import connect_lake

        with self._lock:
            if self._lake is None:
                self._lake = connect_lake(self._settings)
            return self._lake


def all_resources(settings: Settings) -> Mapping[str, dg.ResourceDefinition]:
    """Every resource by key."""
    return {
        LAKE: dg.ResourceDefinition.hardcoded_resource(
            LakeResource(settings), description=f"The lake under {settings.storage.root} and its ledger"
        ),
        # Assets pass no Python values to each other; the default I/O manager would write empty files for them.
        "io_manager": dg.mem_io_manager,
    }
