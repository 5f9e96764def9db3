"""Claims: which files a claim gets, how long it lasts, and that a worker without its lease can write nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from lake_pipeline.errors import LeaseLost, LedgerUnavailable, PermanentError, TransientError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.files import Lane
from lake_pipeline.model.states import BatchState, FileState
from lake_pipeline_tests.support.ledger_builders import (
    CONTRACT,
    LIVE,
    TEST,
    claim_some,
    discovered,
    end_backoffs,
    expire_leases,
    file_row,
    manifest_of,
    many,
    publish,
    run_sql,
)

WORKERS = 16


def no_owner_is_dead(owner: str) -> bool:
    return False


def every_owner_is_dead(owner: str) -> bool:
    return True


def test_16_concurrent_workers_never_claim_the_same_file(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(4000, size=1))

    def work(number: int) -> list[int]:
        own = Ledger(ledger_url)
        held: list[int] = []
        while claim := own.claims.take(
            owner=f"worker {number}", max_files=25, max_bytes=1 << 30, lease_seconds=60, engine="in_process"
        ):
            held += [file.file_id for file in claim.files]
        own.close()
        return held

    with ThreadPoolExecutor(WORKERS) as pool:
        held = [file_id for files in pool.map(work, range(WORKERS)) for file_id in files]

    assert len(held) == 4000
    assert max(Counter(held).values()) == 1
    assert ledger.views.status().files[FileState.PROCESSING] == 4000


def test_16_workers_finish_every_file_exactly_once(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(640))

    def work(number: int) -> int:
        own, published = Ledger(ledger_url), 0
        while claim := own.claims.take(
            owner=f"worker {number}", max_files=8, max_bytes=1 << 30, lease_seconds=60, engine="in_process"
        ):
            publish(own, claim)
            published += len(claim.files)
        own.close()
        return published

    with ThreadPoolExecutor(WORKERS) as pool:
        assert sum(pool.map(work, range(WORKERS))) == 640

    status = ledger.views.status()
    assert status.files[FileState.SUCCEEDED] == 640
    assert status.rows_read == status.rows_published + status.rows_quarantined == 640 * 12
    assert ledger.curated.accounts([LIVE])[LIVE].lineage_rows == status.rows_published
    assert status.contract_version == 1


def test_the_weekly_lane_is_claimed_first(ledger: Ledger) -> None:
    ledger.files.register([discovered(1, lane=Lane.HISTORY), discovered(2, lane=Lane.HISTORY)])
    ledger.files.register([discovered(3, lane=Lane.WEEKLY)])

    lanes = [claim_some(ledger, max_files=1).files[0].lane for _ in range(3)]

    assert lanes == [Lane.WEEKLY, Lane.HISTORY, Lane.HISTORY]


def test_a_claim_can_have_files_of_both_lanes(ledger: Ledger) -> None:
    ledger.files.register([discovered(1, lane=Lane.HISTORY), discovered(2, lane=Lane.WEEKLY)])

    assert [file.lane for file in claim_some(ledger).files] == [Lane.WEEKLY, Lane.HISTORY]


def test_a_claim_respects_its_limit_of_bytes(ledger: Ledger) -> None:
    ledger.files.register(many(10, size=100))

    assert len(claim_some(ledger, max_bytes=350).files) == 3
    assert claim_some(ledger, max_bytes=350).size == 300


def test_a_file_larger_than_the_limit_is_a_batch_of_its_own(ledger: Ledger) -> None:
    ledger.files.register(many(2, size=1000))

    assert len(claim_some(ledger, max_bytes=10).files) == 1


def test_a_claim_has_the_registered_values_of_its_files(ledger: Ledger) -> None:
    ledger.files.register([discovered(1, expected=TEST), discovered(2, expected=None, lane=Lane.HISTORY)])

    first, second = claim_some(ledger).files

    assert (first.key, first.etag, first.size) == (discovered(1).key, "v1", 100)
    assert (first.expected, first.attempts, first.lane) == (TEST, 1, Lane.WEEKLY)
    assert second.expected is None


def test_a_claim_is_none_if_no_file_is_claimable(ledger: Ledger) -> None:
    assert ledger.claims.take(owner="test", max_files=1, max_bytes=1, lease_seconds=1, engine="in_process") is None


def test_a_claim_for_partitions_has_only_their_files(ledger: Ledger) -> None:
    ledger.files.register([discovered(1, expected=LIVE), discovered(2, expected=TEST), discovered(3, expected=None)])

    claim = claim_some(ledger, partitions=[TEST, TEST])

    assert [file.expected for file in claim.files] == [TEST]
    assert (
        ledger.claims.take(owner="test", max_files=9, max_bytes=9, lease_seconds=9, engine="x", partitions=[TEST])
        is None
    )


def test_a_claim_for_partitions_has_the_same_limits(ledger: Ledger) -> None:
    ledger.files.register(discovered(number, expected=(LIVE, TEST)[number % 2]) for number in range(10))

    assert len(claim_some(ledger, partitions=[LIVE, TEST], max_files=7).files) == 7
    assert len(claim_some(ledger, partitions=[LIVE, TEST], max_bytes=250).files) == 2


def use_renew(ledger: Ledger, claim: Claim) -> None:
    ledger.claims.renew(claim)


def use_engine_run(ledger: Ledger, claim: Claim) -> None:
    ledger.claims.record_engine_run(claim, "jr_1")


def use_manifest(ledger: Ledger, claim: Claim) -> None:
    ledger.publication.record_manifest(claim, manifest_of(claim), CONTRACT)


def use_finish(ledger: Ledger, claim: Claim) -> None:
    ledger.publication.finish(claim.batch_id, max_attempts=5)


def use_fail(ledger: Ledger, claim: Claim) -> None:
    ledger.claims.fail(claim, TransientError("late"), max_attempts=5)


def use_release(ledger: Ledger, claim: Claim) -> None:
    ledger.claims.release(claim, "late")


WRITES = [use_renew, use_engine_run, use_manifest, use_finish, use_fail, use_release]


@pytest.mark.parametrize("write", WRITES)
def test_a_worker_that_lost_its_lease_can_write_nothing(
    ledger: Ledger, ledger_url: str, write: Callable[[Ledger, Claim], None]
) -> None:
    ledger.files.register(many(3))
    late = claim_some(ledger, owner="late")
    expire_leases(ledger_url)
    ledger.recovery.reclaim(owner_is_dead=no_owner_is_dead, max_lost=5)
    current = claim_some(ledger, owner="current")

    with pytest.raises(LeaseLost, match=late.batch_id):
        write(ledger, late)

    assert ledger.publication.batch_states([late.batch_id, current.batch_id]) == {
        late.batch_id: BatchState.ABANDONED,
        current.batch_id: BatchState.CLAIMED,
    }
    publish(ledger, current)


def test_an_expired_lease_can_be_renewed_until_it_is_reclaimed(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    claim = claim_some(ledger)
    expire_leases(ledger_url)

    ledger.claims.renew(claim)

    assert ledger.recovery.reclaim(owner_is_dead=no_owner_is_dead, max_lost=5).batches == 0


def test_a_live_claim_is_not_reclaimed(ledger: Ledger) -> None:
    ledger.files.register(many(1))
    claim = claim_some(ledger)

    assert ledger.recovery.reclaim(owner_is_dead=no_owner_is_dead, max_lost=5).batches == 0
    ledger.claims.renew(claim)


def test_reclaimed_files_can_be_claimed_again_and_the_attempt_does_not_count(ledger: Ledger) -> None:
    ledger.files.register(many(3))
    claim_some(ledger)

    assert ledger.recovery.reclaim(owner_is_dead=every_owner_is_dead, max_lost=5).files == 3
    assert [file.attempts for file in claim_some(ledger).files] == [1, 1, 1]


def test_a_file_is_quarantined_if_every_worker_that_holds_only_it_is_lost(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    for _ in range(2):
        file = claim_some(ledger).files[0]
        given_back = ledger.recovery.reclaim(owner_is_dead=every_owner_is_dead, max_lost=2).files

    assert given_back == 0
    row = file_row(ledger_url, file.file_id)
    assert (row.processing_status, row.error_reason) == ("QUARANTINED", "worker_lost")
    assert row.error_message.startswith("2 workers were lost with this file")


def test_a_machine_that_keeps_crashing_quarantines_no_file(ledger: Ledger) -> None:
    ledger.files.register(many(1000))
    for _ in range(100):
        claim_some(ledger, max_files=1000)
        ledger.recovery.reclaim(owner_is_dead=every_owner_is_dead, max_lost=5)

    assert ledger.views.status().files[FileState.QUARANTINED] == 0


def test_a_file_that_crashes_workers_is_isolated_and_the_others_are_published(ledger: Ledger) -> None:
    ledger.files.register(many(1000))
    crashing_file, batches = 700, []
    while claim := ledger.claims.take(
        owner="test", max_files=1000, max_bytes=1 << 40, lease_seconds=60, engine="in_process"
    ):
        batches.append(len(claim.files))
        if crashing_file in {file.file_id for file in claim.files}:
            ledger.recovery.reclaim(owner_is_dead=every_owner_is_dead, max_lost=5)
        else:
            publish(ledger, claim)

    states = ledger.views.status().files
    assert (states[FileState.QUARANTINED], states[FileState.SUCCEEDED]) == (1, 999)
    assert len(batches) < 60, "most other files are not converted one by one"


def test_after_lost_workers_batches_grow_again_by_doubling(ledger: Ledger) -> None:
    ledger.files.register(many(1000))
    for _ in range(3):
        claim_some(ledger, max_files=1000)
        ledger.recovery.reclaim(owner_is_dead=every_owner_is_dead, max_lost=5)
    batches = []
    while claim := ledger.claims.take(
        owner="test", max_files=1000, max_bytes=1 << 40, lease_seconds=60, engine="in_process"
    ):
        batches.append(len(claim.files))
        publish(ledger, claim)

    assert sum(batches) == 1000
    assert batches[:3] == [62, 125, 250]
    assert len(batches) < 25


def test_an_outcome_resets_the_count_of_lost_workers(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    claim_some(ledger)
    ledger.recovery.reclaim(owner_is_dead=every_owner_is_dead, max_lost=5)
    claim = claim_some(ledger)
    assert file_row(ledger_url, claim.files[0].file_id).workers_lost == 1
    ledger.claims.fail(claim, TransientError("busy"), max_attempts=5)
    assert file_row(ledger_url, claim.files[0].file_id).workers_lost == 0


def test_a_worker_that_pauses_inside_a_transaction_loses_its_locks(ledger: Ledger) -> None:
    def sleep_in_a_transaction() -> None:
        with ledger.database.transaction() as connection:
            assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
            connection.execute(text("SET idle_in_transaction_session_timeout = 100"))
            time.sleep(0.5)
            connection.execute(text("SELECT 1"))

    with pytest.raises(LedgerUnavailable, match="Nothing was written"):
        sleep_in_a_transaction()


def test_released_files_are_pending_again_and_the_attempt_does_not_count(ledger: Ledger) -> None:
    ledger.files.register(many(2))
    claim = claim_some(ledger)

    ledger.claims.release(claim, "interrupted")

    assert ledger.publication.batch_states([claim.batch_id]) == {claim.batch_id: BatchState.ABANDONED}
    assert [file.attempts for file in claim_some(ledger).files] == [1, 1]
    assert [event.detail for event in ledger.files.history(claim.files[0].file_id)] == [None, "interrupted", None]


def test_a_failed_file_is_claimable_only_after_its_backoff(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    claim = claim_some(ledger)
    ledger.claims.fail(claim, TransientError("the store is busy"), max_attempts=5)

    row = file_row(ledger_url, claim.files[0].file_id)
    assert 10 < (row.next_attempt_at - datetime.now(UTC)).total_seconds() < 40
    assert ledger.claims.take(owner="test", max_files=1, max_bytes=1, lease_seconds=1, engine="x") is None
    assert ledger.views.pending_unpartitioned().files == 0
    assert ledger.views.pending_by_partition(limit=5) == []

    end_backoffs(ledger_url)
    assert claim_some(ledger).files[0].attempts == 2


def test_the_backoff_grows_with_each_attempt(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    waits = []
    for _ in range(4):
        claim = claim_some(ledger)
        ledger.claims.fail(claim, TransientError("busy"), max_attempts=9)
        row = file_row(ledger_url, claim.files[0].file_id)
        waits.append((row.next_attempt_at - row.updated_at).total_seconds())
        end_backoffs(ledger_url)

    assert waits[0] <= 30
    assert 120 <= waits[3] <= 240


def test_a_file_is_quarantined_after_its_last_attempt(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    for _ in range(3):
        end_backoffs(ledger_url)
        claim = claim_some(ledger)
        ledger.claims.fail(claim, TransientError("busy"), max_attempts=3)

    row = file_row(ledger_url, claim.files[0].file_id)
    assert (row.processing_status, row.attempts, row.error_class) == ("QUARANTINED", 3, "TransientError")
    assert row.error_message == "busy"


def test_a_permanent_error_quarantines_at_once(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    claim = claim_some(ledger)

    ledger.claims.fail(claim, PermanentError("never\0mind \ud800"), max_attempts=5)

    row = file_row(ledger_url, claim.files[0].file_id)
    assert (row.processing_status, row.error_message) == ("QUARANTINED", r"never\x00mind \ud800")
    assert ledger.publication.batch_states([claim.batch_id]) == {claim.batch_id: BatchState.FAILED}


def test_the_engine_run_is_recorded_on_the_batch_and_on_its_files(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(2))
    claim = claim_some(ledger)

    ledger.claims.record_engine_run(claim, "jr_0123")

    assert run_sql(ledger_url, "SELECT DISTINCT glue_job_run_id FROM file_processing_status") == [("jr_0123",)]
    assert run_sql(ledger_url, "SELECT external_run_id FROM batch") == [("jr_0123",)]
