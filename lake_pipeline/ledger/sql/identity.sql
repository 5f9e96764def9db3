-- The identity of the ledger and of the lake it is bound to.

-- name: ledger_identity
-- The ids of the ledger and of its lake; no row before the first use.
SELECT CAST(ledger_id AS text) AS ledger_id, CAST(lake_id AS text) AS lake_id FROM lake_identity;

-- name: create_ledger_identity
-- Gives the ledger its id. The first of several writers wins.
INSERT INTO lake_identity (ledger_id) VALUES (gen_random_uuid()) ON CONFLICT DO NOTHING;

-- name: bind_lake
-- Binds the ledger to a lake, once.
UPDATE lake_identity SET lake_id = CAST(:lake_id AS uuid), bound_at = now() WHERE lake_id IS NULL;

-- name: rebind_lake
-- Binds the ledger to a lake, in place of the one that it was bound to.
UPDATE lake_identity SET lake_id = CAST(:lake_id AS uuid), bound_at = now();

-- name: has_files
-- Whether any raw file is registered.
SELECT EXISTS (SELECT FROM file_processing_status);

-- name: expected_keys
-- Keys that the root should contain, a few of each kind: the newest data files, archived originals, other originals.
(
    SELECT s3_key FROM curated_file WHERE removed_commit IS NULL ORDER BY curated_file_id DESC LIMIT :limit
)
UNION ALL (
    SELECT archive_key FROM file_processing_status WHERE archive_state = 'ARCHIVED' LIMIT :limit
)
UNION ALL (
    SELECT s3_key FROM file_processing_status
    WHERE archive_state <> 'ARCHIVED' AND processing_status <> 'SUPERSEDED' LIMIT :limit
);
