-- What the keys of raw files announce for a partition. Nothing here locks or writes.

-- name: expected_rows
-- For each given partition: the files that are expected in it and not published, and the records of those that are.
SELECT requested.day, requested.mode, waiting.pending, waiting.failed, now() - waiting.since AS waiting_for,
    quarantined.files AS quarantined,
    CAST(source.rows_read + quarantined.rows_read AS bigint) AS rows_read,
    CAST(source.rows_quarantined + quarantined.rows_quarantined AS bigint) AS rows_quarantined,
    source.newest, source.newest_took, earlier.rows AS rows_of_weeks_before
FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[])) AS requested (day, mode)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE processing_status = 'PENDING') AS pending,
        count(*) FILTER (WHERE processing_status = 'FAILED') AS failed, min(discovered_at) AS since
    FROM file_processing_status
    WHERE processing_status IN ('PENDING', 'FAILED') AND lane IN (0, 1)
        AND expected_date = requested.day AND expected_mode = requested.mode
) AS waiting
CROSS JOIN LATERAL (
    SELECT count(*) AS files, coalesce(sum(rows_read), 0) AS rows_read,
        coalesce(sum(rows_quarantined), 0) AS rows_quarantined
    FROM file_processing_status
    WHERE processing_status = 'QUARANTINED' AND expected_date = requested.day AND expected_mode = requested.mode
) AS quarantined
CROSS JOIN LATERAL (
    SELECT coalesce(sum(rows_read), 0) AS rows_read, coalesce(sum(rows_quarantined), 0) AS rows_quarantined,
        max(discovered_at) AS newest,
        (array_agg(processed_at - discovered_at ORDER BY discovered_at DESC))[1] AS newest_took
    FROM file_processing_status
    WHERE file_id IN (
        SELECT lineage.file_id FROM curated_file JOIN lineage USING (curated_file_id)
        WHERE removed_commit IS NULL AND partition_date = requested.day AND partition_mode = requested.mode
    )
) AS source
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(week.rows), '{}') AS rows FROM (
        SELECT CAST(sum(rows) AS bigint) AS rows FROM curated_file
        WHERE removed_commit IS NULL AND partition_mode = requested.mode AND partition_date IN (
            requested.day - 7, requested.day - 14, requested.day - 21, requested.day - 28
        )
        GROUP BY partition_date
    ) AS week
) AS earlier;

-- name: partitions_to_check
-- The newest partitions that were published since a day, or that files wait for, including files in backoff.
SELECT day, mode FROM (
    SELECT partition_date AS day, partition_mode AS mode FROM curated_file
    WHERE removed_commit IS NULL AND partition_date >= :since
    UNION
    SELECT expected_date, expected_mode FROM backlog_change
    WHERE expected_date IS NOT NULL GROUP BY expected_date, expected_mode HAVING sum(files) > 0
    UNION
    SELECT expected_date, expected_mode FROM file_processing_status
    WHERE processing_status = 'FAILED' AND expected_date IS NOT NULL
) AS partition ORDER BY day DESC, mode LIMIT :limit;
