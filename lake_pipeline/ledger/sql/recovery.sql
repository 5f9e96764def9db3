-- Batches whose worker is gone: reclaimed, or adopted.

-- name: claimed_batches
-- Batches before their point of no return; `expired` if the lease has ended.
SELECT CAST(batch_id AS text) AS batch_id, owner, lease_expires_at < now() AS expired, kind, engine, external_run_id
FROM batch WHERE state = 'CLAIMED' ORDER BY created_at;

-- name: adopt_claim
-- Gives a batch whose engine run outlived its worker to another worker. A batch that was renewed is not changed.
UPDATE batch SET
    owner = :owner, lease_expires_at = now() + make_interval(secs => lease_seconds), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :lost_owner AND state = 'CLAIMED'
    AND (lease_expires_at < now() OR :owner_is_dead)
RETURNING lease_seconds, partitions;

-- name: files_of_claim
-- The files that a claim holds, as they were claimed.
SELECT file_id, s3_key, etag, size_bytes, lane, attempts, expected_date, expected_mode FROM file_processing_status
WHERE claim_id = CAST(:batch_id AS uuid) ORDER BY lane, file_id;

-- name: abandon_batch
-- Ends the batch of a worker that is gone. A batch that was renewed is not changed.
UPDATE batch SET state = 'ABANDONED', error_message = :message, finished_at = now(), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED'
    AND (lease_expires_at < now() OR :owner_is_dead);

-- name: lose_files
-- Returns the files of a lost worker to the queue, counts the loss and takes the attempt back. A file that was alone
-- with its worker, and lost too many of them, is quarantined instead.
UPDATE file_processing_status AS file SET
    processing_status = CASE WHEN fatal THEN 'QUARANTINED' ELSE 'PENDING' END,
    claim_id = NULL,
    attempts = attempts - 1,
    workers_lost = workers_lost + 1,
    next_attempt_at = CASE WHEN fatal THEN NULL ELSE now() END,
    processed_at = CASE WHEN fatal THEN now() END,
    error_class = CASE WHEN fatal THEN CAST(:error_class AS text) ELSE error_class END,
    error_reason = CASE WHEN fatal THEN 'worker_lost' ELSE error_reason END,
    error_message = CASE WHEN fatal THEN CAST(:message AS text) ELSE error_message END,
    updated_at = now()
FROM (
    SELECT file_id, workers_lost + 1 >= :max_lost AND count(*) OVER () = 1 AS fatal
    FROM file_processing_status WHERE claim_id = CAST(:batch_id AS uuid)
) AS held
WHERE file.file_id = held.file_id AND file.claim_id = CAST(:batch_id AS uuid)
RETURNING processing_status;

-- name: unfinished_publications
-- Locks the batches past their point of no return, except those that another worker is finishing now.
SELECT CAST(batch_id AS text) AS batch_id, owner, lease_expires_at < now() AS expired, manifest
FROM batch WHERE state = 'PUBLISHING' ORDER BY created_at FOR UPDATE SKIP LOCKED;

-- name: adopt_batch
-- Gives a partly published batch a new owner and a full lease.
UPDATE batch SET
    owner = :owner, lease_expires_at = now() + make_interval(secs => lease_seconds), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid);
