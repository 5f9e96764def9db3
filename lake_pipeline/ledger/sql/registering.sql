-- Registration of what a listing found.

-- name: prepare_arrivals
-- A table of this connection only, that a page of a listing is copied into; it is empty after each commit.
CREATE TEMPORARY TABLE IF NOT EXISTS arriving_file (
    s3_key text COLLATE "C" NOT NULL,
    etag text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL,
    lane smallint NOT NULL,
    expected_date date,
    expected_mode text COLLATE "C"
) ON COMMIT DELETE ROWS;

-- name: copy_arrivals
-- Brings a page of a listing to the server in one stream.
COPY arriving_file (s3_key, etag, size_bytes, lane, expected_date, expected_mode) FROM STDIN;

-- name: register_arrivals
-- Registers the object versions that are new. In order of keys, so that two listings at once can't deadlock.
WITH registered AS (
    INSERT INTO file_processing_status (s3_key, etag, size_bytes, lane, expected_date, expected_mode)
    SELECT s3_key, etag, size_bytes, lane, expected_date, expected_mode FROM arriving_file ORDER BY s3_key, etag
    ON CONFLICT (s3_key, etag) DO NOTHING
    RETURNING size_bytes
)
SELECT count(*) AS files, CAST(coalesce(sum(size_bytes), 0) AS bigint) AS bytes FROM registered;
