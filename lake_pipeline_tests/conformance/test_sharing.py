"""A batch that is shared by many workers ends in the rows, the contract and the accounts of one that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.convert.deciding import HOPELESS_RECORDS
from lake_pipeline.convert.request import ConversionRequest
from lake_pipeline.convert.shares import Share, packed, ranges_of
from lake_pipeline.convert.sharing import Work
from lake_pipeline.errors import StorageUnavailable
from lake_pipeline.model.files import RawFile
from lake_pipeline_tests.factories import LakeOnDisk, Shared, ndjson, values
from lake_pipeline_tests.parity import SETS, same

KEY = "2026/week06/a.json"


@pytest.fixture
def alone(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "alone")


@pytest.fixture
def shared(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "shared", engine=Shared)


def record(**fields: Any) -> dict[str, Any]:
    return {"event_time": "2026-02-03", "mode": "live", **fields}


@pytest.mark.parametrize("name", SETS)
def test_many_workers_make_what_one_makes(name: str, alone: LakeOnDisk, shared: LakeOnDisk) -> None:
    files = SETS[name]()
    same(shared.convert(files, max_bad_share=0.2), alone.convert(files, max_bad_share=0.2))


def test_a_file_read_by_many_is_refused_as_a_whole_and_leaves_nothing(alone: LakeOnDisk, shared: LakeOnDisk) -> None:
    """All that is broken stands in one range, and is too much of the file."""
    content = ndjson(*(record(n=n) for n in range(500))) + b"{broken\n" * 100
    converted = shared.convert({KEY: content, "2026/week06/b.json": ndjson(record(n=1))})
    assert converted.outcome(KEY).reason == "too_many_broken"
    assert values(converted.rows(), "n") == [(1,)]
    assert shared.pending() == []
    same(converted, alone.convert({KEY: content, "2026/week06/b.json": ndjson(record(n=1))}))


def test_a_file_without_a_single_place_is_given_up_by_many_too(alone: LakeOnDisk, shared: LakeOnDisk) -> None:
    content = b'{"n":1,"text":"no date in it"}\n' * (HOPELESS_RECORDS * 3 // 2)
    converted = shared.convert({KEY: content})
    assert converted.outcome(KEY).reason == "nothing_to_publish"
    assert shared.pending() == []
    same(converted, alone.convert({KEY: content}))


def test_a_fraction_in_one_range_makes_the_column_wide_in_all(alone: LakeOnDisk, shared: LakeOnDisk) -> None:
    """The sample is the beginning of the file; the fraction comes behind it."""
    lines = [record(n=n, pad="x" * 200) for n in range(3000)] + [record(n=0.5)]
    converted = shared.convert({KEY: ndjson(*lines)})
    assert {str(column.type) for column in converted.contract.columns if column.name == "n"} == {"double"}
    assert shared.pending() == []
    same(converted, alone.convert({KEY: ndjson(*lines)}))


def test_where_two_workers_disagree_about_a_type_the_first_goes_and_nothing_is_lost(shared: LakeOnDisk) -> None:
    start = [record(pad="x" * 200) for _ in range(3000)]
    converted = shared.convert({KEY: ndjson(*start, record(late="text"), *start, record(late=7))})
    late = [row for row in values(converted.rows(), "late", "_rescued") if any(row)]
    assert late == [("text", None), (None, '{"late":7}')]
    assert shared.pending() == []


class Failing(Shared):
    """One of its workers can't write."""

    def _spread(self, work: Work, request: ConversionRequest, shares: Any, **how: Any) -> list[Any]:
        if how["doing"] != "converting":
            return super()._spread(work, request, shares, **how)
        return [*super()._spread(work, request, shares[:-1], **how), {"problem": "the store is busy"}]


def test_a_worker_that_fails_leaves_nothing_of_the_others(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path, engine=Failing)
    with pytest.raises(StorageUnavailable, match="busy"):
        lake.convert({KEY: ndjson(*(record(n=n) for n in range(500)))})
    assert lake.pending() == []


class Speculating(Shared):
    """Each share is done by two workers, and the answer of one is taken, as Spark does with slow tasks."""

    def _spread(self, work: Work, request: ConversionRequest, shares: Any, **how: Any) -> list[Any]:
        loser = super()._spread(work, request, shares, **how)
        winner = super()._spread(work, request, shares, **how)
        return [(loser, winner)[number % 2][number] for number in range(len(shares))]


@pytest.mark.parametrize("name", SETS)
def test_of_two_attempts_at_a_share_one_counts_and_nobody_sees_the_other(
    name: str, alone: LakeOnDisk, tmp_path: Path
) -> None:
    files = SETS[name]()
    lake = LakeOnDisk(tmp_path / "speculating", engine=Speculating)
    converted = lake.convert(files, max_bad_share=0.2)
    same(converted, alone.convert(files, max_bad_share=0.2))
    # What the losers wrote is in no manifest: it stays pending, and is swept when the batch is over.
    assert len(lake.pending()) >= len(converted.report.manifest.curated)
    if converted.rows():
        assert lake.table().count_rows() == len(converted.rows())


def test_a_batch_is_cut_by_bytes_and_every_byte_is_in_one_share() -> None:
    sizes = [10, 5 << 20, 900 << 20, 1, 40 << 20]
    files = [RawFile(file_id=number, key=f"{number}", etag="e", size=size) for number, size in enumerate(sizes)]
    groups = packed(files, 64 << 20)
    assert [file for group in groups for file in group] == files
    assert [len(group) for group in groups] == [2, 1, 2]
    ranges = ranges_of(files[2], 64 << 20)
    assert [each.start for each in ranges] == [0, *(each.stop for each in ranges[:-1])]
    assert ranges[-1].stop == files[2].size
    assert max(each.stop - each.start for each in ranges) <= 64 << 20


def test_a_share_travels_as_text() -> None:
    file = RawFile(file_id=7, key="ä/b", etag="e", size=9, archived_at="raw-json-data-processed/ä/b")
    whole = Share(number=3, files=(file,))
    ranged = Share(number=3, files=(file,), range=ranges_of(file, 5)[1])
    assert [Share.from_json(share.to_json()) for share in (whole, ranged)] == [whole, ranged]
    assert (whole.size, whole.files_ended, ranged.size, ranged.files_ended) == (9, 1, 5, 1)
