-- The ledger from nothing. A mode is stored in its reversible key form (PartitionKey.mode_key): equal to the mode
-- wherever that is plain ASCII, and free of what text can't hold.

-- Raw files: one row for each object version, the queue and the account in one.

CREATE TABLE file_processing_status (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    s3_key text COLLATE "C" NOT NULL,
    etag text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    lane smallint NOT NULL,
    processing_status text NOT NULL DEFAULT 'PENDING',
    expected_date date,
    expected_mode text COLLATE "C",
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz DEFAULT now(),
    claim_id uuid,
    batch_id uuid,
    glue_job_run_id text,
    error_class text,
    error_reason text,
    error_message text,
    rows_read bigint,
    rows_published bigint,
    rows_quarantined bigint,
    rows_rescued bigint,
    archive_state text NOT NULL DEFAULT 'NONE',
    archive_key text COLLATE "C",
    discovered_at timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz,
    processed_at timestamptz,
    archived_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),

    -- The identity of a raw file: a re-upload is another version, hence another row.
    CONSTRAINT file_identity UNIQUE (s3_key, etag),
    CONSTRAINT file_lane CHECK (lane IN (0, 1)),
    CONSTRAINT file_state CHECK (
        processing_status IN ('PENDING', 'PROCESSING', 'SUCCEEDED', 'FAILED', 'QUARANTINED', 'SUPERSEDED')
    ),
    CONSTRAINT file_expected CHECK ((expected_date IS NULL) = (expected_mode IS NULL)),
    CONSTRAINT file_claimable_has_a_time CHECK (
        processing_status NOT IN ('PENDING', 'FAILED') OR next_attempt_at IS NOT NULL
    ),
    CONSTRAINT file_processing_is_claimed CHECK ((processing_status = 'PROCESSING') = (claim_id IS NOT NULL)),
    CONSTRAINT file_claim_is_a_batch CHECK (
        claim_id IS NULL OR (batch_id IS NOT NULL AND claim_id = batch_id AND claimed_at IS NOT NULL)
    ),
    CONSTRAINT file_done_has_a_time CHECK (
        processing_status NOT IN ('SUCCEEDED', 'QUARANTINED') OR processed_at IS NOT NULL
    ),
    CONSTRAINT file_failure_has_a_message CHECK (
        processing_status NOT IN ('FAILED', 'QUARANTINED') OR error_message IS NOT NULL
    ),
    CONSTRAINT file_success_is_counted CHECK (processing_status <> 'SUCCEEDED' OR rows_read IS NOT NULL),
    -- Conservation: nothing is dropped silently. All four counts are there, or none.
    CONSTRAINT file_conservation CHECK (
        num_nonnulls(rows_read, rows_published, rows_quarantined, rows_rescued) = 0
        OR (
            num_nonnulls(rows_read, rows_published, rows_quarantined, rows_rescued) = 4
            AND rows_read = rows_published + rows_quarantined
            AND rows_published >= 0 AND rows_quarantined >= 0
            AND rows_rescued BETWEEN 0 AND rows_published
        )
    ),
    CONSTRAINT file_archive CHECK (
        archive_state IN ('NONE', 'WAITING', 'ARCHIVED')
        AND (archive_state = 'NONE') = (archive_key IS NULL)
        AND (archive_state = 'ARCHIVED') = (archived_at IS NOT NULL)
        AND (archive_state = 'NONE' OR processing_status IN ('SUCCEEDED', 'SUPERSEDED'))
    )
) WITH (
    -- A file is rewritten about four times; some room lets record_engine_run and archived stay on their page.
    fillfactor = 85,
    -- The default waits for 20 % dead rows: two million at 10 million files, which every claim would step over.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05
);

-- Claim order: weekly drops first, then whoever waits longest. Holds only what can be claimed.
CREATE INDEX file_claim_order ON file_processing_status (lane, next_attempt_at, file_id)
    WHERE processing_status IN ('PENDING', 'FAILED');

-- The same within one expected partition; also walked from partition to partition to find what the sensor requests.
CREATE INDEX file_claim_order_in_partition
    ON file_processing_status (lane, expected_date, expected_mode, next_attempt_at, file_id)
    WHERE processing_status IN ('PENDING', 'FAILED') AND expected_date IS NOT NULL;

-- The files of a live claim: every fenced write finds its rows here.
CREATE INDEX file_of_claim ON file_processing_status (claim_id) WHERE claim_id IS NOT NULL;

-- Originals to be moved, of one batch or of all.
CREATE INDEX file_awaiting_archive ON file_processing_status (batch_id, file_id) WHERE archive_state = 'WAITING';

-- No original ever overwrites another one.
CREATE UNIQUE INDEX file_archive_key ON file_processing_status (archive_key) WHERE archive_key IS NOT NULL;


-- Batches: a claim, its lease, and what it published. The id is the fencing token.

CREATE TABLE batch (
    batch_id uuid PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'CLAIMED',
    owner text NOT NULL,
    lease_expires_at timestamptz NOT NULL,
    lease_seconds integer NOT NULL CHECK (lease_seconds > 0),
    engine text NOT NULL,
    external_run_id text,
    -- json, not jsonb: it is read back whole, and jsonb refuses a \u0000 that a raw file may well contain.
    manifest json,
    contract_version integer,
    files integer NOT NULL,
    bytes bigint NOT NULL,
    rows_read bigint,
    rows_published bigint,
    rows_quarantined bigint,
    rows_rescued bigint,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,

    CONSTRAINT batch_state CHECK (state IN ('CLAIMED', 'PUBLISHING', 'PUBLISHED', 'FAILED', 'ABANDONED')),
    CONSTRAINT batch_past_no_return_has_manifest CHECK (
        state NOT IN ('PUBLISHING', 'PUBLISHED') OR (manifest IS NOT NULL AND contract_version IS NOT NULL)
    ),
    CONSTRAINT batch_over_has_a_time CHECK (
        (state IN ('PUBLISHED', 'FAILED', 'ABANDONED')) = (finished_at IS NOT NULL)
    ),
    CONSTRAINT batch_failure_has_a_message CHECK (state NOT IN ('FAILED', 'ABANDONED') OR error_message IS NOT NULL),
    CONSTRAINT batch_conservation CHECK (
        num_nonnulls(rows_read, rows_published, rows_quarantined, rows_rescued) IN (0, 4)
        AND (rows_read IS NULL OR rows_read = rows_published + rows_quarantined)
        AND (state <> 'PUBLISHED' OR rows_read IS NOT NULL)
    )
) WITH (
    -- Leases are renewed in place, so half a page is kept for them. No index may name lease_expires_at.
    fillfactor = 50
);

-- The few batches that are not over: what reclaim and adoption look at.
CREATE INDEX batch_live ON batch (state) WHERE state IN ('CLAIMED', 'PUBLISHING');


-- The curated side.

CREATE TABLE contract_version (
    version integer PRIMARY KEY CHECK (version > 0),
    contract json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    batch_id uuid NOT NULL REFERENCES batch
);

CREATE TABLE lake_commit (
    commit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id uuid NOT NULL REFERENCES batch,
    created_at timestamptz NOT NULL DEFAULT now(),
    files_added integer NOT NULL DEFAULT 0,
    files_removed integer NOT NULL DEFAULT 0,
    rows_added bigint NOT NULL DEFAULT 0,
    rows_removed bigint NOT NULL DEFAULT 0
);

-- Which commits a batch made.
CREATE INDEX lake_commit_of_batch ON lake_commit (batch_id);

CREATE TABLE curated_file (
    curated_file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    s3_key text COLLATE "C" NOT NULL,
    batch_id uuid NOT NULL REFERENCES batch,
    partition_date date NOT NULL,
    partition_mode text COLLATE "C" NOT NULL,
    rows bigint NOT NULL CHECK (rows >= 0),
    size_bytes bigint NOT NULL,
    etag text NOT NULL,
    contract_version integer NOT NULL REFERENCES contract_version,
    added_commit bigint NOT NULL REFERENCES lake_commit,
    removed_commit bigint REFERENCES lake_commit,

    CONSTRAINT curated_file_key UNIQUE (s3_key),
    CONSTRAINT curated_file_order CHECK (removed_commit > added_commit)
);

-- What readers see, by partition.
CREATE INDEX curated_file_live ON curated_file (partition_date, partition_mode) WHERE removed_commit IS NULL;

-- Which curated files a batch wrote.
CREATE INDEX curated_file_of_batch ON curated_file (batch_id);

CREATE TABLE quarantine_file (
    s3_key text COLLATE "C" PRIMARY KEY,
    batch_id uuid NOT NULL REFERENCES batch,
    rows bigint NOT NULL CHECK (rows >= 0),
    size_bytes bigint NOT NULL,
    etag text NOT NULL
);

-- Which quarantine files a batch wrote.
CREATE INDEX quarantine_file_of_batch ON quarantine_file (batch_id);

-- Which raw file gave how many rows to which curated file.
CREATE TABLE lineage (
    file_id bigint NOT NULL REFERENCES file_processing_status,
    curated_file_id bigint NOT NULL REFERENCES curated_file,
    rows bigint NOT NULL CHECK (rows > 0),

    PRIMARY KEY (file_id, curated_file_id)
);

-- The other way: the sources of a curated file.
CREATE INDEX lineage_of_curated_file ON lineage (curated_file_id);


-- The history of each file. Only the trigger below writes here, so no foreign key is checked on top of it.

CREATE TABLE file_event (
    file_id bigint NOT NULL,
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_state text NOT NULL,
    to_state text NOT NULL,
    batch_id uuid,
    detail text,

    -- A file's events are read together, oldest first.
    PRIMARY KEY (file_id, event_id)
);


-- Running totals, so that status costs the same at ten files and at ten million. Only triggers write here. A row is
-- a part of a total; a transaction adds to a slot that it has for itself, so writers never wait for each other.

CREATE TABLE file_tally (
    slot smallint NOT NULL,
    processing_status text NOT NULL,
    archive_state text NOT NULL,
    lane smallint NOT NULL,
    files bigint NOT NULL,
    bytes bigint NOT NULL,
    rows_read bigint NOT NULL,
    rows_published bigint NOT NULL,
    rows_quarantined bigint NOT NULL,
    rows_rescued bigint NOT NULL,

    PRIMARY KEY (slot, processing_status, archive_state, lane)
) WITH (
    -- At most a few hundred rows, rewritten by every claim: room to stay on their page.
    fillfactor = 20
);

CREATE FUNCTION file_tally_slot() RETURNS smallint LANGUAGE plpgsql AS $$
DECLARE
    own integer := pg_backend_pid() % 64;
BEGIN
    -- 1279349575 is 'LAKG': a lock space of our own. The lock goes with the transaction.
    FOR step IN 0..63 LOOP
        IF pg_try_advisory_xact_lock(1279349575, (own + step) % 64) THEN
            RETURN (own + step) % 64;
        END IF;
    END LOOP;
    PERFORM pg_advisory_xact_lock(1279349575, own);
    RETURN own;
END $$;


-- The state machine. These are TRANSITIONS and BATCH_TRANSITIONS of model/states.py; a test compares them.

CREATE FUNCTION file_transitions() RETURNS TABLE (from_state text, to_state text) LANGUAGE sql IMMUTABLE AS $$
    VALUES
        ('PENDING', 'PROCESSING'),
        ('FAILED', 'PROCESSING'),
        ('PROCESSING', 'SUCCEEDED'),
        ('PROCESSING', 'FAILED'),
        ('PROCESSING', 'QUARANTINED'),
        ('PROCESSING', 'PENDING'),
        ('QUARANTINED', 'PENDING'),
        ('FAILED', 'PENDING'),
        ('PENDING', 'SUPERSEDED'),
        ('FAILED', 'SUPERSEDED'),
        ('QUARANTINED', 'SUPERSEDED'),
        ('SUCCEEDED', 'SUPERSEDED')
$$;

CREATE FUNCTION batch_transitions() RETURNS TABLE (from_state text, to_state text) LANGUAGE sql IMMUTABLE AS $$
    VALUES
        ('CLAIMED', 'PUBLISHING'),
        ('PUBLISHING', 'PUBLISHED'),
        ('CLAIMED', 'FAILED'),
        ('CLAIMED', 'ABANDONED')
$$;

-- Once for each statement, not for each row: a claim changes hundreds of files. The plans below are kept for the life
-- of a connection, whatever size its first statement had: a nested loop over before and after must never be one.
CREATE FUNCTION file_changed() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
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

    INSERT INTO file_event (file_id, from_state, to_state, batch_id, detail)
    SELECT file_id, b.processing_status, a.processing_status, a.batch_id,
        CASE
            WHEN a.processing_status IN ('FAILED', 'QUARANTINED') THEN a.error_message
            -- Given back: the batch says why.
            WHEN b.processing_status = 'PROCESSING' AND a.processing_status = 'PENDING'
                THEN (SELECT error_message FROM batch WHERE batch.batch_id = a.batch_id)
        END
    FROM before b JOIN after a USING (file_id)
    WHERE b.processing_status <> a.processing_status
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
    RETURN NULL;
END $$;

CREATE TRIGGER file_changed AFTER UPDATE ON file_processing_status
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION file_changed();

-- A file begins as PENDING and nothing else; discovered_at is its first event.
CREATE FUNCTION file_registered() RETURNS trigger LANGUAGE plpgsql AS $$
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
    RETURN NULL;
END $$;

CREATE TRIGGER file_registered AFTER INSERT ON file_processing_status
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION file_registered();

-- Files are the account of the lake: they are superseded, never deleted.
CREATE FUNCTION file_never_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'files of the ledger are never deleted: the account of what was published would be lost'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'file_never_deleted';
END $$;

CREATE TRIGGER file_never_deleted BEFORE DELETE OR TRUNCATE ON file_processing_status
    FOR EACH STATEMENT EXECUTE FUNCTION file_never_deleted();

CREATE FUNCTION batch_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (old.state, new.state) NOT IN (SELECT from_state, to_state FROM batch_transitions()) THEN
        RAISE EXCEPTION 'batch % can''t go from % to %', old.batch_id, old.state, new.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_transition',
                HINT = 'The allowed steps are those of batch_transitions().';
    END IF;
    RETURN new;
END $$;

CREATE TRIGGER batch_changed BEFORE UPDATE ON batch
    FOR EACH ROW WHEN (old.state IS DISTINCT FROM new.state) EXECUTE FUNCTION batch_changed();
