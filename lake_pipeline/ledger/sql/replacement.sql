-- Published files that a batch rewrites or removes, and the raw files whose rows they lose.

-- name: reserve_files
-- Reserves the published files that a batch rewrites or removes, if they are still what it read and no other batch has
-- reserved them.
UPDATE curated_file AS file SET replaced_by = CAST(:batch_id AS uuid)
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, replaces text, before bigint)
WHERE file.s3_key = part.key AND file.removed_commit IS NULL AND file.replaced_by IS NULL
    AND file.etag = part.replaces AND file.rows = part.before;

-- name: reserve_quarantine_files
-- Reserves the files of quarantined records that a batch rewrites or removes, in the same way.
UPDATE quarantine_file AS file SET replaced_by = CAST(:batch_id AS uuid)
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, replaces text)
WHERE file.s3_key = part.key AND file.replaced_by IS NULL AND file.etag = part.replaces;

-- name: has_missed_rows
-- Whether a batch that removes the rows of raw files has missed some: rows in published files that it has not reserved,
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
            -- The ledger does not know which of them contain records of this file. At least one does, and is reserved.
            AND EXISTS (SELECT FROM quarantine_file WHERE quarantine_file.batch_id = file.batch_id)
            AND NOT EXISTS (
                SELECT FROM quarantine_file
                WHERE quarantine_file.batch_id = file.batch_id AND replaced_by = CAST(:batch_id AS uuid)
            )
        )
    )
);

-- name: supersede_files
-- Ends files that have no rows in the lake any more, or never will, if they are in one of some states.
UPDATE file_processing_status SET
    processing_status = 'SUPERSEDED', next_attempt_at = NULL, error_message = :reason,
    -- An original that was still in the landing zone has been overwritten, or stays there.
    archive_state = CASE archive_state WHEN 'WAITING' THEN 'NONE' ELSE archive_state END,
    archive_key = CASE archive_state WHEN 'WAITING' THEN NULL ELSE archive_key END,
    updated_at = now()
WHERE file_id = ANY (CAST(:file_ids AS bigint[])) AND processing_status = ANY (CAST(:states AS text[]));

-- name: settle_rebuilt
-- Writes the new accounts of rebuilt files. Published rows are counted from lineage, after the commit.
UPDATE file_processing_status AS file SET
    batch_id = CAST(:batch_id AS uuid),
    rows_read = published.rows + outcome.quarantined,
    rows_published = published.rows,
    rows_quarantined = outcome.quarantined,
    rows_rescued = least(outcome.rescued, published.rows),
    parser_version = :parser_version,
    processed_at = now(),
    updated_at = now()
FROM json_to_recordset(CAST(:outcomes AS json)) AS outcome (file_id bigint, quarantined bigint, rescued bigint)
CROSS JOIN LATERAL (
    SELECT CAST(coalesce(sum(lineage.rows), 0) AS bigint) AS rows
    FROM lineage JOIN curated_file USING (curated_file_id)
    WHERE lineage.file_id = outcome.file_id AND removed_commit IS NULL
) AS published
WHERE file.file_id = outcome.file_id AND processing_status = 'SUCCEEDED';

-- name: remove_quarantine_files
-- Deletes the rows of quarantine files that have no record left.
DELETE FROM quarantine_file AS file USING json_to_recordset(CAST(:parts AS json)) AS part (key text, etag text)
WHERE file.s3_key = part.key AND part.etag IS NULL AND file.replaced_by = CAST(:batch_id AS uuid);

-- name: update_quarantine_files
-- The new versions of quarantine files that lost records.
UPDATE quarantine_file AS file SET rows = part.rows, size_bytes = part.size, etag = part.etag, replaced_by = NULL
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, rows bigint, size bigint, etag text)
WHERE file.s3_key = part.key AND part.etag IS NOT NULL AND file.replaced_by = CAST(:batch_id AS uuid);
