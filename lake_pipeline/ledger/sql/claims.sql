-- Claims and their leases. A batch is locked before its files, always, so that no two writers wait for each other.

-- name: bound_idle_transactions
-- Lets the server end a transaction that its worker does not go on with; ours have milliseconds between statements.
SELECT set_config('idle_in_transaction_session_timeout', '60s', false);

-- name: claim_files
-- Gives the next claimable files to a batch, the weekly lane first, as many as its limits allow.
WITH candidate AS MATERIALIZED (
    -- One index range for each lane: a lane full of files that wait for their retry time is not stepped through.
    SELECT file.*
    FROM (VALUES (0), (1)) AS lanes (lane) CROSS JOIN LATERAL (
        SELECT file_id, lane, next_attempt_at, size_bytes, workers_lost
        FROM file_processing_status
        WHERE lane = lanes.lane AND processing_status IN ('PENDING', 'FAILED') AND next_attempt_at <= now()
        ORDER BY next_attempt_at, file_id
        LIMIT :max_files
        -- Files that another worker is claiming at this moment are not waited for.
        FOR UPDATE SKIP LOCKED
    ) AS file
    LIMIT :max_files
), counted AS (
    SELECT file_id, row_number() OVER claim_order AS position, sum(size_bytes) OVER claim_order AS running_bytes,
        max(workers_lost) OVER claim_order AS lost
    FROM candidate
    WINDOW claim_order AS (ORDER BY lane, next_attempt_at, file_id)
)
UPDATE file_processing_status SET
    processing_status = 'PROCESSING',
    claim_id = CAST(:batch_id AS uuid),
    batch_id = CAST(:batch_id AS uuid),
    attempts = attempts + 1,
    next_attempt_at = NULL,
    glue_job_run_id = NULL,
    claimed_at = now(),
    updated_at = now()
-- An array, so that the files are found by their key whatever the planner believes about the table's size.
WHERE file_id = ANY (ARRAY(
    -- A file larger than the limit is a batch of its own, or it would wait for ever. With each worker that was lost
    -- batches get 16 times smaller: a file that kills them is soon alone, and the innocent ones are not all alone.
    SELECT file_id FROM counted
    WHERE position = 1 OR (running_bytes <= :max_bytes AND position <= CAST(:max_files AS bigint) / power(16, lost))
))
RETURNING file_id, s3_key, etag, size_bytes, lane, attempts, expected_date, expected_mode;

-- name: claim_files_of_partitions
-- The same among the files whose key promises one of the given partitions.
WITH wanted AS (
    SELECT lane, day, mode
    FROM (VALUES (0), (1)) AS lanes (lane)
        CROSS JOIN unnest(CAST(:days AS date[]), CAST(:modes AS text[])) AS partition (day, mode)
    ORDER BY lane, day, mode
), candidate AS MATERIALIZED (
    -- One index range for each partition, opened only while files are still wanted.
    SELECT file.*
    FROM wanted CROSS JOIN LATERAL (
        SELECT file_id, lane, expected_date, expected_mode, next_attempt_at, size_bytes, workers_lost
        FROM file_processing_status
        WHERE lane = wanted.lane AND expected_date = wanted.day AND expected_mode = wanted.mode
            AND processing_status IN ('PENDING', 'FAILED') AND next_attempt_at <= now()
        ORDER BY next_attempt_at, file_id
        LIMIT :max_files
        FOR UPDATE SKIP LOCKED
    ) AS file
    LIMIT :max_files
), counted AS (
    SELECT file_id, row_number() OVER claim_order AS position, sum(size_bytes) OVER claim_order AS running_bytes,
        max(workers_lost) OVER claim_order AS lost
    FROM candidate
    WINDOW claim_order AS (ORDER BY lane, expected_date, expected_mode, next_attempt_at, file_id)
)
UPDATE file_processing_status SET
    processing_status = 'PROCESSING',
    claim_id = CAST(:batch_id AS uuid),
    batch_id = CAST(:batch_id AS uuid),
    attempts = attempts + 1,
    next_attempt_at = NULL,
    glue_job_run_id = NULL,
    claimed_at = now(),
    updated_at = now()
WHERE file_id = ANY (ARRAY(
    SELECT file_id FROM counted
    WHERE position = 1 OR (running_bytes <= :max_bytes AND position <= CAST(:max_files AS bigint) / power(16, lost))
))
RETURNING file_id, s3_key, etag, size_bytes, lane, attempts, expected_date, expected_mode;

-- name: open_batch
-- Records the claim itself: who holds it, and for how long.
INSERT INTO batch (batch_id, kind, owner, lease_expires_at, lease_seconds, engine, files, bytes, partitions)
VALUES (
    CAST(:batch_id AS uuid), :kind, :owner, now() + make_interval(secs => :lease_seconds), :lease_seconds, :engine,
    :files, :bytes, CAST(:partitions AS json)
);

-- name: renew_lease
-- Prolongs a lease from now on; a batch in another one's hands is left alone.
UPDATE batch SET lease_expires_at = now() + make_interval(secs => :lease_seconds), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state IN ('CLAIMED', 'PUBLISHING');

-- name: note_engine_run
-- Records the id under which the engine runs this batch, so that a live run is found again; an empty one where there was
-- a run that nobody may look for any more, because its parts are thrown away.
UPDATE batch SET external_run_id = coalesce(:run_id, ''), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED';

-- name: note_engine_run_on_files
-- Shows the same id on each file of the claim, where people look for it.
UPDATE file_processing_status SET glue_job_run_id = :run_id, updated_at = now()
WHERE claim_id = CAST(:batch_id AS uuid);

-- name: give_up_batch
-- Ends a batch that publishes nothing, as FAILED or ABANDONED, if this worker still holds it.
UPDATE batch SET state = :state, error_message = :message, finished_at = now(), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED';

-- name: claimed_batches
-- Batches that nobody has published yet, with whether their lease has run out.
SELECT CAST(batch_id AS text) AS batch_id, owner, lease_expires_at < now() AS expired, kind, engine, external_run_id
FROM batch WHERE state = 'CLAIMED' ORDER BY created_at;

-- name: adopt_claim
-- Gives a batch whose worker is gone, but not its engine run, to another worker; one renewed meanwhile is left alone.
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
-- Ends a batch of a worker that is gone; one that was renewed meanwhile is left alone.
UPDATE batch SET state = 'ABANDONED', error_message = :message, finished_at = now(), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED'
    AND (lease_expires_at < now() OR :owner_is_dead);

-- name: release_files
-- Puts the files of a claim back into the queue as if they had never been claimed.
UPDATE file_processing_status SET
    processing_status = 'PENDING', claim_id = NULL, attempts = attempts - 1, next_attempt_at = now(),
    updated_at = now()
WHERE claim_id = CAST(:batch_id AS uuid);

-- name: reclaim_files
-- Puts the files of a lost worker back into the queue, with the loss noted and the attempt taken back. A file that was
-- alone with its worker, and lost too many of them, goes to quarantine instead.
UPDATE file_processing_status AS file SET
    processing_status = CASE WHEN fatal THEN 'QUARANTINED' ELSE 'PENDING' END,
    claim_id = NULL,
    attempts = attempts - 1,
    workers_lost = workers_lost + 1,
    next_attempt_at = CASE WHEN fatal THEN NULL ELSE now() END,
    processed_at = CASE WHEN fatal THEN now() END,
    error_class = CASE WHEN fatal THEN 'WorkerLost' ELSE error_class END,
    error_reason = CASE WHEN fatal THEN 'worker_lost' ELSE error_reason END,
    error_message = CASE WHEN fatal THEN CAST(:message AS text) ELSE error_message END,
    updated_at = now()
FROM (
    SELECT file_id, workers_lost + 1 >= :max_lost AND count(*) OVER () = 1 AS fatal
    FROM file_processing_status WHERE claim_id = CAST(:batch_id AS uuid)
) AS held
WHERE file.file_id = held.file_id AND file.claim_id = CAST(:batch_id AS uuid)
RETURNING processing_status;

-- name: publications_left
-- Locks the batches past their point of no return, but not those that somebody is finishing at this moment.
SELECT CAST(batch_id AS text) AS batch_id, owner, lease_expires_at < now() AS expired, manifest
FROM batch WHERE state = 'PUBLISHING' ORDER BY created_at FOR UPDATE SKIP LOCKED;

-- name: adopt_batch
-- Gives a batch that is half published a new owner and a fresh lease.
UPDATE batch SET
    owner = :owner, lease_expires_at = now() + make_interval(secs => lease_seconds), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid);

-- name: batch_states
-- The states of the given batches, as far as they exist.
SELECT CAST(batch_id AS text) AS batch_id, state FROM batch WHERE batch_id = ANY (CAST(:batch_ids AS uuid[]));
