-- Commits: what a published batch adds to the curated table and removes from it.

-- name: lock_commits
-- Makes commits visible in the order of their numbers, so that the table as of a commit never changes.
LOCK TABLE lake_commit IN SHARE ROW EXCLUSIVE MODE;

-- name: last_commit
-- The newest visible commit; later ones get higher numbers.
SELECT coalesce(max(commit_id), 0) FROM lake_commit;

-- name: add_commit
-- One step in the history of the curated table.
INSERT INTO lake_commit (batch_id, files_added, files_removed, rows_added, rows_removed)
VALUES (CAST(:batch_id AS uuid), :files_added, :files_removed, :rows_added, :rows_removed) RETURNING commit_id;

-- name: add_curated_files
-- The Parquet files of a commit.
INSERT INTO curated_file (
    s3_key, batch_id, partition_date, partition_mode, rows, size_bytes, etag, contract_version, added_commit
)
SELECT
    part.key, CAST(:batch_id AS uuid), part.day, part.mode, part.rows, part.size, part.etag, :contract_version,
    :commit_id
FROM json_to_recordset(CAST(:parts AS json)) AS part (
    key text, day date, mode text, rows bigint, size bigint, etag text
)
RETURNING curated_file_id, s3_key;

-- name: add_lineage
-- How many rows of which raw file are in which Parquet file.
INSERT INTO lineage (file_id, curated_file_id, rows)
SELECT * FROM unnest(CAST(:file_ids AS bigint[]), CAST(:curated_file_ids AS bigint[]), CAST(:rows AS bigint[]));

-- name: remove_replaced_files
-- Ends the old versions of files that are rewritten or removed.
UPDATE curated_file AS file SET removed_commit = :commit_id
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, replaces text, before bigint)
WHERE file.s3_key = part.key AND file.removed_commit IS NULL AND file.etag = part.replaces AND file.rows = part.before;

-- name: add_rewritten_files
-- The new versions. A file that only lost rows keeps the columns of the contract it was published under.
INSERT INTO curated_file (
    s3_key, batch_id, partition_date, partition_mode, rows, size_bytes, etag, contract_version, added_commit
)
SELECT
    old.s3_key, CAST(:batch_id AS uuid), old.partition_date, old.partition_mode, part.rows, part.size, part.etag,
    CASE WHEN part.is_wider THEN :contract_version ELSE old.contract_version END, :commit_id
FROM json_to_recordset(CAST(:parts AS json)) AS part (
    key text, rows bigint, size bigint, etag text, is_wider boolean
)
JOIN curated_file AS old ON old.s3_key = part.key AND old.removed_commit = :commit_id
WHERE part.etag IS NOT NULL;

-- name: copy_lineage
-- The new versions have the same raw files, without those whose rows were removed.
INSERT INTO lineage (file_id, curated_file_id, rows)
SELECT lineage.file_id, new.curated_file_id, lineage.rows
FROM curated_file AS new
JOIN curated_file AS old ON old.s3_key = new.s3_key AND old.removed_commit = new.added_commit
JOIN lineage ON lineage.curated_file_id = old.curated_file_id
WHERE new.added_commit = :commit_id AND lineage.file_id <> ALL (CAST(:without AS bigint[]));

-- name: add_rescued_rows
-- Counts the rows whose value was rescued when their file was rewritten.
UPDATE file_processing_status AS file SET rows_rescued = file.rows_rescued + more.rows, updated_at = now()
FROM unnest(CAST(:file_ids AS bigint[]), CAST(:rows AS bigint[])) AS more (file_id, rows)
WHERE file.file_id = more.file_id AND file.rows_rescued IS NOT NULL;
