-- From the point of no return to the published batch.

-- name: lock_claim
-- Locks a batch before its point of no return, if this worker still holds it.
SELECT kind FROM batch
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED' FOR UPDATE;

-- name: ids_of_claim
-- Ids of the files that a claim holds now.
SELECT file_id FROM file_processing_status WHERE claim_id = CAST(:batch_id AS uuid);

-- name: record_manifest
-- The point of no return: the ledger has what this batch publishes, and its number. Manifests are recorded one at a time.
UPDATE batch SET
    state = 'PUBLISHING', manifest = CAST(:manifest AS json), contract_version = :contract_version,
    manifest_number = (SELECT coalesce(max(manifest_number), 0) + 1 FROM batch),
    evidence = CAST(:evidence AS json), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED';

-- name: batch_to_finish
-- Locks a batch and reads what it publishes.
SELECT state, kind, manifest, contract_version FROM batch WHERE batch_id = CAST(:batch_id AS uuid) FOR UPDATE;

-- name: finish_batch
-- Ends a batch as published, with its account.
UPDATE batch SET
    state = 'PUBLISHED', rows_read = :rows_read, rows_published = :rows_published,
    rows_quarantined = :rows_quarantined, rows_rescued = :rows_rescued, finished_at = now(), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND state = 'PUBLISHING';

-- name: add_quarantine_files
-- The files with the quarantined records of a batch.
INSERT INTO quarantine_file (s3_key, batch_id, rows, size_bytes, etag)
SELECT part.key, CAST(:batch_id AS uuid), part.rows, part.size, part.etag
FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, rows bigint, size bigint, etag text);

-- name: commits_held
-- Whether a batch has to wait until another one has recorded its widening. Of two that widen, the lower id goes first.
SELECT EXISTS (
    SELECT FROM batch AS other
    WHERE other.state = 'CLAIMED' AND other.commits_held_until > now() AND other.batch_id <> CAST(:batch_id AS uuid)
        AND (
            other.batch_id < CAST(:batch_id AS uuid)
            OR NOT EXISTS (
                SELECT FROM batch AS own WHERE own.batch_id = CAST(:batch_id AS uuid) AND own.commits_held_until > now()
            )
        )
);

-- name: hold_commits
-- Marks that a batch rewrites published files, and holds the commits of other batches for some seconds.
UPDATE batch SET commits_held_until = now() + make_interval(secs => :seconds), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED';

-- name: rewrite_in_progress
-- Whether an unfinished batch rewrites published files.
SELECT EXISTS (SELECT FROM batch WHERE state IN ('CLAIMED', 'PUBLISHING') AND commits_held_until IS NOT NULL);

-- name: batch_states
-- The states of the given batches, as far as they exist.
SELECT CAST(batch_id AS text) AS batch_id, state FROM batch WHERE batch_id = ANY (CAST(:batch_ids AS uuid[]));
