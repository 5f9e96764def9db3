"""Publication: the point of no return, rolling forward, and the rows of the ledger afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lake_pipeline.contract.shapes import Kind
from lake_pipeline.errors import ContractMoved, LeaseLost, TransientError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.manifest import FileOutcome, Manifest, Outcome
from lake_pipeline.model.states import BatchState, FileState
from lake_pipeline_tests.support.ledger_builders import (
    CONTRACT,
    LIVE,
    ROWS,
    TEST,
    claim_some,
    contract_with,
    discovered,
    end_backoffs,
    expire_leases,
    file_row,
    manifest_of,
    many,
    outcome_of,
    publish,
    run_sql,
)


def no_owner_is_dead(owner: str) -> bool:
    return False


def test_a_published_batch_is_accounted_for(ledger: Ledger) -> None:
    ledger.files.register(many(3))
    claim = claim_some(ledger)

    manifest = publish(ledger, claim)

    [curated] = ledger.curated.files()
    assert (curated.key, curated.partition, curated.rows) == (manifest.curated[0].object.key, LIVE, 3 * ROWS)
    assert (curated.size, curated.contract_version, curated.batch_id) == (1000, 1, claim.batch_id)
    assert ledger.publication.batch_states([claim.batch_id]) == {claim.batch_id: BatchState.PUBLISHED}
    status = ledger.views.status()
    assert (status.rows_read, status.rows_published, status.rows_quarantined, status.rows_rescued) == (36, 30, 6, 3)
    assert (status.partitions, status.curated_files, status.archived) == (1, 1, 0)
    assert (status.files[FileState.SUCCEEDED], status.bytes[FileState.SUCCEEDED]) == (3, 300)


def test_lineage_has_the_rows_of_each_file(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(3))
    claim = claim_some(ledger)
    publish(ledger, claim, partition=TEST)

    account = ledger.curated.accounts([TEST, LIVE])

    assert (account[TEST].raw_files, account[TEST].lineage_rows, account[TEST].rows) == (3, 30, 30)
    assert (account[LIVE].files, account[LIVE].lineage_rows) == (0, 0)
    rows = run_sql(ledger_url, "SELECT file_id, rows FROM lineage ORDER BY file_id")
    assert rows == [(file.file_id, ROWS) for file in claim.files]


def test_a_commit_has_what_it_added(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(2))
    claim = claim_some(ledger)
    publish(ledger, claim)

    commits = run_sql(ledger_url, "SELECT commit_id, CAST(batch_id AS text), files_added, rows_added FROM lake_commit")
    assert commits == [(1, claim.batch_id, 1, 20)]
    assert run_sql(ledger_url, "SELECT added_commit, removed_commit FROM curated_file") == [(1, None)]
    assert run_sql(ledger_url, "SELECT s3_key, rows FROM quarantine_file") == [
        (f"quarantine/batch={claim.batch_id}/bad.parquet", 4)
    ]


def test_each_file_gets_the_state_of_its_outcome(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(3))
    claim = claim_some(ledger)
    good, bad, unlucky = claim.files

    publish(
        ledger,
        claim,
        outcome_of(bad, Outcome.REFUSED, reason="too_many_broken", error="12 of 12 records are malformed"),
        outcome_of(unlucky, Outcome.FAILED, reason="timeout", error="the store is busy"),
    )

    row = file_row(ledger_url, good.file_id)
    assert (row.processing_status, row.archive_state, row.rows_published) == ("SUCCEEDED", "WAITING", ROWS)
    row = file_row(ledger_url, bad.file_id)
    assert (row.processing_status, row.error_reason, row.rows_quarantined) == ("QUARANTINED", "too_many_broken", 12)
    assert row.archive_state == "NONE"
    row = file_row(ledger_url, unlucky.file_id)
    assert (row.processing_status, row.error_message, row.rows_read) == ("FAILED", "the store is busy", None)
    assert row.next_attempt_at > row.updated_at


def test_a_file_that_fails_in_its_batches_is_quarantined_after_its_attempts(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    for _ in range(2):
        end_backoffs(ledger_url)
        claim = claim_some(ledger)
        publish(ledger, claim, outcome_of(claim.files[0], Outcome.FAILED, error="busy"), max_attempts=2)

    assert file_row(ledger_url, claim.files[0].file_id).processing_status == "QUARANTINED"
    assert ledger.curated.files() == []
    assert ledger.contracts.latest() is None


def test_finishing_twice_changes_nothing(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(2))
    claim = claim_some(ledger)
    publish(ledger, claim)
    before = (ledger.views.status(), run_sql(ledger_url, "SELECT * FROM batch"))

    assert ledger.publication.finish(claim.batch_id, max_attempts=5) is False

    assert (ledger.views.status(), run_sql(ledger_url, "SELECT * FROM batch")) == before


def test_a_batch_without_a_manifest_cannot_be_finished(ledger: Ledger) -> None:
    ledger.files.register(many(1))
    claim = claim_some(ledger)

    with pytest.raises(LeaseLost):
        ledger.publication.finish(claim.batch_id, max_attempts=5)


def wrong_manifests(manifest: Manifest) -> dict[str, Manifest]:
    part = manifest.curated[0]
    first = manifest.files[0]
    return {
        "missing": replace(manifest, files=manifest.files[1:]),
        "twice": replace(manifest, files=(*manifest.files, first)),
        "not claimed": replace(manifest, files=(*manifest.files, FileOutcome(file_id=999, outcome=Outcome.FAILED))),
        "rows, its files account for": replace(manifest, curated=(replace(part, rows=part.rows + 1),)),
        "rows in the parts": replace(manifest, curated=()),
        "have the key": replace(manifest, curated=(part, replace(part, rows=0, rows_by_file={}))),
        "impossible counts": replace(manifest, files=(replace(first, rescued=99), *manifest.files[1:])),
    }


@pytest.mark.parametrize(
    "problem",
    [
        "missing",
        "twice",
        "not claimed",
        "rows, its files account for",
        "rows in the parts",
        "have the key",
        "impossible counts",
    ],
)
def test_a_manifest_covers_exactly_the_claim_and_its_rows(ledger: Ledger, problem: str) -> None:
    ledger.files.register(many(2))
    claim = claim_some(ledger)

    with pytest.raises(ValueError, match=problem):
        ledger.publication.record_manifest(claim, wrong_manifests(manifest_of(claim))[problem], CONTRACT)

    assert ledger.publication.batch_states([claim.batch_id]) == {claim.batch_id: BatchState.CLAIMED}


def test_past_the_point_of_no_return_a_batch_can_neither_fail_nor_be_released(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    claim = claim_some(ledger)
    ledger.publication.record_manifest(claim, manifest_of(claim), CONTRACT)
    expire_leases(ledger_url)

    with pytest.raises(LeaseLost):
        ledger.claims.fail(claim, TransientError("late"), max_attempts=5)
    with pytest.raises(LeaseLost):
        ledger.claims.release(claim, "late")
    with pytest.raises(LeaseLost):
        ledger.publication.record_manifest(claim, manifest_of(claim), CONTRACT)
    assert ledger.recovery.reclaim(owner_is_dead=lambda _: True, max_lost=5).batches == 0
    assert ledger.publication.finish(claim.batch_id, max_attempts=5)


def test_a_partly_published_batch_of_a_lost_worker_is_adopted_once(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(2))
    claim = claim_some(ledger, owner="lost")
    manifest = manifest_of(claim)
    ledger.publication.record_manifest(claim, manifest, CONTRACT)
    assert ledger.recovery.adopt_publications(owner="next", owner_is_dead=no_owner_is_dead) == []

    expire_leases(ledger_url)
    assert ledger.recovery.adopt_publications(owner="next", owner_is_dead=no_owner_is_dead) == [
        (claim.batch_id, manifest)
    ]
    assert ledger.recovery.adopt_publications(owner="third", owner_is_dead=no_owner_is_dead) == []

    with pytest.raises(LeaseLost):
        ledger.claims.renew(claim)
    ledger.claims.renew(replace(claim, owner="next"))
    assert ledger.publication.finish(claim.batch_id, max_attempts=5)


def test_a_partly_published_batch_of_a_dead_worker_is_adopted_at_once(ledger: Ledger) -> None:
    ledger.files.register(many(1))
    claim = claim_some(ledger, owner="dead")
    ledger.publication.record_manifest(claim, manifest_of(claim), CONTRACT)

    adopted = ledger.recovery.adopt_publications(owner="next", owner_is_dead=lambda owner: owner == "dead")

    assert [batch_id for batch_id, _ in adopted] == [claim.batch_id]


def test_a_manifest_can_contain_any_text(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(2))
    claim = claim_some(ledger)
    refused = outcome_of(claim.files[0], Outcome.REFUSED, reason="bad", error="byte \0 and \udcff")

    publish(ledger, claim, refused)

    assert file_row(ledger_url, claim.files[0].file_id).error_message == "byte \N{REPLACEMENT CHARACTER} and ?"


def test_a_contract_evolves_by_compare_and_set(ledger: Ledger) -> None:
    assert ledger.contracts.latest() is None
    ledger.files.register(many(3))
    claims = [claim_some(ledger, max_files=1) for _ in range(3)]
    contracts = [CONTRACT, contract_with(b=Kind.STRING), CONTRACT]

    versions = [
        ledger.publication.record_manifest(claim, manifest_of(claim), contract)
        for claim, contract in zip(claims, contracts, strict=True)
    ]

    assert versions == [1, 2, 2]
    current = ledger.contracts.latest()
    assert current is not None
    assert current.version == 2
    assert [column.name for column in current.columns] == ["a", "b"]


def test_nothing_is_written_if_the_contract_has_moved(ledger: Ledger) -> None:
    ledger.files.register(many(2))
    first, second = claim_some(ledger, max_files=1), claim_some(ledger, max_files=1)
    ledger.publication.record_manifest(first, manifest_of(first), contract_with(a=Kind.STRING))

    with pytest.raises(ContractMoved):
        ledger.publication.record_manifest(second, manifest_of(second), contract_with(a=Kind.INT))

    assert ledger.publication.batch_states([second.batch_id]) == {second.batch_id: BatchState.CLAIMED}
    current = ledger.contracts.latest()
    assert current is not None
    assert current.version == 1


def test_originals_wait_until_they_are_archived(ledger: Ledger) -> None:
    ledger.files.register(many(3))
    first, second = claim_some(ledger, max_files=2), claim_some(ledger, max_files=2)
    publish(ledger, first)
    publish(ledger, second)

    tasks = ledger.archive.pending(limit=10, batch_id=first.batch_id)
    assert [(task.key, task.archive_key) for task in tasks] == [
        (file.key, f"raw-json-data-processed/{file.key}") for file in first.files
    ]
    assert len(ledger.archive.pending(limit=2)) == 2

    ledger.archive.mark_archived([task.file_id for task in tasks])
    ledger.archive.mark_archived([task.file_id for task in tasks])
    assert [task.key for task in ledger.archive.pending(limit=10)] == [second.files[0].key]
    assert ledger.views.status().archived == 2


def test_no_original_overwrites_another_one(ledger: Ledger) -> None:
    ledger.files.register(
        [discovered(1, etag="v1"), discovered(1, etag="v2"), replace(discovered(1), key=f"{discovered(1).key}~2")]
    )
    publish(ledger, claim_some(ledger))

    keys = [task.archive_key for task in ledger.archive.pending(limit=10)]

    plain = f"raw-json-data-processed/{discovered(1).key}"
    assert keys == [plain, f"{plain}~2", f"{plain}~2~3"]
