"""`CuratedDataset`: each row once per epoch, in a reproducible order."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_pipeline.consume.curated_files import CuratedFiles, FileVersion
from lake_pipeline.consume.dataset import CuratedDataset, Position, Share
from lake_pipeline.consume.prefetch import prefetch
from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.selections import Selection
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.zones import curated_key
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.snapshots.create import create_snapshot
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest, lake_at, land

FILES = 6
GROUP_ROWS = 7

SCHEMA = pa.schema(
    [("n", pa.int64()), ("x", pa.float64()), ("year", pa.int32()), ("month", pa.int32()), ("day", pa.int32()),
     ("mode", pa.string())]
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CuratedFiles:
    """Files with several row groups each, one without rows; `n` numbers all rows, later files have one more column."""
    store = DirectoryStore(tmp_path_factory.mktemp("lake"))
    versions, n = [], 0
    for number in range(FILES):
        partition = PartitionKey(date(2026, 2, 1 + number % 3), "live" if number % 2 else "a b")
        rows = 0 if number == 3 else 10 + 5 * number
        columns: dict[str, Any] = {"n": pa.array(range(n, n + rows), pa.int64())}
        if number > 1:
            columns["x"] = pa.array([number / 2 for number in range(n, n + rows)], pa.float64())
        key = curated_key(partition, f"part-{number}.parquet")
        path = store.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path, row_group_size=GROUP_ROWS)
        info = store.stat(key)
        assert info is not None
        versions.append(FileVersion(key, info.etag, rows, partition))
        n += rows
    return CuratedFiles(store.location, tuple(versions), SCHEMA, tuple(SCHEMA.names))


ROWS = 10 + 15 + 20 + 30 + 35


PIECE_ROWS = (1, 2 * GROUP_ROWS, 1000)
"""Row groups are read one at a time, two at a time, or all of a file."""


@contextmanager
def reading_pieces_of(piece_rows: int) -> Iterator[None]:
    """While the block runs, row groups with up to `piece_rows` rows are read in one call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lake_pipeline.consume.curated_files.PIECE_ROWS", piece_rows)
        yield


def numbers(batches: Iterator[pa.RecordBatch]) -> list[int]:
    return [n for batch in batches for n in batch.column("n").to_pylist()]


def test_without_a_seed_rows_have_the_stored_order_and_their_partition(files: CuratedFiles) -> None:
    dataset = CuratedDataset(files=files, batch_rows=8)
    batches = list(dataset.batches())
    assert {batch.num_rows for batch in batches[:-1]} == {8}
    assert all(batch.schema == dataset.schema == SCHEMA for batch in batches)
    table = pa.Table.from_batches(batches)
    assert table.column("n").to_pylist() == list(range(ROWS))
    assert table.column("x").null_count == 25, "older files lack the column"
    assert set(zip(table["day"].to_pylist(), table["mode"].to_pylist(), strict=True)) == {
        (1, "a b"), (2, "live"), (3, "a b"), (2, "a b"), (3, "live")
    }  # fmt: skip
    assert dataset.table().equals(table)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.none() | st.integers(0, 3),
    count=st.integers(1, 9),
    batch_rows=st.integers(1, 50),
    window_rows=st.integers(1, 60),
    read_ahead=st.integers(0, 3),
    filtered=st.booleans(),
    piece_rows=st.sampled_from(PIECE_ROWS),
)
def test_each_row_is_in_exactly_one_share_of_an_epoch(
    files: CuratedFiles,
    seed: int | None,
    count: int,
    batch_rows: int,
    window_rows: int,
    read_ahead: int,
    filtered: bool,
    piece_rows: int,
) -> None:
    where = pc.field("n").isin(range(0, ROWS, 3)) & (pc.field("n") > 12) if filtered else None
    dataset = CuratedDataset(
        files=files, where=where, seed=seed, batch_rows=batch_rows, window_rows=window_rows, read_ahead=read_ahead
    )
    with reading_pieces_of(piece_rows):
        shares = [numbers(dataset.batches(epoch=1, share=Share(index=index, count=count))) for index in range(count)]
    expected = [n for n in range(ROWS) if not filtered or (n % 3 == 0 and n > 12)]
    assert Counter(n for share in shares for n in share) == Counter(expected)
    if not filtered:
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.none() | st.integers(0, 3),
    batch_rows=st.integers(1, 40),
    window_rows=st.integers(1, 60),
    stops=st.integers(0, 30),
    filtered=st.booleans(),
    piece_rows=st.sampled_from(PIECE_ROWS),
)
def test_reading_resumes_from_any_position_with_the_same_rows(
    files: CuratedFiles,
    seed: int | None,
    batch_rows: int,
    window_rows: int,
    stops: int,
    filtered: bool,
    piece_rows: int,
) -> None:
    where = pc.field("n").isin(range(0, ROWS, 2)) if filtered else None
    dataset = CuratedDataset(files=files, where=where, seed=seed, batch_rows=batch_rows, window_rows=window_rows)
    share = Share(index=1, count=2)
    with reading_pieces_of(piece_rows):
        whole = numbers(dataset.batches(epoch=2, share=share))

        reader = dataset.batches(epoch=2, share=share)
        before = [n for _, batch in zip(range(stops), reader, strict=False) for n in batch.column("n").to_pylist()]
        saved = json.loads(json.dumps(reader.position.as_json()))
        reader.close()
        assert reader.position == Position.of_json(saved)
        after = numbers(dataset.batches(share=share, position=Position.of_json(saved)))

    assert before + after == whole


def test_batches_of_any_size_have_the_same_rows_and_positions(files: CuratedFiles) -> None:
    dataset = CuratedDataset(files=files, batch_rows=None)
    whole = numbers(dataset.batches())
    assert whole == list(range(ROWS))
    reader = dataset.batches()
    before = numbers(iter([next(reader), next(reader)]))
    assert before + numbers(dataset.batches(position=reader.position)) == whole
    shuffled = CuratedDataset(files=files, batch_rows=None, seed=1, window_rows=30)
    assert sorted(numbers(shuffled.batches())) == whole


def test_the_order_depends_on_seed_and_epoch(files: CuratedFiles) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return numbers(CuratedDataset(files=files, seed=seed, window_rows=40).batches(epoch=epoch))

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4
    assert order(1, 0) != sorted(order(1, 0))


def test_only_files_and_row_groups_that_may_match_are_read(
    files: CuratedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, read = [], []
    real_open, real_read = CuratedFiles.open, CuratedFiles.read

    def opens(self: CuratedFiles, version: FileVersion) -> Any:
        opened.append(version.partition.day.day)
        return real_open(self, version)

    def reads(self: CuratedFiles, piece: Any, where: Any) -> Any:
        read.append(piece.groups)
        return real_read(self, piece, where)

    monkeypatch.setattr(CuratedFiles, "open", opens)
    monkeypatch.setattr(CuratedFiles, "read", reads)
    monkeypatch.setattr("lake_pipeline.consume.curated_files.PIECE_ROWS", 1)
    where = (pc.field("day") == 3) & (pc.field("n") == 26)
    dataset = CuratedDataset(files=files.matching(where), where=where)
    assert numbers(dataset.batches()) == [26]
    assert set(opened) == {3}
    assert read == [(0,)]


def test_selected_columns_keep_their_order_and_a_filter_may_name_others(files: CuratedFiles) -> None:
    dataset = CuratedDataset(files=files.with_columns(["mode", "n"]), where=pc.field("x") > 20.0, batch_rows=1000)
    shares = [dataset.batches(share=Share(index=index, count=3)) for index in range(3)]
    batches = [batch for share in shares for batch in share]
    assert {tuple(batch.schema.names) for batch in batches} == {("mode", "n")}
    assert sorted(numbers(iter(batches))) == list(range(41, ROWS))
    with pytest.raises(PermanentError, match="no column nope"):
        files.with_columns(["nope"])
    unknown = pc.field("nope") > 1
    for read in (lambda: files.matching(unknown), lambda: CuratedDataset(files=files, where=unknown).table()):
        with pytest.raises(PermanentError, match=r"nope.*The columns are n, x"):
            read()


def test_older_files_are_read_with_the_current_contract(files: CuratedFiles) -> None:
    wider = pa.schema([("n", pa.float64()), ("x", pa.float64()), ("late", pa.list_(pa.struct([("a", pa.int64())])))])
    current = replace(files, schema=pa.schema([*wider, *list(SCHEMA)[2:]]), columns=("late", "n"))
    table = CuratedDataset(files=current, where=pc.field("late").is_null() & (pc.field("n") < 12.5)).table()
    assert table.schema.types == [wider.field("late").type, pa.float64()]
    assert table.column("n").to_pylist() == [float(n) for n in range(13)]


def test_a_reader_can_be_sent_to_other_processes(files: CuratedFiles) -> None:
    dataset = CuratedDataset(files=files, where=pc.field("n") < 30, seed=3)
    numbers(dataset.batches())
    assert numbers(pickle.loads(pickle.dumps(dataset)).batches()) == numbers(dataset.batches())


def test_a_forked_reader_shares_no_store_with_its_parent(files: CuratedFiles) -> None:
    own = files.store
    assert files.store is own
    child = os.fork()
    if child == 0:
        os._exit(int(files.store is own))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_memory_is_limited_by_read_ahead(files: CuratedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = CuratedFiles.read

    def reads(self: CuratedFiles, piece: Any, where: Any) -> Any:
        read.append(1)
        return real(self, piece, where)

    monkeypatch.setattr(CuratedFiles, "read", reads)
    monkeypatch.setattr("lake_pipeline.consume.curated_files.PIECE_ROWS", 1)
    reader = CuratedDataset(files=files, batch_rows=1, read_ahead=2).batches()
    for rows in range(GROUP_ROWS):
        next(reader)
        assert len(read) <= 3, rows
    next(reader)
    assert len(read) <= 4
    reader.close()


def test_only_the_next_window_is_prefetched(files: CuratedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = CuratedFiles.read

    def reads(self: CuratedFiles, piece: Any, where: Any) -> Any:
        read.append(piece.stop - piece.start)
        return real(self, piece, where)

    monkeypatch.setattr(CuratedFiles, "read", reads)
    monkeypatch.setattr("lake_pipeline.consume.curated_files.PIECE_ROWS", 1)
    window = 4 * GROUP_ROWS
    reader = CuratedDataset(files=files, seed=1, batch_rows=1, window_rows=window, read_ahead=1).batches()
    next(reader)
    deadline = time.monotonic() + 10
    while sum(read) < 2 * window:
        assert time.monotonic() < deadline, "the second window was not prefetched"
        time.sleep(0.01)
    time.sleep(0.1)
    # A window ends with the row group that fills it, and two more row groups may be in progress.
    assert sum(read) <= 2 * (window + GROUP_ROWS) + 2 * GROUP_ROWS < ROWS
    reader.close()


def test_errors_of_prefetching_are_raised_in_order(files: CuratedFiles) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = prefetch(pool, lambda item: 1 // item, [1, 1, 0, 1], 3)
        assert [next(results), next(results)] == [1, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_pandas_and_polars_data_frames_have_the_same_rows(files: CuratedFiles) -> None:
    dataset = CuratedDataset(files=files, batch_rows=20)
    frames = list(dataset.pandas())
    assert sum(map(len, frames)) == ROWS
    assert [n for frame in dataset.polars() for n in frame["n"].to_list()] == [
        n for frame in frames for n in frame["n"]
    ]


@pytest.fixture
def lake(tmp_path: Path, ledger: Ledger) -> Lake:
    records = [{"event_time": f"2026-02-0{1 + n % 2}", "mode": "live", "n": n, "t": "x"} for n in range(40)]
    land(tmp_path, {"2026/week06/a.json": ndjson(*records)})
    lake = lake_at(tmp_path, ledger)
    ingest(lake)
    return lake


def test_a_snapshot_returns_the_same_batches_after_a_rebuild_and_a_new_column(lake: Lake, tmp_path: Path) -> None:
    create_snapshot(lake, "s", Selection(columns=("n", "day")))
    dataset = CuratedDataset.of_snapshot(lake, "s", seed=7, batch_rows=9)
    before = [batch.to_pylist() for batch in dataset.batches()]
    open_reader = dataset.batches()
    first = next(open_reader)
    land(tmp_path, {"2026/week06/b.json": ndjson({"event_time": "2026-02-01", "mode": "live", "n": 0.5, "new": 1})})
    ingest(lake)
    rebuild(lake, {file.partition for file in lake.ledger.curated.files()})

    assert [
        batch.to_pylist() for batch in CuratedDataset.of_snapshot(lake, "s", seed=7, batch_rows=9).batches()
    ] == before
    assert [first.to_pylist(), *(batch.to_pylist() for batch in open_reader)] == before
    assert dataset.schema == pa.schema([("n", pa.int64()), ("day", pa.int32())])
    assert sum(row["n"] for batch in before for row in batch) == sum(range(40))


def test_a_rebuild_ends_the_reader_of_a_selection_with_the_next_step(lake: Lake) -> None:
    dataset = CuratedDataset.of_selection(lake, first="2026-02-01", last="2026-02-01", columns=["n"])
    assert dataset.table().num_rows == dataset.rows == 20
    rebuild(lake, {file.partition for file in lake.ledger.curated.files()})
    with pytest.raises(PermanentError, match="lake snapshot create"):
        dataset.table()
