"""Recovering a lost ledger of a lake in a bucket gives the same guarantees as in a directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lake_pipeline.errors import LakeMismatch, LedgerBehind
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline.storage.zones import ARCHIVE
from lake_pipeline.usecases.batches.forget import forget
from lake_pipeline.usecases.batches.ingest import ingest_batch
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.commit_objects import check_newest
from lake_pipeline.usecases.recovery.rebuild_ledger.recover import recover_ledger
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action
from lake_pipeline_tests.conftest import Ledgers
from lake_pipeline_tests.s3.conftest import Land
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import downloaded, dying_half_published, ingest, is_sound, published

DAY = {"event_time": "2026-02-03", "mode": "live"}


def test_a_lost_ledger_of_a_bucket_is_rebuilt_with_a_half_published_batch(
    lake: Lake, store: S3Store, land: Land, ledgers: Ledgers, tmp_path: Path
) -> None:
    land({f"2026/week06/{name}.json": ndjson(*[{**DAY, "n": n} for n in range(4)]) for name in ("a", "b")})
    ingest(lake)
    forget(lake, "2026/week06/a.json")
    land({"2026/week06/c.json": ndjson(*[{**DAY, "n": n} for n in range(3)], {"n": 9})})
    discover(lake)
    with dying_half_published(lake):
        ingest_batch(lake)
    for info in list(store.objects(ARCHIVE)):
        store.move(info.key, info.key.removeprefix(ARCHIVE), etag=info.etag)

    new = replace(lake, ledger=ledgers(None))
    discover(new)
    with pytest.raises(LakeMismatch):
        ingest_batch(new)
    with pytest.raises(LedgerBehind):
        check_newest(new)
    planned = {step.action for step in recover_ledger(new, apply=False)}
    steps = list(recover_ledger(new, apply=True))
    assert Action.LEFT not in {step.action for step in steps}
    assert {step.action for step in steps} <= planned
    assert ingest(new) == []
    assert len(published(downloaded(store, tmp_path / "seen"))) == 4 + 3
    assert is_sound(new)
