"""Rebuild and forget: exactly the chosen rows are replaced or removed, in one publication, or nothing changes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lake_pipeline.cli import main
from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import FileState
from lake_pipeline.usecases.batches.forget import forget
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.batches.rebuild import published_partitions, rebuild
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.archive import archive_originals
from lake_pipeline.usecases.publication.publish import roll_forward
from lake_pipeline.usecases.reports.lineage import lineage
from lake_pipeline.usecases.rewrites.remove_rows import RowRemoval
from lake_pipeline_tests.support.factories import OPTIONS, ndjson
from lake_pipeline_tests.support.lakes import (
    Interrupted,
    dying_half_published,
    ingest,
    is_sound,
    lake_at,
    land,
    published,
    quarantined,
)
from lake_pipeline_tests.support.ledger_builders import claim_some, expire_leases, run_sql

FIRST, SECOND = PartitionKey(date(2026, 2, 1), "live"), PartitionKey(date(2026, 2, 2), "live")

SPANNING = "2026/week06/spanning.json"
ALONE = "2026/week06/alone.json"
FILES = {
    SPANNING: ndjson(*[{"event_time": f"2026-02-0{1 + n % 2}", "mode": "live", "n": n} for n in range(6)]),
    ALONE: ndjson({"event_time": "2026-02-02", "mode": "live", "n": 100}, {"mode": "live"}),
}


@pytest.fixture
def lake(ingested: Lake) -> Lake:
    return ingested


def of_partition(lake: Lake, partition: PartitionKey) -> set[str]:
    return {file.key for file in lake.ledger.curated.files([partition])}


def test_exactly_the_chosen_partition_is_replaced_in_one_publication(lake: Lake, root: Path, ledger_url: str) -> None:
    before, others = published(root), of_partition(lake, SECOND)
    old, commit = of_partition(lake, FIRST), lake.ledger.publication.last_commit()

    done = rebuild(lake, [FIRST])

    assert done is not None
    assert (done.files, done.rows_before, done.rows) == (1, 3, 3)
    assert published(root) == before
    assert of_partition(lake, SECOND) == others
    assert not of_partition(lake, FIRST) & old
    assert not any((root / key).exists() for key in old)
    assert lake.ledger.publication.last_commit() == commit + 1
    assert list(lake.store.pending()) == []
    assert is_sound(lake)
    [file] = run_sql(ledger_url, "SELECT file_id FROM file_processing_status WHERE s3_key = :key", key=SPANNING)
    last = lake.ledger.files.history(file.file_id)[-1]
    assert (last.from_state, last.to_state, last.detail) == (
        FileState.SUCCEEDED,
        FileState.SUCCEEDED,
        "rebuilt from its original",
    )


def test_a_fixed_parser_gives_its_rows_to_the_partition(lake: Lake, root: Path) -> None:
    """Here the parser learns a mode for records without one; the file has rows in both partitions."""
    mended = replace(lake, options=replace(OPTIONS, mode_field="kind", default_mode="live"))

    done = rebuild(mended, [FIRST, SECOND])

    assert done is not None
    assert (done.files, done.rows) == (2, 7)
    assert is_sound(lake)


def test_rows_that_would_move_to_other_partitions_stop_the_rebuild_and_are_named(lake: Lake, root: Path) -> None:
    before, files = published(root), lake.ledger.curated.files()
    moved = replace(lake, options=replace(OPTIONS, mode_field="kind", default_mode="other"))

    with pytest.raises(PermanentError, match=r"2026-02-01\|other, 2026-02-02\|live, 2026-02-02\|other"):
        rebuild(moved, [FIRST])

    assert published(root) == before
    assert lake.ledger.curated.files() == files
    assert list(lake.store.pending()) == []
    assert is_sound(lake)


def test_rows_may_move_between_partitions_that_are_rebuilt_together(lake: Lake, root: Path) -> None:
    moved = replace(lake, options=replace(OPTIONS, mode_field="kind", default_mode="other"))

    rebuild(moved, [FIRST, SECOND, PartitionKey(date(2026, 2, 1), "other"), PartitionKey(date(2026, 2, 2), "other")])

    assert {row["mode"] for row in published(root)} == {"other"}
    assert is_sound(lake)


def test_originals_that_are_not_archived_yet_are_read_from_the_landing_zone(root: Path, ledger: Ledger) -> None:
    land(root, FILES)
    blocker = root / "raw-json-data-processed"
    blocker.write_text("a file where the folder should be")
    lake = lake_at(root, ledger)
    ingest(lake)
    before = published(root)

    rebuild(lake, [FIRST, SECOND])

    assert published(root) == before
    blocker.unlink()
    assert archive_originals(lake) == 2
    assert is_sound(lake)


def test_an_original_that_is_gone_stops_the_rebuild_and_is_named(lake: Lake, root: Path) -> None:
    before = published(root)
    (root / "raw-json-data-processed" / SPANNING).unlink()

    with pytest.raises(PermanentError, match="spanning"):
        rebuild(lake, [FIRST])

    assert published(root) == before


def test_what_others_publish_into_the_partition_meanwhile_stays(lake: Lake, root: Path) -> None:
    def come() -> None:
        land(root, {"2026/week06/late.json": ndjson({"event_time": "2026-02-01", "mode": "live", "n": 500})})
        ingest(lake)

    rebuild(replace(lake, engine=Interrupted(lake.engine, come)), [FIRST])

    assert sorted(row["n"] for row in published(root)) == [0, 1, 2, 3, 4, 5, 100, 500]
    assert is_sound(lake)


def test_a_version_that_is_replaced_during_the_rebuild_stays_replaced(lake: Lake, root: Path) -> None:
    def come() -> None:
        land(root, {SPANNING: ndjson({"event_time": "2026-02-01", "mode": "live", "n": 700})})
        ingest(lake)

    rebuild(replace(lake, engine=Interrupted(lake.engine, come)), [FIRST])

    assert sorted(row["n"] for row in published(root)) == [100, 700]
    assert is_sound(lake)


def test_a_file_that_is_forgotten_meanwhile_stays_forgotten(lake: Lake, root: Path) -> None:
    rebuild(replace(lake, engine=Interrupted(lake.engine, lambda: forget(lake, SPANNING))), [FIRST])

    assert [row["n"] for row in published(root)] == [100]
    assert is_sound(lake)


def test_a_rebuild_that_dies_half_published_is_finished_by_the_next_worker(
    lake: Lake, root: Path, ledger_url: str
) -> None:
    before = published(root)
    with dying_half_published(lake):
        rebuild(lake, [FIRST, SECOND])
    assert published(root) == [], "taken away, and not there yet: missing for a moment, and never twice"
    expire_leases(ledger_url)

    list(ingest_all(lake))

    assert published(root) == before
    assert is_sound(lake)


def test_a_worker_that_waits_for_a_half_published_batch_of_a_dead_one_finishes_it(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = lake.ledger.claims.open_empty

    def opens_late(*arguments: Any, **named: Any) -> Any:
        monkeypatch.undo()
        with dying_half_published(lake):
            rebuild(lake, [FIRST, SECOND])
        expire_leases(ledger_url)
        return opened(*arguments, **named)

    monkeypatch.setattr(lake.ledger.claims, "open_empty", opens_late)
    forget(lake, SPANNING)

    assert [row["n"] for row in published(root)] == [100]
    assert is_sound(lake)


def test_quarantined_records_of_a_rebuilt_file_are_there_once(lake: Lake, root: Path) -> None:
    before = quarantined(root)
    assert [file for file, _ in before] == [ALONE]

    for _ in range(2):
        rebuild(lake, [SECOND])

        assert quarantined(root) == before
        assert is_sound(lake)


def test_quarantined_records_of_a_forgotten_file_go_and_those_of_its_neighbors_stay(lake: Lake, root: Path) -> None:
    broken = {f"2026/week07/{name}.json": FILES[ALONE] + ndjson({"mode": "live"}) for name in "ab"}
    land(root, broken)
    ingest(lake)

    forget(lake, "2026/week07/a.json")
    assert [file for file, _ in quarantined(root)] == [ALONE, *["2026/week07/b.json"] * 2]
    assert is_sound(lake)

    forget(lake, "2026/week07/b.json")
    assert [file for file, _ in quarantined(root)] == [ALONE]
    assert is_sound(lake)


def test_a_file_whose_quarantined_records_have_expired_is_rebuilt(lake: Lake, root: Path) -> None:
    for path in (root / "quarantine").rglob("*.parquet"):
        path.unlink()
    rebuild(lake, [SECOND])
    assert len(quarantined(root)) == 1
    assert is_sound(lake)


def test_a_partition_without_published_files_has_nothing_to_rebuild(lake: Lake) -> None:
    assert rebuild(lake, [PartitionKey(date(2020, 1, 1), "live")]) is None


def test_a_day_means_all_its_modes_and_invalid_text_is_refused(lake: Lake) -> None:
    assert published_partitions(lake, ["2026-02-01"]) == [FIRST]
    assert published_partitions(lake, [str(SECOND), FIRST.path, "2026-02-01"]) == [FIRST, SECOND]
    with pytest.raises(PermanentError, match="all modes"):
        published_partitions(lake, ["last week"])


def test_a_forgotten_file_leaves_every_partition_and_is_not_discovered_again(
    lake: Lake, root: Path, ledger_url: str
) -> None:
    before = lineage(lake, SPANNING)
    assert before.rows == 6
    assert {link.partition for link in before.links} == {FIRST, SECOND}

    done = forget(lake, SPANNING)

    assert done.before == before
    assert [row["n"] for row in published(root)] == [100]
    assert lineage(lake, SPANNING).links == ()
    [file] = run_sql(
        ledger_url, "SELECT file_id, processing_status FROM file_processing_status WHERE s3_key = :key", key=SPANNING
    )
    assert file.processing_status == "SUPERSEDED"
    assert lake.ledger.files.history(file.file_id)[-1].detail == "forgotten by an operator"
    assert (root / "raw-json-data-processed" / SPANNING).exists()
    assert ingest(lake) == []
    assert is_sound(lake)
    with pytest.raises(PermanentError, match="already replaced or forgotten"):
        forget(lake, SPANNING)
    with pytest.raises(PermanentError, match="has no file"):
        forget(lake, "nothing.json")


def test_a_file_that_was_never_published_can_be_forgotten(lake: Lake, root: Path) -> None:
    land(root, {"2026/week06/new.json": ndjson({"event_time": "2026-02-01", "mode": "live", "n": 1})})
    discover(lake)

    forget(lake, "2026/week06/new.json")

    assert ingest(lake) == []
    assert is_sound(lake)


def test_a_file_that_a_worker_holds_is_not_forgotten(lake: Lake, root: Path) -> None:
    land(root, {"2026/week06/new.json": ndjson({"event_time": "2026-02-01", "mode": "live", "n": 1})})
    discover(lake)
    claim = claim_some(lake.ledger)

    with pytest.raises(PermanentError, match="lake release"):
        forget(lake, "2026/week06/new.json")
    lake.ledger.claims.renew(claim)


NEW = {"2026/week06/new.json": ndjson({"event_time": "2026-02-01", "mode": "live", "n": 1}, {"n": 2})}


def forget_while(lake: Lake, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Forget the file of `NEW`; `happens` runs after its rows were looked up and before the manifest is recorded."""
    real = RowRemoval.quarantine_without
    once = iter([happens])

    def then(self: RowRemoval, file_ids: Collection[int]) -> Any:
        data_files = real(self, file_ids)
        for happen in once:
            happen()
        return data_files

    monkeypatch.setattr(RowRemoval, "quarantine_without", then)
    forget(lake, *NEW)


@pytest.mark.parametrize("records", [FILES[ALONE], ndjson({"n": 2})], ids=["rows", "only quarantined records"])
def test_a_file_that_succeeds_while_it_is_being_forgotten_is_forgotten_with_what_it_published(
    lake: Lake, root: Path, monkeypatch: pytest.MonkeyPatch, records: bytes
) -> None:
    before = published(root), quarantined(root)
    land(root, dict.fromkeys(NEW, records))
    discover(lake)
    tolerant = replace(lake, options=replace(OPTIONS, max_bad_share=1.0))

    forget_while(lake, monkeypatch, lambda: ingest(tolerant))

    assert (published(root), quarantined(root)) == before
    assert is_sound(lake)


def test_a_file_that_is_claimed_while_it_is_being_forgotten_is_waited_for(
    lake: Lake, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = published(root), quarantined(root)
    land(root, NEW)
    discover(lake)
    begun, worker = threading.Event(), threading.Thread(target=lambda: list(ingest_all(slow)))

    def slowly() -> None:
        begun.set()
        time.sleep(0.3)

    slow = replace(lake, engine=Interrupted(lake.engine, slowly))

    def is_claimed() -> None:
        worker.start()
        begun.wait(10)

    forget_while(lake, monkeypatch, is_claimed)
    worker.join()

    assert (published(root), quarantined(root)) == before
    assert is_sound(lake)


def test_no_worker_can_claim_a_file_once_its_removal_is_recorded(
    lake: Lake, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(root, NEW)
    discover(lake)
    claims: list[object] = []

    def claims_first(lake: Lake, *rest: Any) -> None:
        claims.extend(ingest_all(lake))
        roll_forward(lake, *rest)

    monkeypatch.setattr("lake_pipeline.usecases.publication.transaction.roll_forward", claims_first)
    forget(lake, *NEW)

    assert claims == []
    assert is_sound(lake)


def test_the_commands_say_what_they_did(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(root))
    monkeypatch.setenv("LAKE_LEDGER_URL", ledger_url)

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(main, [*arguments, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    output = run("rebuild", "2026-02-02")["rebuilt"]
    assert (output["partitions"], output["files"], output["rows"]) == (["2026-02-02|live"], 2, 4)
    output = run("forget", ALONE, "--dry-run")
    assert (output["rows"], output["forgotten"], output["versions"][0]["state"]) == (1, None, "SUCCEEDED")
    output = run("forget", str(output["versions"][0]["file_id"]))
    assert (output["rows"], output["forgotten"]["rewritten"] + output["forgotten"]["deleted"]) == (1, 1)
    assert run("rebuild", "2020-01-01") == {"rebuilt": None}
    shown = CliRunner().invoke(main, ["forget", SPANNING, "--dry-run"])
    assert (
        f"3 rows of {lineage(lake, SPANNING).links[0].file_id} in {next(iter(of_partition(lake, FIRST)))}"
        in shown.output
    )
