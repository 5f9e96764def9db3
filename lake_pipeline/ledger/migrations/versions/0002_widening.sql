-- Widening a column, and the evidence behind the contract.

-- A curated file may be replaced under its own key; of its versions readers see one.
ALTER TABLE curated_file DROP CONSTRAINT curated_file_key;
CREATE UNIQUE INDEX curated_file_key ON curated_file (s3_key) WHERE removed_commit IS NULL;

-- Set once a batch rewrites published files; until that time no other batch may pass its point of no return.
ALTER TABLE batch ADD COLUMN gate_until timestamptz;

-- What was seen at each JSON path (written as by show_path), by kind of value; the path '' counts all rows. No foreign
-- key: only people read the files' ids.
CREATE TABLE path_evidence (
    path text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    rows bigint NOT NULL CHECK (rows >= 0),
    first_file bigint NOT NULL,
    last_file bigint NOT NULL,
    first_version integer NOT NULL,
    last_version integer NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (path, kind)
) WITH (
    -- Every batch adds to the same few hundred rows: room to stay on their page.
    fillfactor = 50
);

-- Columns of integers that met fractions when too much was published to rewrite it beside a batch.
CREATE TABLE wanted_widening (
    path text COLLATE "C" PRIMARY KEY,
    -- The shape of the column that would hold both.
    shape json NOT NULL,
    batch_id uuid NOT NULL REFERENCES batch,
    wanted_at timestamptz NOT NULL DEFAULT now()
);
