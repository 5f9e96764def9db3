-- The curated table as readers see it. Nothing here locks or writes.

-- name: live_curated_files
-- Every curated file.
SELECT s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id
FROM curated_file WHERE removed_commit IS NULL ORDER BY partition_date, partition_mode, s3_key;

-- name: live_curated_files_of_partitions
-- Those of some partitions.
SELECT s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id
FROM curated_file
WHERE removed_commit IS NULL AND (partition_date, partition_mode) IN (
    SELECT * FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[]))
)
ORDER BY partition_date, partition_mode, s3_key;

-- name: live_curated_files_of_versions
-- Those published under some contract versions.
SELECT s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id
FROM curated_file
WHERE removed_commit IS NULL AND contract_version BETWEEN :since AND :until
ORDER BY partition_date, partition_mode, s3_key;

-- name: curated_files_with
-- Those that contain rows of some raw files.
SELECT s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id
FROM curated_file
WHERE removed_commit IS NULL AND curated_file_id IN (
    SELECT curated_file_id FROM lineage WHERE file_id = ANY (CAST(:file_ids AS bigint[]))
)
ORDER BY partition_date, partition_mode, s3_key;

-- name: live_bytes_by_version
-- Bytes of the curated files by contract version. A small file counts as `least` bytes.
SELECT contract_version, CAST(sum(greatest(size_bytes, :least)) AS bigint) AS bytes
FROM curated_file WHERE removed_commit IS NULL GROUP BY contract_version;

-- name: partition_accounts
-- For each given partition: its curated files, and what they were made of according to lineage.
SELECT requested.day, requested.mode, curated.files, curated.rows, curated.bytes, source.raw_files, source.lineage_rows
FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[])) AS requested (day, mode)
CROSS JOIN LATERAL (
    SELECT count(*) AS files, CAST(coalesce(sum(rows), 0) AS bigint) AS rows,
        CAST(coalesce(sum(size_bytes), 0) AS bigint) AS bytes
    FROM curated_file
    WHERE removed_commit IS NULL AND partition_date = requested.day AND partition_mode = requested.mode
) AS curated
CROSS JOIN LATERAL (
    SELECT count(DISTINCT lineage.file_id) AS raw_files, CAST(coalesce(sum(lineage.rows), 0) AS bigint) AS lineage_rows
    FROM curated_file JOIN lineage USING (curated_file_id)
    WHERE removed_commit IS NULL AND partition_date = requested.day AND partition_mode = requested.mode
) AS source;

-- name: curated_extent
-- The first and the last published day, and every published mode.
SELECT min(partition_date) AS first, max(partition_date) AS last, array_agg(DISTINCT partition_mode) AS modes
FROM curated_file WHERE removed_commit IS NULL;

-- name: is_settled
-- Whether readers should see this version of a published file, and no batch is replacing it.
SELECT EXISTS (
    SELECT FROM curated_file
    WHERE s3_key = :key AND etag = :etag AND removed_commit IS NULL AND replaced_by IS NULL
) OR EXISTS (
    SELECT FROM quarantine_file WHERE s3_key = :key AND etag = :etag AND replaced_by IS NULL
);

-- name: modes_of_day
-- The published modes of one day.
SELECT DISTINCT partition_mode FROM curated_file
WHERE removed_commit IS NULL AND partition_date = :day ORDER BY partition_mode;
