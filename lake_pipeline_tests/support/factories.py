"""Small lakes for tests: put files in, convert them, read the published result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.parse.fast.parser import FastResult, parse_fast
from lake_pipeline.convert.request import ConversionOptions, ConversionReport, ConversionRequest, Engine, Progress
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.engines.sharding.driver import ShardTask, convert_sharded
from lake_pipeline.engines.sharding.shards import Shard
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import FileOutcome
from lake_pipeline.storage.directory import DirectoryStore

if TYPE_CHECKING:
    import pyarrow.dataset as ds

BATCH = "6f1f9a52-4a8c-4a58-9f6e-1f4e7d0d9a11"

OPTIONS = ConversionOptions(first_date=date(2010, 1, 1), last_date=date(2030, 12, 31))


def ndjson(*records: Mapping[str, Any]) -> bytes:
    """The records, one per line."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@dataclass(frozen=True)
class Converted:
    """A conversion and the content of its published parts."""

    report: ConversionReport
    store: DirectoryStore
    files: tuple[RawFile, ...]

    def outcome(self, key: str) -> FileOutcome:
        """The outcome of the file at `key`."""
        file_id = next(file.file_id for file in self.files if file.key == key)
        return next(outcome for outcome in self.report.manifest.files if outcome.file_id == file_id)

    @property
    def contract(self) -> Contract:
        return self.report.contract

    def rows(self) -> list[dict[str, Any]]:
        """Every published row with its partition as `day` and `mode`, in the order of file and record."""
        rows: list[dict[str, Any]] = []
        for part in self.report.manifest.curated:
            table = pq.read_table(self.store.path(part.object.key), partitioning=None)
            assert table.num_rows == part.rows == sum(part.rows_by_file.values())
            partition = {"partition": f"{part.partition.day} {part.partition.mode}"}
            rows += [{**row, **partition} for row in table.to_pylist()]
        return sorted(rows, key=lambda row: (row["_file_id"], row["_record"]))

    def quarantined(self) -> list[dict[str, Any]]:
        """Every quarantined record, in the order of file and record."""
        rows: list[dict[str, Any]] = []
        for part in self.report.manifest.quarantine:
            rows += pq.read_table(self.store.path(part.object.key), partitioning=None).to_pylist()
        return sorted(rows, key=lambda row: (row["_file_id"], row["record"]))


class LakeOnDisk:
    """A directory lake to convert files in, without a ledger."""

    def __init__(self, root: Path, *, engine: Callable[[DirectoryStore], Engine] = InProcessEngine) -> None:
        self.store = DirectoryStore(root)
        self.store.create_root()
        self._root = root
        self._engine = engine(self.store)

    def put(self, files: Mapping[str, bytes]) -> tuple[RawFile, ...]:
        """Write raw files; return them with the file ids 1, 2, 3, …"""
        for key, content in files.items():
            path = self.store.path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        infos = {key: self.store.stat(key) for key in files}
        return tuple(
            RawFile(file_id=number, key=key, etag=info.etag, size=info.size)
            for number, (key, info) in enumerate(infos.items(), start=1)
            if info is not None
        )

    def convert(
        self,
        files: Mapping[str, bytes],
        *,
        contract: Contract | None = None,
        batch_id: str = BATCH,
        widens_from: int = 0,
        **options: Any,
    ) -> Converted:
        """Convert `files` and publish the parts (without a ledger)."""
        raw = self.put(files)
        request = ConversionRequest(
            batch_id=batch_id,
            files=raw,
            contract=contract,
            options=replace(OPTIONS, **options),
            widens_from=widens_from,
        )
        report = self._engine.convert(request)
        for pending in report.manifest.objects:
            self.store.publish(pending)
        return Converted(report=report, store=self.store, files=raw)

    def pending(self) -> list[str]:
        """The keys of pending objects."""
        return [pending.key for pending in self.store.pending()]

    def table(self) -> ds.Dataset:
        """All published curated files as one dataset, by name."""
        # It loads pandas, if that is installed.
        import pyarrow.dataset as ds

        return ds.dataset(self._root / "json_parsed_parquet", partitioning="hive")


class ShardedEngine:
    """An engine that shards like a cluster, with one worker that converts one shard after the other."""

    name = "sharded"

    def __init__(self, store: DirectoryStore, *, ranges: int = 7) -> None:
        """The largest file is split into so many ranges, wherever its lines end."""
        self._store = store
        self._ranges = ranges
        self.done: list[Shard] = []

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        shard_bytes = max(file.size for file in request.files) // self._ranges + 1
        return convert_sharded(self._store, request, self._run_shards, shard_bytes=shard_bytes, on_progress=on_progress)

    def _run_shards(
        self,
        task: ShardTask,
        request: ConversionRequest,
        shards: Sequence[Shard],
        *,
        activity: str,  # noqa: ARG002 # for a log
        on_progress: Progress | None = None,
    ) -> list[Any]:
        self.done += shards
        if on_progress:
            on_progress(sum(shard.files_ended for shard in shards), sum(shard.size for shard in shards))
        sent = [Shard.from_json(shard.to_json()) for shard in shards]
        return [json.loads(json.dumps(task(self._store, request, shard))) for shard in sent]


def values(rows: Iterable[Mapping[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    """The named columns of `rows`."""
    return [tuple(row.get(column) for column in columns) for row in rows]


def reject_everything(lines: bytes, count: int, contract: Contract) -> FastResult:
    """A replacement for `parse_fast` that sends every record to the tolerant parser."""
    result = parse_fast(b"\n" * count, count, contract)
    assert len(result.rejected) == count
    return result
