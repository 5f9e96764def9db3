"""The engine that runs the kernel in this process, on a few threads: for a laptop, or one large machine."""

from __future__ import annotations

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.storage.object_store import ObjectStore


class InProcessEngine:
    """See `Engine`. Files are read from and parts are written to `store`."""

    name = "in_process"

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        # Most commands convert nothing, and the kernel takes half a second to load.
        from lake_pipeline.convert.kernel.convert import convert

        return convert(self._store, request, on_progress)

    def probe(self) -> None:
        from lake_pipeline.convert.native.call import load

        load()
