"""Open lakes for tests: a directory store and a real ledger, what readers see of them, and interruptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Engine, Progress
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.batches.result import BatchResult
from lake_pipeline.usecases.checks.verify import verify
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.identity.check import check_identity
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.factories import OPTIONS


def lake_at(root: Path, ledger: Ledger, **fields: Any) -> Lake:
    """A lake on the directory `root`, with its identity."""
    store = DirectoryStore(root)
    lake = Lake(store=store, ledger=ledger, engine=InProcessEngine(store), options=OPTIONS)
    check_identity(lake)
    return replace(lake, **fields)


def land(root: Path, files: dict[str, bytes]) -> None:
    """Put raw files into the landing zones."""
    for key, content in files.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def ingest(lake: Lake) -> list[BatchResult]:
    """Discover and ingest everything."""
    discover(lake)
    return list(ingest_all(lake))


def is_sound(lake: Lake) -> bool:
    """Assert that all checks pass and `lake fsck` finds nothing; return whether the row counts agree."""
    partitions = {file.partition for file in lake.ledger.curated.files()}
    failed = [verdicts for verdicts in verify(lake, partitions) if not verdicts.passed]
    findings = [finding.text for finding in Audit(lake=lake).findings()]
    status = lake.ledger.views.status()
    assert (failed, findings) == ([], [])
    assert status.rows_read == status.rows_published + status.rows_quarantined
    return status.rows_published == sum(file.rows for file in lake.ledger.curated.files())


class Interrupted:
    """An engine that calls `then` after it has converted its first batch."""

    name = "in_process"

    def __init__(self, inner: Engine, then: Callable[[], object]) -> None:
        self._inner = inner
        self._then: Callable[[], object] | None = then

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        report = self._inner.convert(request, on_progress=on_progress)
        then, self._then = self._then, None
        if then:
            then()
        return report


@contextmanager
def dying_half_published(lake: Lake) -> Iterator[None]:
    """Publishing in this block ends at the first object, as if the worker were killed after the point of no return."""

    def die(*_: object) -> None:
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):  # noqa: PT012
        patch.setattr(type(lake.store), "publish", die)
        yield


def downloaded(store: ObjectStore, folder: Path, prefix: str = "") -> Path:
    """`folder` with the visible objects of a store below `prefix`. A bucket may have keys that a folder can't."""
    for info in store.objects(prefix):
        path = folder / info.key
        path.parent.mkdir(parents=True, exist_ok=True)
        with store.open(info.key) as stream:
            path.write_bytes(stream.read())
    return folder


def published(root: Path) -> list[dict[str, Any]]:
    """Every row that a reader of the plain path sees, without the ids that differ between runs, sorted."""
    folder = root / "json_parsed_parquet"
    if not folder.exists():
        return []
    # It loads pandas, if that is installed, and most processes that import this module read no rows.
    import pyarrow.dataset as ds

    rows = ds.dataset(folder, partitioning="hive", schema=_union(folder)).to_table().to_pylist()
    hidden = ("_batch_id", "_file_id")
    plain = [{key: row[key] for key in sorted(row) if key not in hidden} for row in rows]
    return sorted(plain, key=repr)


def quarantined(root: Path) -> list[tuple[str, bytes]]:
    """Key and bytes of every record that a reader of the plain path sees in quarantine, sorted."""
    tables = [pq.read_table(path, partitioning=None) for path in (root / "quarantine").rglob("*.parquet")]
    return sorted((row["s3_key"], row["raw"]) for table in tables for row in table.to_pylist())


def _union(folder: Path) -> Any:
    """The union schema of all files; a dataset takes that of its first file by default."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    fragments = ds.dataset(folder, partitioning="hive").files
    schemas = [ds.dataset(path, partitioning=None).schema for path in fragments]
    partition = pa.schema([("year", pa.int32()), ("month", pa.int32()), ("day", pa.int32()), ("mode", pa.string())])
    return pa.unify_schemas([*schemas, partition])
