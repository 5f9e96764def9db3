-- What people, sensors and checks read. Nothing here locks or writes.

-- name: revision
-- The revision of the schema.
SELECT version_num FROM ledger_revision;

-- name: has_revision
-- Whether there is a schema at all.
SELECT to_regclass('ledger_revision') IS NOT NULL;

-- name: tally
-- Files, bytes and rows by state, from the running totals.
SELECT processing_status, archive_state, CAST(sum(files) AS bigint) AS files, CAST(sum(bytes) AS bigint) AS bytes,
    CAST(sum(rows_read) AS bigint) AS rows_read, CAST(sum(rows_published) AS bigint) AS rows_published,
    CAST(sum(rows_quarantined) AS bigint) AS rows_quarantined, CAST(sum(rows_rescued) AS bigint) AS rows_rescued
FROM file_tally GROUP BY processing_status, archive_state;

-- name: curated_totals
-- How many live curated files there are, and in how many partitions.
SELECT count(*) AS partitions, CAST(coalesce(sum(files), 0) AS bigint) AS files
FROM (
    SELECT count(*) AS files FROM curated_file WHERE removed_commit IS NULL GROUP BY partition_date, partition_mode
) AS partition;

-- name: contract_number
-- The newest contract's number.
SELECT coalesce(max(version), 0) AS version FROM contract_version;

-- name: pending_by_partition
-- The first partitions that files wait for: weekly lane first, then the oldest day.
WITH waiting AS (
    SELECT lane, expected_date, expected_mode, files, bytes FROM backlog_change
    WHERE processing_status = 'PENDING' AND expected_date IS NOT NULL
    UNION ALL
    SELECT lane, expected_date, expected_mode, 1, size_bytes FROM file_processing_status
    WHERE processing_status = 'FAILED' AND next_attempt_at <= now() AND expected_date IS NOT NULL
), by_lane AS (
    SELECT lane, expected_date, expected_mode, sum(files) AS files, sum(bytes) AS bytes
    FROM waiting GROUP BY lane, expected_date, expected_mode HAVING sum(files) > 0
)
-- A partition that waits in both lanes is told once, in the first of them.
SELECT expected_date, expected_mode, min(lane) AS lane, CAST(sum(files) AS bigint) AS files,
    CAST(sum(bytes) AS bigint) AS bytes
FROM by_lane GROUP BY expected_date, expected_mode ORDER BY min(lane), expected_date, expected_mode LIMIT :limit;

-- name: pending_unplaced
-- Claimable files whose key promises no partition, and the first lane in which one waits.
WITH waiting AS (
    SELECT lane, files, bytes FROM backlog_change WHERE processing_status = 'PENDING' AND expected_date IS NULL
    UNION ALL
    SELECT lane, 1, size_bytes FROM file_processing_status
    WHERE processing_status = 'FAILED' AND next_attempt_at <= now() AND expected_date IS NULL
), by_lane AS (
    SELECT lane, sum(files) AS files, sum(bytes) AS bytes FROM waiting GROUP BY lane HAVING sum(files) > 0
)
SELECT CAST(coalesce(sum(files), 0) AS bigint) AS files, CAST(coalesce(sum(bytes), 0) AS bigint) AS bytes,
    min(lane) AS lane
FROM by_lane;

-- name: pulse
-- How long the first file of the queue waits, and what the batches of the last hour published. There is a batch for
-- hundreds of files, so reading their few numbers takes milliseconds.
SELECT (
        SELECT EXTRACT(epoch FROM now() - min(first.since)) FROM (VALUES (0), (1)) AS lane (number)
        CROSS JOIN LATERAL (
            SELECT next_attempt_at AS since FROM file_processing_status
            WHERE processing_status IN ('PENDING', 'FAILED') AND lane = lane.number
            ORDER BY next_attempt_at LIMIT 1
        ) AS first
    ) AS waiting_seconds,
    CAST(coalesce(sum(files), 0) AS bigint) AS files, CAST(coalesce(sum(bytes), 0) AS bigint) AS bytes,
    CAST(coalesce(sum(rows_published), 0) AS bigint) AS rows
FROM batch WHERE state = 'PUBLISHED' AND finished_at > now() - interval '1 hour';

-- name: live_curated_files
-- Every curated file that readers see.
SELECT s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id
FROM curated_file WHERE removed_commit IS NULL ORDER BY partition_date, partition_mode, s3_key;

-- name: live_curated_files_of_partitions
-- The same for some partitions.
SELECT s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id
FROM curated_file
WHERE removed_commit IS NULL AND (partition_date, partition_mode) IN (
    SELECT * FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[]))
)
ORDER BY partition_date, partition_mode, s3_key;

-- name: partition_accounts
-- For each given partition: its curated files, and what lineage says they were made of.
SELECT wanted.day, wanted.mode, curated.files, curated.rows, curated.bytes, source.raw_files, source.lineage_rows
FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[])) AS wanted (day, mode)
CROSS JOIN LATERAL (
    SELECT count(*) AS files, CAST(coalesce(sum(rows), 0) AS bigint) AS rows,
        CAST(coalesce(sum(size_bytes), 0) AS bigint) AS bytes
    FROM curated_file
    WHERE removed_commit IS NULL AND partition_date = wanted.day AND partition_mode = wanted.mode
) AS curated
CROSS JOIN LATERAL (
    SELECT count(DISTINCT lineage.file_id) AS raw_files, CAST(coalesce(sum(lineage.rows), 0) AS bigint) AS lineage_rows
    FROM curated_file JOIN lineage USING (curated_file_id)
    WHERE removed_commit IS NULL AND partition_date = wanted.day AND partition_mode = wanted.mode
) AS source;

-- name: partition_promises
-- For each given partition: the files that promise it and are not published, and the records of those that are.
SELECT wanted.day, wanted.mode, waiting.pending, waiting.failed, now() - waiting.since AS waiting_for, refused.files AS refused,
    CAST(source.rows_read + refused.rows_read AS bigint) AS rows_read,
    CAST(source.rows_quarantined + refused.rows_quarantined AS bigint) AS rows_quarantined,
    source.newest, source.newest_took, earlier.rows AS rows_of_weeks_before
FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[])) AS wanted (day, mode)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE processing_status = 'PENDING') AS pending,
        count(*) FILTER (WHERE processing_status = 'FAILED') AS failed, min(discovered_at) AS since
    FROM file_processing_status
    WHERE processing_status IN ('PENDING', 'FAILED') AND lane IN (0, 1)
        AND expected_date = wanted.day AND expected_mode = wanted.mode
) AS waiting
CROSS JOIN LATERAL (
    SELECT count(*) AS files, coalesce(sum(rows_read), 0) AS rows_read,
        coalesce(sum(rows_quarantined), 0) AS rows_quarantined
    FROM file_processing_status
    WHERE processing_status = 'QUARANTINED' AND expected_date = wanted.day AND expected_mode = wanted.mode
) AS refused
CROSS JOIN LATERAL (
    SELECT coalesce(sum(rows_read), 0) AS rows_read, coalesce(sum(rows_quarantined), 0) AS rows_quarantined,
        max(discovered_at) AS newest, (array_agg(processed_at - discovered_at ORDER BY discovered_at DESC))[1] AS newest_took
    FROM file_processing_status
    WHERE file_id IN (
        SELECT lineage.file_id FROM curated_file JOIN lineage USING (curated_file_id)
        WHERE removed_commit IS NULL AND partition_date = wanted.day AND partition_mode = wanted.mode
    )
) AS source
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(week.rows), '{}') AS rows FROM (
        SELECT CAST(sum(rows) AS bigint) AS rows FROM curated_file
        WHERE removed_commit IS NULL AND partition_mode = wanted.mode AND partition_date IN (
            wanted.day - 7, wanted.day - 14, wanted.day - 21, wanted.day - 28
        )
        GROUP BY partition_date
    ) AS week
) AS earlier;

-- name: partitions_to_look_at
-- The newest partitions that are published since a day, or that files wait for, those with a pause included.
SELECT day, mode FROM (
    SELECT partition_date AS day, partition_mode AS mode FROM curated_file
    WHERE removed_commit IS NULL AND partition_date >= :since
    UNION
    SELECT expected_date, expected_mode FROM backlog_change
    WHERE expected_date IS NOT NULL GROUP BY expected_date, expected_mode HAVING sum(files) > 0
    UNION
    SELECT expected_date, expected_mode FROM file_processing_status
    WHERE processing_status = 'FAILED' AND expected_date IS NOT NULL
) AS found ORDER BY day DESC, mode LIMIT :limit;

-- name: curated_extent
-- The first and the last published day, and every published mode.
SELECT min(partition_date) AS first, max(partition_date) AS last, array_agg(DISTINCT partition_mode) AS modes
FROM curated_file WHERE removed_commit IS NULL;

-- name: modes
-- Every mode that is published or promised by the key of a waiting file.
SELECT DISTINCT partition_mode AS mode FROM curated_file WHERE removed_commit IS NULL
UNION
SELECT expected_mode FROM backlog_change WHERE expected_date IS NOT NULL GROUP BY expected_mode HAVING sum(files) > 0;

-- name: events
-- What happened to a file, oldest first.
SELECT at, from_state, to_state, CAST(batch_id AS text) AS batch_id, detail FROM file_history
WHERE file_id = :file_id ORDER BY event_id NULLS LAST, at;
