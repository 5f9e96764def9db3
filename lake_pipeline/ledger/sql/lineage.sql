-- Where published rows came from. Nothing here locks or writes.

-- name: sources_of_partitions
-- The raw files with rows in some partitions, and where their bytes are stored now.
SELECT file_id, s3_key, etag, size_bytes, lane, attempts, expected_date, expected_mode,
    processing_status, archive_state, archive_key, rows_published
FROM file_processing_status
WHERE file_id IN (
    SELECT lineage.file_id FROM lineage JOIN curated_file USING (curated_file_id)
    WHERE removed_commit IS NULL AND (partition_date, partition_mode) IN (
        SELECT * FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[]))
    )
)
ORDER BY file_id;

-- name: lineage_of
-- The curated files that contain rows of some raw files, with the numbers of rows.
SELECT lineage.file_id, curated_file.s3_key, partition_date, partition_mode, lineage.rows
FROM lineage JOIN curated_file USING (curated_file_id)
WHERE lineage.file_id = ANY (CAST(:file_ids AS bigint[])) AND removed_commit IS NULL
ORDER BY lineage.file_id, partition_date, partition_mode, s3_key;

-- name: quarantine_files_of
-- The quarantine files of the batches that quarantined records of some raw files.
SELECT s3_key, etag FROM quarantine_file
WHERE batch_id IN (
    SELECT batch_id FROM file_processing_status
    WHERE file_id = ANY (CAST(:file_ids AS bigint[])) AND rows_quarantined > 0
)
ORDER BY s3_key;
