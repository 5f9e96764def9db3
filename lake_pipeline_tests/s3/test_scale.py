"""Discovery of many keys: a million with FULL_SIZE=1, as in docs/s3.md, otherwise fewer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.states import FileState
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.object_store import ListingReport, ObjectInfo
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline_tests.support.lakes import lake_at

FILES = 1_000_000 if os.environ.get("FULL_SIZE") else 60_000
GROWTH = 100 << 20
"""Bytes by which the process may grow, for any number of files."""


class Lister(DirectoryStore):
    """Lists generated keys, like a bucket of this size."""

    count = FILES

    def objects(self, prefix: str, report: ListingReport | None = None) -> Iterator[ObjectInfo]:
        assert report is not None, "discovery reports what it skips"
        for number in range(self.count) if prefix == "all_historical_files/" else ():
            yield ObjectInfo(
                key=f"all_historical_files/site-{number % 97}/date=2019-{number % 12 + 1:02d}-03/{number:07d}.json.gz",
                etag=f"{number:032x}",
                size=number,
            )


@pytest.mark.timeout(900)
def test_a_million_keys_are_registered_in_one_pass_with_bounded_memory(ledger: Ledger, tmp_path: Path) -> None:
    store = Lister(tmp_path)
    lake = replace(lake_at(tmp_path, ledger), store=store)
    process, reported = psutil.Process(), [0]
    before, most = process.memory_info().rss, 0

    def watch(seen: int) -> None:
        nonlocal most
        reported.append(seen)
        most = max(most, process.memory_info().rss)

    began = time.monotonic()
    discovery = discover(lake, on_progress=watch)
    seconds = time.monotonic() - began
    assert (discovery.seen, discovery.new) == (FILES, FILES)
    assert reported == list(range(0, FILES + 1, 1000))
    began = time.monotonic()
    store.count = FILES + 5
    assert (discover(lake, on_progress=watch).new, ledger.views.status().files[FileState.PENDING]) == (5, FILES + 5)
    print(
        f"{FILES:,} keys: registered in {seconds:.1f} s, listed again in {time.monotonic() - began:.1f} s, "
        f"memory grew by {(most - before) / 1e6:.0f} MB"
    )
    assert most - before < GROWTH
