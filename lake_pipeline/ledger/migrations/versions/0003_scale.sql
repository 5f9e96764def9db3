-- Scale: what a claim writes, and what looking at the backlog costs.

-- A claim leaves no row of its own any more, which was a tenth of its time: the event that ends a stay in PROCESSING
-- knows when the stay began. NULL where the file was not in PROCESSING, and in events from before.
ALTER TABLE file_event ADD COLUMN claimed_at timestamptz;

-- Every step of a file, oldest first by (event_id, at); the step into PROCESSING that is not over has no event_id.
CREATE VIEW file_history AS
WITH step AS (
    SELECT *, lag(to_state) OVER (PARTITION BY file_id ORDER BY event_id) AS state_before FROM file_event
)
SELECT file_id, event_id, claimed_at AS at, coalesce(state_before, 'PENDING') AS from_state, 'PROCESSING' AS to_state,
    batch_id, NULL AS detail
FROM step WHERE claimed_at IS NOT NULL AND state_before IS DISTINCT FROM 'PROCESSING'
UNION ALL
SELECT file_id, event_id, at, from_state, to_state, batch_id, detail FROM file_event
UNION ALL
SELECT file_id, NULL, claimed_at, coalesce(latest.to_state, 'PENDING'), 'PROCESSING', batch_id, NULL
FROM file_processing_status AS file
LEFT JOIN LATERAL (
    SELECT to_state FROM file_event WHERE file_event.file_id = file.file_id ORDER BY event_id DESC LIMIT 1
) AS latest ON true
WHERE file.processing_status = 'PROCESSING' AND latest.to_state IS DISTINCT FROM 'PROCESSING';


-- Files that wait, by lane and expected partition, as changes that add up: counting three million of them would take a
-- second at each tick of the sensor. Only triggers write here, and nobody waits for anybody; `fold_backlog` keeps it
-- short.
CREATE TABLE backlog_change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    processing_status text NOT NULL,
    lane smallint NOT NULL,
    expected_date date,
    expected_mode text COLLATE "C",
    files bigint NOT NULL,
    bytes bigint NOT NULL
);

INSERT INTO backlog_change (processing_status, lane, expected_date, expected_mode, files, bytes)
SELECT processing_status, lane, expected_date, expected_mode, count(*), sum(size_bytes)
FROM file_processing_status WHERE processing_status IN ('PENDING', 'FAILED')
GROUP BY processing_status, lane, expected_date, expected_mode;

-- Whose retry time has come, with what the backlog tells of them, so that the rows themselves are not read.
CREATE INDEX file_retry ON file_processing_status (next_attempt_at)
    INCLUDE (lane, expected_date, expected_mode, size_bytes)
    WHERE processing_status = 'FAILED';


-- As before, but for the events of claims and the backlog.
CREATE OR REPLACE FUNCTION file_changed() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
DECLARE
    mine smallint := file_tally_slot();
    wrong record;
BEGIN
    SELECT file_id, b.processing_status AS from_state, a.processing_status AS to_state INTO wrong
    FROM before b JOIN after a USING (file_id)
    WHERE b.processing_status <> a.processing_status
        AND (b.processing_status, a.processing_status) NOT IN (SELECT from_state, to_state FROM file_transitions())
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'file % can''t go from % to %', wrong.file_id, wrong.from_state, wrong.to_state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'file_transition',
                HINT = 'The allowed steps are those of file_transitions().';
    END IF;

    INSERT INTO file_event (file_id, from_state, to_state, batch_id, claimed_at, detail)
    SELECT file_id, b.processing_status, a.processing_status, a.batch_id,
        CASE WHEN b.processing_status = 'PROCESSING' THEN b.claimed_at END,
        CASE
            WHEN a.processing_status IN ('FAILED', 'QUARANTINED') THEN a.error_message
            -- Given back: the batch says why.
            WHEN b.processing_status = 'PROCESSING' AND a.processing_status = 'PENDING'
                THEN (SELECT error_message FROM batch WHERE batch.batch_id = a.batch_id)
        END
    FROM before b JOIN after a USING (file_id)
    WHERE b.processing_status <> a.processing_status AND a.processing_status <> 'PROCESSING'
    ORDER BY file_id;

    INSERT INTO file_tally AS tally
    SELECT mine, processing_status, archive_state, lane, sum(sign), sum(sign * size_bytes),
        sum(sign * coalesce(rows_read, 0)), sum(sign * coalesce(rows_published, 0)),
        sum(sign * coalesce(rows_quarantined, 0)), sum(sign * coalesce(rows_rescued, 0))
    FROM (
        SELECT 1 AS sign, processing_status, archive_state, lane, size_bytes,
            rows_read, rows_published, rows_quarantined, rows_rescued FROM after
        UNION ALL
        SELECT -1, processing_status, archive_state, lane, size_bytes,
            rows_read, rows_published, rows_quarantined, rows_rescued FROM before
    ) change
    GROUP BY processing_status, archive_state, lane
    ON CONFLICT (slot, processing_status, archive_state, lane) DO UPDATE SET
        files = tally.files + excluded.files,
        bytes = tally.bytes + excluded.bytes,
        rows_read = tally.rows_read + excluded.rows_read,
        rows_published = tally.rows_published + excluded.rows_published,
        rows_quarantined = tally.rows_quarantined + excluded.rows_quarantined,
        rows_rescued = tally.rows_rescued + excluded.rows_rescued;

    INSERT INTO backlog_change (processing_status, lane, expected_date, expected_mode, files, bytes)
    SELECT processing_status, lane, expected_date, expected_mode, sum(sign), sum(sign * size_bytes)
    FROM (
        SELECT 1 AS sign, processing_status, lane, expected_date, expected_mode, size_bytes FROM after
        UNION ALL
        SELECT -1, processing_status, lane, expected_date, expected_mode, size_bytes FROM before
    ) change
    WHERE processing_status IN ('PENDING', 'FAILED')
    GROUP BY processing_status, lane, expected_date, expected_mode
    HAVING sum(sign) <> 0;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION file_registered() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    mine smallint := file_tally_slot();
BEGIN
    IF EXISTS (SELECT FROM after WHERE processing_status <> 'PENDING') THEN
        RAISE EXCEPTION 'a file is registered as PENDING and in no other state'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'file_transition';
    END IF;
    INSERT INTO file_tally AS tally
    SELECT mine, processing_status, archive_state, lane, count(*), sum(size_bytes), 0, 0, 0, 0
    FROM after
    GROUP BY processing_status, archive_state, lane
    ON CONFLICT (slot, processing_status, archive_state, lane) DO UPDATE SET
        files = tally.files + excluded.files,
        bytes = tally.bytes + excluded.bytes;
    INSERT INTO backlog_change (processing_status, lane, expected_date, expected_mode, files, bytes)
    SELECT processing_status, lane, expected_date, expected_mode, count(*), sum(size_bytes)
    FROM after GROUP BY processing_status, lane, expected_date, expected_mode;
    RETURN NULL;
END $$;
