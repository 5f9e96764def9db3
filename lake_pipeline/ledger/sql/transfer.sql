-- Moving a ledger: every table as a whole.

-- name: freeze_snapshot
-- Every table is read as of the same moment, while workers go on.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: ledger_tables
-- Every table with its columns in their order, without the revision of the schema.
SELECT class.relname AS name, array_agg(attribute.attname ORDER BY attribute.attnum) AS columns
FROM pg_class AS class JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE class.relkind = 'r' AND class.relnamespace = CAST(current_schema() AS regnamespace)
    AND class.relname <> 'ledger_revision' AND attribute.attnum > 0 AND NOT attribute.attisdropped
GROUP BY class.relname ORDER BY class.relname;

-- name: ledger_references
-- Which table refers to which.
SELECT source.relname AS name, target.relname AS refers_to
FROM pg_constraint JOIN pg_class AS source ON source.oid = conrelid JOIN pg_class AS target ON target.oid = confrelid
WHERE contype = 'f' AND source.relnamespace = CAST(current_schema() AS regnamespace) AND source.oid <> target.oid;

-- name: ledger_is_empty
-- Whether nothing was registered or claimed yet.
SELECT NOT EXISTS (SELECT FROM file_processing_status) AND NOT EXISTS (SELECT FROM batch);

-- name: identity_columns
-- The columns that number rows.
SELECT class.relname AS name, attribute.attname AS column
FROM pg_class AS class JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE class.relnamespace = CAST(current_schema() AS regnamespace) AND attribute.attidentity <> '';
