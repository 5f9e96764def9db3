-- What an operator decides.

-- name: failed_files
-- Failed and quarantined files that match a filter, grouped by reason.
SELECT processing_status, error_class, error_reason, parser_version, count(*) AS files,
    CAST(sum(size_bytes) AS bigint) AS bytes, min(s3_key) AS first_key
FROM file_processing_status
WHERE processing_status IN ('FAILED', 'QUARANTINED') AND processing_status = ANY (CAST(:states AS text[]))
    AND (CAST(:reason AS text) IS NULL OR error_reason = :reason)
    AND (CAST(:pattern AS text) IS NULL OR s3_key LIKE :pattern)
    AND (CAST(:parser_version AS text) IS NULL OR parser_version = :parser_version)
GROUP BY processing_status, error_class, error_reason, parser_version
ORDER BY files DESC, processing_status, error_class, error_reason, parser_version;

-- name: retry_files
-- Returns the next files that match such a filter to the queue as if they were new. A file that is being claimed now is
-- skipped.
UPDATE file_processing_status SET
    processing_status = 'PENDING', attempts = 0, workers_lost = 0, next_attempt_at = now(), processed_at = NULL,
    error_class = NULL, error_reason = NULL, error_message = NULL,
    rows_read = NULL, rows_published = NULL, rows_quarantined = NULL, rows_rescued = NULL, updated_at = now()
WHERE file_id = ANY (ARRAY(
    SELECT file_id FROM file_processing_status
    WHERE processing_status IN ('FAILED', 'QUARANTINED') AND processing_status = ANY (CAST(:states AS text[]))
        AND (CAST(:reason AS text) IS NULL OR error_reason = :reason)
        AND (CAST(:pattern AS text) IS NULL OR s3_key LIKE :pattern)
        AND (CAST(:parser_version AS text) IS NULL OR parser_version = :parser_version)
        AND file_id > :after
    ORDER BY file_id LIMIT :limit FOR UPDATE SKIP LOCKED
))
RETURNING file_id;

-- name: retry_now
-- Ends the backoff of failed files that are expected in one of the given partitions.
UPDATE file_processing_status SET next_attempt_at = now(), updated_at = now()
WHERE file_id = ANY (ARRAY(
    SELECT file_id FROM file_processing_status
    WHERE processing_status = 'FAILED' AND next_attempt_at > now()
        AND (expected_date, expected_mode) IN (
            SELECT day, mode FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[])) AS requested (day, mode)
        )
    FOR UPDATE SKIP LOCKED
));

-- name: open_batches_of
-- Unfinished batches by id or by owner. The owner may be shortened to its host or process.
SELECT CAST(batch_id AS text) AS batch_id, state, owner FROM batch
WHERE state IN ('CLAIMED', 'PUBLISHING')
    AND (CAST(batch_id AS text) = :owner_or_id OR owner = :owner_or_id OR starts_with(owner, :owner_or_id || '/'))
ORDER BY created_at;
