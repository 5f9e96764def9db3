-- The contract, its widening, and the evidence for it.

-- name: lock_contract
-- Lets one writer at a time decide on the next contract version. Readers are not blocked.
LOCK TABLE contract_version IN SHARE ROW EXCLUSIVE MODE;

-- name: latest_contract
-- The contract in force.
SELECT version, contract FROM contract_version ORDER BY version DESC LIMIT 1;

-- name: add_contract
-- Stores the next contract version and the batch that introduced it.
INSERT INTO contract_version (version, contract, batch_id)
VALUES (:version, CAST(:contract AS json), CAST(:batch_id AS uuid));

-- name: contract_of_version
-- One contract version.
SELECT version, contract FROM contract_version WHERE version = :version;

-- name: contract_versions
-- Every contract version with the batch that introduced it, oldest first.
SELECT version, contract, contract_version.created_at, CAST(contract_version.batch_id AS text) AS batch_id, batch.kind
FROM contract_version JOIN batch USING (batch_id) ORDER BY version;

-- name: contract_version_of_batch
-- The contract version that a batch introduced, if any.
SELECT version FROM contract_version WHERE batch_id = CAST(:batch_id AS uuid);

-- name: widening_conflicts
-- What has a column in its narrower type and is not rewritten: batches that are publishing, and files published since
-- the table was read. Also how many of the files to replace are unchanged.
WITH part AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:parts AS json)) AS part (key text, replaces text, rows bigint)
)
SELECT
    EXISTS (
        SELECT FROM batch WHERE state = 'PUBLISHING' AND contract_version BETWEEN :since AND :version
    ) AS publishing,
    EXISTS (
        SELECT FROM curated_file AS file
        WHERE removed_commit IS NULL AND added_commit > :as_of AND contract_version BETWEEN :since AND :version
            AND NOT EXISTS (SELECT FROM part WHERE part.key = file.s3_key AND part.replaces = file.etag)
    ) AS unseen,
    (
        SELECT count(*) FROM part JOIN curated_file AS file ON file.s3_key = part.key AND file.removed_commit IS NULL
        WHERE file.etag = part.replaces AND file.rows = part.rows
    ) AS replaceable;

-- name: add_evidence
-- Adds what a batch saw. New paths are ignored once there are too many.
INSERT INTO path_evidence AS total (path, kind, rows, first_file, last_file, first_version, last_version)
SELECT path, kind, rows, first_file, last_file, :version, :version
FROM json_to_recordset(CAST(:seen AS json)) AS seen (
    path text, kind text, rows bigint, first_file bigint, last_file bigint
)
WHERE (SELECT count(*) FROM path_evidence) < :most OR EXISTS (
    SELECT FROM path_evidence AS there WHERE there.path = seen.path AND there.kind = seen.kind
)
ON CONFLICT (path, kind) DO UPDATE SET
    rows = total.rows + excluded.rows, last_file = excluded.last_file, last_version = excluded.last_version,
    last_seen_at = now();

-- name: evidence
-- Everything that was seen, with the keys of the first and the last file.
SELECT path, kind, path_evidence.rows, first_version, last_version, first_seen_at, last_seen_at,
    first.s3_key AS first_key, last.s3_key AS last_key
FROM path_evidence
LEFT JOIN file_processing_status AS first ON first.file_id = first_file
LEFT JOIN file_processing_status AS last ON last.file_id = last_file
ORDER BY first_seen_at, path, path_evidence.rows DESC;

-- name: requested_widenings
-- Columns that received fractions and wait for `lake contract widen`.
SELECT path, shape, is_lossy, requested_at, CAST(batch_id AS text) AS batch_id FROM requested_widening ORDER BY path;

-- name: request_widening
-- Records that a column received fractions.
INSERT INTO requested_widening (path, shape, is_lossy, batch_id)
VALUES (:path, CAST(:shape AS json), :is_lossy, CAST(:batch_id AS uuid))
ON CONFLICT (path) DO UPDATE SET
    shape = excluded.shape, is_lossy = requested_widening.is_lossy OR excluded.is_lossy;

-- name: remove_requested_widenings
-- Removes the requests for columns that hold fractions now.
DELETE FROM requested_widening WHERE path = ANY (CAST(:paths AS text[]));
