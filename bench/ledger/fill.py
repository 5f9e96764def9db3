"""Fill a ledger with millions of files in minutes, as if they had been discovered and most of them published.

The server generates the rows, without triggers; indexes are built afterwards and the running totals are summed once.
Files are numbered in the order of their keys, as a listing registers them. Measurements use the methods of the ledger.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from lake_pipeline.ledger.connection import Database

CHUNK_FILES = 1_000_000
"""Rows of one INSERT."""

WAITING_SHARE = 0.3
"""Ratio of pending files, the later ones in both lanes, as in a lake that is being backfilled."""

WEEKLY_SHARE = 0.1
"""Ratio of files in the weekly lane; the others are in the history lane."""

DAYS, MODES = 2_900, 4
"""Expected partitions: eight years of days in four modes. Every fifth key has none."""

_FILES = text("""
INSERT INTO file_processing_status (
    s3_key, etag, size_bytes, lane, expected_date, expected_mode, processing_status, attempts, next_attempt_at,
    batch_id, rows_read, rows_published, rows_quarantined, rows_rescued, archive_state, archive_key,
    discovered_at, claimed_at, processed_at, archived_at
)
SELECT
    made.key, md5(number::text), 100000 + number % 900000, CASE WHEN weekly THEN 0 ELSE 1 END,
    CASE WHEN number % 10 < 8 THEN place.day END, CASE WHEN number % 10 < 8 THEN place.mode END,
    CASE WHEN waits THEN 'PENDING' ELSE 'SUCCEEDED' END, CASE WHEN waits THEN 0 ELSE 1 END,
    CASE WHEN waits THEN now() - interval '1 hour' END,
    CASE WHEN NOT waits THEN md5((number / 500)::text)::uuid END,
    CASE WHEN NOT waits THEN 100 END, CASE WHEN NOT waits THEN 99 END, CASE WHEN NOT waits THEN 1 END,
    CASE WHEN NOT waits THEN 0 END,
    CASE WHEN waits THEN 'NONE' ELSE 'ARCHIVED' END,
    CASE WHEN NOT waits THEN 'raw-json-data-processed/' || made.key END,
    now() - interval '1 day', CASE WHEN NOT waits THEN now() - interval '2 hours' END,
    CASE WHEN NOT waits THEN now() - interval '1 hour' END, CASE WHEN NOT waits THEN now() - interval '1 hour' END
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS number
CROSS JOIN LATERAL (
    SELECT number > :history AS weekly,
        CASE
            WHEN number > :history THEN number - :history > (1 - :waiting) * (:files - :history)
            ELSE number > (1 - :waiting) * :history
        END AS waits,
        (number - 1) * :days * :modes / :files AS slot
) AS lane
CROSS JOIN LATERAL (
    SELECT date '2018-01-01' + CAST(slot / :modes AS integer) AS day,
        (ARRAY['live', 'replay', 'shadow', 'test'])[1 + slot % :modes] AS mode
) AS place
CROSS JOIN LATERAL (
    SELECT CASE WHEN weekly THEN to_char(day, 'IYYY/"week"IW/') ELSE 'all_historical_files/' END
        || 'date=' || day || '/mode=' || mode || '/events-' || lpad(number::text, 10, '0') || '.json.gz' AS key
) AS made
""")

_TOTALS = text("""
INSERT INTO file_tally
SELECT 0, processing_status, archive_state, lane, count(*), sum(size_bytes), coalesce(sum(rows_read), 0),
    coalesce(sum(rows_published), 0), coalesce(sum(rows_quarantined), 0), coalesce(sum(rows_rescued), 0)
FROM file_processing_status GROUP BY processing_status, archive_state, lane
""")

_BACKLOG = text("""
INSERT INTO backlog_change (processing_status, lane, expected_date, expected_mode, files, bytes)
SELECT processing_status, lane, expected_date, expected_mode, count(*), sum(size_bytes)
FROM file_processing_status WHERE processing_status = 'PENDING'
GROUP BY processing_status, lane, expected_date, expected_mode
""")

_INDEXES = text("""
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
FROM pg_index
WHERE indrelid = 'file_processing_status'::regclass AND NOT indisprimary
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
""")

_IDENTITY = "ADD CONSTRAINT file_identity UNIQUE (s3_key, etag, times_back)"


def fill(database: Database, files: int) -> None:
    """Add `files` files to an empty ledger, 30 % of them pending."""
    shares = {
        "files": files,
        "history": round(files * (1 - WEEKLY_SHARE)),
        "days": DAYS,
        "modes": MODES,
        "waiting": WAITING_SHARE,
    }
    with database.transaction() as connection:
        indexes = connection.execute(_INDEXES).all()
        for index in indexes:
            connection.execute(text(f"DROP INDEX {index.name}"))
        connection.execute(text("ALTER TABLE file_processing_status DROP CONSTRAINT file_identity"))
    for first in range(1, files + 1, CHUNK_FILES):
        with database.transaction() as connection:
            _without_triggers(connection)
            last = min(first + CHUNK_FILES - 1, files)
            connection.execute(_FILES, {"first": first, "last": last, **shares})
    with database.transaction() as connection:
        connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        connection.execute(text(f"ALTER TABLE file_processing_status {_IDENTITY}"))
        for index in indexes:
            connection.execute(text(index.definition))
        connection.execute(_TOTALS)
        connection.execute(_BACKLOG)
    with database.transaction() as connection:
        connection.execute(text("COMMIT"))  # VACUUM can't run inside a transaction
        connection.execute(text("VACUUM (ANALYZE) file_processing_status"))
        connection.execute(text("CHECKPOINT"))


def _without_triggers(connection: Connection) -> None:
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    connection.execute(text("SET LOCAL synchronous_commit = off"))
