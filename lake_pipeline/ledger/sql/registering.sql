-- Registration of what a listing found.

-- name: prepare_arrivals
-- A table of this connection only, that a page of a listing is copied into; it is empty after each commit.
CREATE TEMPORARY TABLE IF NOT EXISTS arriving_file (
    s3_key text COLLATE "C" NOT NULL,
    etag text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL,
    lane smallint NOT NULL,
    expected_date date,
    expected_mode text COLLATE "C",
    frozen boolean NOT NULL
) ON COMMIT DELETE ROWS;

-- name: copy_arrivals
-- Brings a page of a listing to the server in one stream.
COPY arriving_file (s3_key, etag, size_bytes, lane, expected_date, expected_mode, frozen) FROM STDIN;

-- name: register_arrivals
-- Registers the object versions that are new. In order of keys, so that two listings at once can't deadlock.
WITH registered AS (
    INSERT INTO file_processing_status (s3_key, etag, size_bytes, lane, expected_date, expected_mode)
    SELECT s3_key, etag, size_bytes, lane, expected_date, expected_mode FROM arriving_file ORDER BY s3_key, etag
    ON CONFLICT (s3_key, etag, times_back) DO NOTHING
    RETURNING size_bytes
)
SELECT count(*) AS files, CAST(coalesce(sum(size_bytes), 0) AS bigint) AS bytes FROM registered;

-- name: register_returned
-- Registers once more what stands under its key with an ETag from before the newest version that the ledger knows.
WITH registered AS (
    INSERT INTO file_processing_status (s3_key, etag, times_back, size_bytes, lane, expected_date, expected_mode)
    SELECT s3_key, etag, known.times_back + 1, found.size_bytes, found.lane, found.expected_date, found.expected_mode
    FROM arriving_file AS found JOIN file_processing_status AS known USING (s3_key, etag)
    WHERE EXISTS (
        SELECT FROM file_processing_status AS newer
        WHERE newer.s3_key = known.s3_key AND newer.file_id > known.file_id AND newer.etag <> known.etag
    ) AND NOT EXISTS (
        SELECT FROM file_processing_status AS again
        WHERE again.s3_key = known.s3_key AND again.etag = known.etag AND again.times_back > known.times_back
    )
    ORDER BY s3_key, etag
    ON CONFLICT (s3_key, etag, times_back) DO NOTHING
    RETURNING size_bytes
)
SELECT count(*) AS files, CAST(coalesce(sum(size_bytes), 0) AS bigint) AS bytes FROM registered;

-- name: freeze_arrivals
-- Sets aside what can't be read because of its storage class: it would be claimed again and again in vain.
UPDATE file_processing_status AS file SET
    processing_status = 'QUARANTINED', next_attempt_at = NULL, processed_at = now(),
    error_class = 'ObjectFrozen', error_reason = 'archived_storage_class', error_message = :message,
    updated_at = now()
FROM arriving_file
WHERE file.s3_key = arriving_file.s3_key AND file.etag = arriving_file.etag AND arriving_file.frozen
    AND file.processing_status = 'PENDING';

-- name: thaw_arrivals
-- Makes files pending again that were set aside because of their storage class, and were restored since.
UPDATE file_processing_status SET
    processing_status = 'PENDING', attempts = 0, workers_lost = 0, next_attempt_at = now(), processed_at = NULL,
    error_class = NULL, error_reason = NULL, error_message = NULL, updated_at = now()
WHERE file_id = ANY (ARRAY(
    -- From the few frozen files to the page, not from each file of the page to the ledger.
    SELECT file_id FROM file_processing_status AS file JOIN arriving_file USING (s3_key, etag)
    WHERE file.processing_status = 'QUARANTINED' AND file.error_reason = 'archived_storage_class'
        AND NOT arriving_file.frozen
));
