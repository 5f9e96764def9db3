-- Claims and their leases. A batch is always locked before its files, so that no two writers wait for each other.

-- name: limit_idle_transactions
-- Lets the server end a transaction that its worker does not continue. Between our statements are milliseconds.
SELECT set_config('idle_in_transaction_session_timeout', '60s', false);

-- name: claim_files
-- Gives the next claimable files to a batch, the weekly lane first, as many as its limits allow.
WITH candidate AS MATERIALIZED (
    -- One index range for each lane, so that a lane full of files in backoff is not scanned.
    SELECT file.*
    FROM (VALUES (0), (1)) AS lanes (lane) CROSS JOIN LATERAL (
        SELECT file_id, lane, next_attempt_at, size_bytes, workers_lost
        FROM file_processing_status
        WHERE lane = lanes.lane AND processing_status IN ('PENDING', 'FAILED') AND next_attempt_at <= now()
        ORDER BY next_attempt_at, file_id
        LIMIT :max_files
        -- Do not wait for files that another worker is claiming now.
        FOR UPDATE SKIP LOCKED
    ) AS file
    LIMIT :max_files
), counted AS (
    SELECT file_id, row_number() OVER claim_order AS position, sum(size_bytes) OVER claim_order AS running_bytes,
        max(workers_lost) OVER claim_order AS lost, count(*) FILTER (WHERE workers_lost > 0) OVER () AS suspects
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
-- An array, so that the planner uses the primary key for any estimate of the size of the table.
WHERE file_id = ANY (ARRAY(
    -- A file above the limit is a batch of its own, or it would never be claimed. Each lost worker makes batches 16
    -- times smaller, each regular end doubles them: a file that crashes workers is soon alone, and the others are not
    -- all converted one by one. From the second loss on, at most a quarter of the files that lost workers are together,
    -- so that the next loss leaves fewer of them.
    SELECT file_id FROM counted LEFT JOIN claim_growth ON true
    WHERE position = 1 OR (
        running_bytes <= :max_bytes AND (
            lost = 0 OR (lost = 1 OR position <= suspects / 4.0)
                AND position <= power(2, coalesce(doublings, 12))
                    * greatest(CAST(:max_files AS bigint) / power(16, lost), 1)
        )
    )
))
RETURNING file_id, s3_key, etag, size_bytes, lane, attempts, expected_date, expected_mode;

-- name: claim_files_of_partitions
-- The same for files that are expected in one of the outcome partitions.
WITH requested AS (
    SELECT lane, day, mode
    FROM (VALUES (0), (1)) AS lanes (lane)
        CROSS JOIN unnest(CAST(:days AS date[]), CAST(:modes AS text[])) AS partition (day, mode)
    ORDER BY lane, day, mode
), candidate AS MATERIALIZED (
    -- One index range for each partition, read only until the limit is reached.
    SELECT file.*
    FROM requested CROSS JOIN LATERAL (
        SELECT file_id, lane, expected_date, expected_mode, next_attempt_at, size_bytes, workers_lost
        FROM file_processing_status
        WHERE lane = requested.lane AND expected_date = requested.day AND expected_mode = requested.mode
            AND processing_status IN ('PENDING', 'FAILED') AND next_attempt_at <= now()
        ORDER BY next_attempt_at, file_id
        LIMIT :max_files
        FOR UPDATE SKIP LOCKED
    ) AS file
    LIMIT :max_files
), counted AS (
    SELECT file_id, row_number() OVER claim_order AS position, sum(size_bytes) OVER claim_order AS running_bytes,
        max(workers_lost) OVER claim_order AS lost, count(*) FILTER (WHERE workers_lost > 0) OVER () AS suspects
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
    SELECT file_id FROM counted LEFT JOIN claim_growth ON true
    WHERE position = 1 OR (
        running_bytes <= :max_bytes AND (
            lost = 0 OR (lost = 1 OR position <= suspects / 4.0)
                AND position <= power(2, coalesce(doublings, 12))
                    * greatest(CAST(:max_files AS bigint) / power(16, lost), 1)
        )
    )
))
RETURNING file_id, s3_key, etag, size_bytes, lane, attempts, expected_date, expected_mode;

-- name: shrink_claims
-- A worker was lost: the next batches of its files start small again.
UPDATE claim_growth SET doublings = 0 WHERE doublings > 0;

-- name: grow_claims
-- A batch ended regularly: the next one may be twice as large. Writes nothing if batches have grown to any usual size.
UPDATE claim_growth SET doublings = doublings + 1 WHERE doublings < 12;

-- name: open_batch
-- Records the claim: who holds it, and for how long.
INSERT INTO batch (batch_id, kind, owner, lease_expires_at, lease_seconds, engine, files, bytes, partitions)
VALUES (
    CAST(:batch_id AS uuid), :kind, :owner, now() + make_interval(secs => :lease_seconds), :lease_seconds, :engine,
    :files, :bytes, CAST(:partitions AS json)
);

-- name: renew_lease
-- Extends a lease from now on. A batch of another owner is not changed.
UPDATE batch SET lease_expires_at = now() + make_interval(secs => :lease_seconds), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state IN ('CLAIMED', 'PUBLISHING');

-- name: record_engine_run
-- Stores the engine's id of the run of this batch, so that a live run can be taken over. An empty id means that there
-- was a run that may no longer be looked up, because its parts are deleted.
UPDATE batch SET external_run_id = coalesce(:run_id, ''), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED';

-- name: record_engine_run_on_files
-- Shows the same id on each file of the claim, for people.
UPDATE file_processing_status SET glue_job_run_id = :run_id, updated_at = now()
WHERE claim_id = CAST(:batch_id AS uuid);

-- name: end_batch
-- Ends a batch that publishes nothing, as FAILED or ABANDONED, if this worker still holds it.
UPDATE batch SET state = :state, error_message = :message, finished_at = now(), updated_at = now()
WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED';

-- name: release_files
-- Returns the files of a claim to the queue as if they had never been claimed.
UPDATE file_processing_status SET
    processing_status = 'PENDING', claim_id = NULL, attempts = attempts - 1, next_attempt_at = now(),
    updated_at = now()
WHERE claim_id = CAST(:batch_id AS uuid);

-- name: return_files_of_outages
-- Versions before the circuit breaker counted outages as attempts, so files ended in quarantine for what was not their
-- fault. They become pending once: this version never quarantines a file with such an error. The condition is that of
-- the index file_of_outage.
UPDATE file_processing_status SET
    processing_status = 'PENDING', attempts = 0, workers_lost = 0, next_attempt_at = now(), processed_at = NULL,
    error_class = NULL, error_reason = NULL, error_message = NULL,
    rows_read = NULL, rows_published = NULL, rows_quarantined = NULL, rows_rescued = NULL, updated_at = now()
WHERE file_id = ANY (ARRAY(
    SELECT file_id FROM file_processing_status
    WHERE processing_status = 'QUARANTINED' AND (error_reason = 'unavailable' OR error_class IN (
        'LedgerUnavailable', 'StorageUnavailable', 'StorageRefused', 'SparkUnavailable', 'GlueBusy', 'GlueRunRefused',
        'NotCompiled', 'JavaMissing', 'SettingsError', 'OtherVersion'
    ))
    ORDER BY file_id FOR UPDATE SKIP LOCKED
));

-- name: withdraw_files
-- Takes files out of a claim because of another version of their key, if this worker still holds it.
UPDATE file_processing_status AS file SET
    processing_status = 'SUPERSEDED', claim_id = NULL, next_attempt_at = NULL, error_message = outcome.reason,
    updated_at = now()
FROM unnest(CAST(:file_ids AS bigint[]), CAST(:reasons AS text[])) AS outcome (file_id, reason)
WHERE file.file_id = outcome.file_id AND claim_id = CAST(:batch_id AS uuid) AND EXISTS (
    SELECT FROM batch WHERE batch_id = CAST(:batch_id AS uuid) AND owner = :owner AND state = 'CLAIMED'
);

-- name: other_versions
-- For each file of a claim, the other versions of its key that are not superseded, with their state.
SELECT file.file_id, other.file_id AS other_id, other.processing_status AS state,
    coalesce(batch.state = 'PUBLISHING', false) AS publishing,
    coalesce(other.claim_id = file.claim_id, false) AS together
FROM file_processing_status AS file
JOIN file_processing_status AS other ON other.s3_key = file.s3_key AND other.file_id <> file.file_id
LEFT JOIN batch ON batch.batch_id = other.claim_id
WHERE file.claim_id = CAST(:batch_id AS uuid) AND other.processing_status <> 'SUPERSEDED'
ORDER BY file.file_id, other.file_id;
