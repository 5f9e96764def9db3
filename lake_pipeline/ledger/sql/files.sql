-- Registration of what a listing contains, and the history of a file.

-- name: prepare_arrivals
-- A table of this connection that a page of a listing is copied into. It is empty after each commit.
CREATE TEMPORARY TABLE IF NOT EXISTS arriving_file (
    s3_key text COLLATE "C" NOT NULL,
    etag text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL,
    lane smallint NOT NULL,
    expected_date date,
    expected_mode text COLLATE "C",
    needs_restore boolean NOT NULL
) ON COMMIT DELETE ROWS;

-- name: copy_arrivals
-- Sends a page of a listing to the server in one stream.
COPY arriving_file (s3_key, etag, size_bytes, lane, expected_date, expected_mode, needs_restore) FROM STDIN;

-- name: register_arrivals
-- Registers the object versions that are new. The order of keys keeps two listings at once from a deadlock.
WITH registered AS (
    INSERT INTO file_processing_status (s3_key, etag, size_bytes, lane, expected_date, expected_mode)
    SELECT s3_key, etag, size_bytes, lane, expected_date, expected_mode FROM arriving_file ORDER BY s3_key, etag
    ON CONFLICT (s3_key, etag, times_back) DO NOTHING
    RETURNING size_bytes
)
SELECT count(*) AS files, CAST(coalesce(sum(size_bytes), 0) AS bigint) AS bytes FROM registered;

-- name: register_returned
-- Registers again what has an ETag from before the newest known version of its key.
WITH registered AS (
    INSERT INTO file_processing_status (s3_key, etag, times_back, size_bytes, lane, expected_date, expected_mode)
    SELECT
        s3_key, etag, old.times_back + 1, arriving.size_bytes, arriving.lane, arriving.expected_date,
        arriving.expected_mode
    FROM arriving_file AS arriving JOIN file_processing_status AS old USING (s3_key, etag)
    WHERE EXISTS (
        SELECT FROM file_processing_status AS newer
        WHERE newer.s3_key = old.s3_key AND newer.file_id > old.file_id AND newer.etag <> old.etag
    ) AND NOT EXISTS (
        SELECT FROM file_processing_status AS again
        WHERE again.s3_key = old.s3_key AND again.etag = old.etag AND again.times_back > old.times_back
    )
    ORDER BY s3_key, etag
    ON CONFLICT (s3_key, etag, times_back) DO NOTHING
    RETURNING size_bytes
)
SELECT count(*) AS files, CAST(coalesce(sum(size_bytes), 0) AS bigint) AS bytes FROM registered;

-- name: quarantine_archived_arrivals
-- Quarantines objects in an archived storage class, which can't be read. They would be claimed again and again.
UPDATE file_processing_status AS file SET
    processing_status = 'QUARANTINED', next_attempt_at = NULL, processed_at = now(),
    error_class = 'ObjectFrozen', error_reason = 'archived_storage_class', error_message = :message,
    updated_at = now()
FROM arriving_file
WHERE file.s3_key = arriving_file.s3_key AND file.etag = arriving_file.etag AND arriving_file.needs_restore
    AND file.processing_status = 'PENDING';

-- name: restore_arrivals
-- Makes files pending again that could not be read and are there now: restored from an archived storage class, or, if
-- the page was listed now, back with the content of their newest version.
UPDATE file_processing_status SET
    processing_status = 'PENDING', attempts = 0, workers_lost = 0, next_attempt_at = now(), processed_at = NULL,
    rows_read = NULL, rows_published = NULL, rows_quarantined = NULL, rows_rescued = NULL,
    error_class = NULL, error_reason = NULL, error_message = NULL, updated_at = now()
WHERE file_id = ANY (ARRAY(
    -- Join from the few unreadable objects to the page, not from each file of the page to the ledger.
    SELECT file_id FROM file_processing_status AS file JOIN arriving_file USING (s3_key, etag)
    WHERE file.processing_status = 'QUARANTINED'
        AND file.error_reason IN ('archived_storage_class', 'missing', 'changed')
        AND NOT arriving_file.needs_restore
        AND (file.error_reason = 'archived_storage_class' OR (CAST(:listed_now AS boolean) AND NOT EXISTS (
            SELECT FROM file_processing_status AS newer
            WHERE newer.s3_key = file.s3_key AND newer.file_id > file.file_id
        )))
));

-- name: versions_of
-- Every version of a key, or the file with an id.
SELECT file_id, s3_key, etag, size_bytes, lane, attempts, expected_date, expected_mode,
    processing_status, archive_state, archive_key, rows_published
FROM file_processing_status
WHERE s3_key = :key OR file_id = CAST(:file_id AS bigint) ORDER BY file_id;

-- name: file_history
-- The transitions of a file, oldest first.
SELECT at, from_state, to_state, CAST(batch_id AS text) AS batch_id, detail FROM file_history
WHERE file_id = :file_id ORDER BY event_id NULLS LAST, at;
