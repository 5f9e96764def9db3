"""The use cases that are killed. Another one is one more line in `SCENARIOS`.

`prepare` makes the lake as it is before; `act` is what is killed; `finish` is what comes afterwards and must bring the
lake to where an undisturbed `act` and `finish` would have brought it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from lake_pipeline.errors import PermanentError
from lake_pipeline.ingest.archive import archive_originals
from lake_pipeline.ingest.batch import ingest_all
from lake_pipeline.ingest.discover import discover
from lake_pipeline.ingest.forget import forget
from lake_pipeline.ingest.fsck.audit import Audit
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.rebuild import rebuild
from lake_pipeline.ingest.snapshots import create_snapshot, drop_snapshot
from lake_pipeline.ingest.widen_column import widen_column
from lake_pipeline.model.selections import Selection
from lake_pipeline_tests.crash.worlds import World
from lake_pipeline_tests.factories import ndjson

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
        for module in ("batch", "reconcile"):
            patch.setattr(f"lake_pipeline.ingest.{module}.archive_originals", lambda *_, **__: 0)
        list(ingest_all(lake))
    assert lake.ledger.awaiting_archive(limit=1)


def _archive(lake: Lake, _world: World) -> None:
    archive_originals(lake)


def _integers_published(lake: Lake, world: World) -> None:
    """Integers are published in two partitions, and fractions wait in the landing zone."""
    world.land({f"2026/week06/{mode}.json": ndjson(*_records(mode, 4)) for mode in ("live", "test")})
    discover(lake)
    list(ingest_all(replace(lake, batch_files=1)))
    world.land({"2026/week07/fractions.json": ndjson(*[{**each, "n": 0.5} for each in _records("live", 3)])})
    discover(lake)


def _fractions_rescued(lake: Lake, world: World) -> None:
    """Fractions came when nothing could be rewritten, and wait in `_rescued` for `lake contract widen`."""
    _integers_published(lake, world)
    list(ingest_all(replace(lake, rewrite_bytes=0)))


def _widen(lake: Lake, _world: World) -> None:
    with suppress(PermanentError):  # it is wide already, because a widening that was killed was rolled forward
        widen_column(lake, "n")


def _all_ingested(lake: Lake, world: World) -> None:
    _discovered(lake, world)
    _ingest(lake, world)


def _rebuild(lake: Lake, _world: World) -> None:
    rebuild(lake, {file.partition for file in lake.ledger.curated_files() if file.partition.mode == "live"})


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
    world.land({"2026/week06/good.json": ndjson(*[{**each, "n": 0.5} for each in _records("live", 3)])})
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
    """What it holds stays: also what leaves the plain path right behind it."""
    _create_snapshot(lake, world)
    _rebuild(lake, world)


def _held(lake: Lake, world: World) -> None:
    _all_ingested(lake, world)
    create_snapshot(lake, "kept", Selection(modes=("live",)))


def _retained(lake: Lake, world: World) -> None:
    """Two snapshots hold files that were rebuilt since, one of them all and the other some of them."""
    _held(lake, world)
    create_snapshot(lake, "dropped", Selection())
    rebuild(lake, {file.partition for file in lake.ledger.curated_files()})


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
    world.land({"2026/week06/good.json": ndjson(*[{**each, "n": 0.5} for each in _records("live", 3)])})
    discover(lake)


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
    )
}


def _archive_carelessly(lake: Lake, _world: World) -> None:
    tasks = lake.ledger.awaiting_archive(limit=10)
    lake.ledger.archived([task.file_id for task in tasks])
    for task in tasks:
        lake.store.move(task.key, task.archive_key, etag=task.etag)


CARELESS = Scenario(name="careless", prepare=_published_only, act=_archive_carelessly, finish=_archive)
"""Notes first and moves then: a kill between the two must be found by the matrix."""


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
