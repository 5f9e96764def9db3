"""A sharded batch gives the same rows, contract and counts as one converted by a single worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.convert.kernel.file_outcome import ABANDON_RECORDS
from lake_pipeline.convert.request import ConversionRequest
from lake_pipeline.engines.sharding.driver import ShardTask
from lake_pipeline.engines.sharding.shards import Shard, pack_files, split_ranges
from lake_pipeline.engines.wire import error_to_json
from lake_pipeline.errors import StorageUnavailable
from lake_pipeline.model.files import RawFile
from lake_pipeline_tests.support.factories import LakeOnDisk, ShardedEngine, ndjson, values
from lake_pipeline_tests.support.parity import SETS, same

KEY = "2026/week06/a.json"


@pytest.fixture
def single(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "single")


@pytest.fixture
def sharded(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "sharded", engine=ShardedEngine)


def record(**fields: Any) -> dict[str, Any]:
    return {"event_time": "2026-02-03", "mode": "live", **fields}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_many_workers_give_the_same_result_as_one(name: str, single: LakeOnDisk, sharded: LakeOnDisk) -> None:
    files = SETS[name]()
    same(sharded.convert(files, max_bad_share=0.2), single.convert(files, max_bad_share=0.2))


def test_a_file_read_in_ranges_is_refused_as_a_whole_and_leaves_nothing(
    single: LakeOnDisk, sharded: LakeOnDisk
) -> None:
    """All malformed records are in one range, and too many for the file."""
    content = ndjson(*(record(n=n) for n in range(500))) + b"{broken\n" * 100
    converted = sharded.convert({KEY: content, "2026/week06/b.json": ndjson(record(n=1))})
    assert converted.outcome(KEY).reason == "too_many_broken"
    assert values(converted.rows(), "n") == [(1,)]
    assert sharded.pending() == []
    same(converted, single.convert({KEY: content, "2026/week06/b.json": ndjson(record(n=1))}))


@pytest.mark.slow
def test_a_file_without_any_partition_is_abandoned_by_many_workers_too(single: LakeOnDisk, sharded: LakeOnDisk) -> None:
    content = b'{"n":1,"text":"no date in it"}\n' * (ABANDON_RECORDS * 3 // 2)
    converted = sharded.convert({KEY: content})
    assert converted.outcome(KEY).reason == "nothing_to_publish"
    assert sharded.pending() == []
    same(converted, single.convert({KEY: content}))


def test_a_fraction_in_one_range_widens_the_column_in_all(single: LakeOnDisk, sharded: LakeOnDisk) -> None:
    """The sample is the beginning of the file; the fraction comes after it."""
    lines = [record(n=n, pad="x" * 200) for n in range(3000)] + [record(n=0.5)]
    converted = sharded.convert({KEY: ndjson(*lines)})
    assert {str(column.type) for column in converted.contract.columns if column.name == "n"} == {"double"}
    assert sharded.pending() == []
    same(converted, single.convert({KEY: ndjson(*lines)}))


def test_a_fraction_in_one_range_takes_no_id_of_another_range_out_of_its_column(
    single: LakeOnDisk, sharded: LakeOnDisk
) -> None:
    ids = [2**53 + number for number in range(1, 3001)]
    lines = [record(id=0.5), *(record(id=number, l=[number], pad="x" * 200) for number in ids), record(l=[0.5], id=2)]
    converted = sharded.convert({KEY: ndjson(*lines)})
    assert [row[0] for row in values(converted.rows(), "id")] == [None, *ids, 2]
    assert [row[1] for row in values(converted.rows(), "id", "_rescued") if row[1]] == ['{"id":0.5}', '{"l":[0.5]}']
    assert converted.report.evidence.lossy_widenings == {"id", "l"}
    assert sharded.pending() == []
    same(converted, single.convert({KEY: ndjson(*lines)}))


def test_if_two_workers_disagree_about_a_type_the_first_wins_and_nothing_is_lost(sharded: LakeOnDisk) -> None:
    start = [record(pad="x" * 200) for _ in range(3000)]
    converted = sharded.convert({KEY: ndjson(*start, record(late="text"), *start, record(late=7))})
    late = [row for row in values(converted.rows(), "late", "_rescued") if any(row)]
    assert late == [("text", None), (None, '{"late":7}')]
    assert sharded.pending() == []


class OneFailingWorker(ShardedEngine):
    """One of its workers can't write."""

    def _run_shards(self, task: ShardTask, request: ConversionRequest, shards: Any, **options: Any) -> list[Any]:
        if options["activity"] != "converting":
            return super()._run_shards(task, request, shards, **options)
        return [
            *super()._run_shards(task, request, shards[:-1], **options),
            {"error": error_to_json(StorageUnavailable("the store is busy"))},
        ]


def test_if_one_worker_fails_nothing_of_the_others_is_left(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path, engine=OneFailingWorker)
    with pytest.raises(StorageUnavailable, match="busy"):
        lake.convert({KEY: ndjson(*(record(n=n) for n in range(500)))})
    assert lake.pending() == []


class SpeculativeEngine(ShardedEngine):
    """Two workers convert each shard and one result is taken, as Spark does with slow tasks."""

    def _run_shards(self, task: ShardTask, request: ConversionRequest, shards: Any, **options: Any) -> list[Any]:
        loser = super()._run_shards(task, request, shards, **options)
        winner = super()._run_shards(task, request, shards, **options)
        return [(loser, winner)[number % 2][number] for number in range(len(shards))]


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_of_two_attempts_at_a_shard_one_counts_and_the_other_stays_invisible(
    name: str, single: LakeOnDisk, tmp_path: Path
) -> None:
    files = SETS[name]()
    lake = LakeOnDisk(tmp_path / "speculative", engine=SpeculativeEngine)
    converted = lake.convert(files, max_bad_share=0.2)
    same(converted, single.convert(files, max_bad_share=0.2))
    # The losers' objects are in no manifest: they stay pending and are swept after the batch.
    assert len(lake.pending()) >= len(converted.report.manifest.curated)
    if converted.rows():
        assert lake.table().count_rows() == len(converted.rows())


def test_a_batch_is_split_by_bytes_and_every_byte_is_in_one_shard() -> None:
    sizes = [10, 5 << 20, 900 << 20, 1, 40 << 20]
    files = [RawFile(file_id=number, key=f"{number}", etag="e", size=size) for number, size in enumerate(sizes)]
    groups = pack_files(files, 64 << 20)
    assert [file for group in groups for file in group] == files
    assert [len(group) for group in groups] == [2, 1, 2]
    ranges = split_ranges(files[2], 64 << 20)
    assert [span.start for span in ranges] == [0, *(span.stop for span in ranges[:-1])]
    assert ranges[-1].stop == files[2].size
    assert max(span.stop - span.start for span in ranges) <= 64 << 20


def test_a_shard_survives_the_way_to_json_and_back() -> None:
    file = RawFile(file_id=7, key="ä/b", etag="e", size=9, archive_key="raw-json-data-processed/ä/b")
    whole = Shard(number=3, files=(file,))
    ranged = Shard(number=3, files=(file,), range=split_ranges(file, 5)[1])
    assert [Shard.from_json(shard.to_json()) for shard in (whole, ranged)] == [whole, ranged]
    assert (whole.size, whole.files_ended, ranged.size, ranged.files_ended) == (9, 1, 5, 1)
