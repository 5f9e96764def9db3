-- What people, sensors and checks read. Nothing here locks or writes.

-- name: revision
-- The revision of the schema.
SELECT version_num FROM ledger_revision;

-- name: has_revision
-- Whether there is a schema.
SELECT to_regclass('ledger_revision') IS NOT NULL;

-- name: tally
-- Files, bytes and rows by state, from the running totals.
SELECT processing_status, archive_state, CAST(sum(files) AS bigint) AS files, CAST(sum(bytes) AS bigint) AS bytes,
    CAST(sum(rows_read) AS bigint) AS rows_read, CAST(sum(rows_published) AS bigint) AS rows_published,
    CAST(sum(rows_quarantined) AS bigint) AS rows_quarantined, CAST(sum(rows_rescued) AS bigint) AS rows_rescued
FROM file_tally GROUP BY processing_status, archive_state;

-- name: curated_totals
-- The number of partitions and of curated files.
SELECT count(*) AS partitions, CAST(coalesce(sum(files), 0) AS bigint) AS files
FROM (
    SELECT count(*) AS files FROM curated_file WHERE removed_commit IS NULL GROUP BY partition_date, partition_mode
) AS partition;

-- name: contract_number
-- The number of the newest contract version.
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
-- A partition that waits in both lanes is returned once, with the first lane.
SELECT expected_date, expected_mode, min(lane) AS lane, CAST(sum(files) AS bigint) AS files,
    CAST(sum(bytes) AS bigint) AS bytes
FROM by_lane GROUP BY expected_date, expected_mode ORDER BY min(lane), expected_date, expected_mode LIMIT :limit;

-- name: pending_unpartitioned
-- Claimable files whose key announces no partition, and the first lane that has one.
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

-- name: throughput
-- How long the first file of the queue has waited, and what the batches of the last hour published. A batch covers
-- hundreds of files, so this takes milliseconds.
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

-- name: modes
-- Every mode that is published or expected from a waiting file.
SELECT DISTINCT partition_mode AS mode FROM curated_file WHERE removed_commit IS NULL
UNION
SELECT expected_mode FROM backlog_change WHERE expected_date IS NOT NULL GROUP BY expected_mode HAVING sum(files) > 0;
