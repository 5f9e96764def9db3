-- Snapshots: which published files are retained, for which snapshots, and which can be released.

-- name: selected_files
-- The curated files of some days and modes; `moving` if a batch has reserved the file to replace it.
SELECT curated_file_id, s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id, replaced_by IS NOT NULL AS moving
FROM curated_file
WHERE removed_commit IS NULL
    AND partition_date BETWEEN coalesce(CAST(:first AS date), '-infinity') AND coalesce(CAST(:last AS date), 'infinity')
    AND (CAST(:modes AS text[]) IS NULL OR partition_mode = ANY (CAST(:modes AS text[])))
ORDER BY partition_date, partition_mode, s3_key;

-- name: add_snapshot
-- A new snapshot; no row if its name is taken.
INSERT INTO snapshot (
    name, first_day, last_day, modes, columns, contract_version, files, rows, size_bytes, checks, digest
)
VALUES (
    :name, CAST(:first AS date), CAST(:last AS date), CAST(:modes AS text[]), CAST(:columns AS text[]), :contract_version, :files, :rows,
    :size_bytes, CAST(:checks AS json), :digest
)
ON CONFLICT (name) WHERE dropped_at IS NULL DO NOTHING
RETURNING snapshot_id;

-- name: add_snapshot_files
-- The files that it contains.
INSERT INTO snapshot_file (snapshot_id, curated_file_id)
SELECT :snapshot_id, unnest(CAST(:curated_file_ids AS bigint[]));

-- name: snapshots
-- Every snapshot that is not dropped, newest first, or the one with a name.
SELECT snapshot_id, name, first_day, last_day, modes, columns, contract_version, files, rows, size_bytes, checks,
    digest, created_at
FROM snapshot
WHERE dropped_at IS NULL AND (CAST(:name AS text) IS NULL OR name = :name)
ORDER BY snapshot_id DESC;

-- name: snapshot_files
-- The files of a snapshot, by partition and key.
SELECT s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id
FROM snapshot_file JOIN curated_file USING (curated_file_id)
WHERE snapshot_id = :snapshot_id
ORDER BY partition_date, partition_mode, s3_key;

-- name: drop_snapshot
-- Drops a snapshot. Its files are retained for it no longer.
UPDATE snapshot SET dropped_at = now() WHERE name = :name AND dropped_at IS NULL;

-- name: releasable_files
-- Files of dropped snapshots that no other snapshot contains and that are no longer in the table.
SELECT DISTINCT s3_key, etag
FROM snapshot JOIN snapshot_file USING (snapshot_id) JOIN curated_file AS file USING (curated_file_id)
WHERE dropped_at IS NOT NULL AND (removed_commit IS NOT NULL OR replaced_by IS NOT NULL) AND NOT EXISTS (
    SELECT FROM snapshot_file AS other JOIN snapshot AS holder USING (snapshot_id)
    WHERE other.curated_file_id = file.curated_file_id AND holder.dropped_at IS NULL
);

-- name: forget_released_files
-- Deletes the contents of dropped snapshots, once the copies are deleted from the store.
DELETE FROM snapshot_file USING snapshot
WHERE snapshot.snapshot_id = snapshot_file.snapshot_id AND dropped_at IS NOT NULL;

-- name: retained_versions
-- Which of some versions of curated files a snapshot contains.
SELECT DISTINCT s3_key, file.etag
FROM unnest(CAST(:keys AS text[]), CAST(:etags AS text[])) AS version (s3_key, etag)
JOIN curated_file AS file USING (s3_key)
JOIN snapshot_file USING (curated_file_id)
JOIN snapshot USING (snapshot_id)
WHERE file.etag = version.etag AND dropped_at IS NULL;

-- name: snapshots_containing
-- The snapshots that contain rows of some raw files.
SELECT DISTINCT name
FROM lineage JOIN snapshot_file USING (curated_file_id) JOIN snapshot USING (snapshot_id)
WHERE lineage.file_id = ANY (CAST(:file_ids AS bigint[])) AND dropped_at IS NULL
ORDER BY name;

-- name: retained_files
-- A page of the file versions in snapshots, with the snapshots; `removed` if the table no longer has the file.
SELECT s3_key, etag, file.rows, file.size_bytes, removed_commit IS NOT NULL AS removed,
    array_agg(name ORDER BY name) AS snapshots
FROM snapshot_file JOIN snapshot USING (snapshot_id) JOIN curated_file AS file USING (curated_file_id)
WHERE dropped_at IS NULL AND (s3_key, etag) > (:s3_key, :etag)
GROUP BY file.curated_file_id
ORDER BY s3_key, etag LIMIT :limit;

-- name: retained_files_of_key
-- The same for one key.
SELECT s3_key, etag, file.rows, file.size_bytes, removed_commit IS NOT NULL AS removed,
    array_agg(name ORDER BY name) AS snapshots
FROM snapshot_file JOIN snapshot USING (snapshot_id) JOIN curated_file AS file USING (curated_file_id)
WHERE dropped_at IS NULL AND s3_key = :s3_key
GROUP BY file.curated_file_id;

-- name: curated_files_of_versions
-- The newest rows of some versions of curated files, published now or in the past.
SELECT max(curated_file_id)
FROM unnest(CAST(:keys AS text[]), CAST(:etags AS text[])) AS version (s3_key, etag)
JOIN curated_file AS file USING (s3_key)
WHERE file.etag = version.etag
GROUP BY file.s3_key, file.etag;

-- name: snapshot_was_dropped
-- Whether a snapshot with this content was dropped, and none has its name now.
SELECT EXISTS (SELECT FROM snapshot WHERE name = :name AND digest = :digest AND dropped_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM snapshot WHERE name = :name AND dropped_at IS NULL);
