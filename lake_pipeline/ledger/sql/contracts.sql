-- The contract, what may not happen while it widens, and the evidence behind it.

-- name: lock_contract
-- Lets one writer at a time decide on the next contract version; readers go on.
LOCK TABLE contract_version IN SHARE ROW EXCLUSIVE MODE;

-- name: latest_contract
-- The newest contract, the one in force.
SELECT version, contract FROM contract_version ORDER BY version DESC LIMIT 1;

-- name: add_contract
-- Stores the next contract version and the batch that brought it.
INSERT INTO contract_version (version, contract, batch_id)
VALUES (:version, CAST(:contract AS json), CAST(:batch_id AS uuid));

-- name: contract_of_version
-- One contract.
SELECT version, contract FROM contract_version WHERE version = :version;

-- name: contract_versions
-- Every contract with the batch that brought it, oldest first.
SELECT version, contract, contract_version.created_at, CAST(contract_version.batch_id AS text) AS batch_id, batch.kind
FROM contract_version JOIN batch USING (batch_id) ORDER BY version;

-- name: contract_version_of_batch
-- The contract that a batch brought, if it brought one.
SELECT version FROM contract_version WHERE batch_id = CAST(:batch_id AS uuid);

-- name: in_the_way_of_widening
-- What has a column in its narrower type and is not rewritten: batches about to show parts, files shown since a look at
-- the lake; and how many of the files to replace are still what was read.
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

-- name: closed_gates
-- Whether a batch has to wait until another one has recorded its widening. Of two that widen the lower id goes first.
SELECT EXISTS (
    SELECT FROM batch AS other
    WHERE other.state = 'CLAIMED' AND other.gate_until > now() AND other.batch_id <> CAST(:batch_id AS uuid)
        AND (
            other.batch_id < CAST(:batch_id AS uuid)
            OR NOT EXISTS (
                SELECT FROM batch AS own WHERE own.batch_id = CAST(:batch_id AS uuid) AND own.gate_until > now()
            )
        )
);

-- name: set_gate
-- Tells that a batch rewrites published files, and for how long others wait for it.
UPDATE batch SET gate_until = now() + make_interval(secs => :seconds), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED';

-- name: someone_rewrites
-- Whether a batch that is not over rewrites published files.
SELECT EXISTS (SELECT FROM batch WHERE state IN ('CLAIMED', 'PUBLISHING') AND gate_until IS NOT NULL);

-- name: last_commit
-- The newest commit that can be seen; later ones get higher numbers.
SELECT coalesce(max(commit_id), 0) FROM lake_commit;

-- name: live_curated_files_of_versions
-- The curated files that readers see and that were published under some contract versions.
SELECT s3_key, partition_date, partition_mode, rows, size_bytes, etag, contract_version,
    CAST(batch_id AS text) AS batch_id
FROM curated_file
WHERE removed_commit IS NULL AND contract_version BETWEEN :since AND :until
ORDER BY partition_date, partition_mode, s3_key;

-- name: live_bytes_by_version
-- Bytes of the curated files that readers see, by the contract they were published under; a small file counts as more.
SELECT contract_version, CAST(sum(greatest(size_bytes, :least)) AS bigint) AS bytes
FROM curated_file WHERE removed_commit IS NULL GROUP BY contract_version;

-- name: add_evidence
-- Adds what a batch saw. Paths that are new have no place once there are too many of them.
INSERT INTO path_evidence AS known (path, kind, rows, first_file, last_file, first_version, last_version)
SELECT path, kind, rows, first_file, last_file, :version, :version
FROM json_to_recordset(CAST(:seen AS json)) AS seen (
    path text, kind text, rows bigint, first_file bigint, last_file bigint
)
WHERE (SELECT count(*) FROM path_evidence) < :most OR EXISTS (
    SELECT FROM path_evidence AS there WHERE there.path = seen.path AND there.kind = seen.kind
)
ON CONFLICT (path, kind) DO UPDATE SET
    rows = known.rows + excluded.rows, last_file = excluded.last_file, last_version = excluded.last_version,
    last_seen_at = now();

-- name: evidence
-- What was seen, with the keys of the files it was seen in first and last.
SELECT path, kind, path_evidence.rows, first_version, last_version, first_seen_at, last_seen_at,
    first.s3_key AS first_key, last.s3_key AS last_key
FROM path_evidence
LEFT JOIN file_processing_status AS first ON first.file_id = first_file
LEFT JOIN file_processing_status AS last ON last.file_id = last_file
ORDER BY first_seen_at, path, path_evidence.rows DESC;

-- name: wanted_widenings
-- Columns that met fractions and wait for `lake contract widen`.
SELECT path, shape, wanted_at, CAST(batch_id AS text) AS batch_id FROM wanted_widening ORDER BY path;

-- name: want_widening
-- Remembers that a column met fractions.
INSERT INTO wanted_widening (path, shape, batch_id) VALUES (:path, CAST(:shape AS json), CAST(:batch_id AS uuid))
ON CONFLICT (path) DO UPDATE SET shape = excluded.shape;

-- name: forget_widening
-- A column holds fractions now.
DELETE FROM wanted_widening WHERE path = ANY (CAST(:paths AS text[]));
