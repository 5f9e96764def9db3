-- What an operator decides.

-- name: refused
-- How many failed and quarantined files a choice covers, by what is said of them.
SELECT processing_status, error_class, error_reason, parser_version, count(*) AS files,
    CAST(sum(size_bytes) AS bigint) AS bytes, min(s3_key) AS first_key
FROM file_processing_status
WHERE processing_status IN ('FAILED', 'QUARANTINED') AND processing_status = ANY (CAST(:states AS text[]))
    AND (CAST(:reason AS text) IS NULL OR error_reason = :reason)
    AND (CAST(:pattern AS text) IS NULL OR s3_key LIKE :pattern)
    AND (CAST(:parser_version AS text) IS NULL OR parser_version = :parser_version)
GROUP BY processing_status, error_class, error_reason, parser_version
ORDER BY files DESC, processing_status, error_class, error_reason, parser_version;

-- name: bring_back
-- Puts the next files of such a choice back into the queue as if they were new. One that is being claimed at this
-- moment is left alone.
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

-- name: hurry
-- Lets the failed files that promise one of the given partitions be tried at once instead of after their pause.
UPDATE file_processing_status SET next_attempt_at = now(), updated_at = now()
WHERE file_id = ANY (ARRAY(
    SELECT file_id FROM file_processing_status
    WHERE processing_status = 'FAILED' AND next_attempt_at > now()
        AND (expected_date, expected_mode) IN (
            SELECT day, mode FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[])) AS wanted (day, mode)
        )
    FOR UPDATE SKIP LOCKED
));

-- name: live_batches_of
-- Batches that are not over, by their id or by their owner; an owner may be shortened to its host or its process.
SELECT CAST(batch_id AS text) AS batch_id, state, owner FROM batch
WHERE state IN ('CLAIMED', 'PUBLISHING')
    AND (CAST(batch_id AS text) = :who OR owner = :who OR starts_with(owner, :who || '/'))
ORDER BY created_at;
