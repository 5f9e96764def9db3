-- What a step of files costs: the history is only looked at where it gets a line.

CREATE OR REPLACE FUNCTION file_changed() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
DECLARE
    mine smallint := file_tally_slot();
    step record;
    is_told boolean := false;
BEGIN
    -- The kinds of steps first: a claim is of one kind, which is allowed and leaves no event, so this is all it costs.
    FOR step IN
        SELECT b.processing_status AS from_state, a.processing_status AS to_state, min(file_id) AS file_id,
            bool_or(b.batch_id <> a.batch_id) AS moved
        FROM before b JOIN after a USING (file_id)
        GROUP BY b.processing_status, a.processing_status
    LOOP
        IF step.from_state = step.to_state THEN
            -- A rebuild is no step, and yet a part of the history.
            is_told := is_told OR (step.to_state = 'SUCCEEDED' AND step.moved);
        ELSIF (step.from_state, step.to_state) NOT IN (SELECT * FROM file_transitions()) THEN
            RAISE EXCEPTION 'file % can''t go from % to %', step.file_id, step.from_state, step.to_state
                USING ERRCODE = 'check_violation', CONSTRAINT = 'file_transition',
                    HINT = 'The allowed steps are those of file_transitions().';
        ELSE
            is_told := is_told OR step.to_state <> 'PROCESSING';
        END IF;
    END LOOP;

    IF is_told THEN
        INSERT INTO file_event (file_id, from_state, to_state, batch_id, claimed_at, detail)
        SELECT file_id, b.processing_status, a.processing_status, a.batch_id,
            CASE WHEN b.processing_status = 'PROCESSING' THEN b.claimed_at END,
            CASE
                WHEN a.processing_status IN ('FAILED', 'QUARANTINED', 'SUPERSEDED') THEN a.error_message
                -- Given back: the batch says why.
                WHEN b.processing_status = 'PROCESSING' AND a.processing_status = 'PENDING'
                    THEN (SELECT error_message FROM batch WHERE batch.batch_id = a.batch_id)
                WHEN a.processing_status = 'PENDING' THEN 'brought back to be tried again'
                WHEN b.processing_status = 'SUCCEEDED' THEN 'rebuilt from its original'
            END
        FROM before b JOIN after a USING (file_id)
        WHERE (b.processing_status <> a.processing_status AND a.processing_status <> 'PROCESSING')
            OR (b.processing_status = 'SUCCEEDED' AND a.processing_status = 'SUCCEEDED' AND b.batch_id <> a.batch_id)
        ORDER BY file_id;
    END IF;

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
