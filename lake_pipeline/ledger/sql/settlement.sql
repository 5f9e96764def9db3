-- Outcomes of files when their batch ends.

-- name: lock_files_of_claim
-- Locks the files of a claim. A file is `versioned` if an earlier version of its key was registered.
SELECT file_id, s3_key, attempts, EXISTS (
    SELECT FROM file_processing_status AS earlier
    WHERE earlier.s3_key = file.s3_key AND earlier.file_id < file.file_id
) AS versioned
FROM file_processing_status AS file WHERE claim_id = CAST(:batch_id AS uuid) ORDER BY file_id FOR UPDATE;

-- name: settle_files
-- Writes the outcome of each file of a claim, and ends the claim on it.
UPDATE file_processing_status AS file SET
    processing_status = outcome.state,
    claim_id = NULL,
    workers_lost = 0,
    -- An outage of the store is not an attempt of the file.
    attempts = attempts - outcome.attempts_returned,
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
    archive_key text, attempts_returned integer
)
WHERE file.file_id = outcome.file_id AND file.claim_id = CAST(:batch_id AS uuid);
