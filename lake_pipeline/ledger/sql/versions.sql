-- Versions of one key, and rows that are taken out of published files.

-- name: other_versions
-- For each file of a claim the other versions of its key that are not superseded, and where those stand.
SELECT file.file_id, other.file_id AS other_id, other.processing_status AS state,
    coalesce(batch.state = 'PUBLISHING', false) AS publishing, coalesce(other.claim_id = file.claim_id, false) AS together
FROM file_processing_status AS file
JOIN file_processing_status AS other ON other.s3_key = file.s3_key AND other.file_id <> file.file_id
LEFT JOIN batch ON batch.batch_id = other.claim_id
WHERE file.claim_id = CAST(:batch_id AS uuid) AND other.processing_status <> 'SUPERSEDED'
ORDER BY file.file_id, other.file_id;

-- name: step_back
-- Takes files out of a claim because of another version of them, if this worker still holds it.
UPDATE file_processing_status AS file SET
    processing_status = 'SUPERSEDED', claim_id = NULL, next_attempt_at = NULL, error_message = given.why,
    updated_at = now()
FROM unnest(CAST(:file_ids AS bigint[]), CAST(:whys AS text[])) AS given (file_id, why)
WHERE file.file_id = given.file_id AND claim_id = CAST(:batch_id AS uuid) AND EXISTS (
    SELECT FROM batch WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED'
);

-- name: reserve_files
-- Marks the published files that a batch writes again or takes away, where they are still what it read and no other
-- batch is about to do that.
UPDATE curated_file AS file SET replaced_by = CAST(:batch_id AS uuid)
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, replaces text, before bigint)
WHERE file.s3_key = part.key AND file.removed_commit IS NULL AND file.replaced_by IS NULL
    AND file.etag = part.replaces AND file.rows = part.before;

-- name: left_behind
-- Whether a batch that takes raw files out has missed something of them: rows in published files that it has not marked,
-- quarantined records of a file that ended after the batch began, or a worker that may publish more.
SELECT EXISTS (
    SELECT FROM lineage JOIN curated_file USING (curated_file_id)
    WHERE lineage.file_id = ANY (CAST(:file_ids AS bigint[])) AND removed_commit IS NULL
        AND replaced_by IS DISTINCT FROM CAST(:batch_id AS uuid)
) OR EXISTS (
    SELECT FROM file_processing_status AS file JOIN batch AS own ON own.batch_id = CAST(:batch_id AS uuid)
    WHERE file.file_id = ANY (CAST(:file_ids AS bigint[])) AND (
        file.processing_status = 'PROCESSING'
        OR (
            file.rows_quarantined > 0 AND file.processed_at > own.created_at
            -- Which of them hold records of this file the ledger does not know; one at least does, and is marked.
            AND EXISTS (SELECT FROM quarantine_file WHERE quarantine_file.batch_id = file.batch_id)
            AND NOT EXISTS (
                SELECT FROM quarantine_file
                WHERE quarantine_file.batch_id = file.batch_id AND replaced_by = CAST(:batch_id AS uuid)
            )
        )
    )
);

-- name: supersede_files
-- Ends files that have no rows in the lake any more, or will never have any, where they are in one of some states.
UPDATE file_processing_status SET
    processing_status = 'SUPERSEDED', next_attempt_at = NULL, error_message = :why,
    -- An original that still stood in the landing zone has been overwritten, or stays there.
    archive_state = CASE archive_state WHEN 'WAITING' THEN 'NONE' ELSE archive_state END,
    archive_key = CASE archive_state WHEN 'WAITING' THEN NULL ELSE archive_key END,
    updated_at = now()
WHERE file_id = ANY (CAST(:file_ids AS bigint[])) AND processing_status = ANY (CAST(:states AS text[]));

-- name: settle_rebuilt
-- Writes the new accounts of rebuilt files; what is published of each is what lineage says after the commit.
UPDATE file_processing_status AS file SET
    batch_id = CAST(:batch_id AS uuid),
    rows_read = given.rows + outcome.quarantined,
    rows_published = given.rows,
    rows_quarantined = outcome.quarantined,
    rows_rescued = least(outcome.rescued, given.rows),
    parser_version = :parser_version,
    processed_at = now(),
    updated_at = now()
FROM json_to_recordset(CAST(:outcomes AS json)) AS outcome (file_id bigint, quarantined bigint, rescued bigint)
CROSS JOIN LATERAL (
    SELECT CAST(coalesce(sum(lineage.rows), 0) AS bigint) AS rows
    FROM lineage JOIN curated_file USING (curated_file_id)
    WHERE lineage.file_id = outcome.file_id AND removed_commit IS NULL
) AS given
WHERE file.file_id = outcome.file_id AND processing_status = 'SUCCEEDED';

-- name: curated_files_with
-- The curated files that readers see and that hold rows of some raw files.
SELECT s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id
FROM curated_file
WHERE removed_commit IS NULL AND curated_file_id IN (
    SELECT curated_file_id FROM lineage WHERE file_id = ANY (CAST(:file_ids AS bigint[]))
)
ORDER BY partition_date, partition_mode, s3_key;

-- name: quarantine_files_of
-- The files of quarantined records of the batches that put records of some raw files aside.
SELECT s3_key, etag FROM quarantine_file
WHERE batch_id IN (
    SELECT batch_id FROM file_processing_status
    WHERE file_id = ANY (CAST(:file_ids AS bigint[])) AND rows_quarantined > 0
)
ORDER BY s3_key;

-- name: reserve_quarantine_files
-- Marks the files of quarantined records that a batch writes again or takes away, like the curated ones.
UPDATE quarantine_file AS file SET replaced_by = CAST(:batch_id AS uuid)
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, replaces text)
WHERE file.s3_key = part.key AND file.replaced_by IS NULL AND file.etag = part.replaces;

-- name: versions_of
-- Every version of a key, or the file of an id.
SELECT file_id, s3_key, etag, size_bytes, lane, attempts, expected_date, expected_mode, processing_status, archive_state,
    archive_key, rows_published
FROM file_processing_status
WHERE s3_key = :key OR file_id = CAST(:file_id AS bigint) ORDER BY file_id;

-- name: lineage_of
-- Which curated files that readers see hold how many rows of some raw files.
SELECT lineage.file_id, curated_file.s3_key, partition_date, partition_mode, lineage.rows
FROM lineage JOIN curated_file USING (curated_file_id)
WHERE lineage.file_id = ANY (CAST(:file_ids AS bigint[])) AND removed_commit IS NULL
ORDER BY lineage.file_id, partition_date, partition_mode, s3_key;

-- name: sources_of_partitions
-- The raw files that gave rows to some partitions, with where their bytes stand now.
SELECT file_id, s3_key, etag, size_bytes, lane, attempts, expected_date, expected_mode, processing_status, archive_state,
    archive_key, rows_published
FROM file_processing_status
WHERE file_id IN (
    SELECT lineage.file_id FROM lineage JOIN curated_file USING (curated_file_id)
    WHERE removed_commit IS NULL AND (partition_date, partition_mode) IN (
        SELECT * FROM unnest(CAST(:days AS date[]), CAST(:modes AS text[]))
    )
)
ORDER BY file_id;

-- name: modes_of_day
-- The modes that readers see rows of one day in.
SELECT DISTINCT partition_mode FROM curated_file
WHERE removed_commit IS NULL AND partition_date = :day ORDER BY partition_mode;
