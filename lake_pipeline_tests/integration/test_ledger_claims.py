"""Claims: who gets which file, for how long, and what a worker that lost its claim can still do (nothing)."""

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
from lake_pipeline_tests.ledger_builders import (
    CONTRACT,
    LIVE,
    TEST,
    claim_some,
    expire_leases,
    file_row,
    found,
    let_retries_come,
    manifest_of,
    many,
    publish,
    run_sql,
)

WORKERS = 16


def nobody_is_dead(owner: str) -> bool:
    return False


def everybody_is_dead(owner: str) -> bool:
    return True


def test_no_file_is_claimed_twice_by_16_workers_at_once(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(4000, size=1))

    def work(number: int) -> list[int]:
        own = Ledger(ledger_url)
        held: list[int] = []
        while claim := own.claim(
            owner=f"worker {number}", max_files=25, max_bytes=1 << 30, lease_seconds=60, engine="in_process"
        ):
            held += [file.file_id for file in claim.files]
        own.close()
        return held

    with ThreadPoolExecutor(WORKERS) as pool:
        held = [file_id for files in pool.map(work, range(WORKERS)) for file_id in files]

    assert len(held) == 4000
    assert max(Counter(held).values()) == 1
    assert ledger.status().files[FileState.PROCESSING] == 4000


def test_16_workers_finish_every_file_exactly_once(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(640))

    def work(number: int) -> int:
        own, published = Ledger(ledger_url), 0
        while claim := own.claim(
            owner=f"worker {number}", max_files=8, max_bytes=1 << 30, lease_seconds=60, engine="in_process"
        ):
            publish(own, claim)
            published += len(claim.files)
        own.close()
        return published

    with ThreadPoolExecutor(WORKERS) as pool:
        assert sum(pool.map(work, range(WORKERS))) == 640

    status = ledger.status()
    assert status.files[FileState.SUCCEEDED] == 640
    assert status.rows_read == status.rows_published + status.rows_quarantined == 640 * 12
    assert ledger.partition_accounts([LIVE])[LIVE].lineage_rows == status.rows_published
    assert status.contract_version == 1


def test_the_weekly_lane_goes_first(ledger: Ledger) -> None:
    ledger.register([found(1, lane=Lane.HISTORY), found(2, lane=Lane.HISTORY)])
    ledger.register([found(3, lane=Lane.WEEKLY)])

    lanes = [claim_some(ledger, max_files=1).files[0].lane for _ in range(3)]

    assert lanes == [Lane.WEEKLY, Lane.HISTORY, Lane.HISTORY]


def test_one_claim_may_take_both_lanes(ledger: Ledger) -> None:
    ledger.register([found(1, lane=Lane.HISTORY), found(2, lane=Lane.WEEKLY)])

    assert [file.lane for file in claim_some(ledger).files] == [Lane.WEEKLY, Lane.HISTORY]


def test_a_claim_stays_within_its_bytes(ledger: Ledger) -> None:
    ledger.register(many(10, size=100))

    assert len(claim_some(ledger, max_bytes=350).files) == 3
    assert claim_some(ledger, max_bytes=350).size == 300


def test_a_file_larger_than_the_limit_is_a_batch_of_its_own(ledger: Ledger) -> None:
    ledger.register(many(2, size=1000))

    assert len(claim_some(ledger, max_bytes=10).files) == 1


def test_a_claim_tells_what_is_known_of_its_files(ledger: Ledger) -> None:
    ledger.register([found(1, expected=TEST), found(2, expected=None, lane=Lane.HISTORY)])

    first, second = claim_some(ledger).files

    assert (first.key, first.etag, first.size) == (found(1).key, "v1", 100)
    assert (first.expected, first.attempts, first.lane) == (TEST, 1, Lane.WEEKLY)
    assert second.expected is None


def test_nothing_to_claim_is_none(ledger: Ledger) -> None:
    assert ledger.claim(owner="test", max_files=1, max_bytes=1, lease_seconds=1, engine="in_process") is None


def test_a_claim_for_partitions_takes_only_their_files(ledger: Ledger) -> None:
    ledger.register([found(1, expected=LIVE), found(2, expected=TEST), found(3, expected=None)])

    claim = claim_some(ledger, partitions=[TEST, TEST])

    assert [file.expected for file in claim.files] == [TEST]
    assert ledger.claim(owner="test", max_files=9, max_bytes=9, lease_seconds=9, engine="x", partitions=[TEST]) is None


def test_a_claim_for_partitions_has_the_same_limits(ledger: Ledger) -> None:
    ledger.register(found(number, expected=(LIVE, TEST)[number % 2]) for number in range(10))

    assert len(claim_some(ledger, partitions=[LIVE, TEST], max_files=7).files) == 7
    assert len(claim_some(ledger, partitions=[LIVE, TEST], max_bytes=250).files) == 2


def use_renew(ledger: Ledger, claim: Claim) -> None:
    ledger.renew(claim)


def use_engine_run(ledger: Ledger, claim: Claim) -> None:
    ledger.record_engine_run(claim, "jr_1")


def use_manifest(ledger: Ledger, claim: Claim) -> None:
    ledger.record_manifest(claim, manifest_of(claim), CONTRACT)


def use_finish(ledger: Ledger, claim: Claim) -> None:
    ledger.finish_publish(claim.batch_id, max_attempts=5)


def use_fail(ledger: Ledger, claim: Claim) -> None:
    ledger.fail(claim, TransientError("late"), max_attempts=5)


def use_release(ledger: Ledger, claim: Claim) -> None:
    ledger.release(claim, "late")


WRITES = [use_renew, use_engine_run, use_manifest, use_finish, use_fail, use_release]


@pytest.mark.parametrize("write", WRITES)
def test_a_worker_that_lost_its_lease_can_write_nothing(
    ledger: Ledger, ledger_url: str, write: Callable[[Ledger, Claim], None]
) -> None:
    ledger.register(many(3))
    late = claim_some(ledger, owner="late")
    expire_leases(ledger_url)
    ledger.reclaim(owner_is_dead=nobody_is_dead, max_lost=5)
    current = claim_some(ledger, owner="current")

    with pytest.raises(LeaseLost, match=late.batch_id):
        write(ledger, late)

    assert ledger.batch_states([late.batch_id, current.batch_id]) == {
        late.batch_id: BatchState.ABANDONED,
        current.batch_id: BatchState.CLAIMED,
    }
    publish(ledger, current)


def test_an_expired_lease_that_nobody_took_can_be_renewed(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(1))
    claim = claim_some(ledger)
    expire_leases(ledger_url)

    ledger.renew(claim)

    assert ledger.reclaim(owner_is_dead=nobody_is_dead, max_lost=5).batches == 0


def test_a_live_claim_is_not_reclaimed(ledger: Ledger) -> None:
    ledger.register(many(1))
    claim = claim_some(ledger)

    assert ledger.reclaim(owner_is_dead=nobody_is_dead, max_lost=5).batches == 0
    ledger.renew(claim)


def test_reclaimed_files_can_be_claimed_again_and_the_attempt_does_not_count(ledger: Ledger) -> None:
    ledger.register(many(3))
    claim_some(ledger)

    assert ledger.reclaim(owner_is_dead=everybody_is_dead, max_lost=5).files == 3
    assert [file.attempts for file in claim_some(ledger).files] == [1, 1, 1]


def test_a_file_that_loses_every_worker_that_holds_it_alone_is_quarantined(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(1))
    for _ in range(2):
        file = claim_some(ledger).files[0]
        given_back = ledger.reclaim(owner_is_dead=everybody_is_dead, max_lost=2).files

    assert given_back == 0
    row = file_row(ledger_url, file.file_id)
    assert (row.processing_status, row.error_reason) == ("QUARANTINED", "worker_lost")
    assert row.error_message.startswith("2 workers were lost with this file")


def test_a_machine_that_is_switched_off_again_and_again_quarantines_no_file(ledger: Ledger) -> None:
    ledger.register(many(1000))
    for _ in range(100):
        claim_some(ledger, max_files=1000)
        ledger.reclaim(owner_is_dead=everybody_is_dead, max_lost=5)

    assert ledger.status().files[FileState.QUARANTINED] == 0


def test_the_file_that_kills_its_workers_is_found_among_many_and_the_others_are_published(ledger: Ledger) -> None:
    ledger.register(many(1000))
    deadly, batches = 700, []
    while claim := ledger.claim(owner="test", max_files=1000, max_bytes=1 << 40, lease_seconds=60, engine="in_process"):
        batches.append(len(claim.files))
        if deadly in {file.file_id for file in claim.files}:
            ledger.reclaim(owner_is_dead=everybody_is_dead, max_lost=5)
        else:
            publish(ledger, claim)

    states = ledger.status().files
    assert (states[FileState.QUARANTINED], states[FileState.SUCCEEDED]) == (1, 999)
    assert len(batches) < 60, "most innocent files come in company"


def test_a_file_that_came_to_an_end_of_its_own_is_no_suspect_any_more(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(1))
    claim_some(ledger)
    ledger.reclaim(owner_is_dead=everybody_is_dead, max_lost=5)
    claim = claim_some(ledger)
    assert file_row(ledger_url, claim.files[0].file_id).workers_lost == 1
    ledger.fail(claim, TransientError("busy"), max_attempts=5)
    assert file_row(ledger_url, claim.files[0].file_id).workers_lost == 0


def test_a_worker_that_stops_in_the_middle_of_a_transaction_does_not_hold_its_locks_for_ever(ledger: Ledger) -> None:
    def sleep_in_a_transaction() -> None:
        with ledger.transaction() as connection:
            assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
            connection.execute(text("SET idle_in_transaction_session_timeout = 100"))
            time.sleep(0.5)
            connection.execute(text("SELECT 1"))

    with pytest.raises(LedgerUnavailable, match="Nothing was written"):
        sleep_in_a_transaction()


def test_released_files_wait_again_and_the_attempt_does_not_count(ledger: Ledger) -> None:
    ledger.register(many(2))
    claim = claim_some(ledger)

    ledger.release(claim, "interrupted")

    assert ledger.batch_states([claim.batch_id]) == {claim.batch_id: BatchState.ABANDONED}
    assert [file.attempts for file in claim_some(ledger).files] == [1, 1]
    assert [event.detail for event in ledger.events(claim.files[0].file_id)] == [None, "interrupted", None]


def test_a_failed_file_is_claimable_only_after_its_retry_time(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(1))
    claim = claim_some(ledger)
    ledger.fail(claim, TransientError("the store is busy"), max_attempts=5)

    row = file_row(ledger_url, claim.files[0].file_id)
    assert 10 < (row.next_attempt_at - datetime.now(UTC)).total_seconds() < 40
    assert ledger.claim(owner="test", max_files=1, max_bytes=1, lease_seconds=1, engine="x") is None
    assert ledger.pending_unplaced().files == 0
    assert ledger.pending_by_partition(limit=5) == []

    let_retries_come(ledger_url)
    assert claim_some(ledger).files[0].attempts == 2


def test_retries_wait_longer_each_time(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(1))
    waits = []
    for _ in range(4):
        claim = claim_some(ledger)
        ledger.fail(claim, TransientError("busy"), max_attempts=9)
        row = file_row(ledger_url, claim.files[0].file_id)
        waits.append((row.next_attempt_at - row.updated_at).total_seconds())
        let_retries_come(ledger_url)

    assert waits[0] <= 30
    assert 120 <= waits[3] <= 240


def test_a_file_over_its_attempts_is_quarantined(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(1))
    for _ in range(3):
        let_retries_come(ledger_url)
        claim = claim_some(ledger)
        ledger.fail(claim, TransientError("busy"), max_attempts=3)

    row = file_row(ledger_url, claim.files[0].file_id)
    assert (row.processing_status, row.attempts, row.error_class) == ("QUARANTINED", 3, "TransientError")
    assert row.error_message == "busy"


def test_a_permanent_error_quarantines_at_once(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(1))
    claim = claim_some(ledger)

    ledger.fail(claim, PermanentError("never\0mind \ud800"), max_attempts=5)

    row = file_row(ledger_url, claim.files[0].file_id)
    assert (row.processing_status, row.error_message) == ("QUARANTINED", "never\N{REPLACEMENT CHARACTER}mind ?")
    assert ledger.batch_states([claim.batch_id]) == {claim.batch_id: BatchState.FAILED}


def test_the_engine_run_stands_on_the_batch_and_on_its_files(ledger: Ledger, ledger_url: str) -> None:
    ledger.register(many(2))
    claim = claim_some(ledger)

    ledger.record_engine_run(claim, "jr_0123")

    assert run_sql(ledger_url, "SELECT DISTINCT glue_job_run_id FROM file_processing_status") == [("jr_0123",)]
    assert run_sql(ledger_url, "SELECT external_run_id FROM batch") == [("jr_0123",)]
