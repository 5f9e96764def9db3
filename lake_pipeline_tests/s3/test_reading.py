"""Readers of a lake in a bucket: datasets, snapshots, loader workers, Spark and SQL read exactly the published rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession

from lake_pipeline.consume.dataset import CuratedDataset, Share
from lake_pipeline.consume.query import query
from lake_pipeline.consume.spark import read_curated
from lake_pipeline.errors import PermanentError
from lake_pipeline.model.selections import Selection
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline.storage.zones import RETAINED
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.snapshots.create import create_snapshot
from lake_pipeline.usecases.snapshots.drop import drop_snapshot
from lake_pipeline_tests.s3.conftest import Land
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import downloaded, ingest, is_sound
from local_aws.server import AwsServer

MODES = ("live", "a b/c=d")

ROWS = 40


@pytest.fixture
def landed(lake: Lake, land: Land) -> Lake:
    """One day in each of two years, with two modes: four files."""
    records = [
        {"event_time": f"{2025 + n % 2}-02-01", "mode": MODES[n // 2 % 2], "n": n, "t": f"text {n}"}
        for n in range(ROWS)
    ]
    land({"2026/week06/first.json": ndjson(*records)})
    ingest(lake)
    return lake


def numbers(batches: Any) -> list[int]:
    return [int(n) for batch in batches for n in batch["n"].to_pylist()]


def rebuild_all(lake: Lake) -> None:
    rebuild(lake, {file.partition for file in lake.ledger.curated.files()})


def retained(lake: Lake) -> int:
    return sum(1 for _ in lake.store.objects(RETAINED))


def test_a_dataset_has_each_row_once_in_the_same_order_each_time(landed: Lake) -> None:
    dataset = CuratedDataset.of_selection(landed, columns=["n", "t", "mode"], seed=3, batch_rows=7)
    shares = (dataset.batches(share=Share(index=index, count=3)) for index in range(3))
    assert sorted(n for share in shares for n in numbers(share)) == list(range(ROWS))
    assert numbers(dataset.batches()) == numbers(dataset.batches()) != list(range(ROWS))

    where = (pc.field("mode") == "a b/c=d") & (pc.field("n") > 30)
    some = CuratedDataset.of_selection(landed, first="2026-01-01", columns=["n"], where=where)
    assert len(some.files.versions) == 1
    assert numbers(some.batches()) == [31, 35, 39]


def test_a_snapshot_gives_the_same_batches_after_a_rebuild_until_it_is_dropped(landed: Lake, land: Land) -> None:
    create_snapshot(landed, "s", Selection(modes=("live",)))
    dataset = CuratedDataset.of_snapshot(landed, "s", seed=7, batch_rows=6)
    before = [batch.to_pylist() for batch in dataset.batches()]
    begun = dataset.batches()
    first = next(begun)

    land({"2026/week06/late.json": ndjson({"event_time": "2025-02-01", "mode": "live", "n": 0.5, "new": True})})
    ingest(landed)
    rebuild_all(landed)

    assert retained(landed) == 2
    assert [batch.to_pylist() for batch in dataset.batches()] == before
    assert [first.to_pylist(), *(batch.to_pylist() for batch in begun)] == before
    assert is_sound(landed)
    drop_snapshot(landed, "s")
    assert retained(landed) == 0
    with pytest.raises(PermanentError, match="lake snapshot create"):
        dataset.table()


def test_loader_workers_can_read_a_bucket_that_their_parent_has_read(landed: Lake) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: `make install-torch`")
    from torch.utils.data import DataLoader, SequentialSampler

    from lake_pipeline.consume.torch_data import CuratedBatches, CuratedRows

    dataset = CuratedDataset.of_selection(landed, columns=["n", "t"], seed=5, batch_rows=4)
    # Now this process has open connections, which its workers must not use.
    assert sorted(numbers(dataset.batches())) == list(range(ROWS))
    loader = DataLoader(CuratedBatches(dataset), batch_size=None, num_workers=2)
    for _ in range(2):
        assert sorted(int(n) for batch in loader for n in batch["n"]) == list(range(ROWS))

    rows = CuratedRows(dataset)
    assert {int(rows[number]["n"]) for number in range(ROWS)} == set(range(ROWS))
    picked = DataLoader(rows, batch_size=8, sampler=SequentialSampler(rows), num_workers=2)
    assert [int(n) for batch in picked for n in batch["n"]] == [int(rows[number]["n"]) for number in range(ROWS)]


def test_spark_reads_the_files_of_a_snapshot_in_the_bucket(
    landed: Lake, store: S3Store, spark: SparkSession, tmp_path: Path
) -> None:
    """Spark does not include the S3 connector, so a copy of the bucket is mounted under its URI."""
    create_snapshot(landed, "s", Selection())
    before = numbers_of(landed)
    rebuild(landed, [file.partition for file in landed.ledger.curated.files()][:1])
    hadoop = spark._jsc.hadoopConfiguration()
    mounted = {
        "fs.s3a.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.LocalFileSystem",
        f"fs.viewfs.mounttable.{store.location.bucket}.link./lake": f"file://{downloaded(store, tmp_path)}",
    }
    for name, value in mounted.items():
        hadoop.set(name, value)
    frame = read_curated(spark, landed, snapshot="s", columns=["n", "mode"], scheme="s3a")
    assert sorted(row["n"] for row in frame.collect()) == before == list(range(ROWS))
    files = frame.inputFiles()
    assert all(file.startswith(f"s3a://{store.location.bucket}/lake/") for file in files)
    assert sum("/retained/" in file for file in files) == 1
    assert {row["mode"] for row in frame.collect()} == set(MODES)


def numbers_of(lake: Lake) -> list[int]:
    return sorted(numbers(CuratedDataset.of_snapshot(lake, "s").batches()))


def test_the_local_engine_requests_only_the_files_that_a_query_needs(landed: Lake, aws: AwsServer) -> None:
    sql = "SELECT mode, sum(n) FROM json_parsed_parquet WHERE year = 2026 GROUP BY mode ORDER BY mode"
    with aws.recorded() as asked:
        rows = list(query(landed, sql).rows)
    assert rows == [("a b/c=d", sum(range(3, ROWS, 4))), ("live", sum(range(1, ROWS, 4)))]
    identity, *files = [call["folder"] for call in asked if call["operation"] == "GetObject"]
    assert (identity, set(files)) == ("lake", {"lake/json_parsed_parquet/year=2026"})
