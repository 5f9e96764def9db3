"""Retries: by the ledger after a backoff, and by an operator; the history has each of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from lake_pipeline import __version__
from lake_pipeline.cli import main
from lake_pipeline.errors import LeaseLost, PermanentError, TransientError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.operations import FailureFilter
from lake_pipeline.ledger.settlement import FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS, retry_seconds
from lake_pipeline.model.manifest import Outcome
from lake_pipeline.model.states import BatchState, FileState
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.batches.retry import release, retry
from lake_pipeline.usecases.checks.verify import verify
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest, is_sound, lake_at, land, published, quarantined
from lake_pipeline_tests.support.ledger_builders import (
    CONTRACT,
    LIVE,
    TEST,
    claim_some,
    discovered,
    file_row,
    manifest_of,
    many,
    outcome_of,
    publish,
    run_sql,
)

GOOD = ndjson({"event_time": "2026-02-03", "mode": "live", "n": 1})
BROKEN = GOOD + b'{"n": x}\n' * 2


@pytest.fixture
def lake(empty_lake: Lake) -> Lake:
    return empty_lake


@given(st.integers(min_value=1, max_value=10_000))
def test_a_backoff_doubles_within_its_bounds_and_is_never_zero(attempts: int) -> None:
    most = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 40))

    assert most / 2 <= retry_seconds(attempts) <= most


def test_files_that_failed_together_are_not_all_retried_at_the_same_time() -> None:
    pauses = {round(retry_seconds(5)) for _ in range(200)}

    assert len(pauses) > 50


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (TransientError("busy"), FileState.FAILED),
        (OSError("a bug, or the machine"), FileState.FAILED),
        (PermanentError("never"), FileState.QUARANTINED),
    ],
)
def test_the_class_of_an_error_decides_the_state_of_the_files(
    ledger: Ledger, ledger_url: str, error: Exception, state: FileState
) -> None:
    ledger.files.register(many(1))
    claim = claim_some(ledger)

    ledger.claims.fail(claim, error, max_attempts=5)

    row = file_row(ledger_url, claim.files[0].file_id)
    assert (row.processing_status, row.error_class, row.parser_version) == (state, type(error).__name__, __version__)


def test_a_retried_file_starts_with_no_attempts_and_keeps_its_history(
    lake: Lake, ledger_url: str, tmp_path: Path
) -> None:
    land(tmp_path / "lake", {"2026/week06/a.json": GOOD, "2026/week06/bad.json": BROKEN})
    ingest(lake)
    [bad] = run_sql(ledger_url, "SELECT * FROM file_processing_status WHERE processing_status = 'QUARANTINED'")
    # A parser of the next version would read it. The bytes can not change, so a higher tolerance simulates that.
    fixed = lake_at(tmp_path / "lake", lake.ledger, options=lake.options.__class__(max_bad_share=1.0))

    assert retry(lake, FailureFilter(pattern="*/bad.json")) == 1
    row = file_row(ledger_url, bad.file_id)
    assert (row.processing_status, row.attempts, row.error_message, row.rows_read) == ("PENDING", 0, None, None)
    [result] = ingest_all(fixed)

    assert (result.succeeded, result.rows_read, result.rows_quarantined) == (1, 3, 2)
    steps = [(event.from_state, event.to_state) for event in lake.ledger.files.history(bad.file_id)]
    assert steps == [
        (FileState.PENDING, FileState.PROCESSING),
        (FileState.PROCESSING, FileState.QUARANTINED),
        (FileState.QUARANTINED, FileState.PENDING),
        (FileState.PENDING, FileState.PROCESSING),
        (FileState.PROCESSING, FileState.SUCCEEDED),
    ]
    assert lake.ledger.files.history(bad.file_id)[2].detail == "pending again, to be retried"
    status = lake.ledger.views.status()
    assert status.rows_read == status.rows_published + status.rows_quarantined == 4
    assert len(published(tmp_path / "lake")) == 2
    assert [finding.text for finding in Audit(lake=lake).findings()] == []


def test_only_the_chosen_files_are_retried(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(6))
    claim = claim_some(ledger)
    outcomes = [
        outcome_of(file, Outcome.REFUSED, reason=("truncated", "no_json")[number % 2], error="bad")
        for number, file in enumerate(claim.files[:4])
    ]
    publish(ledger, claim, *outcomes, outcome_of(claim.files[4], Outcome.FAILED, error="busy"))
    run_sql(
        ledger_url,
        "UPDATE file_processing_status SET parser_version = '0.0.1' WHERE file_id = :id",
        id=claim.files[0].file_id,
    )

    def chosen(**conditions: Any) -> int:
        groups = ledger.operations.failures(FailureFilter(**conditions))
        return sum(group.files for group in groups)

    assert chosen() == 5
    assert chosen(states=(FileState.FAILED,)) == 1
    assert chosen(reason="truncated") == 2
    assert chosen(reason="truncated", parser_version="0.0.1") == 1
    assert chosen(pattern="*file-000000[0-9]*") == 0, "only * and ? are special"
    assert chosen(pattern="2026/*/file-000000?.json") == 5
    assert chosen(pattern="2026%") == 0
    assert list(ledger.operations.retry(FailureFilter(reason="truncated", parser_version="0.0.1"))) == [1]
    assert [file.file_id for file in claim_some(ledger).files] == [claim.files[0].file_id]
    assert chosen() == 4


def test_a_file_that_is_being_claimed_is_not_retried(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(2))
    ledger.claims.fail(claim_some(ledger), TransientError("busy"), max_attempts=5)
    with ledger.database.transaction() as connection:
        connection.execute(text("SELECT FROM file_processing_status ORDER BY file_id LIMIT 1 FOR UPDATE"))

        assert list(ledger.operations.retry(FailureFilter())) == [1]


def test_failed_files_of_chosen_partitions_need_not_wait_and_keep_their_attempts(ledger: Ledger) -> None:
    ledger.files.register([*many(2), discovered(10, expected=TEST)])
    ledger.claims.fail(claim_some(ledger), TransientError("busy"), max_attempts=5)

    assert ledger.operations.retry_now([LIVE]) == 2
    assert ledger.operations.retry_now([LIVE]) == 0, "they have no pause left"
    assert [(file.expected, file.attempts) for file in claim_some(ledger).files] == [(LIVE, 2), (LIVE, 2)]


def test_released_files_can_be_claimed_at_once_and_their_worker_publishes_nothing(lake: Lake) -> None:
    lake.ledger.files.register(many(3))
    stuck = claim_some(lake.ledger, owner="there/boot/ns/pid/7/99", lease_seconds=3600)
    writer = lake.store.put_pending(f"json_parsed_parquet/year=2026/part-{stuck.batch_id}-0.parquet")
    writer.write(b"half")
    writer.finish()

    [released] = release(lake, "there/boot")

    assert (released.batch_id, released.files) == (stuck.batch_id, 3)
    assert list(lake.store.pending()) == []
    again = claim_some(lake.ledger)
    assert [file.attempts for file in again.files] == [1, 1, 1]
    with pytest.raises(LeaseLost):
        lake.ledger.claims.renew(stuck)
    assert lake.ledger.files.history(again.files[0].file_id)[1].detail == "released by an operator"


def test_a_batch_past_its_point_of_no_return_is_not_released(lake: Lake) -> None:
    lake.ledger.files.register([discovered(1)])
    claim = claim_some(lake.ledger)
    lake.ledger.publication.record_manifest(claim, manifest_of(claim), CONTRACT)

    with pytest.raises(PermanentError, match="can only be published"):
        release(lake, claim.batch_id)
    assert lake.ledger.publication.batch_states([claim.batch_id]) == {claim.batch_id: BatchState.PUBLISHING}
    with pytest.raises(PermanentError, match="unknown-owner"):
        release(lake, "unknown-owner")


def test_the_commands_say_what_they_did(
    lake: Lake, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.setenv("LAKE_LEDGER_URL", ledger_url)
    land(tmp_path / "lake", {"2026/week06/bad.json": BROKEN})
    ingest(lake)

    def run(*arguments: str) -> object:
        result = CliRunner().invoke(main, [*arguments, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    output = run("retry", "--dry-run")
    assert isinstance(output, dict)
    assert (output["files"], output["chosen"][0]["files"], output["chosen"][0]["state"]) == (0, 1, "QUARANTINED")
    output = run("retry", "--state", "quarantined", "--parser-version", __version__)
    assert isinstance(output, dict)
    assert output["files"] == 1
    claim = claim_some(lake.ledger)
    assert run("release", claim.batch_id) == {
        "batches": [{"batch_id": claim.batch_id, "owner": claim.owner, "files": 1}]
    }
    assert verify(lake, []) == []
    shown = CliRunner().invoke(main, ["retry"])
    assert "No failed or quarantined file" in shown.output


def test_a_file_of_which_nothing_could_be_published_is_converted_once_the_setting_is_right(
    lake: Lake, root: Path
) -> None:
    key = "2026/week06/wrong.json"
    land(root, {key: GOOD * 3, "2026/week06/keyed/date=2026-02-03/mode=live/a.json": GOOD})
    wrong = replace(lake, options=replace(lake.options, date_field="evnt_time"))

    (result,) = ingest(wrong)

    assert (result.succeeded, result.unpublished, result.rows_quarantined) == (1, 1, 3)
    assert result.unpublished_reason is not None
    assert "evnt_time" in result.unpublished_reason
    assert (root / key).exists()
    assert (quarantined(root), is_sound(lake)) == ([], True)
    assert retry(lake, FailureFilter(states=(FileState.QUARANTINED,), reason="nothing_to_publish")) == 1
    ingest(lake)
    assert (len(published(root)), quarantined(root), is_sound(lake)) == (4, [], True)
    assert lake.ledger.views.status().rows_quarantined == 0


def test_a_new_version_of_which_nothing_can_be_published_replaces_nothing(lake: Lake, root: Path) -> None:
    land(root, {"2026/week06/a.json": GOOD})
    ingest(lake)
    land(root, {"2026/week06/a.json": b'{"n":1}\n'})

    (result,) = ingest(lake)

    assert (result.unpublished, len(published(root)), is_sound(lake)) == (1, 1, True)
