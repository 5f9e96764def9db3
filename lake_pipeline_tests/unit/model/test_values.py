"""Values: partitions in all their spellings, and consistent manifests."""

from __future__ import annotations

import json
from datetime import date

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lake_pipeline.model.manifest import (
    CuratedPart,
    FileOutcome,
    Manifest,
    Outcome,
    PendingObject,
    QuarantinePart,
    RewrittenPart,
)
from lake_pipeline.model.partitions import PartitionKey, escape_mode

modes = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(day=st.dates(), mode=modes)
def test_a_partition_can_be_parsed_from_its_path_and_its_key(day: date, mode: str) -> None:
    partition = PartitionKey(day, mode)
    assert PartitionKey.parse(str(partition)) == partition
    assert PartitionKey.of_path(f"json_parsed_parquet/{partition.path}/part.parquet") == partition


@given(mode=modes)
def test_a_mode_has_only_safe_characters_in_a_path(mode: str) -> None:
    escaped = escape_mode(mode)
    assert set(escaped) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.%")
    assert not escaped.startswith(".")


@given(one=modes, other=modes)
def test_two_modes_never_share_a_path(one: str, other: str) -> None:
    assert (escape_mode(one) == escape_mode(other)) == (one == other)


@pytest.mark.parametrize("text", ["", "2026-02-03", "2026-02-03|", "2026-02-30|live", "|live"])
def test_invalid_partitions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PartitionKey.parse(text)


def test_an_account_must_add_up() -> None:
    with pytest.raises(ValueError, match="3 records read, but 1 published and 1 quarantined"):
        FileOutcome(file_id=1, outcome=Outcome.CONVERTED, read=3, published=1, quarantined=1)


def test_a_manifest_can_be_read_back_from_json() -> None:
    pending = PendingObject(key="k", token="t", size=1, etag="e")
    manifest = Manifest(
        curated=(
            CuratedPart(object=pending, partition=PartitionKey(date(2026, 2, 3), "a|b"), rows=3, rows_by_file={7: 3}),
        ),
        quarantine=(QuarantinePart(object=pending, rows=1),),
        files=(FileOutcome(file_id=7, outcome=Outcome.CONVERTED, read=4, published=3, quarantined=1),),
        rewritten=(RewrittenPart(object=pending, replaces="old", rows=2, rescued_by_file={6: 1}),),
        as_of=5,
    )
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest
