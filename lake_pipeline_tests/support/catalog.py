"""The schema of a database as its catalog describes it: two databases with equal catalogs have the same schema."""

from __future__ import annotations

from lake_pipeline_tests.support.ledger_builders import run_sql

_QUERIES = {
    "relations": "SELECT relname, relkind, reloptions FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace ORDER BY relname",
    "columns": "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, "
    "collname, pg_get_expr(adbin, adrelid) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
    "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
    "LEFT JOIN pg_collation ON pg_collation.oid = attcollation "
    "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped "
    "ORDER BY 1, 2",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2, 3",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    "functions": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc "
    "WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
    "triggers": "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger "
    "WHERE NOT tgisinternal ORDER BY 1, 2",
}


def catalog(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Relations, columns, constraints, indexes, views, functions and triggers of the schema `public`."""
    return {name: [tuple(row) for row in run_sql(url, sql)] for name, sql in _QUERIES.items()}
