-- Runs of an engine that are found again: whose rebuild it was, and which one nobody may look for.

-- What a rebuild replaces, as keys of partitions: whoever takes over its run replaces the same. NULL for other kinds.
ALTER TABLE batch ADD COLUMN partitions json;
