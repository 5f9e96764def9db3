-- The manifests in the order in which they were recorded, as the store keeps them. Nothing here locks or writes.

-- name: last_manifest_number
-- The number of the newest manifest; 0 before the first one.
SELECT coalesce(max(manifest_number), 0) FROM batch;

-- name: recorded_batch
-- What the ledger has of a batch past its point of no return, and the contract if the batch introduced a version.
SELECT manifest_number, kind, engine, created_at, manifest, evidence, contract_version, (
    SELECT contract FROM contract_version WHERE contract_version.batch_id = batch.batch_id
) AS contract
FROM batch WHERE batch_id = CAST(:batch_id AS uuid) AND manifest_number IS NOT NULL;

-- name: files_of_commit
-- Raw files as they were registered; `versioned` if an earlier version of the key was registered.
SELECT file_id, s3_key, etag, times_back, size_bytes, lane, expected_date, expected_mode, EXISTS (
    SELECT FROM file_processing_status AS earlier
    WHERE earlier.s3_key = file.s3_key AND earlier.file_id < file.file_id
) AS versioned
FROM file_processing_status AS file WHERE file_id = ANY (CAST(:file_ids AS bigint[])) ORDER BY file_id;

-- name: manifest_numbers
-- A page of the numbers of manifests, with their batches.
SELECT manifest_number, CAST(batch_id AS text) AS batch_id, state FROM batch
WHERE manifest_number > :manifest_number ORDER BY manifest_number LIMIT :limit;

-- name: unfinished_numbers
-- Those of batches that are not finished.
SELECT manifest_number, CAST(batch_id AS text) AS batch_id, state FROM batch
WHERE state = 'PUBLISHING' ORDER BY manifest_number;
