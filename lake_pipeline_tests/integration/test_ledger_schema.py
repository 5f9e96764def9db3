"""Guarantees of the database: states, events, conservation, query plans, and agreement of schema and code."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import IntegrityError

import lake_pipeline.ledger
from lake_pipeline.errors import LedgerOutdated, LedgerUnavailable, SettingsError, TransientError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.migrate import current_revision, head_revision, migrate
from lake_pipeline.ledger.migrations import REVISION, SCHEMA, VERSION_TABLE
from lake_pipeline.ledger.queries import all_queries, query
from lake_pipeline.model.files import Lane
from lake_pipeline.model.manifest import Outcome
from lake_pipeline.model.states import BATCH_TRANSITIONS, TRANSITIONS, ArchiveState, BatchState, FileState
from lake_pipeline_tests.support.catalog import catalog
from lake_pipeline_tests.support.ledger_builders import (
    LIVE,
    TEST,
    claim_some,
    discovered,
    end_backoffs,
    many,
    outcome_of,
    publish,
    run_sql,
)

UTILITIES = {
    "prepare_arrivals",
    "copy_arrivals",
    "prepare_committed",
    "lock_contract",
    "lock_commits",
    "freeze_snapshot",
}
"""Statements that PREPARE does not accept; they are run instead."""


def test_the_database_has_the_transitions_of_the_code(ledger_url: str) -> None:
    assert {tuple(row) for row in run_sql(ledger_url, "SELECT * FROM file_transitions()")} == TRANSITIONS
    assert {tuple(row) for row in run_sql(ledger_url, "SELECT * FROM batch_transitions()")} == BATCH_TRANSITIONS


@pytest.mark.parametrize(
    ("constraint", "states"), [("file_state", FileState), ("batch_state", BatchState), ("file_archive", ArchiveState)]
)
def test_the_database_has_the_states_of_the_code(
    ledger_url: str, constraint: str, states: type[FileState | BatchState | ArchiveState]
) -> None:
    [(definition,)] = run_sql(
        ledger_url, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name", name=constraint
    )
    assert set(re.findall(r"'([A-Z]+)'::text", definition)) - {"SUCCEEDED", "SUPERSEDED"} == {
        state.value for state in states
    } - {"SUCCEEDED", "SUPERSEDED"}


def test_illegal_transitions_of_a_file_are_rejected_by_the_database(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(2))
    publish(ledger, claim_some(ledger))

    with pytest.raises(IntegrityError, match=r"file \d+ can't go from SUCCEEDED to PENDING"):
        run_sql(
            ledger_url,
            "UPDATE file_processing_status SET processing_status = 'PENDING', archive_state = 'NONE', "
            "archive_key = NULL, next_attempt_at = now()",
        )


def test_illegal_transitions_of_a_batch_are_rejected_by_the_database(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    publish(ledger, claim_some(ledger))

    with pytest.raises(IntegrityError, match="can't go from PUBLISHED to CLAIMED"):
        run_sql(ledger_url, "UPDATE batch SET state = 'CLAIMED', finished_at = NULL")


def test_files_can_neither_be_deleted_nor_start_in_another_state(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))

    with pytest.raises(IntegrityError, match="never deleted"):
        run_sql(ledger_url, "DELETE FROM file_processing_status")
    with pytest.raises(IntegrityError, match="registered as PENDING"):
        run_sql(
            ledger_url,
            "INSERT INTO file_processing_status (s3_key, etag, size_bytes, lane, processing_status) "
            "VALUES ('k', 'e', 1, 0, 'SUPERSEDED')",
        )


@pytest.mark.parametrize(
    "change",
    [
        "rows_read = rows_read + 1",
        "rows_quarantined = NULL",
        "rows_rescued = rows_published + 1",
        "rows_read = NULL, rows_published = NULL, rows_quarantined = NULL, rows_rescued = NULL",
        "processed_at = NULL",
        "archive_key = NULL",
        "archive_state = 'ARCHIVED'",
        "claim_id = batch_id",
        "expected_mode = NULL",
        "lane = 2",
    ],
)
def test_a_row_that_contradicts_itself_is_rejected(ledger: Ledger, ledger_url: str, change: str) -> None:
    ledger.files.register(many(1))
    publish(ledger, claim_some(ledger))

    with pytest.raises(IntegrityError, match="violates check constraint"):
        run_sql(ledger_url, f"UPDATE file_processing_status SET {change}")


def test_each_transition_leaves_an_event(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(1))
    first = claim_some(ledger)
    file_id = first.files[0].file_id
    ledger.claims.fail(first, TransientError("busy"), max_attempts=5)
    end_backoffs(ledger_url)
    second = claim_some(ledger)
    publish(ledger, second)

    events = ledger.files.history(file_id)

    assert [(event.from_state, event.to_state, event.batch_id, event.detail) for event in events] == [
        (FileState.PENDING, FileState.PROCESSING, first.batch_id, None),
        (FileState.PROCESSING, FileState.FAILED, first.batch_id, "busy"),
        (FileState.FAILED, FileState.PROCESSING, second.batch_id, None),
        (FileState.PROCESSING, FileState.SUCCEEDED, second.batch_id, None),
    ]
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_the_running_totals_are_the_sums_over_the_files(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(many(30))
    ledger.files.register(many(30, etag="v2", size=7, lane=Lane.HISTORY))
    for number in range(6):
        claim = claim_some(ledger, max_files=6)
        publish(ledger, claim, outcome_of(claim.files[number], Outcome.REFUSED, error="bad"))
    ledger.claims.release(claim_some(ledger, max_files=3), "enough")
    ledger.archive.mark_archived([task.file_id for task in ledger.archive.pending(limit=11)])

    keys = "processing_status, archive_state, lane"
    sums = "coalesce(sum({0}), 0)"
    counts = ["rows_read", "rows_published", "rows_quarantined", "rows_rescued"]
    tally = f"SELECT {keys}, " + ", ".join(sums.format(name) for name in ["files", "bytes", *counts])
    files = f"SELECT {keys}, count(*), " + ", ".join(sums.format(name) for name in ["size_bytes", *counts])
    assert run_sql(
        ledger_url, f"{tally} FROM file_tally GROUP BY {keys} HAVING sum(files) <> 0 ORDER BY {keys}"
    ) == run_sql(ledger_url, f"{files} FROM file_processing_status GROUP BY {keys} ORDER BY {keys}")


def test_the_backlog_is_the_sum_over_the_waiting_files(ledger: Ledger, ledger_url: str) -> None:
    ledger.files.register(discovered(number, expected=(LIVE, TEST, None)[number % 3]) for number in range(30))
    publish(ledger, claim_some(ledger, max_files=7))
    ledger.claims.fail(claim_some(ledger, max_files=8), TransientError("busy"), max_attempts=5)
    ledger.claims.release(claim_some(ledger, max_files=5), "enough")
    claim_some(ledger, max_files=1)

    assert ledger.upkeep.fold_backlog(most=1) > 0
    ledger.claims.release(claim_some(ledger, max_files=3), "enough")

    keys = "processing_status, lane, expected_date, expected_mode"
    waiting = "processing_status IN ('PENDING', 'FAILED')"
    assert run_sql(
        ledger_url,
        f"SELECT {keys}, sum(files), sum(bytes) FROM backlog_change "
        f"GROUP BY {keys} HAVING sum(files) <> 0 ORDER BY {keys}",
    ) == run_sql(
        ledger_url,
        f"SELECT {keys}, count(*), sum(size_bytes) FROM file_processing_status WHERE {waiting} "
        f"GROUP BY {keys} ORDER BY {keys}",
    )
    assert ledger.upkeep.fold_backlog() == 0, "too few changes to fold"


def test_every_query_can_be_prepared(ledger_url: str) -> None:
    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(query("prepare_arrivals"))
        connection.execute(query("prepare_committed"))
        for name in sorted(all_queries().keys() - UTILITIES):
            prepare(connection, name)
        for name in ("lock_contract", "lock_commits"):
            connection.execute(query(name))
    engine.dispose()


def prepare(connection: Connection, name: str) -> None:
    compiled = str(query(name).compile(connection))
    numbers: dict[str, int] = {}
    sql = re.sub(r"%\((\w+)\)s", lambda match: f"${numbers.setdefault(match[1], len(numbers) + 1)}", compiled)
    connection.exec_driver_sql(f"PREPARE {name} AS {sql.replace('%%', '%')}", execution_options={"no_parameters": True})


def test_every_query_has_exactly_one_caller() -> None:
    calls: Counter[str] = Counter()
    for source in Path(lake_pipeline.ledger.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "query":
                [argument] = node.args
                assert isinstance(argument, ast.Constant), f"{source.name} calls a query by a computed name"
                calls[str(argument.value)] += 1

    assert calls == dict.fromkeys(all_queries(), 1)


BATCH = {"batch_id": "00000000-0000-0000-0000-000000000000"}
FAILED_FILES = {"states": ["FAILED", "QUARANTINED"], "reason": None, "pattern": None, "parser_version": None}

PLANS: list[tuple[str, dict[str, Any], str]] = [
    (
        "claim_files",
        {**BATCH, "max_files": 500, "max_bytes": 1 << 40},
        "file_claim_order",
    ),
    (
        "claim_files_of_partitions",
        {
            **BATCH,
            "max_files": 500,
            "max_bytes": 1 << 40,
            "days": [LIVE.day, TEST.day],
            "modes": [LIVE.mode_key, TEST.mode_key],
        },
        "file_claim_order_in_partition",
    ),
    ("pending_by_partition", {"limit": 25}, "file_retry"),
    ("pending_unpartitioned", {}, "file_retry"),
    ("lock_files_of_claim", BATCH, "file_of_claim"),
    ("awaiting_archive", {"limit": 500}, "file_awaiting_archive"),
    (
        "awaiting_archive_of_batch",
        {**BATCH, "limit": 500},
        "file_awaiting_archive",
    ),
    ("mark_archived", {"file_ids": list(range(500))}, "file_awaiting_archive"),
    ("file_history", {"file_id": 1}, "file_event_pkey"),
    ("ids_of_claim", BATCH, "file_of_claim"),
    ("settle_files", {**BATCH, "outcomes": '[{"file_id": 1}]', "parser_version": "1"}, "file_of_claim"),
    ("release_files", BATCH, "file_of_claim"),
    ("lose_files", {**BATCH, "max_lost": 5, "error_class": "WorkerLost", "message": "gone"}, "file_of_claim"),
    ("record_engine_run_on_files", {**BATCH, "run_id": "jr_1"}, "file_of_claim"),
    ("other_versions", BATCH, "file_identity"),
    ("withdraw_files", {**BATCH, "owner": "me", "file_ids": [1], "reasons": ["reason"]}, "file_of_claim"),
    ("supersede_files", {"file_ids": [1, 2], "reason": "reason", "states": ["PENDING"]}, "file_processing_status_pkey"),
    ("settle_rebuilt", {**BATCH, "outcomes": '[{"file_id": 1}]', "parser_version": "1"}, "file_processing_status_pkey"),
    ("versions_of", {"key": "k", "file_id": 7}, "file_identity"),
    ("sources_of_partitions", {"days": [LIVE.day], "modes": [LIVE.mode_key]}, "file_processing_status_pkey"),
    ("files_by_key", {"s3_key": "k", "etag": "e", "times_back": 0, "limit": 500}, "file_identity"),
    ("failed_files", FAILED_FILES, "file_refused"),
    ("retry_files", {**FAILED_FILES, "after": 0, "limit": 500}, "file_refused"),
    ("retry_now", {"days": [LIVE.day, TEST.day], "modes": [LIVE.mode_key, TEST.mode_key]}, "file_retry"),
]


@pytest.fixture(scope="module")
def large_ledger_url(postgres: str) -> Any:
    """A ledger of 50,000 files in both lanes, some of them finished, failed or quarantined.

    Many more are quarantined than failed. Otherwise the index of both would be as good as that of the failed files, and
    the sample of ANALYZE would decide. Vacuumed as by autovacuum, which counts the entries of each index.
    """
    engine = create_engine(postgres).execution_options(isolation_level="AUTOCOMMIT")
    admin = create_engine(engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    url = engine.url.set(database="large_ledger").render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE large_ledger TEMPLATE template_ledger STRATEGY file_copy"))
        ledger = Ledger(url)
        ledger.files.register(
            discovered(
                number,
                lane=Lane(number % 10 > 0),
                expected=(LIVE, TEST, None)[number % 3],
                size=number % 1000,
            )
            for number in range(50_000)
        )
        for _ in range(3):
            publish(ledger, claim_some(ledger, max_files=1000))
        ledger.claims.fail(claim_some(ledger, max_files=300), TransientError("busy"), max_attempts=5)
        for _ in range(3):
            ledger.claims.fail(claim_some(ledger, max_files=1000), TransientError("busy"), max_attempts=0)
        with ledger.database.transaction() as inside:
            # VACUUM can't run inside a transaction.
            inside.execute(text("COMMIT"))
            inside.execute(text("VACUUM ANALYZE"))
        yield url
        ledger.close()
        connection.execute(text("DROP DATABASE large_ledger WITH (FORCE)"))
    admin.dispose()


@pytest.mark.parametrize(("name", "parameters", "index"), PLANS, ids=[name for name, _, _ in PLANS])
def test_the_queries_of_every_batch_use_their_index(
    large_ledger_url: str, name: str, parameters: dict[str, Any], index: str
) -> None:
    plan = "\n".join(row[0] for row in run_sql(large_ledger_url, f"EXPLAIN {query(name).text}", **parameters))

    assert f"using {index} " in plan or f"on {index} " in plan, plan
    assert "Seq Scan on file_" not in plan, plan


def test_the_constant_revision_is_the_newest_migration() -> None:
    assert head_revision() == REVISION


def test_migrations_create_the_schema_of_schema_sql(ledger_url: str) -> None:
    expected_url = make_url(ledger_url).set(database="from_schema_sql").render_as_string(hide_password=False)
    admin = create_engine(make_url(ledger_url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE from_schema_sql"))
        try:
            run_script(expected_url, SCHEMA.read_text(encoding="utf-8"))
            run_sql(ledger_url, f"DROP TABLE {VERSION_TABLE}")
            assert catalog(ledger_url) == catalog(expected_url)
        finally:
            connection.execute(text("DROP DATABASE from_schema_sql WITH (FORCE)"))
    admin.dispose()


def run_script(url: str, script: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    engine.dispose()


@pytest.mark.parametrize("revision", ["0001", "0013", "0001_baseline"])
def test_a_ledger_from_before_the_first_release_is_refused_with_what_to_do(ledger_url: str, revision: str) -> None:
    run_sql(ledger_url, "UPDATE ledger_revision SET version_num = :revision", revision=revision)

    for use in (Ledger(ledger_url).views.status, partial(migrate, ledger_url)):
        with pytest.raises(LedgerOutdated, match="before the first release, and can't be migrated") as refused:
            use()
        assert "Start over with an empty database" in str(refused.value)
    assert current_revision(ledger_url) == revision


def test_migrating_a_current_database_changes_nothing(ledger_url: str) -> None:
    assert migrate(ledger_url) == (REVISION, REVISION)
    assert current_revision(ledger_url) == REVISION


def test_a_database_without_a_ledger_is_refused_with_the_command_to_run(ledger_url: str) -> None:
    run_sql(ledger_url, "DROP TABLE ledger_revision")

    with pytest.raises(LedgerOutdated, match="Run `lake ledger migrate`"):
        Ledger(ledger_url).views.status()
    assert current_revision(ledger_url) is None


def test_a_ledger_of_a_newer_version_is_refused(ledger_url: str) -> None:
    run_sql(ledger_url, "UPDATE ledger_revision SET version_num = '9999'")

    with pytest.raises(LedgerOutdated, match="newer version"):
        Ledger(ledger_url).views.status()
    with pytest.raises(LedgerOutdated, match="newer version"):
        migrate(ledger_url)


def test_an_unreachable_server_is_reported_without_its_password() -> None:
    with pytest.raises(LedgerUnavailable) as caught:
        Ledger("postgresql://me:secret@127.0.0.1:1/lake").views.status()

    assert "LAKE_LEDGER_URL" in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "mysql://me:secret@host/db", "postgresql://me:secret@host:port/db"])
def test_an_invalid_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(SettingsError, match="LAKE_LEDGER_URL") as caught:
        Ledger(url)

    assert "secret" not in str(caught.value)


def test_after_a_lost_connection_the_ledger_is_available_again(ledger: Ledger, ledger_url: str) -> None:
    terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lake_pipeline'"

    def lose_the_connection() -> None:
        with ledger.database.transaction() as connection:
            run_sql(ledger_url, terminate)
            connection.execute(text("SELECT 1"))

    with pytest.raises(LedgerUnavailable, match="Nothing was written"):
        lose_the_connection()

    assert ledger.views.status().archived == 0
