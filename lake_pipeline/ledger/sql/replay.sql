-- Replaying commits from the store into a ledger that does not have them. No worker is active meanwhile.

-- name: prepare_committed
-- A table of this connection with the raw files of one commit. It is empty after the transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS committed_file (
    file_id bigint PRIMARY KEY,
    s3_key text COLLATE "C" NOT NULL,
    etag text COLLATE "C" NOT NULL,
    times_back smallint NOT NULL,
    size_bytes bigint NOT NULL,
    lane smallint NOT NULL,
    expected_date date,
    expected_mode text COLLATE "C"
) ON COMMIT DELETE ROWS;

-- name: add_committed
-- Fills it.
INSERT INTO committed_file
SELECT id, key, etag, times_back, size, lane, day, mode
FROM json_to_recordset(CAST(:files AS json)) AS file (
    id bigint, key text, etag text, times_back smallint, size bigint, lane smallint, day date, mode text
);

-- name: pass_committed_ids
-- Lets the ids of new files start after those of the commit.
SELECT setval(
    pg_get_serial_sequence('file_processing_status', 'file_id'),
    greatest(
        nextval(pg_get_serial_sequence('file_processing_status', 'file_id')),
        (SELECT coalesce(max(file_id), 0) FROM committed_file)
    )
);

-- name: other_lake
-- Files with rows that have the id of another file of the commit: the ledger belongs to another lake.
SELECT file.file_id, file.s3_key, committed.s3_key AS committed_key
FROM file_processing_status AS file JOIN committed_file AS committed USING (file_id)
WHERE (file.s3_key, file.etag, file.times_back) <> (committed.s3_key, committed.etag, committed.times_back)
    AND (file.processing_status = 'SUCCEEDED' OR EXISTS (SELECT FROM lineage WHERE lineage.file_id = file.file_id))
LIMIT 1;

-- name: move_registered
-- Gives other ids to files without rows that were registered under an id of the commit since the loss.
WITH moved AS (
    SELECT file_id AS old_id, nextval(pg_get_serial_sequence('file_processing_status', 'file_id')) AS new_id
    FROM file_processing_status AS file JOIN committed_file AS committed USING (file_id)
    WHERE (file.s3_key, file.etag, file.times_back) <> (committed.s3_key, committed.etag, committed.times_back)
), events AS (
    UPDATE file_event SET file_id = new_id FROM moved WHERE file_id = old_id
)
UPDATE file_processing_status SET file_id = new_id FROM moved WHERE file_id = old_id;

-- name: identify_registered
-- Gives the files of the commit that were registered again since the loss the ids that rows contain.
WITH moved AS (
    SELECT file.file_id AS old_id, committed.file_id AS new_id
    FROM file_processing_status AS file JOIN committed_file AS committed USING (s3_key, etag, times_back)
    WHERE file.file_id <> committed.file_id
), events AS (
    UPDATE file_event SET file_id = new_id FROM moved WHERE file_id = old_id
)
UPDATE file_processing_status SET file_id = new_id FROM moved WHERE file_id = old_id;

-- name: register_committed
-- Registers the other files of the commit.
INSERT INTO file_processing_status (
    file_id, s3_key, etag, times_back, size_bytes, lane, expected_date, expected_mode
)
SELECT file_id, s3_key, etag, times_back, size_bytes, lane, expected_date, expected_mode FROM committed_file
ON CONFLICT (s3_key, etag, times_back) DO NOTHING;

-- name: supersede_earlier_returns
-- Ends earlier registrations of the same content without rows: its key has returned to it since.
UPDATE file_processing_status AS file SET
    processing_status = 'SUPERSEDED', next_attempt_at = NULL, updated_at = now(),
    error_message = 'a newer version of the key was registered'
FROM committed_file AS committed
WHERE file.s3_key = committed.s3_key AND file.etag = committed.etag AND file.times_back < committed.times_back
    AND file.processing_status IN ('PENDING', 'FAILED', 'QUARANTINED');

-- name: requeue_committed
-- Makes the files that the batch of the commit held claimable, if they are quarantined.
UPDATE file_processing_status SET
    processing_status = 'PENDING', next_attempt_at = now(), processed_at = NULL,
    error_class = NULL, error_reason = NULL, error_message = NULL,
    rows_read = NULL, rows_published = NULL, rows_quarantined = NULL, rows_rescued = NULL, updated_at = now()
WHERE file_id = ANY (CAST(:file_ids AS bigint[])) AND processing_status = 'QUARANTINED';

-- name: claim_committed
-- Gives them to the batch.
UPDATE file_processing_status SET
    processing_status = 'PROCESSING', claim_id = CAST(:batch_id AS uuid), batch_id = CAST(:batch_id AS uuid),
    attempts = attempts + 1, next_attempt_at = NULL, claimed_at = now(), updated_at = now()
WHERE file_id = ANY (CAST(:file_ids AS bigint[])) AND processing_status IN ('PENDING', 'FAILED');

-- name: drop_unrecorded_batch
-- Removes the batch if the ledger has it from before its point of no return.
DELETE FROM batch WHERE batch_id = CAST(:batch_id AS uuid) AND manifest_number IS NULL;

-- name: add_recorded_batch
-- The batch, past its point of no return.
INSERT INTO batch (
    batch_id, kind, state, owner, lease_expires_at, lease_seconds, engine, manifest, contract_version, manifest_number,
    evidence, files, bytes, created_at
)
VALUES (
    CAST(:batch_id AS uuid), :kind, 'PUBLISHING', :owner, now() + make_interval(secs => :lease_seconds),
    :lease_seconds, :engine, CAST(:manifest AS json), :contract_version, :manifest_number, CAST(:evidence AS json),
    :files, :bytes, CAST(:created_at AS timestamptz)
);

-- name: add_committed_contract
-- The contract version that the batch introduced.
INSERT INTO contract_version (version, contract, batch_id, created_at)
VALUES (:version, CAST(:contract AS json), CAST(:batch_id AS uuid), CAST(:created_at AS timestamptz));

-- name: date_batch
-- The time of a replayed batch is that of the commit: the age of quarantine files counts from it.
UPDATE batch SET finished_at = created_at WHERE batch_id = CAST(:batch_id AS uuid) AND state = 'PUBLISHED';

-- name: date_commit
-- The same for its step in the history of the curated table.
UPDATE lake_commit SET created_at = batch.created_at FROM batch
WHERE lake_commit.batch_id = batch.batch_id AND batch.batch_id = CAST(:batch_id AS uuid);

-- name: date_files
-- The same for the outcomes of its files.
UPDATE file_processing_status AS file SET processed_at = batch.created_at FROM batch
WHERE file.batch_id = batch.batch_id AND batch.batch_id = CAST(:batch_id AS uuid) AND file.processed_at IS NOT NULL;

-- name: awaiting_archive_of_files
-- Which of some files wait to be archived.
SELECT file_id, s3_key, etag, archive_key FROM file_processing_status
WHERE archive_state = 'WAITING' AND file_id = ANY (CAST(:file_ids AS bigint[]));

-- name: unrecord_contract
-- Removes the contract version of a batch that is taken back.
DELETE FROM contract_version WHERE batch_id = CAST(:batch_id AS uuid);

-- name: unrecord_widenings
-- Removes the requests of a batch that is taken back.
DELETE FROM requested_widening WHERE batch_id = CAST(:batch_id AS uuid);

-- name: unreserve_files
-- Ends the reservation of published files by a batch that is taken back.
UPDATE curated_file SET replaced_by = NULL WHERE replaced_by = CAST(:batch_id AS uuid);

-- name: unreserve_quarantine_files
-- The same for files of quarantined records.
UPDATE quarantine_file SET replaced_by = NULL WHERE replaced_by = CAST(:batch_id AS uuid);

-- name: drop_recorded_batch
-- Removes a batch that recorded a manifest and published nothing.
DELETE FROM batch WHERE batch_id = CAST(:batch_id AS uuid) AND state = 'PUBLISHING';

-- name: release_taken_back
-- Returns its files to the queue as if they had never been claimed.
UPDATE file_processing_status SET
    processing_status = 'PENDING', claim_id = NULL, attempts = attempts - 1, next_attempt_at = now(),
    updated_at = now()
WHERE claim_id = CAST(:batch_id AS uuid);
