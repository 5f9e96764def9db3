-- What `lake fsck` compares with the store: everything, page by page in the order of an index. Nothing here locks or
-- writes.

-- name: files_by_key
-- A page of all file versions, by key.
SELECT file_id, s3_key, etag, times_back, size_bytes, processing_status, archive_state, archive_key,
    EXTRACT(epoch FROM now() - updated_at) AS age
FROM file_processing_status
WHERE (s3_key, etag, times_back) > (:s3_key, :etag, :times_back)
ORDER BY s3_key, etag, times_back LIMIT :limit;

-- name: versions_of_key
-- All versions of one key.
SELECT file_id, s3_key, etag, size_bytes, processing_status, archive_state, archive_key,
    EXTRACT(epoch FROM now() - updated_at) AS age
FROM file_processing_status
WHERE s3_key = :s3_key ORDER BY file_id;

-- name: files_by_archive_key
-- A page of the files that have a key in the archive, by that key.
SELECT file_id, s3_key, etag, size_bytes, processing_status, archive_state, archive_key,
    EXTRACT(epoch FROM now() - updated_at) AS age
FROM file_processing_status
WHERE archive_key IS NOT NULL AND archive_key > :archive_key
ORDER BY archive_key LIMIT :limit;

-- name: file_of_archive_key
-- The file with this key in the archive.
SELECT file_id, s3_key, etag, size_bytes, processing_status, archive_state, archive_key,
    EXTRACT(epoch FROM now() - updated_at) AS age
FROM file_processing_status
WHERE archive_key = :archive_key;

-- name: accounts_by_id
-- A page of the accounts of files, with their published rows according to lineage.
SELECT file_id, s3_key, processing_status, CAST(batch_id AS text) AS batch_id, rows_read, rows_published,
    rows_quarantined, EXTRACT(epoch FROM now() - processed_at) AS age, (
        SELECT CAST(coalesce(sum(lineage.rows), 0) AS bigint) FROM lineage JOIN curated_file USING (curated_file_id)
        WHERE lineage.file_id = file.file_id AND removed_commit IS NULL
    ) AS lineage_rows
FROM file_processing_status AS file
WHERE file_id > :file_id
ORDER BY file_id LIMIT :limit;

-- name: account_of_id
-- The same for one file.
SELECT file_id, s3_key, processing_status, CAST(batch_id AS text) AS batch_id, rows_read, rows_published,
    rows_quarantined, EXTRACT(epoch FROM now() - processed_at) AS age, (
        SELECT CAST(coalesce(sum(lineage.rows), 0) AS bigint) FROM lineage JOIN curated_file USING (curated_file_id)
        WHERE lineage.file_id = file.file_id AND removed_commit IS NULL
    ) AS lineage_rows
FROM file_processing_status AS file
WHERE file_id = :file_id;

-- name: curated_by_key
-- A page of the curated files that readers see, with the rows of each raw file.
SELECT s3_key, rows, size_bytes, etag, (
    SELECT json_object_agg(file_id, lineage.rows) FROM lineage WHERE lineage.curated_file_id = file.curated_file_id
) AS rows_by_file
FROM curated_file AS file
WHERE removed_commit IS NULL AND s3_key > :s3_key
ORDER BY s3_key LIMIT :limit;

-- name: curated_of_key
-- The same for one key.
SELECT s3_key, rows, size_bytes, etag, (
    SELECT json_object_agg(file_id, lineage.rows) FROM lineage WHERE lineage.curated_file_id = file.curated_file_id
) AS rows_by_file
FROM curated_file AS file
WHERE removed_commit IS NULL AND s3_key = :s3_key;

-- name: curated_of_file
-- The same for the curated files that contain rows of one raw file.
SELECT s3_key, rows, size_bytes, etag, (
    SELECT json_object_agg(file_id, lineage.rows) FROM lineage WHERE lineage.curated_file_id = file.curated_file_id
) AS rows_by_file
FROM curated_file AS file
WHERE removed_commit IS NULL AND curated_file_id IN (SELECT curated_file_id FROM lineage WHERE file_id = :file_id)
ORDER BY s3_key;

-- name: was_curated
-- Whether a curated file with this key was published and then replaced or removed.
SELECT EXISTS (SELECT FROM curated_file WHERE s3_key = :s3_key AND removed_commit IS NOT NULL);

-- name: quarantine_by_key
-- A page of the files with quarantined records.
SELECT s3_key, file.rows, size_bytes, etag, CAST(batch_id AS text) AS batch_id,
    EXTRACT(epoch FROM now() - batch.finished_at) AS age
FROM quarantine_file AS file JOIN batch USING (batch_id)
WHERE s3_key > :s3_key
ORDER BY s3_key LIMIT :limit;

-- name: quarantine_of_key
-- The same for one key.
SELECT s3_key, file.rows, size_bytes, etag, CAST(batch_id AS text) AS batch_id,
    EXTRACT(epoch FROM now() - batch.finished_at) AS age
FROM quarantine_file AS file JOIN batch USING (batch_id) WHERE s3_key = :s3_key;

-- name: quarantine_of_batch
-- The same for one batch.
SELECT s3_key, rows, size_bytes, etag, CAST(batch_id AS text) AS batch_id FROM quarantine_file
WHERE batch_id = CAST(:batch_id AS uuid);

-- name: is_being_published
-- Whether a batch past its point of no return publishes an object with this key.
SELECT EXISTS (
    SELECT FROM batch
        CROSS JOIN (
            VALUES ('curated'), ('rewritten'), ('reduced'), ('reduced_quarantine'), ('quarantine')
        ) AS list (name)
        CROSS JOIN LATERAL json_array_elements(coalesce(manifest -> list.name, '[]')) AS part
    WHERE state = 'PUBLISHING' AND coalesce(part ->> 'key', part -> 'object' ->> 'key') = :s3_key
);

-- name: open_batches
-- Unfinished batches; `expired` if the lease has ended.
SELECT CAST(batch_id AS text) AS batch_id, state, owner, lease_expires_at < now() AS expired, files
FROM batch WHERE state IN ('CLAIMED', 'PUBLISHING') ORDER BY created_at;
