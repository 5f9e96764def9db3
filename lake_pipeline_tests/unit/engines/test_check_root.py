"""Workers without a ledger check that their root is that of the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.request import ConversionRequest
from lake_pipeline.engines.sharding.worker import check_root
from lake_pipeline.errors import LakeMismatch, LakeNotThere
from lake_pipeline.model.identity import RootIdentity
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.identity import create_identity


def request(batch_id: str, lake_id: str | None) -> ConversionRequest:
    return ConversionRequest(batch_id=batch_id, files=(), contract=Contract(), lake_id=lake_id)


def test_a_worker_refuses_a_root_that_is_not_there_or_of_another_lake(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    check_root(store, request("1", None))
    with pytest.raises(LakeNotThere, match="volume is mounted"):
        check_root(store, request("1", "a"))
    create_identity(store, RootIdentity(lake_id="a", ledger_id="l", created="now", ledger_location="here"))
    check_root(store, request("1", "a"))
    with pytest.raises(LakeMismatch, match="is the root of the lake a"):
        check_root(store, request("1", "b"))


def test_a_worker_looks_once_for_each_batch(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    create_identity(store, RootIdentity(lake_id="a", ledger_id="l", created="now", ledger_location="here"))
    check_root(store, request("2", "a"))
    store.delete("_lake.json")
    check_root(store, request("2", "a"))
    with pytest.raises(LakeNotThere):
        check_root(store, request("3", "a"))
