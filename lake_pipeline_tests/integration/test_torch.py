"""PyTorch datasets: tensors, loaders with workers, ranks, resuming, samplers. Skipped without PyTorch."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lake_pipeline.consume.curated_files import CuratedFiles, FileVersion
from lake_pipeline.consume.dataset import CuratedDataset
from lake_pipeline.errors import PermanentError
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.zones import curated_key

torch = pytest.importorskip("torch", reason="PyTorch is not installed: `make install-torch`")

from torch.utils.data import DataLoader, RandomSampler  # noqa: E402

from lake_pipeline.consume.torch_data import CuratedBatches, CuratedRows, tensors  # noqa: E402

ROWS = 60


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CuratedFiles:
    store = DirectoryStore(tmp_path_factory.mktemp("lake"))
    versions = []
    for number in range(3):
        partition = PartitionKey(date(2026, 2, 1 + number), "live")
        n = list(range(20 * number, 20 * number + 20))
        table = pa.table({"n": pa.array(n, pa.int64()), "t": [f"text {number}" for number in n]})
        key = curated_key(partition, "part.parquet")
        store.path(key).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, store.path(key), row_group_size=6)
        info = store.stat(key)
        assert info is not None
        versions.append(FileVersion(key, info.etag, 20, partition))
    schema = pa.schema([("n", pa.int64()), ("t", pa.string()), ("day", pa.int32())])
    full = pa.schema([*schema, ("year", pa.int32()), ("month", pa.int32()), ("mode", pa.string())])
    return CuratedFiles(store.location, tuple(versions), full, ("n", "t", "day"))


def seen(batches: Any) -> list[int]:
    return [int(n) for batch in batches for n in batch["n"]]


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_of_all_ranks_see_each_row_once(files: CuratedFiles, workers: int) -> None:
    dataset = CuratedDataset(files=files, seed=5, batch_rows=7, window_rows=15)
    ranks = [
        seen(DataLoader(CuratedBatches(dataset, rank=rank, ranks=2), batch_size=None, num_workers=workers))
        for rank in range(2)
    ]
    assert sorted(ranks[0] + ranks[1]) == list(range(ROWS))
    assert abs(len(ranks[0]) - len(ranks[1])) <= 1


def test_each_epoch_has_its_own_order_and_can_be_resumed(files: CuratedFiles) -> None:
    source = CuratedBatches(CuratedDataset(files=files, seed=5, batch_rows=7))
    first = seen(DataLoader(source, batch_size=None))
    source.set_epoch(1)
    second = seen(DataLoader(source, batch_size=None))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(ROWS))

    source.set_epoch(1)
    reader = iter(source)
    before = seen([next(reader), next(reader)])
    state = source.state_dict()
    other = CuratedBatches(CuratedDataset(files=files, seed=5, batch_rows=7))
    other.load_state_dict(state)
    assert before + seen(other) == second


def test_rows_can_be_read_by_number_in_any_order(files: CuratedFiles) -> None:
    rows = CuratedRows(CuratedDataset(files=files), kept_groups=2)
    assert len(rows) == ROWS
    assert (rows[25]["n"], rows[25]["t"], int(rows[-1]["n"])) == (25, "text 25", 59)
    with pytest.raises(IndexError):
        rows[ROWS]
    sampler = RandomSampler(rows, generator=torch.Generator().manual_seed(1))
    for workers in (0, 1):
        loader = DataLoader(rows, batch_size=8, sampler=sampler, num_workers=workers)
        batches = list(loader)
        assert sorted(seen(batches)) == list(range(ROWS))
        assert all(
            text == f"text {int(n)}" for batch in batches for n, text in zip(batch["n"], batch["t"], strict=True)
        )
    with pytest.raises(PermanentError, match="have no numbers"):
        CuratedRows(CuratedDataset(files=files, where=pc.field("n") > 3))


def test_values_become_tensors_and_nulls_need_a_fill_value() -> None:
    batch = pa.record_batch(
        {
            "f": pa.array([0.5, None]),
            "i": pa.array([1, 2], pa.int32()),
            "b": pa.array([True, False]),
            "at": pa.array([datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
            "d": pa.array([date(1970, 1, 3)] * 2),
            "m": pa.array([Decimal("1.25")] * 2),
            "t": pa.array(["a", None]),
            "l": pa.array([[1], None]),
        }
    )
    columns = tensors(batch)
    assert (columns["f"][0].item(), columns["f"][1].isnan().item()) == (0.5, True)
    assert (columns["i"].dtype, columns["b"].dtype) == (torch.int32, torch.bool)
    assert (columns["at"][0].item(), columns["d"][0].item(), columns["m"][0].item()) == (1_000_000, 2, 1.25)
    assert (columns["t"], columns["l"]) == (["a", None], [[1], None])
    nulls = pa.record_batch({"i": pa.array([1, None])})
    with pytest.raises(PermanentError, match=r"fill=\{'i': 0\}"):
        tensors(nulls)
    assert tensors(nulls, {"i": -1})["i"].tolist() == [1, -1]
