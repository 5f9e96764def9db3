-- From the point of no return to the archive.

-- name: hold_claim
-- Locks a batch before its point of no return, if this worker still holds it.
SELECT kind FROM batch
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED' FOR UPDATE;

-- name: ids_of_claim
-- The files that a claim holds at this moment.
SELECT file_id FROM file_processing_status WHERE claim_id = CAST(:batch_id AS uuid);

-- name: record_manifest
-- The point of no return: what this batch publishes is in the ledger.
UPDATE batch SET
    state = 'PUBLISHING', manifest = CAST(:manifest AS json), contract_version = :contract_version, updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED';

-- name: batch_to_finish
-- Locks a batch and reads what it publishes.
SELECT state, kind, manifest, contract_version FROM batch WHERE batch_id = CAST(:batch_id AS uuid) FOR UPDATE;

-- name: lock_files_of_claim
-- Locks the files of a claim; `versioned` are those of which an earlier version was registered under the same key.
SELECT file_id, s3_key, attempts, EXISTS (
    SELECT FROM file_processing_status AS earlier
    WHERE earlier.s3_key = file.s3_key AND earlier.file_id < file.file_id
) AS versioned
FROM file_processing_status AS file WHERE claim_id = CAST(:batch_id AS uuid) ORDER BY file_id FOR UPDATE;

-- name: settle_files
-- Writes what became of each file of a claim, and ends the claim on it.
UPDATE file_processing_status AS file SET
    processing_status = outcome.state,
    claim_id = NULL,
    workers_lost = 0,
    next_attempt_at = now() + make_interval(secs => outcome.retry_seconds),
    error_class = outcome.error_class,
    error_reason = outcome.error_reason,
    error_message = outcome.error_message,
    parser_version = :parser_version,
    rows_read = outcome.rows_read,
    rows_published = outcome.rows_published,
    rows_quarantined = outcome.rows_quarantined,
    rows_rescued = outcome.rows_rescued,
    archive_state = CASE WHEN outcome.archive_key IS NULL THEN 'NONE' ELSE 'WAITING' END,
    archive_key = outcome.archive_key,
    processed_at = CASE WHEN outcome.state IN ('SUCCEEDED', 'QUARANTINED') THEN now() END,
    updated_at = now()
FROM json_to_recordset(CAST(:outcomes AS json)) AS outcome (
    file_id bigint, state text, retry_seconds double precision, error_class text, error_reason text,
    error_message text, rows_read bigint, rows_published bigint, rows_quarantined bigint, rows_rescued bigint,
    archive_key text
)
WHERE file.file_id = outcome.file_id AND file.claim_id = CAST(:batch_id AS uuid);

-- name: lock_commits
-- Makes commits visible in the order of their numbers, so that a snapshot at a commit never changes.
LOCK TABLE lake_commit IN SHARE ROW EXCLUSIVE MODE;

-- name: add_commit
-- One step in the history of the curated data.
INSERT INTO lake_commit (batch_id, files_added, files_removed, rows_added, rows_removed)
VALUES (CAST(:batch_id AS uuid), :files_added, :files_removed, :rows_added, :rows_removed) RETURNING commit_id;

-- name: add_curated_files
-- The Parquet files of a commit.
INSERT INTO curated_file (
    s3_key, batch_id, partition_date, partition_mode, rows, size_bytes, etag, contract_version, added_commit
)
SELECT
    part.key, CAST(:batch_id AS uuid), part.day, part.mode, part.rows, part.size, part.etag, :contract_version,
    :commit_id
FROM json_to_recordset(CAST(:parts AS json)) AS part (
    key text, day date, mode text, rows bigint, size bigint, etag text
)
RETURNING curated_file_id, s3_key;

-- name: add_lineage
-- Which raw file gave how many rows to which Parquet file.
INSERT INTO lineage (file_id, curated_file_id, rows)
SELECT * FROM unnest(CAST(:file_ids AS bigint[]), CAST(:curated_file_ids AS bigint[]), CAST(:rows AS bigint[]));

-- name: remove_replaced_files
-- Ends the old versions of files that are written again or taken away.
UPDATE curated_file AS file SET removed_commit = :commit_id
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, replaces text, before bigint)
WHERE file.s3_key = part.key AND file.removed_commit IS NULL AND file.etag = part.replaces AND file.rows = part.before;

-- name: add_rewritten_files
-- The new versions. One that only lost rows has the columns of the contract it was published under.
INSERT INTO curated_file (
    s3_key, batch_id, partition_date, partition_mode, rows, size_bytes, etag, contract_version, added_commit
)
SELECT
    old.s3_key, CAST(:batch_id AS uuid), old.partition_date, old.partition_mode, part.rows, part.size, part.etag,
    CASE WHEN part.is_wider THEN :contract_version ELSE old.contract_version END, :commit_id
FROM json_to_recordset(CAST(:parts AS json)) AS part (
    key text, rows bigint, size bigint, etag text, is_wider boolean
)
JOIN curated_file AS old ON old.s3_key = part.key AND old.removed_commit = :commit_id
WHERE part.etag IS NOT NULL;

-- name: copy_lineage
-- The new versions come from the same raw files, without those whose rows were taken out.
INSERT INTO lineage (file_id, curated_file_id, rows)
SELECT lineage.file_id, new.curated_file_id, lineage.rows
FROM curated_file AS new
JOIN curated_file AS old ON old.s3_key = new.s3_key AND old.removed_commit = new.added_commit
JOIN lineage ON lineage.curated_file_id = old.curated_file_id
WHERE new.added_commit = :commit_id AND lineage.file_id <> ALL (CAST(:without AS bigint[]));

-- name: add_rescued_rows
-- Counts the rows in which a value was rescued when their file was rewritten.
UPDATE file_processing_status AS file SET rows_rescued = file.rows_rescued + more.rows, updated_at = now()
FROM unnest(CAST(:file_ids AS bigint[]), CAST(:rows AS bigint[])) AS more (file_id, rows)
WHERE file.file_id = more.file_id AND file.rows_rescued IS NOT NULL;

-- name: add_quarantine_files
-- The files that hold the quarantined records of a batch.
INSERT INTO quarantine_file (s3_key, batch_id, rows, size_bytes, etag)
SELECT part.key, CAST(:batch_id AS uuid), part.rows, part.size, part.etag
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, rows bigint, size bigint, etag text);

-- name: remove_quarantine_files
-- Forgets the files of quarantined records of which no record stays.
DELETE FROM quarantine_file AS file USING json_to_recordset(CAST(:parts AS json)) AS part (key text, etag text)
WHERE file.s3_key = part.key AND part.etag IS NULL AND file.replaced_by = CAST(:batch_id AS uuid);

-- name: strip_quarantine_files
-- The new versions of those that lost records.
UPDATE quarantine_file AS file SET rows = part.rows, size_bytes = part.size, etag = part.etag, replaced_by = NULL
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, rows bigint, size bigint, etag text)
WHERE file.s3_key = part.key AND part.etag IS NOT NULL AND file.replaced_by = CAST(:batch_id AS uuid);

-- name: finish_batch
-- Ends a batch as published, with its account.
UPDATE batch SET
    state = 'PUBLISHED', rows_read = :rows_read, rows_published = :rows_published,
    rows_quarantined = :rows_quarantined, rows_rescued = :rows_rescued, finished_at = now(), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND state = 'PUBLISHING';

-- name: awaiting_archive
-- Published originals that still stand in the landing zone.
SELECT file_id, s3_key, etag, archive_key FROM file_processing_status
WHERE archive_state = 'WAITING' ORDER BY batch_id, file_id LIMIT :limit;

-- name: awaiting_archive_of_batch
-- The same for one batch.
SELECT file_id, s3_key, etag, archive_key FROM file_processing_status
WHERE archive_state = 'WAITING' AND batch_id = CAST(:batch_id AS uuid) ORDER BY batch_id, file_id LIMIT :limit;

-- name: mark_archived
-- Marks originals that were moved; those marked before are left alone.
UPDATE file_processing_status SET archive_state = 'ARCHIVED', archived_at = now(), updated_at = now()
WHERE file_id = ANY (CAST(:file_ids AS bigint[])) AND archive_state = 'WAITING';
