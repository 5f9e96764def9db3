"""The pipeline: discover, ingest and archive, each timed and with its requests counted."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from bench.machine import cores
from lake_pipeline.composition import open_lake
from lake_pipeline.convert.request import ConversionOptions, ConversionRequest
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.ledger.embedded import client as embedded
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.states import FileState
from lake_pipeline.settings import Settings, load_settings
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.usecases.batches import ingest as batch
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.publication.archive import archive_originals
from lake_pipeline.usecases.recovery import reconcile
from local_aws.server import AwsServer


@dataclass(kw_only=True)
class Stage:
    """One stage over `files` objects: its requests by operation, the seconds of the lake, of the bare loop, and
    of the lake without requests (`alone_seconds`).

    `written` are the bytes of each object that was published.
    """

    kind: str
    name: str
    files: int
    seconds: float
    requests: dict[str, int]
    written: list[int] = field(default_factory=list)
    bare_seconds: float = 0.0
    alone_seconds: float = 0.0

    @property
    def ratio(self) -> float:
        """Time of the lake relative to its requests alone."""
        return self.seconds / self.bare_seconds

    @property
    def overhead(self) -> float:
        """Time of the lake relative to the sum of its requests and its other work."""
        return self.seconds / (self.bare_seconds + self.alone_seconds)


ALL = "all"
"""The name of a stage that sums others."""


def total(kind: str, stages: list[Stage]) -> Stage:
    """The sum of the stages of one kind of objects, or of all kinds."""
    parts = [stage for stage in stages if stage.name != ALL]
    requests: Counter[str] = Counter()
    for stage in parts:
        requests.update(stage.requests)
    return Stage(
        kind=kind,
        name=ALL,
        files=sum({stage.kind: stage.files for stage in parts}.values()),
        seconds=sum(stage.seconds for stage in parts),
        requests=dict(requests),
        bare_seconds=sum(stage.bare_seconds for stage in parts),
        alone_seconds=sum(stage.alone_seconds for stage in parts),
    )


def lake_stages(server: AwsServer, bucket: str, home: Path, kind: str, files: int) -> list[Stage]:
    """The three stages in a bucket."""
    settings = load_settings(root=f"s3://{bucket}", s3_endpoint_url=server.endpoint, home=home, workers=cores())
    return _stages(server, settings, kind, files)


def without_requests(server: AwsServer, root: Path, home: Path, stages: list[Stage]) -> None:
    """Add to each stage its time over the same files in a directory: conversion and ledger alone."""
    settings = load_settings(root=root, home=home, workers=cores())
    for stage, alone in zip(stages, _stages(server, settings, stages[0].kind, stages[0].files), strict=True):
        stage.alone_seconds = alone.seconds


def _stages(server: AwsServer, settings: Settings, kind: str, files: int) -> list[Stage]:
    """Ingesting skips archiving here, so that each is measured separately."""
    with (
        open_lake(settings) as lake,
        mock.patch.object(batch, "archive_originals", return_value=0),
        mock.patch.object(reconcile, "archive_originals", return_value=0),
    ):
        # Do not measure what is loaded or compiled once.
        lake.ledger.views.status()
        _warm_up()
        listing = _timed(server, kind, "list", files, lambda: discover(lake))
        ingest = _timed(server, kind, "ingest", files, lambda: list(ingest_all(lake)))
        archive = _timed(server, kind, "archive", files, lambda: archive_originals(lake))
        status = lake.ledger.views.status()
        assert status.files[FileState.SUCCEEDED] == status.archived == files, status
        ingest.written = [file.size for file in lake.ledger.curated.files()]
    embedded.release(settings.storage.home)
    return [listing, ingest, archive]


def _timed(server: AwsServer, kind: str, name: str, files: int, work: Callable[[], object]) -> Stage:
    with server.recorded() as calls:
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
    requests: Counter[str] = Counter()
    for call in calls:
        # The source of a copy is not a separate request.
        if not call["operation"].startswith("CopySource"):
            requests[call["operation"]] += call["count"]
    return Stage(kind=kind, name=name, files=files, seconds=seconds, requests=dict(requests))


def _warm_up() -> None:
    """Convert one record, so that the kernel is loaded or compiled before the first measurement."""
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(Path(folder))
        store.path("a.json").write_text('{"event_time": "2026-02-03T10:00:00Z", "n": 1}\n')
        info = store.stat("a.json")
        assert info is not None
        request = ConversionRequest(
            batch_id=str(uuid.uuid4()),
            files=(RawFile(file_id=1, key=info.key, etag=info.etag, size=info.size),),
            contract=None,
            options=ConversionOptions(),
        )
        InProcessEngine(store).convert(request)
