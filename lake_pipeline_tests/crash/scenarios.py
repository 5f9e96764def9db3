"""The scenarios: use cases that are disturbed. A new one is one more line in `SCENARIOS`.

`prepare` sets up the lake; `act` is disturbed; `finish` runs afterwards and must lead to the same state as an
undisturbed `act` and `finish`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from lake_pipeline.errors import PermanentError
from lake_pipeline.model.selections import Selection
from lake_pipeline.usecases.batches.forget import forget
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.batches.widen import widen_column
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.archive import archive_originals
from lake_pipeline.usecases.recovery.rebuild_ledger.recover import recover_ledger
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action
from lake_pipeline.usecases.snapshots.create import create_snapshot
from lake_pipeline.usecases.snapshots.drop import drop_snapshot
from lake_pipeline_tests.crash.worlds import World
from lake_pipeline_tests.support.factories import ndjson

Step = Callable[[Lake, World], Any]

BATCH_FILES = 3


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A use case with the lake before it."""

    name: str
    prepare: Step
    act: Step
    finish: Step


def _ingest(lake: Lake, _world: World) -> None:
    list(ingest_all(replace(lake, batch_files=BATCH_FILES)))


def _discovered(lake: Lake, world: World) -> None:
    world.land(_landing())
    discover(lake)


def _landed(_lake: Lake, world: World) -> None:
    world.land(_landing())


def _discover_and_ingest(lake: Lake, world: World) -> None:
    discover(lake)
    _ingest(lake, world)


def _published_only(lake: Lake, world: World) -> None:
    """Everything is published, and nothing is archived."""
    world.land(_landing())
    discover(lake)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("batches.ingest", "recovery.reconcile"):
            patch.setattr(f"lake_pipeline.usecases.{module}.archive_originals", lambda *_, **__: 0)
        list(ingest_all(lake))
    assert lake.ledger.archive.pending(limit=1)


def _archive(lake: Lake, _world: World) -> None:
    archive_originals(lake)


def _integers_published(lake: Lake, world: World) -> None:
    """Integers are published in two partitions, and fractions wait in the landing zone."""
    world.land({f"2026/week06/{mode}.json": ndjson(*_records(mode, 4)) for mode in ("live", "test")})
    discover(lake)
    list(ingest_all(replace(lake, batch_files=1)))
    world.land({"2026/week07/fractions.json": ndjson(*[{**record, "n": 0.5} for record in _records("live", 3)])})
    discover(lake)


def _fractions_rescued(lake: Lake, world: World) -> None:
    """Fractions came while nothing could be rewritten, and are in `_rescued` until `lake contract widen`."""
    _integers_published(lake, world)
    list(ingest_all(replace(lake, rewrite_bytes=0)))


def _widen(lake: Lake, _world: World) -> None:
    with suppress(PermanentError):  # it is wide already, because a widening that was killed was rolled forward
        widen_column(lake, "n")


def _all_ingested(lake: Lake, world: World) -> None:
    _discovered(lake, world)
    _ingest(lake, world)


def _rebuild(lake: Lake, _world: World) -> None:
    rebuild(lake, {file.partition for file in lake.ledger.curated.files() if file.partition.mode == "live"})


def _rebuild_and_ingest(lake: Lake, world: World) -> None:
    _rebuild(lake, world)
    _ingest(lake, world)


def _new_version_discovered(lake: Lake, world: World) -> None:
    _all_ingested(lake, world)
    world.land({"2026/week06/good.json": ndjson(*_records("live", 3), *_records("test", 2))})
    discover(lake)


def _new_version_with_fractions(lake: Lake, world: World) -> None:
    """Its publish takes rows out of some files and makes a column of all of them wider."""
    _all_ingested(lake, world)
    world.land({"2026/week06/good.json": ndjson(*[{**record, "n": 0.5} for record in _records("live", 3)])})
    discover(lake)


def _forget(lake: Lake, _world: World) -> None:
    with suppress(PermanentError):  # a run that was disturbed after its point of no return has forgotten it
        forget(lake, "2026/week06/good.json")


def _forget_and_ingest(lake: Lake, world: World) -> None:
    _forget(lake, world)
    _ingest(lake, world)


def _repair_and_ingest(lake: Lake, world: World) -> None:
    for finding in Audit(lake=lake, repair=True).findings():
        assert finding.mended, finding.text
    _ingest(lake, world)


def _widen_and_ingest(lake: Lake, world: World) -> None:
    _widen(lake, world)
    _ingest(lake, world)


def _create_snapshot(lake: Lake, _world: World) -> None:
    with suppress(PermanentError):  # a run that was disturbed after the commit has made it
        create_snapshot(lake, "made", Selection())


def _create_snapshot_and_rebuild(lake: Lake, world: World) -> None:
    """Its files are kept, also those that leave the table right after it is created."""
    _create_snapshot(lake, world)
    _rebuild(lake, world)


def _held(lake: Lake, world: World) -> None:
    _all_ingested(lake, world)
    create_snapshot(lake, "kept", Selection(modes=("live",)))


def _retained(lake: Lake, world: World) -> None:
    """Two snapshots have files that were rebuilt since: one of them all, the other some of them."""
    _held(lake, world)
    create_snapshot(lake, "dropped", Selection())
    rebuild(lake, {file.partition for file in lake.ledger.curated.files()})


def _drop_snapshot(lake: Lake, _world: World) -> None:
    with suppress(PermanentError):  # a run that was disturbed after the commit has dropped it
        drop_snapshot(lake, "dropped")


def _drop_snapshot_and_repair(lake: Lake, world: World) -> None:
    _drop_snapshot(lake, world)
    list(Audit(lake=lake, repair=True).findings())


def _new_version_of_held_discovered(lake: Lake, world: World) -> None:
    _held(lake, world)
    world.land({"2026/week06/good.json": ndjson(*_records("live", 3), *_records("test", 2))})
    discover(lake)


def _new_version_with_fractions_of_held(lake: Lake, world: World) -> None:
    _held(lake, world)
    world.land({"2026/week06/good.json": ndjson(*[{**record, "n": 0.5} for record in _records("live", 3)])})
    discover(lake)


def _ledger_lost(lake: Lake, world: World) -> None:
    """The ledger is empty, and the last batch was half published."""
    _all_ingested(lake, world)
    forget(lake, "2026/week06/broken.json")
    world.land({"2026/week06/good.json": ndjson(*_records("live", 3), *_records("test", 2))})
    world.land({"2026/week07/later.json": ndjson(*_records("later", 4), {"mode": "later"})})
    discover(lake)
    with suppress(SystemExit), pytest.MonkeyPatch.context() as patch:
        patch.setattr("lake_pipeline.usecases.publication.publish.retain_replaced", _die)
        _ingest(lake, world)
    world.lose_ledger(lake)


def _die(*_: object) -> None:
    raise SystemExit


def _recover(lake: Lake, _world: World) -> None:
    list(recover_ledger(lake, apply=True))


def _recover_and_ingest(lake: Lake, world: World) -> None:
    for step in recover_ledger(lake, apply=True):
        assert step.action is not Action.LEFT, step
    _ingest(lake, world)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="ingest", prepare=_discovered, act=_ingest, finish=_ingest),
        Scenario(name="discover", prepare=_landed, act=_discover_and_ingest, finish=_discover_and_ingest),
        Scenario(name="archive", prepare=_published_only, act=_archive, finish=_archive),
        Scenario(name="widening", prepare=_integers_published, act=_ingest, finish=_ingest),
        Scenario(name="widen", prepare=_fractions_rescued, act=_widen, finish=_widen_and_ingest),
        Scenario(name="rebuild", prepare=_all_ingested, act=_rebuild, finish=_rebuild_and_ingest),
        Scenario(name="replace", prepare=_new_version_discovered, act=_ingest, finish=_ingest),
        Scenario(name="replace-widening", prepare=_new_version_with_fractions, act=_ingest, finish=_ingest),
        Scenario(name="forget", prepare=_all_ingested, act=_forget, finish=_forget_and_ingest),
        Scenario(name="repair", prepare=_discovered, act=_ingest, finish=_repair_and_ingest),
        Scenario(name="snapshot", prepare=_all_ingested, act=_create_snapshot, finish=_create_snapshot_and_rebuild),
        Scenario(name="drop", prepare=_retained, act=_drop_snapshot, finish=_drop_snapshot_and_repair),
        Scenario(name="rebuild-held", prepare=_held, act=_rebuild, finish=_rebuild_and_ingest),
        Scenario(name="replace-held", prepare=_new_version_of_held_discovered, act=_ingest, finish=_ingest),
        Scenario(name="widening-held", prepare=_new_version_with_fractions_of_held, act=_ingest, finish=_ingest),
        Scenario(name="forget-held", prepare=_held, act=_forget, finish=_forget_and_ingest),
        Scenario(name="recover", prepare=_ledger_lost, act=_recover, finish=_recover_and_ingest),
    )
}


def _archive_carelessly(lake: Lake, _world: World) -> None:
    tasks = lake.ledger.archive.pending(limit=10)
    lake.ledger.archive.mark_archived([task.file_id for task in tasks])
    for task in tasks:
        lake.store.move(task.key, task.archive_key, etag=task.etag)


CARELESS = Scenario(name="careless", prepare=_published_only, act=_archive_carelessly, finish=_archive)
"""Updates the ledger before it moves: the matrix must detect a kill between the two."""


def _records(mode: str, count: int) -> list[dict[str, Any]]:
    return [{"event_time": f"2026-02-0{3 + n % 2}", "mode": mode, "n": n, "tag": {"x": mode}} for n in range(count)]


def _landing() -> dict[str, bytes]:
    """Five files in two lanes: with broken records, without dates, refused as a whole, and empty.

    Two of them have records in one file of quarantined records.
    """
    return {
        "2026/week06/good.json": ndjson(*_records("live", 6), {"mode": "live"}),
        "2026/week06/broken.json": ndjson(*_records("live", 12)) + b"{broken\n" + ndjson({"mode": "live"}),
        "2026/week06/refused.json": b"{broken\n{broken too\n",
        "2026/week07/empty.json": b"",
        "all_historical_files/old.json": ndjson(*_records("test", 5)),
    }
