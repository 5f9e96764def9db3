-- Snapshots: published files that are kept as they are, by name.

CREATE TABLE snapshot (
    snapshot_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    -- What was asked for; NULL means all. Modes are in their key form.
    first_day date,
    last_day date,
    modes text[] COLLATE "C",
    columns text[],
    contract_version integer NOT NULL REFERENCES contract_version,
    files integer NOT NULL,
    rows bigint NOT NULL,
    size_bytes bigint NOT NULL,
    -- The checks of its partitions when it was made: check → passed, warned.
    checks json NOT NULL,
    digest text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    dropped_at timestamptz
);

-- A name is free again once its snapshot was dropped.
CREATE UNIQUE INDEX snapshot_name ON snapshot (name) WHERE dropped_at IS NULL;

CREATE TABLE snapshot_file (
    snapshot_id bigint NOT NULL REFERENCES snapshot,
    curated_file_id bigint NOT NULL REFERENCES curated_file,

    PRIMARY KEY (snapshot_id, curated_file_id)
);

-- Which snapshots hold a file: asked before one leaves the lake.
CREATE INDEX snapshot_file_of_file ON snapshot_file (curated_file_id);

CREATE FUNCTION snapshot_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.dropped_at IS NOT NULL OR NEW.dropped_at IS NULL
        OR to_jsonb(NEW) - 'dropped_at' <> to_jsonb(OLD) - 'dropped_at'
    THEN
        RAISE EXCEPTION 'snapshot % never changes, it can only be dropped', OLD.name
            USING ERRCODE = 'check_violation', CONSTRAINT = 'snapshot_immutable';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER snapshot_changed BEFORE UPDATE ON snapshot FOR EACH ROW EXECUTE FUNCTION snapshot_changed();
